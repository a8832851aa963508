//! Distances between samples: [`psi`], [`kolmogorov_smirnov`], [`wasserstein`], [`chi_squared`].
//!
//! Values that are not finite must be left out before. Figures equal `scipy`'s where it has the same
//! statistic.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Shares below this count as this much, so that an empty bin does not make [`psi`] infinite.
const SMALLEST_SHARE: f64 = 1e-4;

/// Samples up to this size get the exact distribution of the Kolmogorov-Smirnov statistic, as in `scipy`.
const EXACT: usize = 10_000;

/// Population stability index over `bins` bins that hold equal shares of the reference: 0 for equal
/// distributions, above 0.1 a moderate, above 0.25 a large shift. NaN if a sample is empty.
#[must_use]
pub fn psi(reference: &[f64], current: &[f64], bins: usize) -> f64 {
    if reference.is_empty() || current.is_empty() || bins == 0 {
        return f64::NAN;
    }
    let sorted = sorted(reference);
    let mut edges: Vec<f64> = (1..bins).map(|bin| sorted[bin * sorted.len() / bins]).collect();
    edges.dedup();
    let counts = |sample: &[f64]| {
        let mut counts = vec![0_u64; edges.len() + 1];
        for value in sample {
            counts[edges.partition_point(|edge| edge <= value)] += 1;
        }
        counts
    };
    psi_of_counts(&counts(reference), &counts(current))
}

/// Population stability index of counts per category, in the same order.
#[must_use]
pub fn psi_of_counts(reference: &[u64], current: &[u64]) -> f64 {
    let (total_reference, total_current) = (total(reference), total(current));
    let terms = reference.iter().zip(current).map(|(r, c)| {
        let r = (float(*r) / total_reference).max(SMALLEST_SHARE);
        let c = (float(*c) / total_current).max(SMALLEST_SHARE);
        (c - r) * (c / r).ln()
    });
    terms.sum()
}

/// Two-sample Kolmogorov-Smirnov test: the statistic and the two-sided p-value, exact for samples of
/// up to 10,000 values each, beyond by Pelz and Good's expansion. NaN if a sample is empty.
#[must_use]
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> (f64, f64) {
    if a.is_empty() || b.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let (x, y) = (sorted(a), sorted(b));
    let (n, m) = (x.len(), y.len());
    let (mut i, mut j, mut widest) = (0, 0, 0_u128);
    while i < n && j < m {
        let value = x[i].min(y[j]);
        i += x[i..].iter().take_while(|v| **v <= value).count();
        j += y[j..].iter().take_while(|v| **v <= value).count();
        widest = widest.max((i as u128 * m as u128).abs_diff(j as u128 * n as u128));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of values")]
    let statistic = widest as f64 / (n as f64 * m as f64);
    let p = if n.max(m) <= EXACT {
        exact_p(widest, n, m)
    } else {
        // As many values of one sample say as much.
        expanded_p(statistic, (size(n) * size(m) / (size(n) + size(m))).round())
    };
    (statistic, p.clamp(0.0, 1.0))
}

/// One less the share of orders of `n` and `m` values whose distributions stay nearer than `widest / (n m)`,
/// counted as paths on a grid (Hodges, 1958); shares instead of counts keep the numbers in range. Only
/// the band of the grid that such paths can cross is gone through.
fn exact_p(widest: u128, n: usize, m: usize) -> f64 {
    let (n, m) = (n.min(m), n.max(m));
    let (wide, tall) = (n as u128, m as u128);
    // Places `j` of row `i` with |i m - j n| < widest.
    let band = |i: usize| {
        let middle = i as u128 * tall;
        let first = (middle + 1).saturating_sub(widest).div_ceil(wide);
        let last = (middle + widest - 1) / wide;
        (usize::try_from(first).unwrap_or(m), usize::try_from(last).unwrap_or(m).min(m))
    };
    if widest == 0 {
        return 1.0;
    }
    let mut inside = vec![0.0_f64; m + 1];
    let mut before = 0;
    for i in 0..=n {
        let (first, last) = band(i);
        for j in first..=last {
            // The last step before (i, j) was along `i` in i / (i + j) of all orders.
            let steps = size(i + j);
            let along = if i > 0 && j <= before { inside[j] * size(i) / steps } else { 0.0 };
            let across = if j > first { inside[j - 1] * size(j) / steps } else { 0.0 };
            inside[j] = if i + j == 0 { 1.0 } else { along + across };
        }
        before = last;
    }
    1.0 - inside[m]
}

/// The two-sided p-value of a statistic of `n` values: Kolmogorov's limit distribution with the next
/// three terms in powers of `n^(-1/2)` (Pelz and Good, 1976).
fn expanded_p(statistic: f64, n: f64) -> f64 {
    let z = statistic * n.sqrt();
    if z < 0.2 {
        return 1.0;
    }
    if z > 3.0 {
        return 2.0 * (-2.0 * z * z).exp();
    }
    let (pi2, z2) = (std::f64::consts::PI.powi(2), z * z);
    let mut terms = [0.0; 4];
    for k in 0..40 {
        let h2 = (f64::from(k) + 0.5).powi(2);
        let p2 = pi2 * h2;
        let weight = (-p2 / (2.0 * z2)).exp();
        terms[0] += weight;
        terms[1] += (p2 - z2) * weight;
        terms[2] += (6.0 * z2.powi(3)
            + 2.0 * z2.powi(2)
            + p2 * (2.0 * z2.powi(2) - 5.0 * z2)
            + p2 * p2 * (1.0 - 2.0 * z2))
            * weight;
        terms[3] += (p2.powi(3) * (5.0 - 30.0 * z2)
            + p2.powi(2) * (212.0 * z2.powi(2) - 60.0 * z2)
            + p2 * (135.0 * z2.powi(2) - 96.0 * z2.powi(3))
            - 30.0 * z2.powi(3)
            - 90.0 * z2.powi(4))
            * weight;
    }
    let (mut second, mut third) = (0.0, 0.0);
    for k in 1..40 {
        let p2 = pi2 * f64::from(k).powi(2);
        let weight = (-p2 / (2.0 * z2)).exp();
        second += p2 * weight;
        third += p2 * (3.0 * z2 - p2) * weight;
    }
    let root = (2.0 * std::f64::consts::PI).sqrt();
    let zeroth = terms[0] / z;
    let first = terms[1] / (6.0 * z2.powi(2));
    let second = terms[2] / (72.0 * z.powi(7)) - second / (36.0 * z.powi(3));
    let third = terms[3] / (6480.0 * z.powi(10)) + third / (216.0 * z.powi(6));
    let below = root * (zeroth + first / n.sqrt() + second / n + third / n.powf(1.5));
    1.0 - below
}

/// Wasserstein distance of order 1 (earth mover's distance), in the unit of the values. NaN if a
/// sample is empty.
#[must_use]
pub fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return f64::NAN;
    }
    let (x, y) = (sorted(a), sorted(b));
    let mut all = [x.as_slice(), y.as_slice()].concat();
    all.sort_by(f64::total_cmp);
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    for pair in all.windows(2) {
        while i < x.len() && x[i] <= pair[0] {
            i += 1;
        }
        while j < y.len() && y[j] <= pair[0] {
            j += 1;
        }
        sum += (size(i) / size(x.len()) - size(j) / size(y.len())).abs() * (pair[1] - pair[0]);
    }
    sum
}

/// Chi-squared test that two rows of counts per category have one distribution (without Yates'
/// correction): the statistic and the p-value. Categories with no count are passed over.
#[must_use]
pub fn chi_squared(reference: &[u64], current: &[u64]) -> (f64, f64) {
    let (total_reference, total_current) = (total(reference), total(current));
    let all = total_reference + total_current;
    let (mut statistic, mut categories) = (0.0, 0_u32);
    for (r, c) in reference.iter().zip(current) {
        let sum = float(*r) + float(*c);
        if sum == 0.0 {
            continue;
        }
        categories += 1;
        for (observed, total) in [(*r, total_reference), (*c, total_current)] {
            let expected = sum * total / all;
            statistic += (float(observed) - expected).powi(2) / expected;
        }
    }
    if total_reference == 0.0 || total_current == 0.0 {
        return (f64::NAN, f64::NAN);
    }
    let freedom = f64::from(categories.saturating_sub(1));
    match ChiSquared::new(freedom) {
        Ok(distribution) => (statistic, distribution.sf(statistic)),
        // One category only: nothing can differ.
        Err(_) => (0.0, 1.0),
    }
}

/// Holm's correction: p-values that may be compared with one level although they are many.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).filter(|at| !p[*at].is_nan()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut out, mut largest) = (p.to_vec(), 0.0_f64);
    let count = order.len();
    for (rank, at) in order.into_iter().enumerate() {
        largest = largest.max((p[at] * size(count - rank)).min(1.0));
        out[at] = largest;
    }
    out
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn total(counts: &[u64]) -> f64 {
    float(counts.iter().sum())
}

#[expect(clippy::cast_precision_loss, reason = "counts of values")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of values")]
fn size(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-9 * b.abs().max(1.0), "{a} is not {b}");
    }

    // Figures of scipy 1.17.1: `ks_2samp`, `wasserstein_distance`, `chi2_contingency(correction=False)`.

    #[test]
    fn statistics_are_those_of_scipy() {
        let a: Vec<f64> = (0..80).map(|i| f64::from((i * 37) % 101) / 10.0).collect();
        let b: Vec<f64> = (0..60).map(|i| f64::from((i * 53) % 97) / 10.0 + 1.5).collect();
        let (d, p) = kolmogorov_smirnov(&a, &b);
        near(d, 0.15);
        near(p, 0.390_549_387_101_754_2);
        near(wasserstein(&a, &b), 1.042_499_999_999_999_8);
        near(wasserstein(&b, &a), 1.042_499_999_999_999_8);
        let (statistic, p) = chi_squared(&[30, 50, 20], &[45, 30, 40]);
        near(statistic, 13.686_775_362_318_837);
        near(p, 0.001_066_484_364_084_485_9);
    }

    #[test]
    fn large_samples_too() {
        let a: Vec<f64> = (0..3000).map(|i| f64::from((i * 37) % 5003)).collect();
        let b: Vec<f64> = (0..2500).map(|i| f64::from((i * 53) % 4999 + 90)).collect();
        let (d, p) = kolmogorov_smirnov(&a, &b);
        near(d, 0.021_933_333_333_333_332);
        assert!((p - 0.520_564_722_726_697_4).abs() < 1e-9, "{p}");
        let a: Vec<f64> = (0..12_000).map(|i| f64::from((i * 37) % 15_013)).collect();
        let b: Vec<f64> = (0..9_000).map(|i| f64::from((i * 53) % 14_983 + 90)).collect();
        let (d, p) = kolmogorov_smirnov(&a, &b);
        near(d, 0.010_194_444_444_444_395);
        assert!((p - 0.655_150_649_641_999_5).abs() < 1e-7, "{p}");
    }

    #[test]
    fn psi_is_zero_for_itself_and_grows_with_the_shift() {
        let a: Vec<f64> = (0..1000).map(f64::from).collect();
        let shifted = |by: f64| a.iter().map(|v| v + by).collect::<Vec<_>>();
        near(psi(&a, &a, 10), 0.0);
        assert!(psi(&a, &shifted(50.0), 10) < 0.1);
        assert!(psi(&a, &shifted(300.0), 10) > 0.25);
        // Two bins, 50/50 against 20/80: 0.3 ln 1.6 + 0.3 ln 2.5.
        near(psi_of_counts(&[50, 50], &[20, 80]), 0.3 * 1.6_f64.ln() + 0.3 * 2.5_f64.ln());
    }

    #[test]
    fn nothing_is_no_number_and_one_category_cannot_differ() {
        assert!(psi(&[], &[1.0], 10).is_nan());
        assert!(kolmogorov_smirnov(&[1.0], &[]).1.is_nan());
        assert!(wasserstein(&[], &[]).is_nan());
        assert_eq!(chi_squared(&[5], &[9]), (0.0, 1.0));
        assert!(chi_squared(&[0, 0], &[1, 2]).1.is_nan());
    }

    #[test]
    fn holm_orders_and_caps() {
        let p = holm(&[0.01, f64::NAN, 0.04, 0.03, 0.9]);
        near(p[0], 0.04);
        assert!(p[1].is_nan());
        near(p[2], 0.09);
        near(p[3], 0.09);
        near(p[4], 0.9);
    }
}
