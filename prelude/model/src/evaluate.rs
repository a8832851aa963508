//! All metrics of a model on a frame: [`Evaluation`], and per group of rows: [`Slices`].

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_model_format::Task;
use oxilab_runtime::MimeBundle;
use polars::prelude::*;
use serde::Serialize;

use crate::error::{ModelError, Result, While};
use crate::fitted::FittedModel;
use crate::metrics::bootstrap::{Interval, bootstrap_interval};
use crate::metrics::probability::{MultiClass, log_loss, roc_auc_multiclass};
use crate::metrics::{self, Average, ConfusionMatrix, regression};
use crate::predictor::Output;
use crate::target::{Target, column_of};

/// The metrics of a model on a frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The learner.
    pub learner: String,
    /// What the model does.
    pub task: Task,
    /// Rows of the frame.
    pub rows: usize,
    /// Metrics by name, the most telling first.
    pub metrics: Vec<(String, f64)>,
    /// For classifiers, how often each class was predicted as each.
    pub confusion: Option<ConfusionMatrix>,
    /// Which metric [`Evaluation::score`] is.
    pub main: String,
}

impl Evaluation {
    /// A metric by name, for example `accuracy`, `roc_auc`, `rmse`.
    #[must_use]
    pub fn get(&self, metric: &str) -> Option<f64> {
        self.metrics.iter().find(|(name, _)| name == metric).map(|(_, value)| *value)
    }

    /// The main metric: ROC area for two classes, accuracy for more, R² for numbers. Higher is better.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.get(&self.main).unwrap_or(f64::NAN)
    }

    /// The metrics as a frame with columns `metric` and `value`.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let (names, values): (Vec<&str>, Vec<f64>) =
            self.metrics.iter().map(|(name, value)| (name.as_str(), *value)).unzip();
        df!("metric" => names, "value" => values).doing("making the frame of metrics")
    }

    /// The metrics with their names.
    pub fn iter(&self) -> std::iter::Cloned<std::slice::Iter<'_, (String, f64)>> {
        self.metrics.iter().cloned()
    }
}

impl<'a> IntoIterator for &'a Evaluation {
    type Item = (String, f64);
    type IntoIter = std::iter::Cloned<std::slice::Iter<'a, (String, f64)>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Truth and prediction of a frame, to compute metrics on any choice of rows.
pub(crate) enum Judged {
    Classes { truth: Vec<u32>, predicted: Vec<u32>, probabilities: Vec<f64>, names: Vec<String> },
    Values { truth: Vec<f64>, predicted: Vec<f64> },
}

impl Judged {
    pub(crate) fn new(model: &FittedModel, df: &DataFrame) -> Result<Self> {
        if !model.task().is_supervised() {
            return Err(
                model.unsupported("be evaluated", "it has no target; see `metrics::clustering`")
            );
        }
        if df.height() == 0 {
            return Err(ModelError::data("the frame has no rows", "evaluate on at least one"));
        }
        match (model.target(df)?, model.output(df)?) {
            (Target::Classes(truth, _), Output::Probabilities(probabilities)) => {
                let predicted = model.decide(&probabilities);
                Ok(Self::Classes {
                    truth,
                    predicted,
                    probabilities,
                    names: model.classes().to_vec(),
                })
            }
            (Target::Values(truth), Output::Values(predicted)) => {
                Ok(Self::Values { truth, predicted })
            }
            _ => Err(model.unsupported("be evaluated", "its predictions do not fit its target")),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Classes { truth, .. } => truth.len(),
            Self::Values { truth, .. } => truth.len(),
        }
    }

    pub(crate) fn take(&self, rows: &[u32]) -> Self {
        let pick = |values: &[f64]| rows.iter().map(|row| values[*row as usize]).collect();
        match self {
            Self::Classes { truth, predicted, probabilities, names } => Self::Classes {
                truth: rows.iter().map(|row| truth[*row as usize]).collect(),
                predicted: rows.iter().map(|row| predicted[*row as usize]).collect(),
                probabilities: rows
                    .iter()
                    .flat_map(|row| {
                        let start = *row as usize * names.len();
                        probabilities[start..start + names.len()].iter().copied()
                    })
                    .collect(),
                names: names.clone(),
            },
            Self::Values { truth, predicted } => {
                Self::Values { truth: pick(truth), predicted: pick(predicted) }
            }
        }
    }

    pub(crate) fn main(&self) -> &'static str {
        match self {
            Self::Classes { names, .. } if names.len() == 2 => "roc_auc",
            Self::Classes { .. } => "accuracy",
            Self::Values { .. } => "r2",
        }
    }

    /// One metric by the names of [`Evaluation::metrics`].
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        // The ones that are asked for hundreds of times are computed alone.
        match (self, name) {
            (Self::Classes { truth, probabilities, names, .. }, "roc_auc") if names.len() == 2 => {
                let second: Vec<f64> = probabilities.iter().skip(1).step_by(2).copied().collect();
                return metrics::roc_auc(truth, &second, None);
            }
            (Self::Classes { truth, predicted, .. }, "accuracy") => {
                let right = truth.iter().zip(predicted).filter(|(t, p)| t == p).count();
                return Ok(crate::matrix::float(right) / crate::matrix::float(truth.len()));
            }
            (Self::Values { truth, predicted }, "r2") => {
                return regression::r2(truth, predicted, None);
            }
            _ => {}
        }
        let known = self.metrics();
        known.iter().find(|(metric, _)| metric == name).map(|(_, value)| *value).ok_or_else(|| {
            ModelError::metric(
                "metric",
                format!("`{name}` is not known or not defined on these rows"),
                format!(
                    "use one of {}",
                    known.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>().join(", ")
                ),
            )
        })
    }

    /// All metrics that are defined on the rows.
    pub(crate) fn metrics(&self) -> Vec<(String, f64)> {
        let found: Vec<(&str, Result<f64>)> = match self {
            Self::Classes { truth, probabilities, names, .. } => {
                let confusion = self.confusion();
                let matrix = |of: &dyn Fn(&ConfusionMatrix) -> Result<f64>| match &confusion {
                    Some(confusion) => of(confusion),
                    None => Ok(f64::NAN),
                };
                let classes = names.len();
                let average = if classes == 2 { Average::Binary } else { Average::Macro };
                let mut out = vec![
                    ("accuracy", matrix(&|m| Ok(m.accuracy()))),
                    ("balanced_accuracy", matrix(&|m| Ok(m.balanced_accuracy()))),
                    ("precision", matrix(&|m| m.precision(average))),
                    ("recall", matrix(&|m| m.recall(average))),
                    ("f1", matrix(&|m| m.f1(average))),
                    ("matthews_corrcoef", matrix(&|m| Ok(m.matthews_corrcoef()))),
                    ("log_loss", log_loss(truth, probabilities, classes, None)),
                ];
                if classes == 2 {
                    let second: Vec<f64> =
                        probabilities.iter().skip(1).step_by(2).copied().collect();
                    out.insert(0, ("roc_auc", metrics::roc_auc(truth, &second, None)));
                    out.push((
                        "average_precision",
                        metrics::average_precision(truth, &second, None),
                    ));
                    out.push(("brier_score", metrics::brier_score(truth, &second, None)));
                } else {
                    let area =
                        roc_auc_multiclass(truth, probabilities, classes, MultiClass::OneVsRest);
                    out.push(("roc_auc_ovr", area));
                }
                out
            }
            Self::Values { truth, predicted } => vec![
                ("r2", regression::r2(truth, predicted, None)),
                ("rmse", regression::root_mean_squared_error(truth, predicted, None)),
                ("mae", regression::mean_absolute_error(truth, predicted, None)),
                ("median_absolute_error", regression::median_absolute_error(truth, predicted)),
                ("max_error", regression::max_error(truth, predicted)),
                ("mape", regression::mean_absolute_percentage_error(truth, predicted, None)),
            ],
        };
        found
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.ok()?)))
            .filter(|(_, value)| value.is_finite())
            .collect()
    }

    fn confusion(&self) -> Option<ConfusionMatrix> {
        let Self::Classes { truth, predicted, names, .. } = self else { return None };
        let weights = vec![1.0; truth.len()];
        Some(ConfusionMatrix::from_codes(names.clone(), truth, predicted, &weights))
    }
}

/// Whether more of a metric is better, by its name in an [`Evaluation`].
pub(crate) fn higher_is_better(metric: &str) -> bool {
    !metric.contains("loss")
        && !metric.contains("error")
        && !matches!(metric, "rmse" | "mae" | "mape" | "brier_score")
}

pub(crate) fn evaluate(model: &FittedModel, df: &DataFrame) -> Result<Evaluation> {
    let judged = Judged::new(model, df)?;
    Ok(Evaluation {
        learner: model.learner().to_owned(),
        task: model.task(),
        rows: df.height(),
        metrics: judged.metrics(),
        confusion: judged.confusion(),
        main: judged.main().to_owned(),
    })
}

impl Render for Evaluation {
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(vec![Heading::new("metric"), Heading::new("value").numeric()]);
        table.title = format!("{} · {} · {} rows", self.learner, self.task, self.rows);
        for (name, value) in &self.metrics {
            table.push(vec![Some(name.clone()), Some(figure(*value))]);
        }
        let mut text = table.to_text();
        let mut html = format!(
            "<div><b>{}</b></div>{}",
            oxilab_display::table::escape(&table.title),
            table.to_html()
        );
        if let Some(confusion) = self.confusion.as_ref().filter(|m| m.classes.len() <= 30) {
            let table = confusion.table();
            text.push('\n');
            text.push_str(&table.to_text());
            html.push_str(&table.to_html());
        }
        MimeBundle::text(text).with_html(html)
    }
}

/// A number for people.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if value.is_nan() || size.is_infinite() => "–".to_owned(),
        size if size >= 1e6 || (size < 1e-4 && size > 0.0) => format!("{value:.3e}"),
        size if size >= 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.4}"),
    }
}

/// A metric per group of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slices {
    /// The column that makes the groups.
    pub column: String,
    /// The metric.
    pub metric: String,
    /// The metric on all rows.
    pub overall: f64,
    /// Per group: its name, its rows, and the metric with a 95 % bootstrap interval; `None` where it is
    /// not defined (one class only).
    pub groups: Vec<(String, usize, Option<Interval>)>,
}

impl Slices {
    /// As a frame with columns `group`, `rows`, `value`, `low`, `high`.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let names: Vec<&str> = self.groups.iter().map(|(name, ..)| name.as_str()).collect();
        let rows: Vec<u64> = self.groups.iter().map(|(_, rows, _)| *rows as u64).collect();
        let part = |of: fn(&Interval) -> f64| -> Vec<Option<f64>> {
            self.groups.iter().map(|(_, _, interval)| interval.as_ref().map(of)).collect()
        };
        df!("group" => names, "rows" => rows, "value" => part(|i| i.value), "low" => part(|i| i.low),
            "high" => part(|i| i.high))
        .doing("making the frame of groups")
    }
}

impl Render for Slices {
    fn render(&self) -> MimeBundle {
        let heads = [self.column.as_str(), "rows", self.metric.as_str(), "95 % interval"];
        let mut table = Table::new(heads.iter().map(|head| Heading::new(*head)).collect());
        table.title = format!("{} on all rows: {}", self.metric, figure(self.overall));
        for (name, rows, interval) in &self.groups {
            let value = interval.map(|i| figure(i.value));
            let span = interval.map(|i| format!("{} to {}", figure(i.low), figure(i.high)));
            table.push(vec![Some(name.clone()), Some(rows.to_string()), value, span]);
        }
        table.render()
    }
}

impl FittedModel {
    /// A metric per group of a column's values (up to 50), with bootstrap intervals: whether the model
    /// is as good for everyone. `metric` is a name in [`Evaluation::metrics`].
    ///
    /// # Errors
    /// As [`FittedModel::evaluate`]; and if the column has too many values or the metric is unknown.
    pub fn evaluate_by(&self, df: &DataFrame, column: &str, metric: &str) -> Result<Slices> {
        let judged = Judged::new(self, df)?;
        let overall = judged.metric(metric)?;
        let text = column_of(df, column)?.cast(&DataType::String).doing("reading the groups")?;
        let text = text.str().doing("reading the groups")?;
        let mut groups: std::collections::BTreeMap<&str, Vec<u32>> =
            std::collections::BTreeMap::new();
        for (value, row) in text.iter().zip(0..) {
            groups.entry(value.unwrap_or("(missing)")).or_default().push(row);
        }
        if groups.len() > 50 {
            return Err(ModelError::column(
                column,
                format!("it has {} values", groups.len()),
                "cut it into at most 50 groups first, for example with `cut`",
            ));
        }
        let mut out = Vec::new();
        for (name, rows) in groups {
            let part = judged.take(&rows);
            let interval = bootstrap_interval(part.rows(), 200, 0.95, 0, |rows| {
                part.take(rows).metric(metric)
            });
            if matches!(interval, Err(ModelError::Interrupted)) {
                return Err(ModelError::Interrupted);
            }
            out.push((name.to_owned(), rows.len(), interval.ok()));
        }
        Ok(Slices { column: column.to_owned(), metric: metric.to_owned(), overall, groups: out })
    }
}
