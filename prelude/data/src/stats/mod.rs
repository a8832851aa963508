//! Statistics that profile, validation and leakage checks share; they agree with scipy to 1e-9.
//!
//! ```
//! let (x, y) = ([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 9.0]);
//! assert!((oxilab_data::stats::pearson(&x, &y) - 0.994_377_4).abs() < 1e-6);
//! assert!((oxilab_data::stats::spearman(&x, &y) - 1.0).abs() < 1e-12);
//! ```

mod relation;
mod shift;

pub(crate) use relation::single_feature_score;
pub use relation::{correlation_ratio, cramers_v, pearson, ranks, spearman};
pub use shift::{chi_squared, kolmogorov_smirnov, population_stability_index};

/// Moments of values without NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// How many values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Standard deviation of a sample (divisor n − 1).
    pub std: f64,
    /// Third standardised moment, as `scipy.stats.skew` with its defaults.
    pub skewness: f64,
    /// Excess kurtosis, as `scipy.stats.kurtosis` with its defaults.
    pub kurtosis: f64,
}

/// Mean, standard deviation, skewness and kurtosis in two passes.
#[must_use]
pub fn moments(values: &[f64]) -> Moments {
    let count = values.len();
    let n = float(count);
    let mean = values.iter().sum::<f64>() / n;
    let (mut m2, mut m3, mut m4) = (0.0, 0.0, 0.0);
    for value in values {
        let d = value - mean;
        let square = d * d;
        m2 += square;
        m3 += square * d;
        m4 += square * square;
    }
    let variance = m2 / n;
    Moments {
        count,
        mean,
        std: if count > 1 { (m2 / (n - 1.0)).sqrt() } else { f64::NAN },
        skewness: m3 / n / variance.powf(1.5),
        kurtosis: m4 / n / (variance * variance) - 3.0,
    }
}

/// Quantiles by linear interpolation, as `numpy.quantile` has them by default. `values` is reordered;
/// `q` must ascend.
#[must_use]
pub fn quantiles(values: &mut [f64], q: &[f64]) -> Vec<f64> {
    let Some(last) = values.len().checked_sub(1) else { return vec![f64::NAN; q.len()] };
    let mut done = 0;
    q.iter()
        .map(|q| {
            let place = q.clamp(0.0, 1.0) * float(last);
            let below = floor(place).min(last);
            // Everything left of `done` is at most what is right of it.
            let (_, low, right) =
                values[done..].select_nth_unstable_by(below - done, f64::total_cmp);
            let low = *low;
            let high = right.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
            done = below;
            low + (high - low) * (place - float(below))
        })
        .collect()
}

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

/// The whole part of a number that is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, checked by callers"
)]
pub(crate) fn floor(value: f64) -> usize {
    value.floor() as usize
}
