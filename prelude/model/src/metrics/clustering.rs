//! Metrics of clusters: against true classes, or by the shape of the clusters alone.

use rayon::prelude::*;

use polars::prelude::DataFrame;

use super::input::{Labels, code_both};
use crate::encode::{Encoder, Encoding};
use crate::error::{ModelError, Result, check_interrupt};
use crate::matrix::float;
use crate::neighbors::squared_distance;

/// How many rows each pair of class and cluster has.
struct Contingency {
    cells: Vec<f64>,
    classes: Vec<f64>,
    clusters: Vec<f64>,
    total: f64,
}

impl Contingency {
    fn new(
        metric: &'static str,
        truth: &(impl Labels + ?Sized),
        predicted: &(impl Labels + ?Sized),
    ) -> Result<Self> {
        // Cluster names need not be class names: each side has numbers of its own.
        let (_, truth, _) = code_both(metric, truth, truth)?;
        let (_, predicted, _) = code_both(metric, predicted, predicted)?;
        super::input::same_length(metric, truth.len(), predicted.len())?;
        let width = |codes: &[u32]| codes.iter().max().map_or(0, |most| *most as usize + 1);
        let (rows, cols) = (width(&truth), width(&predicted));
        let mut out = Self {
            cells: vec![0.0; rows * cols],
            classes: vec![0.0; rows],
            clusters: vec![0.0; cols],
            total: float(truth.len()),
        };
        for (t, p) in truth.iter().zip(&predicted) {
            out.cells[*t as usize * cols + *p as usize] += 1.0;
            out.classes[*t as usize] += 1.0;
            out.clusters[*p as usize] += 1.0;
        }
        Ok(out)
    }

    fn mutual_information(&self) -> f64 {
        let cols = self.clusters.len();
        let mut sum = 0.0;
        for (place, count) in self.cells.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let (t, p) = (self.classes[place / cols], self.clusters[place % cols]);
            sum += count / self.total * (count * self.total / (t * p)).ln();
        }
        sum.max(0.0)
    }

    fn entropy(&self, counts: &[f64]) -> f64 {
        -counts
            .iter()
            .filter(|c| **c > 0.0)
            .map(|c| c / self.total * (c / self.total).ln())
            .sum::<f64>()
    }

    /// Pairs of rows: together in both, in the classes, in the clusters; and all.
    fn pairs(&self) -> [f64; 4] {
        let pairs = |counts: &[f64]| counts.iter().map(|c| c * (c - 1.0)).sum::<f64>() / 2.0;
        let all = self.total * (self.total - 1.0) / 2.0;
        [pairs(&self.cells), pairs(&self.classes), pairs(&self.clusters), all]
    }

    /// The mutual information to expect by chance (Vinh, Epps and Bailey, 2010).
    fn expected_mutual_information(&self) -> f64 {
        let n = self.total;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of rows"
        )]
        let mut logs = Vec::with_capacity(n as usize + 1);
        logs.push(0.0_f64);
        let (mut sum, mut lost, mut next) = (0.0_f64, 0.0_f64, 1.0_f64);
        while next <= n {
            // Kahan's summation keeps the digits of large factorials.
            let term = next.ln() - lost;
            let new = sum + term;
            lost = (new - sum) - term;
            sum = new;
            logs.push(sum);
            next += 1.0;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of rows"
        )]
        let factorial = |count: f64| logs[count as usize];
        let mut expected = 0.0;
        for a in &self.classes {
            for b in &self.clusters {
                let mut count = (a + b - n).max(1.0);
                while count <= a.min(*b) {
                    let weight =
                        factorial(*a) + factorial(*b) + factorial(n - a) + factorial(n - b)
                            - factorial(n)
                            - factorial(count)
                            - factorial(a - count)
                            - factorial(b - count)
                            - factorial(n - a - b + count);
                    expected += count / n * (n * count / (a * b)).ln() * weight.exp();
                    count += 1.0;
                }
            }
        }
        expected
    }
}

/// Agreement of two labellings on pairs of rows, 0 for chance, 1 for the same clusters.
///
/// # Errors
/// If the sides differ in length, or are empty.
pub fn adjusted_rand(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    let [both, classes, clusters, all] =
        Contingency::new("adjusted_rand", truth, predicted)?.pairs();
    let (only_t, only_p) = (classes - both, clusters - both);
    if only_t == 0.0 && only_p == 0.0 {
        return Ok(1.0);
    }
    let neither = all - both - only_t - only_p;
    let product = both * neither - only_t * only_p;
    Ok(2.0 * product
        / ((both + only_t) * (only_t + neither) + (both + only_p) * (only_p + neither)))
}

/// The share of pairs of rows on which two labellings agree.
///
/// # Errors
/// If the sides differ in length, or are empty.
pub fn rand_index(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    let [both, classes, clusters, all] = Contingency::new("rand_index", truth, predicted)?.pairs();
    Ok(if all == 0.0 { 1.0 } else { (all + 2.0 * both - classes - clusters) / all })
}

/// The geometric mean of pairwise precision and recall.
///
/// # Errors
/// If the sides differ in length, or are empty.
pub fn fowlkes_mallows(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    let [both, classes, clusters, _] =
        Contingency::new("fowlkes_mallows", truth, predicted)?.pairs();
    Ok(if both == 0.0 { 0.0 } else { (both / classes).sqrt() * (both / clusters).sqrt() })
}

/// Mutual information over the mean of both entropies.
///
/// # Errors
/// If the sides differ in length, or are empty.
pub fn normalized_mutual_info(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    let table = Contingency::new("normalized_mutual_info", truth, predicted)?;
    let mean = f64::midpoint(table.entropy(&table.classes), table.entropy(&table.clusters));
    if table.classes.len() == 1 && table.clusters.len() == 1 {
        return Ok(1.0);
    }
    Ok(if mean == 0.0 { 0.0 } else { table.mutual_information() / mean })
}

/// As [`normalized_mutual_info`], corrected for chance.
///
/// # Errors
/// If the sides differ in length, or are empty.
pub fn adjusted_mutual_info(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<f64> {
    let table = Contingency::new("adjusted_mutual_info", truth, predicted)?;
    if table.classes.len() == table.clusters.len() && table.classes.len() == 1 {
        return Ok(1.0);
    }
    let expected = table.expected_mutual_information();
    let mean = f64::midpoint(table.entropy(&table.classes), table.entropy(&table.clusters));
    let span = mean - expected;
    Ok(if span == 0.0 { 0.0 } else { (table.mutual_information() - expected) / span })
}

/// Homogeneity (clusters hold one class), completeness (classes lie in one cluster), and their harmonic
/// mean, the V-measure.
///
/// # Errors
/// If the sides differ in length, or are empty.
pub fn homogeneity_completeness_v(
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<[f64; 3]> {
    let table = Contingency::new("homogeneity_completeness_v", truth, predicted)?;
    let information = table.mutual_information();
    let over = |entropy: f64| if entropy == 0.0 { 1.0 } else { information / entropy };
    let h = over(table.entropy(&table.classes));
    let c = over(table.entropy(&table.clusters));
    Ok([h, c, if h + c == 0.0 { 0.0 } else { 2.0 * h * c / (h + c) }])
}

/// Rows with their clusters.
struct Shape {
    rows: Vec<f64>,
    width: usize,
    labels: Vec<u32>,
    counts: Vec<f64>,
    centres: Vec<f64>,
}

impl Shape {
    fn new(metric: &'static str, df: &DataFrame, labels: &(impl Labels + ?Sized)) -> Result<Self> {
        let (names, labels, _) = code_both(metric, labels, labels)?;
        super::input::same_length(metric, df.height(), labels.len())?;
        if names.len() < 2 || names.len() >= labels.len() {
            return Err(ModelError::metric(
                metric,
                format!("{} clusters of {} rows", names.len(), labels.len()),
                "it needs at least two clusters and fewer than rows",
            ));
        }
        let (_, x) = Encoder::fit(df, None, Encoding::Dense { standardize: false })?;
        let (rows, width) = (x.to_row_major(), x.cols());
        let mut counts = vec![0.0; names.len()];
        let mut centres = vec![0.0; names.len() * width];
        for (row, label) in rows.chunks_exact(width).zip(&labels) {
            let cluster = *label as usize;
            counts[cluster] += 1.0;
            let centre = &mut centres[cluster * width..(cluster + 1) * width];
            centre.iter_mut().zip(row).for_each(|(c, v)| *c += v);
        }
        for (centre, count) in centres.chunks_exact_mut(width).zip(&counts) {
            for value in centre.iter_mut() {
                *value /= count;
            }
        }
        Ok(Self { rows, width, labels, counts, centres })
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.rows[row * self.width..(row + 1) * self.width]
    }

    fn centre(&self, cluster: usize) -> &[f64] {
        &self.centres[cluster * self.width..(cluster + 1) * self.width]
    }
}

/// How much closer rows lie to their own cluster than to the next one: −1 to 1, mean over the rows.
/// Distances are Euclidean over all columns of `df`, not scaled.
///
/// # Errors
/// If a column cannot be used, there are not 2 to rows − 1 clusters, or the user interrupts.
pub fn silhouette(df: &DataFrame, labels: &(impl Labels + ?Sized)) -> Result<f64> {
    let shape = Shape::new("silhouette", df, labels)?;
    let count = shape.labels.len();
    let values: Vec<f64> = (0..count)
        .into_par_iter()
        .map(|row| -> Result<f64> {
            check_interrupt()?;
            let mut sums = vec![0.0; shape.counts.len()];
            for other in 0..count {
                sums[shape.labels[other] as usize] +=
                    squared_distance(shape.row(row), shape.row(other)).sqrt();
            }
            let own = shape.labels[row] as usize;
            if shape.counts[own] <= 1.0 {
                return Ok(0.0);
            }
            let within = sums[own] / (shape.counts[own] - 1.0);
            let others = (0..sums.len()).filter(|cluster| *cluster != own);
            let next = others.map(|c| sums[c] / shape.counts[c]).fold(f64::INFINITY, f64::min);
            let larger = within.max(next);
            Ok(if larger == 0.0 { 0.0 } else { (next - within) / larger })
        })
        .collect::<Result<_>>()?;
    Ok(values.iter().sum::<f64>() / float(count))
}

/// Spread between clusters over spread within: higher is better.
///
/// # Errors
/// As [`silhouette`].
pub fn calinski_harabasz(df: &DataFrame, labels: &(impl Labels + ?Sized)) -> Result<f64> {
    let shape = Shape::new("calinski_harabasz", df, labels)?;
    let (count, clusters) = (float(shape.labels.len()), float(shape.counts.len()));
    let mut mean = vec![0.0; shape.width];
    for row in shape.rows.chunks_exact(shape.width) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v / count);
    }
    let (mut between, mut within) = (0.0, 0.0);
    for (cluster, rows) in shape.counts.iter().enumerate() {
        between += rows * squared_distance(shape.centre(cluster), &mean);
    }
    for (row, label) in shape.labels.iter().enumerate() {
        within += squared_distance(shape.row(row), shape.centre(*label as usize));
    }
    Ok(if within == 0.0 { 1.0 } else { between * (count - clusters) / (within * (clusters - 1.0)) })
}

/// For each cluster its likeness to the most alike other; their mean: lower is better.
///
/// # Errors
/// As [`silhouette`].
pub fn davies_bouldin(df: &DataFrame, labels: &(impl Labels + ?Sized)) -> Result<f64> {
    let shape = Shape::new("davies_bouldin", df, labels)?;
    let clusters = shape.counts.len();
    let mut spread = vec![0.0; clusters];
    for (row, label) in shape.labels.iter().enumerate() {
        let cluster = *label as usize;
        let distance = squared_distance(shape.row(row), shape.centre(cluster)).sqrt();
        spread[cluster] += distance / shape.counts[cluster];
    }
    let mut sum = 0.0;
    for a in 0..clusters {
        let mut worst = 0.0_f64;
        for b in (0..clusters).filter(|b| *b != a) {
            let apart = squared_distance(shape.centre(a), shape.centre(b)).sqrt();
            if apart > 0.0 {
                worst = worst.max((spread[a] + spread[b]) / apart);
            }
        }
        sum += worst;
    }
    Ok(sum / float(clusters))
}
