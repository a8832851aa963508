//! Metrics of predicted numbers. All take optional weights, one per row.

use super::input::{Numbers, same_length, weights_of};
use crate::error::{ModelError, Result};
use crate::matrix::float;

struct Pairs {
    truth: Vec<f64>,
    predicted: Vec<f64>,
    weights: Vec<f64>,
}

impl Pairs {
    fn new(
        metric: &'static str,
        truth: &(impl Numbers + ?Sized),
        predicted: &(impl Numbers + ?Sized),
        weights: Option<&[f64]>,
    ) -> Result<Self> {
        let (truth, predicted) = (truth.numbers()?, predicted.numbers()?);
        same_length(metric, truth.len(), predicted.len())?;
        if truth.iter().chain(&predicted).any(|value| !value.is_finite()) {
            return Err(ModelError::metric(
                metric,
                "a value is not a finite number",
                "drop or fill such rows first",
            ));
        }
        let weights = weights_of(metric, weights, truth.len())?;
        Ok(Self { truth, predicted, weights })
    }

    fn mean(&self, of: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.truth.iter().zip(&self.predicted).zip(&self.weights);
        pairs.map(|((t, p), w)| w * of(*t, *p)).sum::<f64>() / self.weights.iter().sum::<f64>()
    }

    fn require(
        &self,
        metric: &'static str,
        ok: impl Fn(f64, f64) -> bool,
        rule: &str,
    ) -> Result<()> {
        if self.truth.iter().zip(&self.predicted).all(|(t, p)| ok(*t, *p)) {
            return Ok(());
        }
        Err(ModelError::metric(metric, format!("it needs {rule}"), "use another metric"))
    }
}

macro_rules! means {
    ($( $(#[$doc:meta])* $name:ident: $of:expr; )*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// If the sides differ in length, are empty, or hold values that are not finite.
        pub fn $name(
            truth: &(impl Numbers + ?Sized),
            predicted: &(impl Numbers + ?Sized),
            weights: Option<&[f64]>,
        ) -> Result<f64> {
            Ok(Pairs::new(stringify!($name), truth, predicted, weights)?.mean($of))
        }
    )*};
}

means! {
    /// The mean squared error.
    mean_squared_error: |t, p| (t - p) * (t - p);
    /// The mean absolute error.
    mean_absolute_error: |t, p| (t - p).abs();
    /// The mean absolute error relative to the true value, which counts at least 2.2e-16.
    mean_absolute_percentage_error: |t, p| (t - p).abs() / t.abs().max(f64::EPSILON);
}

/// The square root of the mean squared error.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn root_mean_squared_error(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    Ok(mean_squared_error(truth, predicted, weights)?.sqrt())
}

/// The mean squared error of `ln(1 + value)`.
///
/// # Errors
/// As [`mean_squared_error`]; and if a value is −1 or less.
pub fn mean_squared_log_error(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let pairs = Pairs::new("mean_squared_log_error", truth, predicted, weights)?;
    pairs.require("mean_squared_log_error", |t, p| t > -1.0 && p > -1.0, "values above -1")?;
    Ok(pairs.mean(|t, p| (t.ln_1p() - p.ln_1p()).powi(2)))
}

/// The median absolute error.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn median_absolute_error(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
) -> Result<f64> {
    let pairs = Pairs::new("median_absolute_error", truth, predicted, None)?;
    let mut errors: Vec<f64> =
        pairs.truth.iter().zip(&pairs.predicted).map(|(t, p)| (t - p).abs()).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let middle = errors.len() / 2;
    Ok(match errors.len() % 2 {
        1 => errors[middle],
        _ => f64::midpoint(errors[middle - 1], errors[middle]),
    })
}

/// The largest absolute error.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn max_error(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
) -> Result<f64> {
    let pairs = Pairs::new("max_error", truth, predicted, None)?;
    Ok(pairs.truth.iter().zip(&pairs.predicted).map(|(t, p)| (t - p).abs()).fold(0.0, f64::max))
}

/// The share of the target's variance that is explained: 1 is perfect, 0 as good as the mean. For a
/// constant target 1 if perfect, else 0.
///
/// # Errors
/// As [`mean_squared_error`]; and with fewer than two rows.
pub fn r2(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let pairs = Pairs::new("r2", truth, predicted, weights)?;
    if pairs.truth.len() < 2 {
        return Err(ModelError::metric("r2", "there is one row", "give at least two"));
    }
    let mean = pairs.mean(|t, _| t);
    let residual = pairs.mean(|t, p| (t - p) * (t - p));
    let total = pairs.mean(|t, _| (t - mean) * (t - mean));
    Ok(explained(residual, total))
}

/// As [`r2`], but blind to a constant error.
///
/// # Errors
/// As [`mean_squared_error`].
pub fn explained_variance(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let pairs = Pairs::new("explained_variance", truth, predicted, weights)?;
    let (bias, mean) = (pairs.mean(|t, p| t - p), pairs.mean(|t, _| t));
    let residual = pairs.mean(|t, p| (t - p - bias) * (t - p - bias));
    let total = pairs.mean(|t, _| (t - mean) * (t - mean));
    Ok(explained(residual, total))
}

fn explained(residual: f64, total: f64) -> f64 {
    match (residual == 0.0, total == 0.0) {
        (true, _) => 1.0,
        (false, true) => 0.0,
        _ => 1.0 - residual / total,
    }
}

/// The mean pinball loss of a predicted quantile `alpha`.
///
/// # Errors
/// As [`mean_squared_error`]; and if `alpha` is not between 0 and 1.
pub fn mean_pinball_loss(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    alpha: f64,
    weights: Option<&[f64]>,
) -> Result<f64> {
    crate::error::require(
        (0.0..=1.0).contains(&alpha),
        "mean_pinball_loss",
        "alpha",
        alpha,
        "between 0 and 1",
    )?;
    let pairs = Pairs::new("mean_pinball_loss", truth, predicted, weights)?;
    Ok(pairs.mean(|t, p| if t >= p { alpha * (t - p) } else { (1.0 - alpha) * (p - t) }))
}

/// The mean Poisson deviance.
///
/// # Errors
/// As [`mean_squared_error`]; and if a true value is negative or a predicted one not positive.
pub fn mean_poisson_deviance(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let pairs = Pairs::new("mean_poisson_deviance", truth, predicted, weights)?;
    let rule = "true values of 0 or more and predictions above 0";
    pairs.require("mean_poisson_deviance", |t, p| t >= 0.0 && p > 0.0, rule)?;
    let xlogy = |t: f64, p: f64| if t == 0.0 { 0.0 } else { t * (t / p).ln() };
    Ok(pairs.mean(|t, p| 2.0 * (xlogy(t, p) - t + p)))
}

/// The mean gamma deviance.
///
/// # Errors
/// As [`mean_squared_error`]; and if a value is not positive.
pub fn mean_gamma_deviance(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    weights: Option<&[f64]>,
) -> Result<f64> {
    let pairs = Pairs::new("mean_gamma_deviance", truth, predicted, weights)?;
    pairs.require("mean_gamma_deviance", |t, p| t > 0.0 && p > 0.0, "values above 0")?;
    Ok(pairs.mean(|t, p| 2.0 * ((p / t).ln() + t / p - 1.0)))
}

/// The mean absolute error relative to that of the naive forecast `season` rows before, on the training
/// series (Hyndman and Koehler, 2006): below 1 is better than naive.
///
/// # Errors
/// As [`mean_squared_error`]; and if the series is not longer than a season or does not change.
pub fn mean_absolute_scaled_error(
    truth: &(impl Numbers + ?Sized),
    predicted: &(impl Numbers + ?Sized),
    training: &(impl Numbers + ?Sized),
    season: usize,
) -> Result<f64> {
    const NAME: &str = "mean_absolute_scaled_error";
    let training = training.numbers()?;
    if season == 0 || training.len() <= season {
        return Err(ModelError::metric(
            NAME,
            "the training series is not longer than a season",
            "give a longer series",
        ));
    }
    let steps = training.iter().zip(&training[season..]).map(|(a, b)| (a - b).abs()).sum::<f64>();
    let naive = steps / float(training.len() - season);
    if naive == 0.0 {
        return Err(ModelError::metric(
            NAME,
            "the training series does not change",
            "use `mean_absolute_error`",
        ));
    }
    Ok(mean_absolute_error(truth, predicted, None)? / naive)
}
