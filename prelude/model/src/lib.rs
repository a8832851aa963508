//! Classical models: baselines, boosted trees, forests, linear models, clusters, metrics, tuning.
//!
//! A learner is a config: `LogisticRegression::new().with_c(0.5)`; `fit(&frame, "target")?` makes a
//! [`FittedModel`] of it, whatever the learner; that predicts, evaluates, saves. All columns but the
//! target are input: numbers, booleans, text or categories, with missing values.
//!
//! * Learners: [`Dummy`], [`LinearRegression`], [`Ridge`], [`Lasso`], [`ElasticNet`],
//!   [`LogisticRegression`], [`KNeighbors`], [`GaussianNb`], [`DecisionTree`], [`RandomForest`],
//!   [`ExtraTrees`], [`LightGbm`], [`XgBoost`]; without a target [`KMeans`], [`Dbscan`], [`Pca`],
//!   [`IsolationForest`]. Any of the former as [`Estimator`].
//! * [`PipelineExt`]: a learner as the last step of a pipeline of `oxilab_data`.
//! * [`SampleWeight`]: rows that count more than others, for every learner whose method has a place for
//!   them (not nearest neighbours, components and anomalies).
//! * [`metrics`], [`Evaluation`], [`Slices`]; [`calibrate`], [`reliability`], [`best_threshold`].
//!
//! Everything random has a seed; the same seed gives the same model on any number of threads.

mod bar;
mod baseline;
mod bayes;
mod boost;
mod calibrate;
mod cross_validation;
mod dbscan;
mod dummy;
mod eigen;
mod encode;
mod error;
mod evaluate;
mod explain;
mod fitted;
mod folds;
mod isolation;
mod kdtree;
mod kmeans;
mod lbfgs;
mod learner;
mod lightgbm;
mod linalg;
mod linear;
mod logistic;
mod matrix;
pub mod metrics;
mod native;
mod neighbors;
pub mod net;
mod observed;
mod pca;
mod piped;
mod predictor;
pub mod recurrent;
mod rng;
mod series;
mod shap;
mod show;
mod target;
mod tree;
mod tune;
mod weights;
mod xgboost;

/// What a model says about itself; the names `Column` and `Schema` are polars' as well, so they stand
/// in a module of their own.
pub mod schema {
    pub use oxilab_model_format::{Column, ColumnKind, Header, Schema};
}

pub use baseline::{Baseline, Contender, baseline};
pub use bayes::GaussianNb;
pub use boost::Frames;
pub use calibrate::{Calibration, Reliability, best_threshold, calibrate, reliability};
pub use cross_validation::{CrossValidation, cross_validate};
pub use dbscan::Dbscan;
pub use dummy::Dummy;
pub use error::{ModelError, Result};
pub use evaluate::{Evaluation, Slices};
pub use explain::{
    PartialDependence, PermutationImportance, partial_dependence, partial_dependence_at,
    permutation_importance,
};
pub use fitted::{FittedModel, load};
pub use folds::{Folds, Split};
pub use isolation::IsolationForest;
pub use kmeans::KMeans;
pub use learner::{ClassWeight, Estimator, hash_frame};
pub use lightgbm::LightGbm;
pub use linear::{ElasticNet, Lasso, LinearRegression, Ridge};
pub use logistic::LogisticRegression;
pub use neighbors::{KNeighbors, Weights};
pub use oxilab_model_format::Task;
pub use pca::Pca;
pub use piped::{LastStep, Piped, PipelineExt};
pub use tree::{DecisionTree, ExtraTrees, MaxFeatures, RandomForest};
pub use tune::{
    Dimension, Direction, Pruner, Record, Sampler, Space, State, Study, Trial, Value, tune,
};
pub use weights::SampleWeight;
pub use xgboost::XgBoost;
