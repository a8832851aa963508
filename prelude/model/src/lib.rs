//! Classical models: baselines, boosted trees, forests, linear models, clusters, metrics, tuning.
//!
//! A learner is a config: `LogisticRegression::new().with_c(0.5)`; `fit(&frame, "target")?` makes a
//! [`FittedModel`] of it, whatever the learner; that predicts, evaluates, saves. All columns but the
//! target are input: numbers, booleans, text or categories, with missing values.
//!
//! * Learners: [`Dummy`], [`LinearRegression`], [`Ridge`], [`Lasso`], [`ElasticNet`],
//!   [`LogisticRegression`], [`KNeighbors`], [`GaussianNb`], [`DecisionTree`], [`RandomForest`],
//!   [`ExtraTrees`], [`LightGbm`]; without a target [`KMeans`], [`Dbscan`], [`Pca`],
//!   [`IsolationForest`]. Any of the former as [`Estimator`].
//! * [`metrics`], [`Evaluation`], [`Slices`]; [`calibrate`], [`reliability`], [`best_threshold`].
//!
//! Everything random has a seed; the same seed gives the same model on any number of threads.

#![allow(
    clippy::cast_possible_wrap,
    clippy::doc_markdown,
    clippy::float_cmp,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::into_iter_without_iter,
    clippy::manual_checked_ops,
    clippy::many_single_char_names,
    clippy::needless_for_each,
    clippy::needless_pass_by_value,
    clippy::option_option,
    clippy::redundant_closure_for_method_calls,
    clippy::semicolon_if_nothing_returned,
    clippy::similar_names,
    clippy::zero_sized_map_values,
    reason = "formulas keep the letters of their papers; the rest is style, to be worked off file by file"
)]

mod bar;
mod baseline;
mod bayes;
mod calibrate;
mod cluster;
mod cross_validation;
mod dummy;
mod encode;
mod error;
mod evaluate;
mod explain;
mod fitted;
mod folds;
mod isolation;
mod lbfgs;
mod learner;
mod lightgbm;
mod linalg;
mod linear;
mod logistic;
mod matrix;
pub mod metrics;
mod neighbors;
mod pca;
mod predictor;
mod rng;
mod show;
mod target;
mod tree;
mod tune;

/// What a model says about itself; the names `Column` and `Schema` are polars' as well, so they stand
/// in a module of their own.
pub mod schema {
    pub use oxilab_model_format::{Column, ColumnKind, Header, Schema};
}

pub use baseline::{Baseline, Contender, baseline};
pub use bayes::GaussianNb;
pub use calibrate::{Calibration, Reliability, best_threshold, calibrate, reliability};
pub use cluster::{Dbscan, KMeans};
pub use cross_validation::{CrossValidation, cross_validate};
pub use dummy::Dummy;
pub use error::{ModelError, Result};
pub use evaluate::{Evaluation, Slices};
pub use explain::{
    PartialDependence, PermutationImportance, partial_dependence, permutation_importance,
};
pub use fitted::{FittedModel, load};
pub use folds::{Folds, Split};
pub use isolation::IsolationForest;
pub use learner::{ClassWeight, Estimator, hash_frame};
pub use lightgbm::{Frames, LightGbm};
pub use linear::{ElasticNet, Lasso, LinearRegression, Ridge};
pub use logistic::LogisticRegression;
pub use neighbors::{KNeighbors, Weights};
pub use oxilab_model_format::Task;
pub use pca::Pca;
pub use tree::{DecisionTree, ExtraTrees, MaxFeatures, RandomForest};
pub use tune::{
    Dimension, Direction, Pruner, Record, Sampler, Space, State, Study, Trial, Value, tune,
};
