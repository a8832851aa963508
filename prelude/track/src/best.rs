//! The run that is best by a metric: [`best`], [`Best`].

use crate::record::{RunRecord, Search, Status};
use crate::runs::search;
use crate::session::current_experiment;
use crate::{Result, TrackError};

/// Words of a metric's name that say that lower is better.
const LOWER: [&str; 24] = [
    "mae", "mse", "medae", "msle", "rmsle", "mase", "smape", "wape", "nll", "aic", "bic", "wer",
    "cer", "ppl", "ece", "fpr", "fnr", "crps", "latency", "seconds", "regret", "cost", "inertia",
    "distance",
];
/// Parts of words that say the same: `val_loss`, `logloss`, `max_error`, `nrmse`.
const WITHIN: [&str; 7] = ["loss", "error", "rmse", "mape", "perplexity", "brier", "deviance"];

/// Which value of a metric is best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Best {
    /// The highest: accuracy, R².
    #[default]
    Highest,
    /// The lowest: loss, errors.
    Lowest,
}

impl Best {
    /// What a metric's name says: the lowest for losses and errors, else the highest.
    ///
    /// ```
    /// use oxilab_track::Best;
    /// assert_eq!(Best::of("val_loss"), Best::Lowest);
    /// assert_eq!(Best::of("medae"), Best::Lowest);
    /// assert_eq!(Best::of("accuracy"), Best::Highest);
    /// // scikit-learn's scores are errors with their sign turned.
    /// assert_eq!(Best::of("neg_mean_squared_error"), Best::Highest);
    /// ```
    #[must_use]
    pub fn of(metric: &str) -> Self {
        let name = metric.to_lowercase();
        let mut words = name.split(|c: char| !c.is_alphanumeric());
        let turned = name.starts_with("neg_") || name.starts_with("negative_");
        let lower = WITHIN.iter().any(|part| name.contains(part))
            || words.any(|word| LOWER.contains(&word));
        if lower && !turned { Self::Lowest } else { Self::Highest }
    }
}

/// The run of the current experiment that is best by a metric. Runs that failed and values that are not
/// finite do not count.
///
/// # Errors
/// If no run has the metric, or the backend fails.
pub fn best(metric: &str, which: Best) -> Result<RunRecord> {
    let direction = if which == Best::Highest { "DESC" } else { "ASC" };
    let order = format!("metrics.`{metric}` {direction}");
    let found = search(Search::new("").with_order(order))?;
    let has = found.iter().any(|run| run.metrics.contains_key(metric));
    let usable = |run: &RunRecord| {
        run.status != Status::Failed && run.metrics.get(metric).is_some_and(|v| v.is_finite())
    };
    found.into_iter().find(usable).ok_or_else(|| {
        let why =
            if has { ": all that have it failed, or their last value is not finite" } else { "" };
        let experiment = current_experiment();
        TrackError::NotFound {
            what: "run with the metric",
            name: metric.to_owned(),
            hint: format!(" in the experiment {experiment:?}{why}"),
        }
    })
}
