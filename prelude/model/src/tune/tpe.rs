//! The tree-structured Parzen estimator (Bergstra, Bardenet, Bengio and Kégl, 2011), over all parameters
//! jointly (Falkner, Klein and Hutter, 2018): [`propose`].
//!
//! Finished trials are parted into the best tenth (at most 25) and the rest. Each side becomes a mixture
//! with one kernel per trial, a product of truncated normals and smoothed choices, and a wide prior. Of 24
//! candidates from the mixture of the good, the one is taken that is most likely among the good relative
//! to the rest. Weights, bandwidths and the prior are as in Optuna's sampler, which tests compare with;
//! only the first trials differ: they are spread evenly ([`super::sample::spread`]), not drawn.

use statrs::function::erf::erfc;

use super::space::{Dimension, Space, Value};
use crate::logistic::log_sum_exp;
use crate::matrix::float;
use crate::rng::Rng;

const CANDIDATES: usize = 24;

/// Proposes values; `trials` are the parameters of finished trials in their order, `order` their
/// places, the best first.
pub(super) fn propose(
    space: &Space,
    trials: &[&[(String, Value)]],
    order: &[usize],
    rng: &mut Rng,
) -> Vec<(String, Value)> {
    let good = trials.len().div_ceil(10).min(25);
    let (mut below, mut above) = (order[..good].to_vec(), order[good..].to_vec());
    below.sort_unstable();
    above.sort_unstable();
    let points = |rows: &[usize]| -> Vec<Vec<f64>> {
        rows.iter().filter_map(|row| inner(space, trials[*row])).collect()
    };
    let (good, rest) = (Mixture::new(space, &points(&below)), Mixture::new(space, &points(&above)));
    let mut best = (f64::NEG_INFINITY, Vec::new());
    for _ in 0..CANDIDATES {
        let point = good.sample(rng);
        let gain = good.log_density(&point) - rest.log_density(&point);
        if gain > best.0 || best.1.is_empty() {
            best = (gain, point);
        }
    }
    let dimensions = space.dimensions.iter().zip(best.1);
    dimensions.map(|((name, dimension), value)| (name.clone(), dimension.value(value))).collect()
}

/// Where a trial lies; `None` if it has not all parameters.
fn inner(space: &Space, params: &[(String, Value)]) -> Option<Vec<f64>> {
    let place = |(name, dimension): &(String, Dimension)| {
        let (_, value) = params.iter().find(|(other, _)| other == name)?;
        dimension.inner(value)
    };
    space.dimensions.iter().map(place).collect()
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

/// One mixture over all parameters: kernel `k` has a part in every dimension.
struct Mixture {
    /// Per kernel; the last is the prior.
    weights: Vec<f64>,
    dimensions: Vec<Kernels>,
}

/// The kernels' parts in one dimension.
enum Kernels {
    /// Normals, truncated to an interval: centre, width, logarithm of the share within the interval.
    Normal { interval: (f64, f64), parts: Vec<(f64, f64, f64)> },
    /// Probabilities of the choices.
    Choice(Vec<Vec<f64>>),
}

impl Mixture {
    fn new(space: &Space, points: &[Vec<f64>]) -> Self {
        let mut weights = weights(points.len());
        weights.push(1.0);
        let total: f64 = weights.iter().sum();
        for weight in &mut weights {
            *weight /= total;
        }
        let kernels = space.dimensions.iter().enumerate().map(|(index, (_, dimension))| {
            let centres: Vec<f64> = points.iter().map(|point| point[index]).collect();
            match dimension {
                Dimension::Choice(choices) => choice_kernels(&centres, choices.len()),
                _ => normal_kernels(&centres, dimension.interval()),
            }
        });
        Self { weights, dimensions: kernels.collect() }
    }

    fn sample(&self, rng: &mut Rng) -> Vec<f64> {
        let kernel = rng.weighted(&self.weights);
        let draw = |kernels: &Kernels| match kernels {
            Kernels::Choice(shares) => float(rng.weighted(&shares[kernel])),
            Kernels::Normal { interval: (low, high), parts } => {
                let (centre, width, _) = parts[kernel];
                (0..200)
                    .map(|_| centre + width * rng.normal())
                    .find(|value| value >= low && value <= high)
                    .unwrap_or_else(|| centre.clamp(*low, *high))
            }
        };
        self.dimensions.iter().map(draw).collect()
    }

    fn log_density(&self, point: &[f64]) -> f64 {
        let terms: Vec<f64> = self
            .weights
            .iter()
            .enumerate()
            .map(|(kernel, weight)| {
                let parts = self.dimensions.iter().zip(point);
                weight.ln() + parts.map(|(kernels, x)| kernels.log_density(kernel, *x)).sum::<f64>()
            })
            .collect();
        log_sum_exp(&terms)
    }
}

impl Kernels {
    fn log_density(&self, kernel: usize, x: f64) -> f64 {
        match self {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a choice")]
            Self::Choice(shares) => shares[kernel][x as usize].ln(),
            Self::Normal { parts, .. } => {
                let (centre, width, log_share) = parts[kernel];
                let z = (x - centre) / width;
                -0.5 * z * z - width.ln() - log_share
            }
        }
    }
}

/// Each kernel is as wide as the farther of its neighbours is away, within limits; the prior is in the
/// middle and as wide as the interval.
fn normal_kernels(centres: &[f64], interval: (f64, f64)) -> Kernels {
    let (low, high) = interval;
    let range = (high - low).max(f64::MIN_POSITIVE);
    let narrowest = range / (2.0 + float(centres.len())).min(100.0);
    let mut order: Vec<usize> = (0..centres.len()).collect();
    order.sort_by(|a, b| centres[*a].total_cmp(&centres[*b]));
    let mut widths = vec![range; centres.len()];
    for (place, index) in order.iter().enumerate() {
        let own = centres[*index];
        let left = place.checked_sub(1).map(|place| own - centres[order[place]]);
        let right = order.get(place + 1).map(|next| centres[*next] - own);
        let width = match (left, right) {
            (Some(left), Some(right)) => left.max(right),
            // The outermost look inwards only.
            (Some(gap), None) | (None, Some(gap)) => gap,
            (None, None) => (own - low).max(high - own),
        };
        widths[*index] = width.clamp(narrowest, range);
    }
    let prior = (f64::midpoint(low, high), range);
    let all = centres.iter().copied().zip(widths).chain([prior]);
    let parts = all.map(|(centre, width)| {
        let share = normal_between((low - centre) / width, (high - centre) / width);
        (centre, width, share.max(1e-300).ln())
    });
    Kernels::Normal { interval, parts: parts.collect() }
}

/// Each kernel prefers its own choice; the prior is even.
fn choice_kernels(centres: &[f64], choices: usize) -> Kernels {
    let even = 1.0 / float(centres.len() + 1);
    let kernel = |centre: &f64| {
        #[expect(clippy::float_cmp, reason = "both are small whole numbers")]
        let own = |choice: usize| f64::from(u8::from(float(choice) == *centre));
        let total = even * float(choices) + 1.0;
        (0..choices).map(|choice| (even + own(choice)) / total).collect()
    };
    let prior = vec![1.0 / float(choices); choices];
    Kernels::Choice(centres.iter().map(kernel).chain([prior]).collect())
}

/// The probability of a standard normal number between two bounds.
fn normal_between(low: f64, high: f64) -> f64 {
    let above = |z: f64| 0.5 * erfc(z / std::f64::consts::SQRT_2);
    above(low) - above(high)
}
