//! Clusters: [`KMeans`] and [`Dbscan`].

use oxilab_model_format::Task;
use polars::prelude::{Column, DataFrame, NamedFrom as _, PlSmallStr, Series};
use rayon::prelude::*;

use crate::encode::{Encoder, Encoding};
use crate::error::{ModelError, Result, check_interrupt, require};
use crate::fitted::FittedModel;
use crate::learner::{Learned, config, fit_unsupervised, params_of};
use crate::linalg::BLOCK;
use crate::matrix::{Matrix, float};
use crate::neighbors::squared_distance;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::rng::Rng;

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
        let encoding = Encoding::Dense { standardize: self.standardize };
        fit_unsupervised(NAME, params_of(self), Task::Clustering, encoding, df, |x| self.learn(x))
    }

    fn learn(&self, x: &Matrix) -> Result<Learned> {
        let rows = x.to_row_major();
        let width = x.cols();
        let mut best: Option<(f64, Vec<f64>, usize)> = None;
        for start in 0..self.n_init {
            let mut rng = Rng::part(self.seed, start as u64);
            let centres = plus_plus(&rows, width, self.n_clusters, &mut rng)?;
            let found = self.lloyd(&rows, width, centres)?;
            if best.as_ref().is_none_or(|best| found.0 < best.0) {
                best = Some(found);
            }
        }
        let (inertia, centres, rounds) = best.unwrap_or_default();
        let mut learned = Learned::new(KMeansPredictor { features: width, centres });
        learned.metrics.insert("inertia".to_owned(), inertia);
        learned.metrics.insert("iterations".to_owned(), float(rounds));
        Ok(learned)
    }

    fn lloyd(
        &self,
        rows: &[f64],
        width: usize,
        mut centres: Vec<f64>,
    ) -> Result<(f64, Vec<f64>, usize)> {
        let count = float(rows.len() / width);
        let mean_variance = (0..width)
            .map(|col| {
                let column = || rows.iter().skip(col).step_by(width);
                let mean = column().sum::<f64>() / count;
                column().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count
            })
            .sum::<f64>()
            / float(width);
        let mut rounds = 0;
        let mut inertia = f64::INFINITY;
        while rounds < self.max_iter {
            check_interrupt()?;
            rounds += 1;
            let step = assign(rows, width, &centres);
            let moved = update(&step, rows, width, &mut centres);
            // Once nothing changes any more, the inertia is that of the centres.
            let settled = step.inertia >= inertia;
            inertia = step.inertia;
            if moved <= self.tol * mean_variance || settled {
                break;
            }
        }
        inertia = assign(rows, width, &centres).inertia;
        Ok((inertia, centres, rounds))
    }
}

struct Assignment {
    sums: Vec<f64>,
    counts: Vec<f64>,
    inertia: f64,
    farthest: (f64, usize),
}

fn assign(rows: &[f64], width: usize, centres: &[f64]) -> Assignment {
    let clusters = centres.len() / width;
    let parts: Vec<Assignment> = rows
        .par_chunks(BLOCK * width)
        .enumerate()
        .map(|(block, rows)| {
            let mut part = Assignment {
                sums: vec![0.0; centres.len()],
                counts: vec![0.0; clusters],
                inertia: 0.0,
                farthest: (-1.0, 0),
            };
            for (offset, row) in rows.chunks_exact(width).enumerate() {
                let (cluster, distance) = nearest(row, centres, width);
                part.inertia += distance;
                part.counts[cluster] += 1.0;
                let sums = &mut part.sums[cluster * width..(cluster + 1) * width];
                sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                if distance > part.farthest.0 {
                    part.farthest = (distance, block * BLOCK + offset);
                }
            }
            part
        })
        .collect();
    let mut parts = parts.into_iter();
    let empty = || Assignment {
        sums: vec![0.0; centres.len()],
        counts: vec![0.0; clusters],
        inertia: 0.0,
        farthest: (-1.0, 0),
    };
    let first = parts.next().unwrap_or_else(empty);
    parts.fold(first, |mut all, part| {
        all.sums.iter_mut().zip(part.sums).for_each(|(a, b)| *a += b);
        all.counts.iter_mut().zip(part.counts).for_each(|(a, b)| *a += b);
        all.inertia += part.inertia;
        if part.farthest.0 > all.farthest.0 {
            all.farthest = part.farthest;
        }
        all
    })
}

/// Moves centres to the means of their rows, an empty cluster's to the row farthest from its own.
/// Returns the squared distance moved.
fn update(step: &Assignment, rows: &[f64], width: usize, centres: &mut [f64]) -> f64 {
    let mut moved = 0.0;
    for (cluster, centre) in centres.chunks_exact_mut(width).enumerate() {
        let count = step.counts[cluster];
        for (col, value) in centre.iter_mut().enumerate() {
            let new = if count > 0.0 {
                step.sums[cluster * width + col] / count
            } else {
                rows[step.farthest.1 * width + col]
            };
            moved += (new - *value) * (new - *value);
            *value = new;
        }
    }
    moved
}

#[inline]
fn nearest(row: &[f64], centres: &[f64], width: usize) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (cluster, centre) in centres.chunks_exact(width).enumerate() {
        let distance = squared_distance(row, centre);
        if distance < best.1 {
            best = (cluster, distance);
        }
    }
    best
}

/// Centres far from each other: each the best of a few rows drawn by their squared distance.
fn plus_plus(rows: &[f64], width: usize, clusters: usize, rng: &mut Rng) -> Result<Vec<f64>> {
    let count = rows.len() / width;
    let row = |number: usize| &rows[number * width..(number + 1) * width];
    let mut centres = row(rng.below(count)).to_vec();
    let distances_to = |centre: &[f64]| -> Vec<f64> {
        rows.par_chunks_exact(width).map(|row| squared_distance(row, centre)).collect()
    };
    let mut nearest = distances_to(&centres);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let candidates = 2 + float(clusters).ln() as usize;
    while centres.len() < clusters * width {
        check_interrupt()?;
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..candidates {
            let drawn = rng.weighted(&nearest);
            let to: Vec<f64> =
                distances_to(row(drawn)).iter().zip(&nearest).map(|(a, b)| a.min(*b)).collect();
            let total = to.iter().sum();
            if best.as_ref().is_none_or(|best| total < best.0) {
                best = Some((total, drawn, to));
            }
        }
        let Some((_, drawn, to)) = best else { break };
        centres.extend_from_slice(row(drawn));
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
        let rows = x.to_row_major();
        let labels = rows
            .par_chunks_exact(self.features)
            .map(|row| u32::try_from(nearest(row, &self.centres, self.features).0).unwrap_or(0))
            .collect();
        Ok(Output::Labels(labels))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("sizes", &[u32::try_from(self.features).unwrap_or(u32::MAX)]);
        out.f64("centres", &self.centres);
    }
}

config! {
    /// DBSCAN (Ester, Kriegel, Sander and Xu, 1996): clusters are regions where rows lie close; rows in
    /// none are noise. It has no model for new rows.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let df = df!("x" => [1.0, 1.1, 1.2, 9.0, 9.1, 9.2, 50.0])?;
    /// let dbscan = oxilab_model::Dbscan::new().with_eps(0.3).with_min_samples(3).with_standardize(false);
    /// let clusters: Vec<i32> = dbscan.fit_predict(&df)?.i32()?.iter().flatten().collect();
    /// assert_eq!(clusters, [0, 0, 0, 1, 1, 1, -1]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    Dbscan {
        /// Rows at most this far apart are neighbours (0.5).
        with_eps eps: f64 = 0.5;
        /// Neighbours, itself included, that make a row the core of a cluster (5).
        with_min_samples min_samples: usize = 5;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
    }
}

impl Dbscan {
    /// The cluster of every row, −1 for noise.
    ///
    /// # Errors
    /// If a column cannot be used or a parameter is out of range.
    pub fn fit_predict(&self, df: &DataFrame) -> Result<Series> {
        require(self.eps > 0.0, "Dbscan", "eps", self.eps, "above 0")?;
        let encoding = Encoding::Dense { standardize: self.standardize };
        let (_, x) = Encoder::fit(df, None, encoding)?;
        let labels = self.labels(&x)?;
        Ok(Series::new(PlSmallStr::from_static("cluster"), labels))
    }

    /// The frame with a column `cluster` added.
    ///
    /// # Errors
    /// As [`Dbscan::fit_predict`].
    pub fn label(&self, df: &DataFrame) -> Result<DataFrame> {
        let labels = self.fit_predict(df)?;
        let mut out = df.clone();
        out.with_column(Column::from(labels))
            .map_err(|source| ModelError::Polars { doing: "adding the clusters", source })?;
        Ok(out)
    }

    fn labels(&self, x: &Matrix) -> Result<Vec<i32>> {
        let (rows, width) = (x.to_row_major(), x.cols());
        let limit = self.eps * self.eps;
        let neighbours: Vec<Vec<u32>> = rows
            .par_chunks_exact(width)
            .map(|row| {
                check_interrupt()?;
                let near = rows.chunks_exact(width).zip(0_u32..);
                Ok(near
                    .filter(|(other, _)| squared_distance(row, other) <= limit)
                    .map(|(_, n)| n)
                    .collect())
            })
            .collect::<Result<_>>()?;
        let mut labels = vec![-1; neighbours.len()];
        let mut next = 0;
        for start in 0..neighbours.len() {
            if labels[start] != -1 || neighbours[start].len() < self.min_samples {
                continue;
            }
            labels[start] = next;
            let mut open = vec![start];
            while let Some(row) = open.pop() {
                if neighbours[row].len() < self.min_samples {
                    continue;
                }
                for other in &neighbours[row] {
                    let other = *other as usize;
                    if labels[other] == -1 {
                        labels[other] = next;
                        open.push(other);
                    }
                }
            }
            next += 1;
        }
        Ok(labels)
    }
}
