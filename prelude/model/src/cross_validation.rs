//! Scores on rows that a model has not seen: [`cross_validate`].

use std::time::Instant;

use crate::bar::Bar;
use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_runtime::MimeBundle;
use polars::prelude::*;
use rayon::prelude::*;
use serde::Serialize;

use crate::error::{ModelError, Result, While, check_interrupt};
use crate::evaluate::{Evaluation, figure};
use crate::fitted::mean;
use crate::folds::{Folds, Split, take};
use crate::learner::Estimator;
use crate::matrix::float;
use crate::observed;

/// What cross-validation found.
#[derive(Clone, Debug, Serialize)]
pub struct CrossValidation {
    /// The learner.
    pub learner: String,
    /// The evaluation on the test rows of every fold.
    pub folds: Vec<Evaluation>,
    /// Seconds to fit on every fold.
    pub fit_seconds: Vec<f64>,
}

impl CrossValidation {
    /// The names of the metrics that all folds have.
    #[must_use]
    pub fn metrics(&self) -> Vec<&str> {
        let Some(first) = self.folds.first() else { return Vec::new() };
        let names = first.metrics.iter().map(|(name, _)| name.as_str());
        names.filter(|name| self.folds.iter().all(|fold| fold.get(name).is_some())).collect()
    }

    /// A metric on every fold.
    #[must_use]
    pub fn scores(&self, metric: &str) -> Vec<f64> {
        self.folds.iter().filter_map(|fold| fold.get(metric)).collect()
    }

    /// The mean of a metric over the folds; NaN if it is unknown.
    #[must_use]
    pub fn mean(&self, metric: &str) -> f64 {
        mean(&self.scores(metric))
    }

    /// The standard deviation of a metric over the folds.
    #[must_use]
    pub fn std(&self, metric: &str) -> f64 {
        let scores = self.scores(metric);
        let mean = mean(&scores);
        let squares: f64 = scores.iter().map(|s| (s - mean) * (s - mean)).sum();
        (squares / float(scores.len().saturating_sub(1).max(1))).sqrt()
    }

    /// The mean of the main metric: ROC area, accuracy or R². Higher is better.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.folds.first().map_or(f64::NAN, |first| self.mean(&first.main))
    }

    /// One row per fold and one column per metric.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let rows = self.folds.len();
        let numbers: Vec<u32> = (1..=u32::try_from(rows).unwrap_or(u32::MAX)).collect();
        let mut columns = vec![Column::new("fold".into(), numbers)];
        columns.extend(self.metrics().iter().map(|m| Column::new((*m).into(), self.scores(m))));
        columns.push(Column::new("fit_seconds".into(), &self.fit_seconds));
        DataFrame::new(rows, columns).doing("making the frame of folds")
    }
}

/// Fits the learner on the training rows of every fold and evaluates it on the test rows. Folds run in
/// parallel unless the learner has threads of its own. Categories of the test rows that the training
/// rows lack count as missing.
///
/// ```
/// use oxilab_model::{LogisticRegression, cross_validate};
/// let wine = oxilab_data::datasets::wine()?;
/// let found = cross_validate(&LogisticRegression::new(), &wine, "cultivar", 5)?;
/// assert!(found.mean("accuracy") > 0.95);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If the frame cannot be split or a fold cannot be fitted; the message names the fold.
pub fn cross_validate(
    learner: &(impl Estimator + ?Sized),
    df: &DataFrame,
    target: &str,
    folds: impl Into<Folds>,
) -> Result<CrossValidation> {
    let folds = folds.into();
    let run = || validate(learner, df, target, &folds);
    observed::cross_validation(learner.name(), || learner.params(), run)
}

fn validate(
    learner: &(impl Estimator + ?Sized),
    df: &DataFrame,
    target: &str,
    folds: &Folds,
) -> Result<CrossValidation> {
    let splits = folds.split(df, target)?;
    let mut df = df.clone();
    if let Some(column) = folds.group_column().filter(|column| *column != target) {
        df = df.drop(column).doing("dropping the column of groups")?;
    }
    let bar = Bar::new(format!("{} folds", learner.name()), splits.len());
    let run = |split: &Split| {
        let result = fold(learner, &df, target, split);
        bar.step();
        result
    };
    let results: Result<Vec<(Evaluation, f64)>> = if learner.parallel() {
        splits.par_iter().map(run).collect()
    } else {
        splits.iter().map(run).collect()
    };
    check_interrupt()?;
    let (folds, fit_seconds) = results?.into_iter().unzip();
    Ok(CrossValidation { learner: learner.name().to_owned(), folds, fit_seconds })
}

fn fold(
    learner: &(impl Estimator + ?Sized),
    df: &DataFrame,
    target: &str,
    (train, test): &Split,
) -> Result<(Evaluation, f64)> {
    check_interrupt()?;
    let start = Instant::now();
    let train = drop_empty(take(df, train)?)?;
    let model = learner.fit(&train, target)?.with_unseen_as_missing(true);
    let seconds = start.elapsed().as_secs_f64();
    Ok((model.evaluate(&take(df, test)?)?, seconds))
}

/// Drops columns without a value in the fold: sparse columns would fail otherwise.
fn drop_empty(df: DataFrame) -> Result<DataFrame> {
    let empty: Vec<PlSmallStr> = df
        .columns()
        .iter()
        .filter(|column| column.null_count() == column.len())
        .map(|column| column.name().clone())
        .collect();
    if empty.is_empty() {
        return Ok(df);
    }
    if empty.len() + 1 >= df.width() {
        return Err(ModelError::data("a fold has no column with values", "use fewer folds"));
    }
    Ok(df.drop_many(empty))
}

impl Render for CrossValidation {
    fn render(&self) -> MimeBundle {
        let heads = ["metric", "mean", "std", "lowest", "highest"];
        let mut headings: Vec<Heading> = heads.iter().map(|head| Heading::new(*head)).collect();
        headings.iter_mut().skip(1).for_each(|heading| heading.numeric = true);
        let mut table = Table::new(headings);
        let seconds = self.fit_seconds.iter().sum::<f64>();
        table.title =
            format!("{} · {} folds · {seconds:.2} s of fitting", self.learner, self.folds.len());
        for metric in self.metrics() {
            let scores = self.scores(metric);
            let low = scores.iter().copied().fold(f64::INFINITY, f64::min);
            let high = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let cells = [self.mean(metric), self.std(metric), low, high];
            let mut row = vec![Some(metric.to_owned())];
            row.extend(cells.iter().map(|cell| Some(figure(*cell))));
            table.push(row);
        }
        let title = oxilab_display::table::escape(&table.title);
        let html = format!("<div><b>{title}</b></div>{}", table.to_html());
        MimeBundle::text(table.to_text()).with_html(html)
    }
}
