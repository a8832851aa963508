//! k-means: [`KMeans`].
//!
//! Distances are computed for many rows at once, column by column, so that the vector units are busy;
//! sums run over fixed blocks that are added in order.

use oxilab_model_format::Task;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::bar::Bar;
use crate::encode::Encoding;
use crate::error::{Result, check_interrupt, require};
use crate::fitted::FittedModel;
use crate::learner::{Learned, config, fit_unsupervised, params_of};
use crate::linalg::BLOCK;
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::rng::Rng;
use crate::weights::SampleWeight;

config! {
    /// k-means: Lloyd's algorithm from k-means++ starts (Arthur and Vassilvitskii, 2007, with several
    /// candidates per step), over standardised features.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let df = df!("x" => [1.0, 1.1, 9.0, 9.1])?;
    /// let model = oxilab_model::KMeans::new().with_n_clusters(2).fit(&df)?;
    /// let clusters = model.predict(&df)?;
    /// assert_ne!(clusters.u32()?.get(0), clusters.u32()?.get(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    KMeans {
        /// How many clusters (8).
        with_n_clusters n_clusters: usize = 8;
        /// Starts; the best counts (1).
        with_n_init n_init: usize = 1;
        /// Rounds of one start at most (300).
        with_max_iter max_iter: usize = 300;
        /// Stop when the centres together move by less than this share of the mean variance (1e-4).
        with_tol tol: f64 = 1e-4;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
        /// The seed (0).
        with_seed seed: u64 = 0;
    }
}

impl KMeans {
    /// Finds the clusters of a frame. `metrics()` of the model holds `inertia`.
    ///
    /// # Errors
    /// If a column cannot be used, or there are fewer rows than clusters.
    pub fn fit(&self, df: &DataFrame) -> Result<FittedModel> {
        const NAME: &str = "KMeans";
        let clusters = self.n_clusters;
        require(clusters > 0, NAME, "n_clusters", clusters, "1 or more")?;
        require(
            clusters <= df.height(),
            NAME,
            "n_clusters",
            clusters,
            "at most the number of rows",
        )?;
        require(self.n_init > 0, NAME, "n_init", self.n_init, "1 or more")?;
        let kind = (Task::Clustering, Encoding::Dense { standardize: self.standardize });
        let column = self.weight_column();
        fit_unsupervised(NAME, &params_of(self), kind, df, column, |x, weights| {
            let counting = weights.map_or(clusters, |w| w.iter().filter(|w| **w > 0.0).count());
            let allowed = "at most the number of rows that have weight";
            require(clusters <= counting, NAME, "n_clusters", clusters, allowed)?;
            self.learn(x, weights)
        })
    }

    /// The column of weights, if any.
    pub(crate) fn weight_column(&self) -> Option<&str> {
        self.sample_weight.column()
    }

    fn learn(&self, x: &Matrix, weights: Option<&[f64]>) -> Result<Learned> {
        let mut best: Option<(f64, Vec<f64>, usize)> = None;
        // Many starts count as steps; the rounds of a single one otherwise.
        let bar = (self.n_init > 1).then(|| Bar::new("k-means starts", self.n_init));
        for start in 0..self.n_init {
            let mut rng = Rng::part(self.seed, start as u64);
            let centres = plus_plus(x, weights, self.n_clusters, &mut rng)?;
            let found = self.lloyd(x, weights, centres)?;
            if best.as_ref().is_none_or(|best| found.0 < best.0) {
                best = Some(found);
            }
            bar.iter().for_each(Bar::step);
        }
        drop(bar);
        let (inertia, centres, rounds) = best.unwrap_or_default();
        let mut learned = Learned::new(KMeansPredictor { features: x.cols(), centres });
        learned.metrics.insert("inertia".to_owned(), inertia);
        learned.metrics.insert("iterations".to_owned(), float(rounds));
        Ok(learned)
    }

    /// Inertia, centres and rounds from a start.
    fn lloyd(
        &self,
        x: &Matrix,
        weights: Option<&[f64]>,
        mut centres: Vec<f64>,
    ) -> Result<(f64, Vec<f64>, usize)> {
        let limit = self.tol * mean_variance(x);
        let (mut rounds, mut inertia) = (0, f64::INFINITY);
        let bar = Bar::new("k-means", self.max_iter);
        while rounds < self.max_iter {
            check_interrupt()?;
            rounds += 1;
            bar.step();
            let step = assign(x, weights, &centres);
            let moved = update(&step, x, &mut centres);
            // Once nothing changes any more, the inertia is that of the centres.
            let settled = step.inertia >= inertia;
            inertia = step.inertia;
            if moved <= limit || settled {
                break;
            }
        }
        inertia = assign(x, weights, &centres).inertia;
        Ok((inertia, centres, rounds))
    }
}

fn mean_variance(x: &Matrix) -> f64 {
    let rows = float(x.rows());
    let variance = |col: usize| {
        let values = x.col(col);
        let mean = values.iter().sum::<f64>() / rows;
        values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows
    };
    (0..x.cols()).into_par_iter().map(variance).collect::<Vec<_>>().iter().sum::<f64>()
        / float(x.cols())
}

/// What the rows of a block add up to.
struct Assignment {
    /// Per cluster the weighted sum of its rows.
    sums: Vec<f64>,
    /// Per cluster the weights of its rows.
    counts: Vec<f64>,
    inertia: f64,
    /// Of every block the row farthest from its centre, the farthest first; weights count.
    farthest: Vec<(f64, usize)>,
}

fn assign(x: &Matrix, weights: Option<&[f64]>, centres: &[f64]) -> Assignment {
    let blocks = x.rows().div_ceil(BLOCK);
    let parts: Vec<Assignment> = (0..blocks)
        .into_par_iter()
        .map(|block| assign_block(x, weights, block * BLOCK, centres))
        .collect();
    let mut parts = parts.into_iter();
    let clusters = centres.len() / x.cols();
    let empty = || Assignment {
        sums: vec![0.0; centres.len()],
        counts: vec![0.0; clusters],
        inertia: 0.0,
        farthest: Vec::new(),
    };
    let first = parts.next().unwrap_or_else(empty);
    let mut all = parts.fold(first, |mut all, part| {
        all.sums.iter_mut().zip(part.sums).for_each(|(a, b)| *a += b);
        all.counts.iter_mut().zip(part.counts).for_each(|(a, b)| *a += b);
        all.inertia += part.inertia;
        all.farthest.extend(part.farthest);
        all
    });
    all.farthest.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

fn assign_block(x: &Matrix, weights: Option<&[f64]>, start: usize, centres: &[f64]) -> Assignment {
    let rows = BLOCK.min(x.rows() - start);
    let width = x.cols();
    let (mut labels, mut distances) = (vec![0; rows], vec![0.0; rows]);
    nearest(x, start, centres, &mut labels, &mut distances);
    let mut sums = vec![0.0; centres.len()];
    let mut counts = vec![0.0; centres.len() / width];
    if let Some(weights) = weights {
        let weights = &weights[start..start + rows];
        for (label, weight) in labels.iter().zip(weights) {
            counts[*label as usize] += weight;
        }
        for col in 0..width {
            let values = &x.col(col)[start..start + rows];
            for ((label, value), weight) in labels.iter().zip(values).zip(weights) {
                sums[*label as usize * width + col] += weight * value;
            }
        }
        distances.iter_mut().zip(weights).for_each(|(distance, weight)| *distance *= weight);
    } else {
        for label in &labels {
            counts[*label as usize] += 1.0;
        }
        for col in 0..width {
            let values = &x.col(col)[start..start + rows];
            for (label, value) in labels.iter().zip(values) {
                sums[*label as usize * width + col] += value;
            }
        }
    }
    let farthest = distances.iter().copied().zip(start..).max_by(|a, b| a.0.total_cmp(&b.0));
    let inertia = distances.iter().sum();
    Assignment { sums, counts, inertia, farthest: farthest.into_iter().collect() }
}

/// Rows whose distances to one centre are computed together.
const TILE: usize = 256;

/// The nearest centre of the rows from `start` on, as many as there are labels, and the squared distance
/// to it.
fn nearest(x: &Matrix, start: usize, centres: &[f64], labels: &mut [u32], distances: &mut [f64]) {
    let tiles = labels.chunks_mut(TILE).zip(distances.chunks_mut(TILE));
    for (tile, (labels, best)) in tiles.enumerate() {
        let first = start + tile * TILE;
        best.fill(f64::INFINITY);
        let mut own = [0.0; TILE];
        let own = &mut own[..best.len()];
        for (cluster, centre) in (0..).zip(centres.chunks_exact(x.cols())) {
            squared_distances(x, first, centre, own);
            for ((best, label), distance) in best.iter_mut().zip(&mut *labels).zip(&*own) {
                if *distance < *best {
                    *best = *distance;
                    *label = cluster;
                }
            }
        }
    }
}

/// The squared distances of the rows from `start` on to a point, as many as fit into `out`.
fn squared_distances(x: &Matrix, start: usize, point: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    for (col, place) in point.iter().enumerate() {
        let values = &x.col(col)[start..start + out.len()];
        for (out, value) in out.iter_mut().zip(values) {
            let away = value - place;
            *out += away * away;
        }
    }
}

/// Moves centres to the means of their rows, those of empty clusters to rows far from their own. Returns
/// the squared distance moved.
fn update(step: &Assignment, x: &Matrix, centres: &mut [f64]) -> f64 {
    let width = x.cols();
    let mut moved = 0.0;
    let mut far = step.farthest.iter().map(|(_, row)| *row);
    for (cluster, centre) in centres.chunks_exact_mut(width).enumerate() {
        let count = step.counts[cluster];
        let stray = if count > 0.0 { None } else { far.next() };
        for (col, value) in centre.iter_mut().enumerate() {
            let new = match stray {
                Some(row) => x.col(col)[row],
                None if count > 0.0 => step.sums[cluster * width + col] / count,
                None => *value,
            };
            moved += (new - *value) * (new - *value);
            *value = new;
        }
    }
    moved
}

/// Centres far from each other: each the best of a few rows drawn by their squared distance.
fn plus_plus(
    x: &Matrix,
    weights: Option<&[f64]>,
    clusters: usize,
    rng: &mut Rng,
) -> Result<Vec<f64>> {
    let point = |row: usize| -> Vec<f64> { (0..x.cols()).map(|col| x.col(col)[row]).collect() };
    let distances_to = |point: &[f64]| -> Vec<f64> {
        let mut out = vec![0.0; x.rows()];
        out.par_chunks_mut(BLOCK).enumerate().for_each(|(block, out)| {
            for (tile, out) in out.chunks_mut(TILE).enumerate() {
                squared_distances(x, block * BLOCK + tile * TILE, point, out);
            }
        });
        out
    };
    let weigh = |distances: &mut [f64]| {
        let weights = weights.unwrap_or_default();
        distances.iter_mut().zip(weights).for_each(|(distance, weight)| *distance *= weight);
    };
    let first = match weights {
        Some(weights) => rng.weighted(weights),
        None => rng.below(x.rows()),
    };
    let mut centres = point(first);
    let mut nearest = distances_to(&centres);
    weigh(&mut nearest);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let candidates = 2 + float(clusters).ln() as usize;
    while centres.len() < clusters * x.cols() {
        check_interrupt()?;
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..candidates {
            let drawn = rng.weighted(&nearest);
            let mut to = distances_to(&point(drawn));
            weigh(&mut to);
            to.iter_mut().zip(&nearest).for_each(|(to, before)| *to = to.min(*before));
            let total = to.iter().sum();
            if best.as_ref().is_none_or(|best| total < best.0) {
                best = Some((total, drawn, to));
            }
        }
        let Some((_, drawn, to)) = best else { break };
        centres.extend(point(drawn));
        nearest = to;
    }
    Ok(centres)
}

/// The centres of clusters.
#[derive(Debug)]
pub(crate) struct KMeansPredictor {
    features: usize,
    centres: Vec<f64>,
}

impl KMeansPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let (features, centres) = (from.size("sizes", 0)?, from.f64("centres")?);
        consistent(features > 0 && !centres.is_empty() && centres.len().is_multiple_of(features))?;
        Ok(Self { features, centres })
    }
}

impl Predictor for KMeansPredictor {
    fn kind(&self) -> &'static str {
        "kmeans"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        let mut labels = vec![0; x.rows()];
        labels.par_chunks_mut(BLOCK).enumerate().for_each(|(block, labels)| {
            let mut distances = vec![0.0; labels.len()];
            nearest(x, block * BLOCK, &self.centres, labels, &mut distances);
        });
        Ok(Output::Labels(labels))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("sizes", &[u32::try_from(self.features).unwrap_or(u32::MAX)]);
        out.f64("centres", &self.centres);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_clusters_move_to_far_rows() {
        let x = Matrix::new(4, 1, vec![0.0, 0.1, 9.0, 9.1]);
        let mut centres = vec![4.5, 100.0];
        let step = assign(&x, None, &centres);
        assert_eq!(step.counts, [4.0, 0.0]);
        update(&step, &x, &mut centres);
        assert_eq!(centres, [4.55, 9.1]);
        let step = assign(&x, None, &centres);
        assert_eq!(step.counts, [2.0, 2.0]);
    }

    #[test]
    fn a_row_of_weight_two_is_two_rows() {
        let twice = Matrix::new(4, 1, vec![0.0, 1.0, 1.0, 9.0]);
        let weighted = Matrix::new(4, 1, vec![0.0, 1.0, 9.0, 50.0]);
        let weights = [1.0, 2.0, 1.0, 0.0];
        let of = |x: &Matrix, weights: Option<&[f64]>| {
            let mut centres = vec![0.0, 8.0];
            let step = assign(x, weights, &centres);
            update(&step, x, &mut centres);
            (centres, step.counts, step.inertia)
        };
        assert_eq!(of(&weighted, Some(&weights)), of(&twice, None));
    }
}
