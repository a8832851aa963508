//! Distances between samples: [`psi`], [`kolmogorov_smirnov`], [`wasserstein`], [`chi_squared`].
//!
//! Values that are not finite must be left out before. Figures equal `scipy`'s where it has the same
//! statistic.

use statrs::distribution::{ChiSquared, ContinuousCDF};

/// Shares below this count as this much, so that an empty bin does not make [`psi`] infinite.
const SMALLEST_SHARE: f64 = 1e-4;

/// Below this many pairs of values the exact distribution of the Kolmogorov-Smirnov statistic is used.
const EXACT_PAIRS: usize = 4_000_000;

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
/// up to about 2,000 values each, asymptotic beyond. NaN if a sample is empty.
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
    let p = if n.saturating_mul(m) <= EXACT_PAIRS {
        exact_p(widest, n, m)
    } else {
        asymptotic_p(statistic, size(n), size(m))
    };
    (statistic, p.clamp(0.0, 1.0))
}

/// One less the share of orders of `n` and `m` values whose distributions stay nearer than `widest / (n m)`,
/// counted as paths on a grid (Hodges, 1958); shares instead of counts keep the numbers in range.
fn exact_p(widest: u128, n: usize, m: usize) -> f64 {
    let (n, m) = (n.min(m), n.max(m));
    let near =
        |i: usize, j: usize| (i as u128 * m as u128).abs_diff(j as u128 * n as u128) < widest;
    let mut inside = vec![0.0_f64; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            // The last step before (i, j) was along `i` in i / (i + j) of all orders.
            let steps = size(i + j);
            let value = match (i, j) {
                _ if !near(i, j) => 0.0,
                (0, 0) => 1.0,
                (0, _) => inside[j - 1],
                (_, 0) => inside[0],
                _ => inside[j] * size(i) / steps + inside[j - 1] * size(j) / steps,
            };
            inside[j] = value;
        }
    }
    1.0 - inside[m]
}

/// Kolmogorov's limit distribution.
fn asymptotic_p(statistic: f64, n: f64, m: f64) -> f64 {
    let x = statistic * (n * m / (n + m)).sqrt();
    if x < 0.2 {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        (-2.0 * k * k * x * x).exp()
    };
    2.0 * (1..=100).map(|k| if k % 2 == 1 { term(k) } else { -term(k) }).sum::<f64>()
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
