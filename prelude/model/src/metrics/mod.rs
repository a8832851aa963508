//! Metrics, as scikit-learn defines them and to 1e-12 equal to it.
//!
//! * [`classification`]: [`ConfusionMatrix`] and all that follows from it.
//! * [`probability`]: log loss, Brier, ROC and precision–recall curves and their areas.
//! * [`multilabel`], [`regression`], [`ranking`], [`clustering`].
//! * [`bootstrap`]: intervals for any of them.
//!
//! Labels and numbers may be series, columns, vectors or slices ([`Labels`], [`Numbers`]).
//!
//! ```
//! use oxilab_model::metrics;
//! let (truth, predicted) = (["a", "b", "b"], ["a", "b", "a"]);
//! assert_eq!(metrics::accuracy(&truth, &predicted)?, 2.0 / 3.0);
//! # Ok::<(), oxilab_model::ModelError>(())
//! ```

pub mod bootstrap;
pub mod classification;
pub mod clustering;
pub mod input;
pub mod multilabel;
pub mod probability;
pub mod ranking;
pub mod regression;

pub use bootstrap::{Interval, bootstrap_interval};
pub use classification::{
    Average, ConfusionMatrix, accuracy, balanced_accuracy, cohen_kappa, f1_score,
    matthews_corrcoef, precision, recall,
};
pub use clustering::{
    adjusted_mutual_info, adjusted_rand, calinski_harabasz, davies_bouldin, normalized_mutual_info,
    silhouette,
};
pub use input::{Labels, Numbers};
pub use probability::{
    average_precision, brier_score, expected_calibration_error, log_loss, precision_recall_curve,
    roc_auc, roc_curve,
};
pub use ranking::{dcg, ndcg};
pub use regression::{mean_absolute_error, mean_squared_error, r2, root_mean_squared_error};
