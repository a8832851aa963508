//! Intervals by resampling rows: [`bootstrap_interval`].

use rayon::prelude::*;
use serde::Serialize;

use crate::error::{Result, check_interrupt, require};
use crate::matrix::float;
use crate::rng::Rng;

/// A value and where it lies with a certain confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The value on all rows.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.4} [{:.4}, {:.4}]", self.value, self.low, self.high)
    }
}

/// A percentile bootstrap (Efron, 1979): `metric` on `resamples` samples of `rows` row numbers drawn with
/// replacement; `confidence` such as 0.95. Resamples on which the metric is not defined (one class only)
/// are left out. The same seed gives the same interval on any number of threads.
///
/// ```
/// use oxilab_model::metrics::bootstrap_interval;
/// let hits = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
/// let mean = |rows: &[u32]| Ok(rows.iter().map(|r| hits[*r as usize]).sum::<f64>() / rows.len() as f64);
/// let interval = bootstrap_interval(hits.len(), 1000, 0.95, 7, mean)?;
/// assert!(interval.low < 0.75 && interval.high > 0.75);
/// # Ok::<(), oxilab_model::ModelError>(())
/// ```
///
/// # Errors
/// If the metric is not defined on all rows, or a parameter is out of range.
pub fn bootstrap_interval(
    rows: usize,
    resamples: usize,
    confidence: f64,
    seed: u64,
    metric: impl Fn(&[u32]) -> Result<f64> + Sync,
) -> Result<Interval> {
    const NAME: &str = "bootstrap_interval";
    require(resamples > 1, NAME, "resamples", resamples, "2 or more")?;
    let sound = confidence > 0.0 && confidence < 1.0;
    require(sound, NAME, "confidence", confidence, "between 0 and 1")?;
    let all: Vec<u32> = (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect();
    let value = metric(&all)?;
    let mut values: Vec<f64> = (0..resamples as u64)
        .into_par_iter()
        .map(|sample| {
            check_interrupt()?;
            let mut rng = Rng::part(seed, sample);
            let drawn: Vec<u32> =
                (0..rows).map(|_| u32::try_from(rng.below(rows)).unwrap_or(0)).collect();
            Ok(metric(&drawn).ok().filter(|value| value.is_finite()))
        })
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    values.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Ok(Interval { value, low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) })
}

/// A quantile of sorted values, between neighbours by proportion; NaN if there are none.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * float(last);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the values"
    )]
    let below = (place.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - float(below))
}
