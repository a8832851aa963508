//! Anomalies: [`IsolationForest`].

use oxilab_model_format::Task;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::bar::Bar;
use crate::encode::Encoding;
use crate::error::{Result, check_interrupt, require};
use crate::fitted::FittedModel;
use crate::learner::{Learned, config, fit_unsupervised, params_of};
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::rng::Rng;

config! {
    /// Isolation forest (Liu, Ting and Zhou, 2008): rows that random cuts part from the others soon are
    /// anomalies. `predict` says whether a row is one, `score` how much (above 0.5 is one).
    ///
    /// ```
    /// use polars::prelude::*;
    /// let mut x: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
    /// x.push(1000.0);
    /// let df = df!("x" => x)?;
    /// let model = oxilab_model::IsolationForest::new().fit(&df)?;
    /// assert!(model.score(&df)?.f64()?.get(100).unwrap() > 0.7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    IsolationForest {
        /// How many trees (100).
        with_n_estimators n_estimators: usize = 100;
        /// Rows of each tree (256, or all if fewer).
        with_max_samples max_samples: usize = 256;
        /// The seed (0).
        with_seed seed: u64 = 0;
    }
}

impl IsolationForest {
    /// Fits the trees to a frame.
    ///
    /// # Errors
    /// If a column cannot be used or a parameter is out of range.
    pub fn fit(&self, df: &DataFrame) -> Result<FittedModel> {
        const NAME: &str = "IsolationForest";
        require(self.n_estimators > 0, NAME, "n_estimators", self.n_estimators, "1 or more")?;
        require(self.max_samples > 1, NAME, "max_samples", self.max_samples, "2 or more")?;
        let kind = (Task::Anomaly, Encoding::Dense { standardize: false });
        fit_unsupervised(NAME, &params_of(self), kind, df, None, |x, _| self.learn(x))
    }

    fn learn(&self, x: &Matrix) -> Result<Learned> {
        let samples = self.max_samples.min(x.rows());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 64")]
        let depth = float(samples).log2().ceil() as usize;
        let bar = Bar::new("trees", self.n_estimators);
        let trees: Vec<Vec<Cut>> = (0..self.n_estimators)
            .into_par_iter()
            .map(|tree| {
                check_interrupt()?;
                let mut rng = Rng::part(self.seed, tree as u64);
                let mut rows = rng.permutation(x.rows());
                rows.truncate(samples);
                let mut cuts = Vec::new();
                isolate(x, &mut rows, depth, &mut rng, &mut cuts);
                bar.step();
                Ok(cuts)
            })
            .collect::<Result<_>>()?;
        let mut roots = Vec::new();
        let mut cuts = Vec::new();
        for tree in trees {
            let first = number(cuts.len());
            roots.push(first);
            cuts.extend(tree.into_iter().map(|cut| match cut.feature {
                u32::MAX => cut,
                _ => Cut { right: cut.right + first, ..cut },
            }));
        }
        Ok(Learned::new(IsolationPredictor { features: x.cols(), samples, roots, cuts }))
    }
}

/// A node: its left child is the next one. A leaf has `feature == u32::MAX` and its expected further
/// depth as `value`.
#[derive(Clone, Copy, Debug)]
struct Cut {
    feature: u32,
    value: f64,
    right: u32,
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn isolate(x: &Matrix, rows: &mut [u32], depth: usize, rng: &mut Rng, cuts: &mut Vec<Cut>) {
    let leaf = Cut { feature: u32::MAX, value: mean_depth(rows.len()), right: 0 };
    if depth == 0 || rows.len() <= 1 {
        cuts.push(leaf);
        return;
    }
    // A random feature that is not constant here.
    let start = rng.below(x.cols());
    let found = (0..x.cols()).map(|step| (start + step) % x.cols()).find_map(|feature| {
        let column = x.col(feature);
        let (low, high) =
            rows.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), row| {
                (low.min(column[*row as usize]), high.max(column[*row as usize]))
            });
        (low < high).then_some((feature, low, high))
    });
    let Some((feature, low, high)) = found else {
        cuts.push(leaf);
        return;
    };
    let value = rng.between(low, high);
    let column = x.col(feature);
    rows.sort_unstable_by_key(|row| column[*row as usize] > value);
    let middle = rows.partition_point(|row| column[*row as usize] <= value);
    let (left, right) = rows.split_at_mut(middle);
    let at = cuts.len();
    cuts.push(Cut { feature: number(feature), value, right: 0 });
    isolate(x, left, depth - 1, rng, cuts);
    cuts[at].right = number(cuts.len());
    isolate(x, right, depth - 1, rng, cuts);
}

/// The mean depth of an unsuccessful search in a binary tree of `n` values.
fn mean_depth(n: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = float(n);
            2.0 * ((n - 1.0).ln() + EULER) - 2.0 * (n - 1.0) / n
        }
    }
}

/// The trees.
#[derive(Debug)]
pub(crate) struct IsolationPredictor {
    features: usize,
    samples: usize,
    roots: Vec<u32>,
    cuts: Vec<Cut>,
}

impl IsolationPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let (features, samples) = (from.size("sizes", 0)?, from.size("sizes", 1)?);
        let (feature, value, right) =
            (from.u32("feature")?, from.f64("value")?, from.u32("right")?);
        let count = feature.len();
        consistent(value.len() == count && right.len() == count)?;
        let cuts: Vec<Cut> = (0..count)
            .map(|at| Cut { feature: feature[at], value: value[at], right: right[at] })
            .collect();
        let roots = from.u32("roots")?;
        let sound = cuts.iter().enumerate().all(|(at, cut)| {
            cut.feature == u32::MAX
                || ((cut.feature as usize) < features
                    && at + 1 < count
                    && (cut.right as usize) > at
                    && (cut.right as usize) < count)
        });
        consistent(
            sound && !roots.is_empty() && roots.iter().all(|root| (*root as usize) < count),
        )?;
        Ok(Self { features, samples, roots, cuts })
    }

    fn score(&self, x: &Matrix, row: usize) -> f64 {
        let mut total = 0.0;
        for root in &self.roots {
            let (mut at, mut depth) = (*root as usize, 0.0);
            loop {
                let cut = &self.cuts[at];
                if cut.feature == u32::MAX {
                    total += depth + cut.value;
                    break;
                }
                let left = x.col(cut.feature as usize)[row] <= cut.value;
                at = if left { at + 1 } else { cut.right as usize };
                depth += 1.0;
            }
        }
        let mean = total / float(self.roots.len());
        (-mean / mean_depth(self.samples).max(1.0)).exp2()
    }
}

impl Predictor for IsolationPredictor {
    fn kind(&self) -> &'static str {
        "isolation"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        Ok(Output::Values((0..x.rows()).into_par_iter().map(|row| self.score(x, row)).collect()))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("sizes", &[number(self.features), number(self.samples)]);
        out.u32("roots", &self.roots);
        out.u32("feature", &self.cuts.iter().map(|cut| cut.feature).collect::<Vec<_>>());
        out.f64("value", &self.cuts.iter().map(|cut| cut.value).collect::<Vec<_>>());
        out.u32("right", &self.cuts.iter().map(|cut| cut.right).collect::<Vec<_>>());
    }
}
