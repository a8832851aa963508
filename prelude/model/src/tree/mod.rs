//! Trees and forests: [`DecisionTree`], [`RandomForest`], [`ExtraTrees`].
//!
//! Features are cut into at most 255 bins once ([`bins`]); nodes are split on histograms of the bins,
//! or on sorted bins where few rows are left ([`grow`]); a fitted forest is flat arrays
//! ([`predict`]). Missing values have a bin of their own and go to the better side; categories are
//! ordered by name. Splits minimise Gini impurity or squared error; trees grow until leaves are pure
//! unless limited, as in scikit-learn.

mod bins;
mod grow;
mod predict;

use rayon::prelude::*;
use serde::Serialize;

use crate::bar::Bar;
use oxilab_model_format::Task;

use crate::encode::Encoding;
use crate::error::{Result, check_interrupt, require};
use crate::learner::{ClassWeight, Learned, Learner, Problem, config, estimator};
use crate::matrix::float;
use crate::rng::Rng;
use crate::target::{Goal, Target};
use crate::weights::SampleWeight;

use bins::Bins;
use grow::{Limits, Rows};
pub(crate) use predict::ForestPredictor;

/// How many features a node looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxFeatures {
    /// All for single trees and for numbers, the square root of their number for classes.
    #[default]
    Auto,
    /// All.
    All,
    /// The square root of their number.
    Sqrt,
    /// The binary logarithm of their number.
    Log2,
    /// This many.
    Count(usize),
    /// This share, above 0 and up to 1.
    Share(f64),
}

impl MaxFeatures {
    fn of(self, features: usize, auto: Self) -> usize {
        let n = float(features);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and positive"
        )]
        let count = match self {
            Self::Auto if auto != Self::Auto => auto.of(features, Self::Auto),
            Self::Auto | Self::All => features,
            Self::Sqrt => n.sqrt() as usize,
            Self::Log2 => n.log2() as usize,
            Self::Count(count) => count,
            Self::Share(share) => (n * share) as usize,
        };
        count.clamp(1, features)
    }
}

/// A config with the parameters that all three have, behind its own.
macro_rules! tree_config {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        config! {
            $(#[$meta])*
            $name {
                $($own)*
                /// How many splits lie above a leaf at most (no limit).
                with_max_depth max_depth: Option<usize> as impl Into<Option<usize>> = None;
                /// Split only nodes with this many rows (2).
                with_min_samples_split min_samples_split: usize = 2;
                /// Rows that every leaf must have (1).
                with_min_samples_leaf min_samples_leaf: usize = 1;
                /// Features that every node looks at, at random; see [`MaxFeatures::Auto`].
                with_max_features max_features: MaxFeatures = MaxFeatures::Auto;
                /// How much the rows of each class count (all the same).
                with_class_weight class_weight: ClassWeight = ClassWeight::Equal;
                /// The column that says how much each row counts (none); see [`SampleWeight`].
                with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> =
                    SampleWeight::default();
                /// Classes or numbers, if the target's type should not decide.
                with_task task: Option<Task> as impl Into<Option<Task>> = None;
                /// The seed (0).
                with_seed seed: u64 = 0;
            }
        }
    };
}

tree_config! {
    /// One decision tree, for classes or numbers as the target asks.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let train = df!("x" => [1, 2, 3, 4], "y" => ["a", "a", "b", "b"])?;
    /// let model = oxilab_model::DecisionTree::new().with_max_depth(Some(2)).fit(&train, "y")?;
    /// assert_eq!(model.predict(&train)?.str()?.get(3), Some("b"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    DecisionTree {}
}

tree_config! {
    /// A random forest (Breiman, 2001): trees on bootstrap samples, each node on a random choice of
    /// features; probabilities and numbers are the trees' means. Rows that count more are drawn more
    /// often. Trees grow in parallel.
    RandomForest {
        /// How many trees (100).
        with_n_estimators n_estimators: usize = 100;
    }
}

tree_config! {
    /// Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006): as a random forest, but on all
    /// rows and with random cut points.
    ExtraTrees {
        /// How many trees (100).
        with_n_estimators n_estimators: usize = 100;
    }
}

/// What differs between the three.
struct Recipe {
    trees: usize,
    bootstrap: bool,
    seed: u64,
    label: &'static str,
}

macro_rules! tree_learner {
    ($name:ident, $label:literal, $trees:expr, $bootstrap:literal, $random:literal, $auto:expr) => {
        impl Learner for $name {
            const NAME: &'static str = stringify!($name);

            fn goal(&self) -> Goal {
                Goal::Any(self.task)
            }

            fn encoding(&self) -> Encoding {
                Encoding::Codes
            }

            fn class_weight(&self) -> ClassWeight {
                self.class_weight.clone()
            }

            fn sample_weight(&self) -> Option<&str> {
                self.sample_weight.column()
            }

            fn check(&self) -> Result<()> {
                let trees: usize = $trees(self);
                require(trees > 0, Self::NAME, "n_estimators", trees, "1 or more")?;
                let depth = self.max_depth.unwrap_or(1);
                require(depth > 0, Self::NAME, "max_depth", depth, "1 or more, or None")?;
                let leaf = self.min_samples_leaf;
                require(leaf > 0, Self::NAME, "min_samples_leaf", leaf, "1 or more")
            }

            fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
                let classes = matches!(problem.y, Target::Classes(..));
                let auto: fn(bool) -> MaxFeatures = $auto;
                let limits = Limits {
                    max_depth: self.max_depth.unwrap_or(usize::MAX),
                    min_split: self.min_samples_split.max(2),
                    min_leaf: self.min_samples_leaf,
                    features: self.max_features.of(problem.x.cols(), auto(classes)),
                    random_cuts: $random,
                };
                let recipe = Recipe {
                    trees: $trees(self),
                    bootstrap: $bootstrap,
                    seed: self.seed,
                    label: $label,
                };
                plant(problem, &limits, &recipe)
            }
        }

        estimator!($name);
    };
}

tree_learner!(DecisionTree, "tree", |_: &DecisionTree| 1, false, false, |_| MaxFeatures::All);
tree_learner!(RandomForest, "trees", |l: &RandomForest| l.n_estimators, true, false, forest_auto);
tree_learner!(ExtraTrees, "trees", |l: &ExtraTrees| l.n_estimators, false, true, forest_auto);

fn forest_auto(classes: bool) -> MaxFeatures {
    if classes { MaxFeatures::Sqrt } else { MaxFeatures::All }
}

fn plant(problem: &Problem<'_>, limits: &Limits, recipe: &Recipe) -> Result<Learned> {
    let bins = Bins::new(&problem.x);
    let rows = problem.x.rows();
    let base = problem.weights.as_deref();
    let sums = base.filter(|_| recipe.bootstrap).map(running_sums);
    let bar = Bar::new(recipe.label, recipe.trees);
    let trees = (0..recipe.trees)
        .into_par_iter()
        .map(|tree| {
            check_interrupt()?;
            let mut rng = Rng::part(recipe.seed, tree as u64);
            let weights = match base {
                _ if recipe.bootstrap => bootstrap(rows, sums.as_deref(), &mut rng),
                Some(base) => base.to_vec(),
                None => vec![1.0; rows],
            };
            let grown = grow::grow(&Rows { bins: &bins, y: &problem.y, weights }, limits, rng)?;
            bar.step();
            Ok(grown)
        })
        .collect::<Result<Vec<_>>>();
    drop(bar);
    // The cell's own thread unwinds here after an interrupt.
    check_interrupt()?;
    let outputs = match &problem.y {
        Target::Classes(_, count) => *count,
        Target::Values(_) => 1,
    };
    let classes = matches!(problem.y, Target::Classes(..));
    Ok(Learned::new(ForestPredictor::new(trees?, problem.x.cols(), outputs, classes)))
}

fn running_sums(weights: &[f64]) -> Vec<f64> {
    let add = |sum: &mut f64, weight: &f64| {
        *sum += weight;
        Some(*sum)
    };
    weights.iter().scan(0.0, add).collect()
}

/// How often each row is drawn in as many draws as there are rows: all rows with the same chance, or in
/// proportion to weights with these running sums, as in scikit-learn since 1.9.
fn bootstrap(rows: usize, sums: Option<&[f64]>, rng: &mut Rng) -> Vec<f64> {
    let mut drawn = vec![0.0; rows];
    match sums {
        None => (0..rows).for_each(|_| drawn[rng.below(rows)] += 1.0),
        Some(sums) => {
            let total = sums.last().copied().unwrap_or(0.0);
            for _ in 0..rows {
                let place = rng.unit() * total;
                // Rows of weight 0 have the sum of the row before and are passed over.
                drawn[sums.partition_point(|sum| *sum <= place).min(rows - 1)] += 1.0;
            }
        }
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_drawn_in_proportion_to_their_weights() {
        let weights: Vec<f64> = (0..10_000).map(|row| f64::from(row % 4)).collect();
        let drawn = bootstrap(10_000, Some(&running_sums(&weights)), &mut Rng::new(1));
        assert!((drawn.iter().sum::<f64>() - 10_000.0).abs() < 1e-9);
        let share = |kind: usize| drawn.iter().skip(kind).step_by(4).sum::<f64>() / 10_000.0;
        for (kind, expected) in [0.0, 1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0].into_iter().enumerate() {
            assert!((share(kind) - expected).abs() < 0.02, "{kind}: {}", share(kind));
        }
        let zeros = drawn.iter().step_by(4).all(|drawn| *drawn == 0.0);
        assert!(zeros, "a row of weight 0 was drawn");
    }
}
