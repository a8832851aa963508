//! Whether two samples come from the same distribution.

use statrs::distribution::{ChiSquared, ContinuousCDF as _};

use super::{float, quantiles};

/// The two-sample Kolmogorov–Smirnov test: statistic and p-value by the asymptotic distribution
/// (`scipy.stats.ks_2samp(…).statistic`; its `method="asymp"` refines the p-value for small
/// samples). NaNs are left out; NaN for an empty sample.
#[must_use]
pub fn kolmogorov_smirnov(x: &[f64], y: &[f64]) -> (f64, f64) {
    let sorted = |values: &[f64]| {
        let mut values: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (x, y) = (sorted(x), sorted(y));
    if x.is_empty() || y.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let sizes = (float(x.len()), float(y.len()));
    let (mut i, mut j, mut most) = (0, 0, 0.0_f64);
    while i < x.len() && j < y.len() {
        let value = x[i].min(y[j]);
        while i < x.len() && x[i] <= value {
            i += 1;
        }
        while j < y.len() && y[j] <= value {
            j += 1;
        }
        most = most.max((float(i) / sizes.0 - float(j) / sizes.1).abs());
    }
    let scaled = most * (sizes.0 * sizes.1 / (sizes.0 + sizes.1)).sqrt();
    (most, kolmogorov_survival(scaled))
}

/// 2 Σ (−1)^(k−1) exp(−2 k² x²), the survival function of Kolmogorov's distribution.
fn kolmogorov_survival(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let mut sum = 0.0;
    for index in 1..=100 {
        let k = f64::from(index);
        let term = (-2.0 * k * k * x * x).exp();
        sum += if index % 2 == 1 { term } else { -term };
        if term < 1e-18 {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// Pearson's chi-squared test of observed against expected counts: statistic and p-value
/// (`scipy.stats.chisquare`). Expected counts are scaled to the observed total.
#[must_use]
pub fn chi_squared(observed: &[f64], expected: &[f64]) -> (f64, f64) {
    let scale = observed.iter().sum::<f64>() / expected.iter().sum::<f64>();
    let statistic: f64 = observed
        .iter()
        .zip(expected)
        .filter(|(_, expected)| **expected > 0.0)
        .map(|(observed, expected)| (observed - expected * scale).powi(2) / (expected * scale))
        .sum();
    let freedom = float(observed.len().saturating_sub(1));
    let p = ChiSquared::new(freedom).map_or(f64::NAN, |distribution| distribution.sf(statistic));
    (statistic, p)
}

/// The population stability index of `actual` against `reference` over the reference's deciles:
/// Σ (a − r) ln(a / r) of the shares, each at least 1e-4. Below 0.1 is stable, above 0.25 a shift.
#[must_use]
pub fn population_stability_index(reference: &[f64], actual: &[f64]) -> f64 {
    let clean = |values: &[f64]| -> Vec<f64> {
        values.iter().copied().filter(|value| !value.is_nan()).collect()
    };
    let (mut reference, actual) = (clean(reference), clean(actual));
    if reference.is_empty() || actual.is_empty() {
        return f64::NAN;
    }
    let mut edges = quantiles(&mut reference, &[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
    edges.dedup();
    let shares = |values: &[f64]| {
        let mut counts = vec![0.0; edges.len() + 1];
        for value in values {
            counts[edges.partition_point(|edge| edge < value)] += 1.0;
        }
        counts
            .into_iter()
            .map(|count| (count / float(values.len())).max(1e-4))
            .collect::<Vec<f64>>()
    };
    shares(&reference).iter().zip(shares(&actual)).map(|(r, a)| (a - r) * (a / r).ln()).sum()
}
