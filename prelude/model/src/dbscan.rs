//! Clusters by density: [`Dbscan`].

use polars::prelude::{Column, DataFrame, NamedFrom as _, PlSmallStr, Series};
use rayon::prelude::*;

use crate::encode::{Encoder, Encoding};
use crate::error::{ModelError, Result, check_interrupt, require};
use crate::kdtree::{KdTree, MOST_FEATURES};
use crate::learner::config;
use crate::matrix::{Matrix, float};
use crate::neighbors::squared_distance;
use crate::weights::{self, SampleWeight};

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
        /// Neighbours, itself included, that make a row the core of a cluster (5); with weights, the
        /// sum of theirs.
        with_min_samples min_samples: usize = 5;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
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
        let (rows, weights) = weights::split(df, self.sample_weight.column(), None)?;
        let (_, x) = Encoder::fit(&rows, None, encoding)?;
        let labels = self.labels(&x, weights.as_deref())?;
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

    fn labels(&self, x: &Matrix, weights: Option<&[f64]>) -> Result<Vec<i32>> {
        let (rows, width) = (x.to_row_major(), x.cols());
        let limit = self.eps * self.eps;
        let tree = (width <= MOST_FEATURES).then(|| KdTree::new(&rows, width));
        let neighbours: Vec<Vec<u32>> = rows
            .par_chunks_exact(width)
            .map(|row| {
                check_interrupt()?;
                if let Some(tree) = &tree {
                    return Ok(tree.within(row, limit));
                }
                let near = rows.chunks_exact(width).zip(0_u32..);
                Ok(near
                    .filter(|(other, _)| squared_distance(row, other) <= limit)
                    .map(|(_, n)| n)
                    .collect())
            })
            .collect::<Result<_>>()?;
        let is_core = |row: usize| match weights {
            None => neighbours[row].len() >= self.min_samples,
            Some(weights) => {
                let near = neighbours[row].iter().map(|near| weights[*near as usize]);
                near.sum::<f64>() >= float(self.min_samples)
            }
        };
        let mut labels = vec![-1; neighbours.len()];
        let mut next = 0;
        for start in 0..neighbours.len() {
            if labels[start] != -1 || !is_core(start) {
                continue;
            }
            labels[start] = next;
            let mut open = vec![start];
            while let Some(row) = open.pop() {
                if !is_core(row) {
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
