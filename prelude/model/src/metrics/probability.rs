//! Metrics of predicted probabilities and scores.

use super::input::{LabelValues, Labels, Numbers, same_length, weights_of};
use crate::error::{ModelError, Result};
use crate::matrix::float;

/// Truth as booleans: the second of two sorted labels is true.
fn positives(metric: &'static str, truth: &(impl Labels + ?Sized)) -> Result<Vec<bool>> {
    fn second<T: Ord>(metric: &'static str, values: &[T]) -> Result<Vec<bool>> {
        let (low, high) = (values.iter().min(), values.iter().max());
        let two = values.iter().all(|v| Some(v) == low || Some(v) == high) && low != high;
        if !two {
            return Err(ModelError::metric(
                metric,
                "the true values do not hold exactly two classes",
                "give rows of both classes; for more than two use the functions on probabilities",
            ));
        }
        Ok(values.iter().map(|value| Some(value) == high).collect())
    }
    match truth.labels()? {
        LabelValues::Integers(values) => second(metric, &values),
        LabelValues::Texts(values) => second(metric, &values),
    }
}

/// Scores in falling order with the (weighted) true and false positives above each distinct score.
struct Ranking {
    thresholds: Vec<f64>,
    true_positives: Vec<f64>,
    false_positives: Vec<f64>,
}

impl Ranking {
    fn new(metric: &'static str, truth: &[bool], scores: &[f64], weights: &[f64]) -> Result<Self> {
        same_length(metric, truth.len(), scores.len())?;
        if scores.iter().any(|score| score.is_nan()) {
            return Err(ModelError::metric(metric, "a score is not a number", "drop such rows"));
        }
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut ranking = Self {
            thresholds: Vec::new(),
            true_positives: Vec::new(),
            false_positives: Vec::new(),
        };
        let (mut tp, mut fp) = (0.0, 0.0);
        for (place, row) in order.iter().enumerate() {
            if truth[*row] {
                tp += weights[*row];
            } else {
                fp += weights[*row];
            }
            let next = order.get(place + 1).map(|row| scores[*row]);
            #[expect(clippy::float_cmp, reason = "equal scores share a threshold")]
            let last = next.is_none_or(|next| next != scores[*row]);
            if last {
                ranking.thresholds.push(scores[*row]);
                ranking.true_positives.push(tp);
                ranking.false_positives.push(fp);
            }
        }
        Ok(ranking)
    }

    fn area(&self) -> f64 {
        let (tp, fp) = (&self.true_positives, &self.false_positives);
        let (positives, negatives) = (tp[tp.len() - 1], fp[fp.len() - 1]);
        let (mut area, mut last) = (0.0, (0.0, 0.0));
        for (tp, fp) in tp.iter().zip(fp) {
            let (x, y) = (fp / negatives, tp / positives);
            area += (x - last.0) * f64::midpoint(y, last.1);
            last = (x, y);
        }
        area
    }

    fn average_precision(&self) -> f64 {
        let all = self.true_positives[self.true_positives.len() - 1];
        let (mut sum, mut last) = (0.0, 0.0);
        for (tp, fp) in self.true_positives.iter().zip(&self.false_positives) {
            let recall = tp / all;
            sum += (recall - last) * tp / (tp + fp);
            last = recall;
        }
        sum
    }
}

/// The area under the ROC curve: how likely a row of the second class has a higher score than one of
/// the first.
///
/// ```
/// let area = oxilab_model::metrics::roc_auc(&[0, 0, 1, 1], &[0.1, 0.4, 0.35, 0.8], None)?;
/// assert_eq!(area, 0.75);
/// # Ok::<(), oxilab_model::ModelError>(())
/// ```
///
/// # Errors
/// If there are not exactly two classes, or the sides differ in length.
pub fn roc_auc(
    truth: &(impl Labels + ?Sized),
    scores: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let truth = positives("roc_auc", truth)?;
    let weights = weights_of("roc_auc", weights, truth.len())?;
    Ok(Ranking::new("roc_auc", &truth, &scores.numbers()?, &weights)?.area())
}

/// A curve through thresholds: `x`, `y` and the threshold of each point.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// False positive rate, or recall.
    pub x: Vec<f64>,
    /// True positive rate, or precision.
    pub y: Vec<f64>,
    /// Rows with at least this score count as positive.
    pub thresholds: Vec<f64>,
}

/// False and true positive rates at all thresholds, from (0, 0) to (1, 1).
///
/// # Errors
/// As [`roc_auc`].
pub fn roc_curve(
    truth: &(impl Labels + ?Sized),
    scores: &(impl Numbers + ?Sized),
) -> Result<Curve> {
    let truth = positives("roc_curve", truth)?;
    let ranking = Ranking::new("roc_curve", &truth, &scores.numbers()?, &vec![1.0; truth.len()])?;
    let last = ranking.thresholds.len() - 1;
    let (hits, alarms) = (ranking.true_positives[last], ranking.false_positives[last]);
    let mut curve = Curve { x: vec![0.0], y: vec![0.0], thresholds: vec![f64::INFINITY] };
    curve.x.extend(ranking.false_positives.iter().map(|fp| fp / alarms));
    curve.y.extend(ranking.true_positives.iter().map(|tp| tp / hits));
    curve.thresholds.extend(&ranking.thresholds);
    Ok(curve)
}

/// Recall and precision at all thresholds, highest threshold first.
///
/// # Errors
/// As [`roc_auc`].
pub fn precision_recall_curve(
    truth: &(impl Labels + ?Sized),
    scores: &(impl Numbers + ?Sized),
) -> Result<Curve> {
    const NAME: &str = "precision_recall_curve";
    let truth = positives(NAME, truth)?;
    let ranking = Ranking::new(NAME, &truth, &scores.numbers()?, &vec![1.0; truth.len()])?;
    let all = ranking.true_positives[ranking.true_positives.len() - 1];
    let pairs = || ranking.true_positives.iter().zip(&ranking.false_positives);
    Ok(Curve {
        x: pairs().map(|(tp, _)| tp / all).collect(),
        y: pairs().map(|(tp, fp)| tp / (tp + fp)).collect(),
        thresholds: ranking.thresholds.clone(),
    })
}

/// The area under the precision–recall curve, by steps.
///
/// # Errors
/// As [`roc_auc`].
pub fn average_precision(
    truth: &(impl Labels + ?Sized),
    scores: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let truth = positives("average_precision", truth)?;
    let weights = weights_of("average_precision", weights, truth.len())?;
    Ok(Ranking::new("average_precision", &truth, &scores.numbers()?, &weights)?.average_precision())
}

/// The mean squared difference of truth and the probability of the second class.
///
/// # Errors
/// As [`roc_auc`].
pub fn brier_score(
    truth: &(impl Labels + ?Sized),
    probability: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let (truth, p) = (positives("brier_score", truth)?, probability.numbers()?);
    same_length("brier_score", truth.len(), p.len())?;
    let weights = weights_of("brier_score", weights, truth.len())?;
    let squares = truth.iter().zip(&p).zip(&weights).map(|((t, p), w)| {
        let d = f64::from(u8::from(*t)) - p;
        w * d * d
    });
    Ok(squares.sum::<f64>() / weights.iter().sum::<f64>())
}

/// The mean distance of predicted probability and observed share over `bins` bins of equal width,
/// weighted by their rows.
///
/// # Errors
/// As [`roc_auc`].
pub fn expected_calibration_error(
    truth: &(impl Labels + ?Sized),
    probability: &(impl Numbers + ?Sized),
    bins: usize,
) -> Result<f64> {
    let (truth, p) = (positives("expected_calibration_error", truth)?, probability.numbers()?);
    same_length("expected_calibration_error", truth.len(), p.len())?;
    let error = reliability(&truth, &p, bins)
        .iter()
        .map(|(n, mean, share)| n * (mean - share).abs())
        .sum::<f64>();
    Ok(error / float(truth.len()))
}

/// Per bin that has rows: their number, mean probability, and share of positives.
pub(crate) fn reliability(truth: &[bool], p: &[f64], bins: usize) -> Vec<(f64, f64, f64)> {
    let bins = bins.max(1);
    let mut sums = vec![(0.0, 0.0, 0.0); bins];
    for (t, p) in truth.iter().zip(p) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let bin = ((p * float(bins)) as usize).min(bins - 1);
        sums[bin].0 += 1.0;
        sums[bin].1 += p;
        sums[bin].2 += f64::from(u8::from(*t));
    }
    sums.into_iter().filter(|s| s.0 > 0.0).map(|(n, p, t)| (n, p / n, t / n)).collect()
}

/// The mean negative logarithm of the probability of the true class. `probabilities` holds one row of
/// class probabilities per row, row after row, for class numbers `truth`. Probabilities are kept
/// 2.2e-16 away from 0 and 1.
///
/// # Errors
/// If sizes do not fit.
pub fn log_loss(
    truth: &[u32],
    probabilities: &[f64],
    classes: usize,
    weights: Option<&[f64]>,
) -> Result<f64> {
    check_probabilities("log_loss", truth, probabilities, classes)?;
    let weights = weights_of("log_loss", weights, truth.len())?;
    let rows = truth.iter().zip(probabilities.chunks_exact(classes)).zip(&weights);
    let sum: f64 = rows
        .map(|((t, p), w)| -w * p[*t as usize].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln())
        .sum();
    Ok(sum / weights.iter().sum::<f64>())
}

/// The share of rows whose true class is among the `k` most probable; of equal probabilities the later
/// class counts as more probable.
///
/// # Errors
/// If sizes do not fit.
pub fn top_k_accuracy(
    truth: &[u32],
    probabilities: &[f64],
    classes: usize,
    k: usize,
) -> Result<f64> {
    check_probabilities("top_k_accuracy", truth, probabilities, classes)?;
    let hits = truth.iter().zip(probabilities.chunks_exact(classes)).filter(|(t, p)| {
        let own = p[**t as usize];
        let above = p
            .iter()
            .enumerate()
            .filter(|(class, other)| **other > own || (**other >= own && *class > **t as usize));
        above.count() < k
    });
    Ok(float(hits.count()) / float(truth.len()))
}

/// How the areas of several classes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultiClass {
    /// Each class against the rest, mean over the classes.
    OneVsRest,
    /// Each class against the rest, weighted by the rows of the class.
    OneVsRestWeighted,
    /// Each pair of classes, mean over the pairs (Hand and Till, 2001).
    OneVsOne,
}

/// The area under the ROC curve for several classes; see [`log_loss`] for the layout.
///
/// # Errors
/// If sizes do not fit, or a class has no rows.
pub fn roc_auc_multiclass(
    truth: &[u32],
    probabilities: &[f64],
    classes: usize,
    how: MultiClass,
) -> Result<f64> {
    const NAME: &str = "roc_auc_multiclass";
    check_probabilities(NAME, truth, probabilities, classes)?;
    let mut rows = vec![0_usize; classes];
    for t in truth {
        rows[*t as usize] += 1;
    }
    if let Some(empty) = rows.iter().position(|rows| *rows == 0) {
        return Err(ModelError::metric(
            NAME,
            format!("class number {empty} has no rows"),
            "evaluate on rows of all classes",
        ));
    }
    let area = |keep: &dyn Fn(u32) -> bool, positive: usize| -> Result<f64> {
        let (mut t, mut s) = (Vec::new(), Vec::new());
        for (label, p) in truth.iter().zip(probabilities.chunks_exact(classes)) {
            if keep(*label) {
                t.push(*label as usize == positive);
                s.push(p[positive]);
            }
        }
        Ok(Ranking::new(NAME, &t, &s, &vec![1.0; t.len()])?.area())
    };
    let (mut sum, mut total) = (0.0, 0.0);
    if how == MultiClass::OneVsOne {
        for a in 0..classes {
            for b in a + 1..classes {
                let pair = |label: u32| label as usize == a || label as usize == b;
                sum += f64::midpoint(area(&pair, a)?, area(&pair, b)?);
                total += 1.0;
            }
        }
    } else {
        for (class, rows) in rows.iter().enumerate() {
            let weight = if how == MultiClass::OneVsRest { 1.0 } else { float(*rows) };
            sum += weight * area(&|_| true, class)?;
            total += weight;
        }
    }
    Ok(sum / total)
}

fn check_probabilities(
    metric: &'static str,
    truth: &[u32],
    probabilities: &[f64],
    classes: usize,
) -> Result<()> {
    let known = truth.iter().all(|t| (*t as usize) < classes);
    if truth.is_empty() || !known || truth.len() * classes != probabilities.len() {
        return Err(ModelError::metric(
            metric,
            format!(
                "{} class numbers do not fit {} probabilities of {classes} classes",
                truth.len(),
                probabilities.len()
            ),
            "give a probability per row and class, and class numbers below the number of classes",
        ));
    }
    Ok(())
}
