//! Metrics of predicted classes: [`ConfusionMatrix`] and shortcuts.

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_runtime::MimeBundle;
use serde::Serialize;

use super::input::{Labels, code_both, weights_of};
use crate::error::{ModelError, Result};

/// How the metrics of several classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// That of the second of two classes.
    Binary,
    /// Over all rows together.
    Micro,
    /// The mean over the classes.
    Macro,
    /// The mean over the classes, weighted by their rows.
    Weighted,
}

/// How often (or with how much weight) each class was predicted as each.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfusionMatrix {
    /// The classes, sorted.
    pub classes: Vec<String>,
    /// `counts[true][predicted]`.
    pub counts: Vec<Vec<f64>>,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted labels.
    ///
    /// # Errors
    /// If the sides differ in length or kind, or are empty.
    pub fn new(truth: &(impl Labels + ?Sized), predicted: &(impl Labels + ?Sized)) -> Result<Self> {
        Self::weighted(truth, predicted, None)
    }

    /// As [`ConfusionMatrix::new`], where each row counts as much as its weight.
    ///
    /// # Errors
    /// As [`ConfusionMatrix::new`]; and if a weight is negative.
    pub fn weighted(
        truth: &(impl Labels + ?Sized),
        predicted: &(impl Labels + ?Sized),
        weights: Option<&[f64]>,
    ) -> Result<Self> {
        let (classes, truth, predicted) = code_both("confusion matrix", truth, predicted)?;
        let weights = weights_of("confusion matrix", weights, truth.len())?;
        Ok(Self::from_codes(classes, &truth, &predicted, &weights))
    }

    pub(crate) fn from_codes(
        classes: Vec<String>,
        truth: &[u32],
        predicted: &[u32],
        weights: &[f64],
    ) -> Self {
        let mut counts = vec![vec![0.0; classes.len()]; classes.len()];
        for ((t, p), w) in truth.iter().zip(predicted).zip(weights) {
            counts[*t as usize][*p as usize] += w;
        }
        Self { classes, counts }
    }

    /// All rows.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.counts.iter().flatten().sum()
    }

    /// Rows of each true class.
    #[must_use]
    pub fn support(&self) -> Vec<f64> {
        self.counts.iter().map(|row| row.iter().sum()).collect()
    }

    fn predicted(&self) -> Vec<f64> {
        (0..self.classes.len()).map(|p| self.counts.iter().map(|row| row[p]).sum()).collect()
    }

    fn hits(&self) -> Vec<f64> {
        (0..self.classes.len()).map(|class| self.counts[class][class]).collect()
    }

    /// The share of right predictions.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.hits().iter().sum::<f64>() / self.total()
    }

    /// The mean recall of the classes that occur.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self
            .hits()
            .iter()
            .zip(self.support())
            .filter(|(_, support)| *support > 0.0)
            .map(|(hits, support)| hits / support)
            .collect();
        crate::fitted::mean(&recalls)
    }

    /// Of the rows predicted as a class, the share that is right; 0 if there are none.
    ///
    /// # Errors
    /// [`Average::Binary`] with more than two classes.
    pub fn precision(&self, average: Average) -> Result<f64> {
        self.averaged(average, "precision", |hits, _, predicted| ratio(hits, predicted))
    }

    /// Of the rows of a class, the share that was found; 0 if there are none.
    ///
    /// # Errors
    /// [`Average::Binary`] with more than two classes.
    pub fn recall(&self, average: Average) -> Result<f64> {
        self.averaged(average, "recall", |hits, support, _| ratio(hits, support))
    }

    /// The harmonic mean of precision and recall.
    ///
    /// # Errors
    /// [`Average::Binary`] with more than two classes.
    pub fn f1(&self, average: Average) -> Result<f64> {
        self.fbeta(1.0, average)
    }

    /// The weighted harmonic mean of precision and recall, recall counting `beta` times as much.
    ///
    /// # Errors
    /// [`Average::Binary`] with more than two classes.
    pub fn fbeta(&self, beta: f64, average: Average) -> Result<f64> {
        let b2 = beta * beta;
        self.averaged(average, "f-score", |hits, support, predicted| {
            ratio((1.0 + b2) * hits, b2 * support + predicted)
        })
    }

    /// Right predictions over rows that either are or were predicted as the class.
    ///
    /// # Errors
    /// [`Average::Binary`] with more than two classes.
    pub fn jaccard(&self, average: Average) -> Result<f64> {
        self.averaged(average, "jaccard", |hits, support, predicted| {
            ratio(hits, support + predicted - hits)
        })
    }

    /// Matthews' correlation of truth and prediction: −1 to 1, 0 for chance.
    #[must_use]
    pub fn matthews_corrcoef(&self) -> f64 {
        let (total, hits) = (self.total(), self.hits().iter().sum::<f64>());
        let (truth, predicted) = (self.support(), self.predicted());
        let both: f64 = truth.iter().zip(&predicted).map(|(t, p)| t * p).sum();
        let square = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let covariance = hits * total - both;
        let product = (total * total - square(&truth)) * (total * total - square(&predicted));
        if product == 0.0 { 0.0 } else { covariance / product.sqrt() }
    }

    /// Cohen's kappa: agreement beyond chance.
    #[must_use]
    pub fn cohen_kappa(&self) -> f64 {
        let total = self.total();
        let (truth, predicted) = (self.support(), self.predicted());
        let (mut expected, mut observed) = (0.0, 0.0);
        for (t, row) in self.counts.iter().enumerate() {
            for (p, count) in row.iter().enumerate() {
                if t != p {
                    expected += truth[t] * predicted[p] / total;
                    observed += count;
                }
            }
        }
        1.0 - observed / expected
    }

    fn averaged(
        &self,
        average: Average,
        metric: &'static str,
        of: impl Fn(f64, f64, f64) -> f64,
    ) -> Result<f64> {
        let (hits, support, predicted) = (self.hits(), self.support(), self.predicted());
        let each =
            || (0..hits.len()).map(|class| of(hits[class], support[class], predicted[class]));
        Ok(match average {
            Average::Binary if hits.len() > 2 => {
                return Err(ModelError::metric(
                    metric,
                    format!("there are {} classes", hits.len()),
                    "use `Average::Macro`, `Micro` or `Weighted`",
                ));
            }
            Average::Binary => each().last().unwrap_or(0.0),
            Average::Micro => of(hits.iter().sum(), support.iter().sum(), predicted.iter().sum()),
            Average::Macro => each().sum::<f64>() / crate::matrix::float(hits.len()),
            Average::Weighted => {
                each().zip(&support).map(|(value, weight)| value * weight).sum::<f64>()
                    / support.iter().sum::<f64>()
            }
        })
    }

    /// Precision, recall, F1 and rows per class.
    #[must_use]
    pub fn per_class(&self) -> Vec<(String, [f64; 4])> {
        let (hits, support, predicted) = (self.hits(), self.support(), self.predicted());
        self.classes
            .iter()
            .enumerate()
            .map(|(class, name)| {
                let (h, s, p) = (hits[class], support[class], predicted[class]);
                (name.clone(), [ratio(h, p), ratio(h, s), ratio(2.0 * h, s + p), s])
            })
            .collect()
    }

    pub(crate) fn table(&self) -> Table {
        let mut headings = vec![Heading::new("true \\ predicted")];
        headings.extend(self.classes.iter().map(|class| Heading::new(class.as_str()).numeric()));
        let mut table = Table::new(headings);
        for (class, row) in self.classes.iter().zip(&self.counts) {
            let mut cells = vec![Some(class.clone())];
            cells.extend(row.iter().map(|count| Some(count.to_string())));
            table.push(cells);
        }
        table
    }
}

impl Render for ConfusionMatrix {
    fn render(&self) -> MimeBundle {
        self.table().render()
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

/// The share of right predictions.
///
/// # Errors
/// If the sides differ in length or kind, or are empty.
pub fn accuracy(truth: &(impl Labels + ?Sized), predicted: &(impl Labels + ?Sized)) -> Result<f64> {
    Ok(ConfusionMatrix::new(truth, predicted)?.accuracy())
}

/// The mean recall of the classes that occur.
///
/// # Errors
/// If the sides differ in length or kind, or are empty.
pub fn balanced_accuracy(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    Ok(ConfusionMatrix::new(truth, predicted)?.balanced_accuracy())
}

/// Of the rows predicted as a class, the share that is right.
///
/// # Errors
/// If the sides differ in length or kind, are empty, or do not suit the average.
pub fn precision(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
    average: Average,
) -> Result<f64> {
    ConfusionMatrix::new(truth, predicted)?.precision(average)
}

/// Of the rows of a class, the share that was found.
///
/// # Errors
/// If the sides differ in length or kind, are empty, or do not suit the average.
pub fn recall(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
    average: Average,
) -> Result<f64> {
    ConfusionMatrix::new(truth, predicted)?.recall(average)
}

/// The harmonic mean of precision and recall.
///
/// # Errors
/// If the sides differ in length or kind, are empty, or do not suit the average.
pub fn f1_score(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
    average: Average,
) -> Result<f64> {
    ConfusionMatrix::new(truth, predicted)?.f1(average)
}

/// Matthews' correlation of truth and prediction.
///
/// # Errors
/// If the sides differ in length or kind, or are empty.
pub fn matthews_corrcoef(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    Ok(ConfusionMatrix::new(truth, predicted)?.matthews_corrcoef())
}

/// Cohen's kappa: agreement beyond chance.
///
/// # Errors
/// If the sides differ in length or kind, or are empty.
pub fn cohen_kappa(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    Ok(ConfusionMatrix::new(truth, predicted)?.cohen_kappa())
}
