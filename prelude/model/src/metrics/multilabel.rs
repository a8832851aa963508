//! Metrics of several labels per row, given as one list of booleans per row.

use super::classification::Average;
use super::input::same_length;
use crate::error::{ModelError, Result};
use crate::matrix::float;

fn check(metric: &'static str, truth: &[Vec<bool>], predicted: &[Vec<bool>]) -> Result<usize> {
    same_length(metric, truth.len(), predicted.len())?;
    let width = truth[0].len();
    if width == 0 || truth.iter().chain(predicted).any(|row| row.len() != width) {
        return Err(ModelError::metric(
            metric,
            "rows have different numbers of labels, or none",
            "give every label of every row",
        ));
    }
    Ok(width)
}

/// The share of rows whose labels are all right.
///
/// # Errors
/// If sizes do not fit.
pub fn subset_accuracy(truth: &[Vec<bool>], predicted: &[Vec<bool>]) -> Result<f64> {
    check("subset_accuracy", truth, predicted)?;
    let right = truth.iter().zip(predicted).filter(|(t, p)| t == p).count();
    Ok(float(right) / float(truth.len()))
}

/// The share of labels that are wrong.
///
/// # Errors
/// If sizes do not fit.
pub fn hamming_loss(truth: &[Vec<bool>], predicted: &[Vec<bool>]) -> Result<f64> {
    let width = check("hamming_loss", truth, predicted)?;
    let pairs = truth.iter().flatten().zip(predicted.iter().flatten());
    Ok(float(pairs.filter(|(t, p)| t != p).count()) / float(truth.len() * width))
}

/// How labels become one number: as for classes, or per row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelAverage {
    /// Over the labels; [`Average::Binary`] is not defined.
    Labels(Average),
    /// The mean over the rows.
    Samples,
}

/// Hits, true and predicted labels.
fn counts<'a>(pairs: impl Iterator<Item = (&'a bool, &'a bool)>) -> [f64; 3] {
    let mut counts = [0.0; 3];
    for (t, p) in pairs {
        counts[0] += f64::from(u8::from(*t && *p));
        counts[1] += f64::from(u8::from(*t));
        counts[2] += f64::from(u8::from(*p));
    }
    counts
}

fn averaged(
    metric: &'static str,
    truth: &[Vec<bool>],
    predicted: &[Vec<bool>],
    average: LabelAverage,
    of: impl Fn([f64; 3]) -> f64,
) -> Result<f64> {
    let width = check(metric, truth, predicted)?;
    let LabelAverage::Labels(average) = average else {
        let rows = truth.iter().zip(predicted);
        return Ok(rows.map(|(t, p)| of(counts(t.iter().zip(p)))).sum::<f64>() / float(truth.len()));
    };
    let labels: Vec<[f64; 3]> = (0..width)
        .map(|label| {
            counts(truth.iter().map(|t| &t[label]).zip(predicted.iter().map(|p| &p[label])))
        })
        .collect();
    Ok(match average {
        Average::Binary => {
            return Err(ModelError::metric(
                metric,
                "`Average::Binary` is not defined for several labels",
                "use `Macro`, `Micro`, `Weighted` or `LabelAverage::Samples`",
            ));
        }
        Average::Micro => {
            let sum = labels.iter().fold([0.0; 3], |s, l| [s[0] + l[0], s[1] + l[1], s[2] + l[2]]);
            of(sum)
        }
        Average::Macro => labels.iter().map(|l| of(*l)).sum::<f64>() / float(width),
        Average::Weighted => {
            let total: f64 = labels.iter().map(|l| l[1]).sum();
            let sum: f64 = labels.iter().map(|l| l[1] * of(*l)).sum();
            if total == 0.0 { 0.0 } else { sum / total }
        }
    })
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

macro_rules! label_metrics {
    ($( $(#[$doc:meta])* $name:ident: $of:expr; )*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// If sizes do not fit, or the average is not defined for several labels.
        pub fn $name(
            truth: &[Vec<bool>],
            predicted: &[Vec<bool>],
            average: LabelAverage,
        ) -> Result<f64> {
            averaged(stringify!($name), truth, predicted, average, $of)
        }
    )*};
}

label_metrics! {
    /// Of the predicted labels, the share that is right.
    precision: |[hits, _, predicted]| ratio(hits, predicted);
    /// Of the true labels, the share that was found.
    recall: |[hits, truth, _]| ratio(hits, truth);
    /// The harmonic mean of precision and recall.
    f1_score: |[hits, truth, predicted]| ratio(2.0 * hits, truth + predicted);
    /// Right labels over labels that are true or predicted.
    jaccard: |[hits, truth, predicted]| ratio(hits, truth + predicted - hits);
}
