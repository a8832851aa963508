//! Nearest neighbours: [`KNeighbors`].

use rayon::prelude::*;
use serde::Serialize;

use oxilab_model_format::Task;

use crate::bar::Bar;
use crate::encode::Encoding;
use crate::error::{Result, check_interrupt, require};
use crate::kdtree::{KdTree, MOST_FEATURES};
use crate::learner::{Learned, Learner, Problem, config, estimator};
use crate::matrix::Matrix;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::{Goal, Target};

/// Queries that a thread looks for at a time.
const BATCH: usize = 32;

/// How much each neighbour counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// All the same.
    #[default]
    Uniform,
    /// One over its distance; equal rows alone if there are any.
    Distance,
}

config! {
    /// The nearest rows of the training frame vote, or give the mean of their numbers. Distances are
    /// Euclidean over standardised features; of rows at the same distance the earlier counts.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let train = df!("x" => [1.0, 1.1, 5.0, 5.1], "y" => ["a", "a", "b", "b"])?;
    /// let model = oxilab_model::KNeighbors::new().with_n_neighbors(2).fit(&train, "y")?;
    /// assert_eq!(model.predict(&df!("x" => [4.0])?)?.str()?.get(0), Some("b"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    KNeighbors {
        /// How many neighbours (5).
        with_n_neighbors n_neighbors: usize = 5;
        /// How much each counts (all the same).
        with_weights weights: Weights = Weights::Uniform;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// Classes or numbers, if the target's type should not decide.
        with_task task: Option<Task> as impl Into<Option<Task>> = None;
    }
}

impl Learner for KNeighbors {
    const NAME: &'static str = "KNeighbors";

    fn goal(&self) -> Goal {
        Goal::Any(self.task)
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: self.standardize }
    }

    fn check(&self) -> Result<()> {
        require(self.n_neighbors > 0, Self::NAME, "n_neighbors", self.n_neighbors, "1 or more")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        let rows = problem.x.rows();
        let k = self.n_neighbors;
        require(k <= rows, Self::NAME, "n_neighbors", k, "at most the number of training rows")?;
        let (classes, targets) = match &problem.y {
            Target::Classes(codes, count) => {
                (*count, codes.iter().map(|code| f64::from(*code)).collect())
            }
            Target::Values(values) => (0, values.clone()),
        };
        let predictor = NeighborsPredictor {
            features: problem.x.cols(),
            neighbors: k,
            distance: self.weights == Weights::Distance,
            classes,
            rows: problem.x.to_row_major(),
            targets,
            tree: None,
        };
        Ok(Learned::new(predictor.planted()))
    }
}

estimator!(KNeighbors);

/// The training rows and their targets.
#[derive(Debug)]
pub(crate) struct NeighborsPredictor {
    features: usize,
    neighbors: usize,
    distance: bool,
    /// 0 for numbers.
    classes: usize,
    rows: Vec<f64>,
    targets: Vec<f64>,
    /// Where it is faster than comparing with every row.
    tree: Option<KdTree>,
}

/// Fewer rows are compared faster than a tree is searched.
const FEW: usize = 500;

/// Training rows that are compared with a block of queries while they are in the cache.
const BLOCK: usize = 256;

impl NeighborsPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let predictor = Self {
            features: from.size("sizes", 0)?,
            neighbors: from.size("sizes", 1)?,
            distance: from.size("sizes", 2)? == 1,
            classes: from.size("sizes", 3)?,
            rows: from.f64("rows")?,
            targets: from.f64("targets")?,
            tree: None,
        };
        let (count, k) = (predictor.targets.len(), predictor.neighbors);
        #[expect(clippy::cast_precision_loss, reason = "a number of classes")]
        let classes = predictor.classes as f64;
        let known = predictor.targets.iter().all(|t| classes == 0.0 || (*t >= 0.0 && *t < classes));
        let sized = count.checked_mul(predictor.features) == Some(predictor.rows.len());
        consistent(known && sized && k > 0 && k <= count)?;
        Ok(predictor.planted())
    }

    /// With a tree, if it pays.
    fn planted(mut self) -> Self {
        let rows = self.targets.len();
        if self.features <= MOST_FEATURES && rows > FEW && self.neighbors * 4 < rows {
            self.tree = Some(KdTree::new(&self.rows, self.features));
        }
        self
    }

    /// For every query the nearest rows as (squared distance, row), nearest first.
    pub(crate) fn nearest(&self, queries: &[f64]) -> Vec<Vec<(f64, u32)>> {
        let width = self.features.max(1);
        if let Some(tree) = &self.tree {
            let nearest = |query| {
                let mut best = Vec::with_capacity(self.neighbors + 1);
                tree.nearest(query, self.neighbors, &mut best);
                best
            };
            return queries.chunks_exact(width).map(nearest).collect();
        }
        let mut found: Vec<Vec<(f64, u32)>> =
            vec![Vec::with_capacity(self.neighbors + 1); queries.len() / width];
        for (block, rows) in self.rows.chunks(BLOCK * width).enumerate() {
            for (query, best) in queries.chunks_exact(width).zip(&mut found) {
                for (offset, row) in rows.chunks_exact(width).enumerate() {
                    let worst = if best.len() < self.neighbors {
                        f64::INFINITY
                    } else {
                        best[self.neighbors - 1].0
                    };
                    let distance = squared_distance(query, row);
                    if distance < worst {
                        let number = u32::try_from(block * BLOCK + offset).unwrap_or(u32::MAX);
                        let place = best.partition_point(|(known, _)| *known <= distance);
                        best.insert(place, (distance, number));
                        best.truncate(self.neighbors);
                    }
                }
            }
        }
        found
    }

    fn vote(&self, nearest: &[(f64, u32)], out: &mut [f64]) {
        let exact = self.distance && nearest.first().is_some_and(|(distance, _)| *distance == 0.0);
        let mut total = 0.0;
        for (distance, row) in nearest {
            let weight = match self.distance {
                false => 1.0,
                true if exact => f64::from(u8::from(*distance == 0.0)),
                true => 1.0 / distance.sqrt(),
            };
            total += weight;
            let target = self.targets[*row as usize];
            if self.classes == 0 {
                out[0] += weight * target;
            } else {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a class"
                )]
                let class = target as usize;
                out[class] += weight;
            }
        }
        for value in out.iter_mut() {
            *value /= total;
        }
    }
}

#[inline]
pub(crate) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0_f64; 4];
    let (a4, a_rest) = a.as_chunks::<4>();
    let (b4, b_rest) = b.as_chunks::<4>();
    for (x, y) in a4.iter().zip(b4) {
        for lane in 0..4 {
            let d = x[lane] - y[lane];
            lanes[lane] += d * d;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| (x - y) * (x - y)).sum();
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + rest
}

impl Predictor for NeighborsPredictor {
    fn kind(&self) -> &'static str {
        "neighbors"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        let outputs = self.classes.max(1);
        let queries = x.to_row_major();
        let width = self.features.max(1);
        let mut out = vec![0.0; x.rows() * outputs];
        // A row that a server is asked for needs none.
        let batches = x.rows().div_ceil(BATCH);
        let bar = (batches > 1).then(|| Bar::new("neighbors", batches));
        out.par_chunks_mut(BATCH * outputs).zip(queries.par_chunks(BATCH * width)).try_for_each(
            |(out, queries)| {
                check_interrupt()?;
                for (nearest, out) in
                    self.nearest(queries).iter().zip(out.chunks_exact_mut(outputs))
                {
                    self.vote(nearest, out);
                }
                if let Some(bar) = &bar {
                    bar.step();
                }
                Ok::<(), crate::error::ModelError>(())
            },
        )?;
        Ok(if self.classes == 0 { Output::Values(out) } else { Output::Probabilities(out) })
    }

    fn write(&self, out: &mut Sections<'_>) {
        let sizes = [self.features, self.neighbors, usize::from(self.distance), self.classes];
        out.u32("sizes", &sizes.map(|size| u32::try_from(size).unwrap_or(u32::MAX)));
        out.f64("rows", &self.rows);
        out.f64("targets", &self.targets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::float;

    #[test]
    fn the_nearest_are_found_across_blocks() {
        let rows: Vec<f64> = (0..1000).map(|i| float((i * 7919) % 1000)).collect();
        let targets = vec![0.0; 1000];
        let model = NeighborsPredictor {
            features: 1,
            neighbors: 3,
            distance: false,
            classes: 0,
            rows,
            targets,
            tree: None,
        };
        let found = model.nearest(&[500.2]);
        let distances: Vec<f64> = found[0].iter().map(|(d, _)| d.sqrt()).collect();
        assert!((distances[0] - 0.2).abs() < 1e-9 && (distances[2] - 1.2).abs() < 1e-9);
    }
}
