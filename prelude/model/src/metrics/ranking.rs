//! Metrics of rankings: per query the true relevances and the scores of its items.

use super::input::same_length;
use crate::error::{ModelError, Result};
use crate::matrix::float;

fn order(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

fn discount(place: usize) -> f64 {
    1.0 / float(place + 2).log2()
}

/// Discounted cumulative gain of the `k` items of highest score (all if `None`). Items of the same score
/// share their places.
///
/// # Errors
/// If there are not as many scores as relevances, or none.
pub fn dcg(relevance: &[f64], scores: &[f64], k: Option<usize>) -> Result<f64> {
    same_length("dcg", relevance.len(), scores.len())?;
    let order = order(scores);
    let limit = k.unwrap_or(order.len());
    let (mut sum, mut start) = (0.0, 0);
    while start < order.len() {
        #[expect(clippy::float_cmp, reason = "equal scores share their places")]
        let tied =
            order[start..].iter().take_while(|i| scores[**i] == scores[order[start]]).count();
        let gain: f64 = order[start..start + tied].iter().map(|item| relevance[*item]).sum();
        let discounts: f64 = (start..start + tied).filter(|p| *p < limit).map(discount).sum();
        sum += gain / float(tied) * discounts;
        start += tied;
    }
    Ok(sum)
}

/// [`dcg`] over that of the best order: 0 to 1. Without relevant items 0.
///
/// ```
/// let good = oxilab_model::metrics::ndcg(&[3.0, 2.0, 0.0], &[0.9, 0.5, 0.1], None)?;
/// assert_eq!(good, 1.0);
/// # Ok::<(), oxilab_model::ModelError>(())
/// ```
///
/// # Errors
/// As [`dcg`]; and if a relevance is negative.
pub fn ndcg(relevance: &[f64], scores: &[f64], k: Option<usize>) -> Result<f64> {
    if relevance.iter().any(|value| *value < 0.0 || value.is_nan()) {
        return Err(ModelError::metric("ndcg", "a relevance is negative", "use 0 or more"));
    }
    let gain = dcg(relevance, scores, k)?;
    let mut best = relevance.to_vec();
    best.sort_unstable_by(|a, b| b.total_cmp(a));
    let limit = k.unwrap_or(best.len());
    let ideal: f64 = best.iter().take(limit).enumerate().map(|(p, g)| g * discount(p)).sum();
    Ok(if ideal == 0.0 { 0.0 } else { gain / ideal })
}

/// One over the place of the first relevant item; 0 if there is none.
///
/// # Errors
/// If there are not as many scores as items, or none.
pub fn reciprocal_rank(relevant: &[bool], scores: &[f64]) -> Result<f64> {
    same_length("reciprocal_rank", relevant.len(), scores.len())?;
    let first = order(scores).iter().position(|item| relevant[*item]);
    Ok(first.map_or(0.0, |place| 1.0 / float(place + 1)))
}

/// For every relevant item, the share of relevant ones among those ranked as high; their mean. Over
/// several queries take the mean: it is `label_ranking_average_precision_score`.
///
/// # Errors
/// If there are not as many scores as items, or none.
pub fn label_ranking_average_precision(relevant: &[bool], scores: &[f64]) -> Result<f64> {
    same_length("label_ranking_average_precision", relevant.len(), scores.len())?;
    let count = relevant.iter().filter(|relevant| **relevant).count();
    if count == 0 || count == relevant.len() {
        return Ok(1.0);
    }
    let mut sum = 0.0;
    for (_, own) in relevant.iter().zip(scores).filter(|(relevant, _)| **relevant) {
        let above = scores.iter().filter(|score| *score >= own).count();
        let right = scores.iter().zip(relevant).filter(|(score, r)| *score >= own && **r).count();
        sum += float(right) / float(above);
    }
    Ok(sum / float(count))
}

/// How many items from the top hold all relevant ones.
///
/// # Errors
/// If there are not as many scores as items, or none.
pub fn coverage_error(relevant: &[bool], scores: &[f64]) -> Result<f64> {
    same_length("coverage_error", relevant.len(), scores.len())?;
    let lowest = relevant
        .iter()
        .zip(scores)
        .filter(|(r, _)| **r)
        .map(|(_, s)| *s)
        .fold(f64::INFINITY, f64::min);
    if lowest == f64::INFINITY {
        return Ok(0.0);
    }
    Ok(float(scores.iter().filter(|score| **score >= lowest).count()))
}

/// The share of pairs of a relevant and another item that stand in the wrong order.
///
/// # Errors
/// If there are not as many scores as items, or none.
pub fn label_ranking_loss(relevant: &[bool], scores: &[f64]) -> Result<f64> {
    same_length("label_ranking_loss", relevant.len(), scores.len())?;
    let count = relevant.iter().filter(|relevant| **relevant).count();
    if count == 0 || count == relevant.len() {
        return Ok(0.0);
    }
    let mut wrong = 0;
    for (_, own) in relevant.iter().zip(scores).filter(|(relevant, _)| **relevant) {
        wrong += relevant.iter().zip(scores).filter(|(r, score)| !**r && *score >= own).count();
    }
    Ok(float(wrong) / float(count * (relevant.len() - count)))
}
