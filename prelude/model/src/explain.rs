//! Why a model predicts what it does: [`permutation_importance`], [`partial_dependence`] over values of
//! its own choice, [`partial_dependence_at`] over given ones.

use crate::bar::Bar;
use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_model_format::ColumnKind;
use oxilab_plot::Chart;
use oxilab_plot::model::Axes;
use oxilab_runtime::MimeBundle;
use polars::prelude::*;
use serde::Serialize;

use crate::encode::numbers;
use crate::error::{ModelError, Result, While, check_interrupt, require};
use crate::evaluate::{Judged, figure, higher_is_better};
use crate::fitted::{FittedModel, mean};
use crate::matrix::float;
use crate::metrics::bootstrap::quantile;
use crate::predictor::Output;
use crate::rng::Rng;
use crate::schema;
use crate::show::table_and_chart;
use crate::target::column_of;

/// How much worse a model gets when the values of one column are shuffled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PermutationImportance {
    /// The metric.
    pub metric: String,
    /// The metric before shuffling.
    pub baseline: f64,
    /// Per column the mean loss and its standard deviation over the repeats, largest loss first.
    pub columns: Vec<(String, f64, f64)>,
}

/// Shuffles each input column `repeats` times and measures how much the main metric falls (Breiman,
/// 2001). Works with every learner; `df` should be rows the model has not seen.
///
/// # Errors
/// As [`FittedModel::evaluate`]; and if `repeats` is 0.
pub fn permutation_importance(
    model: &FittedModel,
    df: &DataFrame,
    repeats: usize,
    seed: u64,
) -> Result<PermutationImportance> {
    require(repeats > 0, "permutation_importance", "repeats", repeats, "1 or more")?;
    let judged = Judged::new(model, df)?;
    let metric = judged.main();
    let baseline = judged.metric(metric)?;
    let sign = if higher_is_better(metric) { 1.0 } else { -1.0 };
    let names = model.schema().names();
    let bar = Bar::new("permutation importance", names.len() * repeats);
    let mut columns = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let column = column_of(df, name)?;
        let mut losses = Vec::with_capacity(repeats);
        for repeat in 0..repeats {
            check_interrupt()?;
            let mut rng = Rng::part(seed, (index * repeats + repeat) as u64);
            let order = IdxCa::from_vec(PlSmallStr::EMPTY, rng.permutation(df.height()));
            let mut shuffled = df.clone();
            let values = column.take(&order).doing("shuffling a column")?;
            shuffled.with_column(values).doing("shuffling a column")?;
            losses.push(sign * (baseline - Judged::new(model, &shuffled)?.metric(metric)?));
            bar.step();
        }
        let centre = mean(&losses);
        let spread =
            losses.iter().map(|l| (l - centre) * (l - centre)).sum::<f64>() / float(repeats);
        columns.push(((*name).to_owned(), centre, spread.sqrt()));
    }
    columns.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(PermutationImportance { metric: metric.to_owned(), baseline, columns })
}

impl PermutationImportance {
    /// As a frame with columns `column`, `importance`, `std`.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let names: Vec<&str> = self.columns.iter().map(|(name, ..)| name.as_str()).collect();
        let losses: Vec<f64> = self.columns.iter().map(|(_, loss, _)| *loss).collect();
        let spreads: Vec<f64> = self.columns.iter().map(|(.., spread)| *spread).collect();
        df!("column" => names, "importance" => losses, "std" => spreads)
            .doing("making the frame of importances")
    }
}

impl PermutationImportance {
    /// A bar per column, of the 30 most important.
    ///
    /// # Errors
    /// If there is no column.
    pub fn chart(&self) -> oxilab_plot::Result<Chart> {
        let (names, losses): (Vec<&str>, Vec<f64>) =
            self.columns.iter().take(30).map(|(name, loss, _)| (name.as_str(), *loss)).unzip();
        oxilab_plot::model::ranking(&names, &losses, &format!("loss of {}", self.metric))
    }
}

impl Render for PermutationImportance {
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(vec![
            Heading::new("column"),
            Heading::new(format!("loss of {}", self.metric)).numeric(),
            Heading::new("std").numeric(),
        ]);
        table.title = format!("{} {} before shuffling", self.metric, figure(self.baseline));
        for (name, loss, spread) in &self.columns {
            table.push(vec![Some(name.clone()), Some(figure(*loss)), Some(figure(*spread))]);
        }
        table_and_chart(&table, self.chart())
    }
}

/// The mean prediction as one column changes, and the predictions of single rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartialDependence {
    /// The column.
    pub column: String,
    /// Its values: numbers, or category names.
    pub grid: Vec<String>,
    /// The mean prediction at each value; for classifiers the probability of `class`.
    pub mean: Vec<f64>,
    /// Individual curves (ICE), row after row, each as long as the grid.
    pub rows: Vec<Vec<f64>>,
    /// The class whose probability it is.
    pub class: Option<String>,
}

/// Sets a column to each of up to 30 of its values (quantiles of numbers, all categories) in all rows of
/// `df` and averages the predictions (Friedman, 2001). For classifiers of the last class.
///
/// # Errors
/// If the column is no input of the model, or the frame cannot be used.
pub fn partial_dependence(
    model: &FittedModel,
    df: &DataFrame,
    column: &str,
) -> Result<PartialDependence> {
    let described = input(model, column)?;
    if described.kind == ColumnKind::Categorical && described.categories.is_empty() {
        return Err(ModelError::column(
            column,
            format!("its type is {}, without a list of values to set", described.dtype),
            "choose a column of numbers or categories",
        ));
    }
    let values = if described.kind == ColumnKind::Categorical {
        let names: Vec<&str> = described.categories.iter().take(30).map(String::as_str).collect();
        Series::new(column.into(), names)
    } else {
        let found = column_of(df, column)?;
        let mut present: Vec<f64> =
            numbers(found)?.iter().copied().filter(|v| v.is_finite()).collect();
        present.sort_unstable_by(f64::total_cmp);
        let mut grid: Vec<f64> = present.clone();
        grid.dedup();
        if grid.len() > 30 {
            let place = |i| quantile(&present, 0.01 + 0.98 * float(i) / 29.0);
            // A column of whole numbers has no values between.
            let whole = found.dtype().is_integer();
            grid = (0..30).map(place).map(|v| if whole { v.round() } else { v }).collect();
            grid.dedup();
        }
        Series::new(column.into(), grid)
    };
    partial_dependence_at(model, df, column, &values)
}

/// As [`partial_dependence`], at the values that the caller gives: numbers or names of categories, in
/// the order in which they shall be drawn.
///
/// ```
/// use oxilab_model::{LinearRegression, partial_dependence_at};
/// use polars::prelude::*;
///
/// let df = df!("x" => [1.0, 2.0, 3.0], "z" => [0.0, 5.0, 1.0], "y" => [2.0, 9.0, 7.0])?;
/// let model = LinearRegression::new().fit(&df, "y")?;
/// let curve = partial_dependence_at(&model, &df, "x", &Series::new("x".into(), [0.0, 10.0]))?;
/// assert!((curve.mean[1] - curve.mean[0] - 20.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`partial_dependence`]; and if there is no value, or one is missing or none that the column can
/// have.
pub fn partial_dependence_at(
    model: &FittedModel,
    df: &DataFrame,
    column: &str,
    values: &Series,
) -> Result<PartialDependence> {
    input(model, column)?;
    if values.is_empty() || df.height() == 0 {
        let what = if values.is_empty() { "values to set" } else { "rows to predict" };
        return Err(ModelError::column(
            column,
            format!("there are no {what}"),
            "partial dependence needs at least one of each",
        ));
    }
    let labels = labels_of(column, values)?;
    let values = values.clone().with_name(column.into()).into_column();
    let mut curves = vec![Vec::with_capacity(labels.len()); df.height()];
    let mut means = Vec::new();
    for place in 0..labels.len() {
        check_interrupt()?;
        let mut changed = df.clone();
        let value = values.new_from_index(place, df.height());
        changed.with_column(value).doing("setting a column")?;
        let predicted: Vec<f64> = match model.output(&changed)? {
            Output::Values(values) => values,
            Output::Probabilities(p) => {
                let classes = model.classes().len();
                p.iter().skip(classes - 1).step_by(classes).copied().collect()
            }
            _ => return Err(model.unsupported("show partial dependence", "it predicts no number")),
        };
        means.push(mean(&predicted));
        curves.iter_mut().zip(predicted).for_each(|(curve, value)| curve.push(value));
    }
    let class = model.classes().last().cloned();
    Ok(PartialDependence {
        column: column.to_owned(),
        grid: labels,
        mean: means,
        rows: curves,
        class,
    })
}

/// An input column of a model.
fn input<'a>(model: &'a FittedModel, column: &str) -> Result<&'a schema::Column> {
    let schema = model.schema();
    schema.columns.iter().find(|c| c.name == column).ok_or_else(|| ModelError::MissingColumn {
        column: column.to_owned(),
        available: crate::target::list(schema.names().into_iter()),
    })
}

/// The values as text: what the axis says.
fn labels_of(column: &str, values: &Series) -> Result<Vec<String>> {
    let numbers = values.dtype().is_primitive_numeric();
    let texts: Vec<Option<String>> = if numbers {
        let floats = values.cast(&DataType::Float64).doing("reading the values to set")?;
        let floats = floats.f64().doing("reading the values to set")?;
        floats.iter().map(|v| v.filter(|v| v.is_finite()).map(|v| v.to_string())).collect()
    } else {
        let texts = values.cast(&DataType::String).doing("reading the values to set")?;
        let texts = texts.str().doing("reading the values to set")?;
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    };
    let missing = texts.iter().position(Option::is_none);
    if let Some(place) = missing {
        return Err(ModelError::column(
            column,
            format!("value {place} to set is missing or not finite"),
            "leave it out",
        ));
    }
    Ok(texts.into_iter().flatten().collect())
}

impl PartialDependence {
    fn what(&self) -> String {
        self.class.as_ref().map_or("prediction".to_owned(), |c| format!("probability of {c}"))
    }

    /// The mean, over the curves of the first 50 rows.
    ///
    /// # Errors
    /// If the grid is empty.
    pub fn chart(&self) -> oxilab_plot::Result<Chart> {
        let numbers: Option<Vec<f64>> = self.grid.iter().map(|label| label.parse().ok()).collect();
        let axis = match &numbers {
            Some(numbers) => Axes::Numbers(&self.column, numbers),
            None => Axes::Classes(&self.column, &self.grid),
        };
        let curves = &self.rows[..self.rows.len().min(50)];
        Ok(oxilab_plot::model::dependence(&axis, &self.mean, curves)?.with_y_title(&self.what()))
    }
}

impl Render for PartialDependence {
    fn render(&self) -> MimeBundle {
        let what = self.what();
        let mut table = Table::new(vec![
            Heading::new(self.column.as_str()),
            Heading::new(format!("mean {what}")).numeric(),
        ]);
        for (label, value) in self.grid.iter().zip(&self.mean) {
            table.push(vec![Some(label.clone()), Some(figure(*value))]);
        }
        table_and_chart(&table, self.chart())
    }
}
