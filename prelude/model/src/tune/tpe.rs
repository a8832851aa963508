//! The tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, 2011): [`propose`].
//!
//! Finished trials are parted into the best tenth (at most 25) and the rest. For every parameter, 24
//! candidates are drawn from a mixture of truncated normals around the good values, and the one that is
//! most likely among the good relative to the rest is taken. Weights, bandwidths and the prior follow
//! Optuna's defaults as its documentation describes them.

use statrs::function::erf::erfc;

use super::space::{Dimension, Space, Value};
use crate::matrix::float;
use crate::rng::Rng;

const CANDIDATES: usize = 24;

/// Proposes values; `trials` are finished ones in order, with losses (lower is better).
pub(super) fn propose(
    space: &Space,
    trials: &[(&[(String, Value)], f64)],
    rng: &mut Rng,
) -> Vec<(String, Value)> {
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|a, b| trials[*a].1.total_cmp(&trials[*b].1));
    let good = trials.len().div_ceil(10).min(25);
    let (mut below, mut above) = (order[..good].to_vec(), order[good..].to_vec());
    below.sort_unstable();
    above.sort_unstable();
    space
        .dimensions
        .iter()
        .map(|(name, dimension)| {
            let values = |rows: &[usize]| -> Vec<f64> {
                let value = |row: &usize| {
                    let (_, value) = trials[*row].0.iter().find(|(other, _)| other == name)?;
                    dimension.inner(value)
                };
                rows.iter().filter_map(value).collect()
            };
            let (below, above) = (values(&below), values(&above));
            let chosen = match dimension {
                Dimension::Choice(choices) => choose(choices.len(), &below, &above, rng),
                _ => draw(dimension.interval(), &below, &above, rng),
            };
            (name.clone(), dimension.value(chosen))
        })
        .collect()
}

/// Newer trials count fully, older than the last 25 less and less.
fn weights(count: usize) -> Vec<f64> {
    if count < 25 {
        return vec![1.0; count];
    }
    let ramp = count - 25;
    let low = 1.0 / float(count);
    let step = |i: usize| low + (1.0 - low) * float(i) / float(ramp.saturating_sub(1).max(1));
    (0..ramp).map(step).chain(std::iter::repeat_n(1.0, 25)).collect()
}

/// A mixture of normals, truncated to an interval.
struct Mixture {
    interval: (f64, f64),
    /// Weight, centre, width, and the logarithm of the share within the interval.
    parts: Vec<(f64, f64, f64, f64)>,
}

impl Mixture {
    fn new(interval: (f64, f64), centres: &[f64]) -> Self {
        let (low, high) = interval;
        let range = high - low;
        let mut weights = weights(centres.len());
        weights.push(1.0);
        let total: f64 = weights.iter().sum();
        // The prior is one more centre, in the middle.
        let mut all: Vec<f64> = centres.to_vec();
        all.push(f64::midpoint(low, high));
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|a, b| all[*a].total_cmp(&all[*b]));
        let narrowest = range / (1.0 + float(all.len())).min(100.0);
        let mut widths = vec![range; all.len()];
        for (place, index) in order.iter().enumerate() {
            let left = place.checked_sub(1).map(|p| all[*index] - all[order[p]]);
            let right = order.get(place + 1).map(|next| all[*next] - all[*index]);
            // The outermost centres look inwards only.
            let width = match (left, right) {
                (Some(left), Some(right)) => left.max(right),
                (Some(gap), None) | (None, Some(gap)) => gap,
                (None, None) => range,
            };
            widths[*index] = width.clamp(narrowest, range);
        }
        if let Some(last) = widths.last_mut() {
            *last = range;
        }
        let parts = all
            .iter()
            .zip(&widths)
            .zip(&weights)
            .map(|((centre, width), weight)| {
                let share = normal_between((low - centre) / width, (high - centre) / width);
                (weight / total, *centre, *width, share.max(1e-300).ln())
            })
            .collect();
        Self { interval, parts }
    }

    fn sample(&self, rng: &mut Rng) -> f64 {
        let weights: Vec<f64> = self.parts.iter().map(|part| part.0).collect();
        let (_, centre, width, _) = self.parts[rng.weighted(&weights)];
        for _ in 0..200 {
            let value = centre + width * rng.normal();
            if value >= self.interval.0 && value <= self.interval.1 {
                return value;
            }
        }
        centre.clamp(self.interval.0, self.interval.1)
    }

    fn log_density(&self, x: f64) -> f64 {
        let terms: Vec<f64> = self
            .parts
            .iter()
            .map(|(weight, centre, width, log_share)| {
                let z = (x - centre) / width;
                weight.ln() - 0.5 * z * z - width.ln() - log_share
            })
            .collect();
        crate::logistic::log_sum_exp(&terms)
    }
}

/// The probability of a standard normal number between two bounds.
fn normal_between(low: f64, high: f64) -> f64 {
    let above = |z: f64| 0.5 * erfc(z / std::f64::consts::SQRT_2);
    above(low) - above(high)
}

fn draw(interval: (f64, f64), below: &[f64], above: &[f64], rng: &mut Rng) -> f64 {
    if interval.0 >= interval.1 {
        return interval.0;
    }
    let (good, rest) = (Mixture::new(interval, below), Mixture::new(interval, above));
    let mut best = (f64::NEG_INFINITY, interval.0);
    for _ in 0..CANDIDATES {
        let x = good.sample(rng);
        let gain = good.log_density(x) - rest.log_density(x);
        if gain > best.0 {
            best = (gain, x);
        }
    }
    best.1
}

fn choose(choices: usize, below: &[f64], above: &[f64], rng: &mut Rng) -> f64 {
    let shares = |values: &[f64]| -> Vec<f64> {
        let kernels = float(values.len() + 1);
        let mut weights = weights(values.len());
        weights.push(1.0);
        let total: f64 = weights.iter().sum();
        let mut shares = vec![0.0; choices];
        // Every kernel is even but for its own value; the prior is all even.
        let even = 1.0 / kernels;
        for (value, weight) in values.iter().zip(&weights) {
            for (choice, share) in shares.iter_mut().enumerate() {
                #[expect(clippy::float_cmp, reason = "both are small whole numbers")]
                let own = f64::from(u8::from(float(choice) == *value));
                *share += weight / total * (even + own) / (even * float(choices) + 1.0);
            }
        }
        let prior = weights[values.len()] / total / float(choices);
        shares.iter_mut().for_each(|share| *share += prior);
        shares
    };
    let (good, rest) = (shares(below), shares(above));
    let mut best = (f64::NEG_INFINITY, 0);
    for _ in 0..CANDIDATES {
        let choice = rng.weighted(&good);
        let gain = good[choice].ln() - rest[choice].ln();
        if gain > best.0 {
            best = (gain, choice);
        }
    }
    float(best.1)
}
