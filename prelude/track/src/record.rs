//! What trackers keep: [`RunRecord`], [`Metric`], [`Status`], [`ModelVersion`], and rules for names.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Result, TrackError};

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Not ended.
    Running,
    /// Ended well.
    Finished,
    /// Ended by an error.
    Failed,
    /// Ended by the user.
    Killed,
}

impl Status {
    /// MLflow's name of it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "FINISHED" => Self::Finished,
            "FAILED" => Self::Failed,
            "KILLED" => Self::Killed,
            _ => Self::Running,
        }
    }
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Its name.
    pub key: String,
    /// The value; NaN and infinities are kept.
    pub value: f64,
    /// The step, 0 when there is none.
    pub step: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

/// A run to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewRun {
    /// Its experiment's name.
    pub experiment: String,
    /// Its name; never empty.
    pub name: String,
    /// Tags, among them `mlflow.parentRunId` of a nested run.
    pub tags: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    pub start_time: i64,
}

/// Records of one run that are written together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Parameters.
    pub params: Vec<(String, String)>,
    /// Metrics.
    pub metrics: Vec<Metric>,
    /// Tags; a later value replaces an earlier one.
    pub tags: Vec<(String, String)>,
}

impl Batch {
    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.params.len() + self.metrics.len() + self.tags.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A run as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its identifier: 32 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its experiment's name.
    pub experiment: String,
    /// How it stands.
    pub status: Status,
    /// Milliseconds since 1970.
    pub start_time: i64,
    /// Milliseconds since 1970; `None` while it runs.
    pub end_time: Option<i64>,
    /// Parameters.
    pub params: BTreeMap<String, String>,
    /// The last value of each metric: of the highest step, then of the latest time.
    pub metrics: BTreeMap<String, f64>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// A file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its path in the run, with `/`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Data that a run reads: `MLflow`'s data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Its name, for example `cars.csv`.
    pub name: String,
    /// A digest of its content; `MLflow` keeps the first 36 characters.
    pub digest: String,
    /// What it is used for: `training`, `validation`.
    pub context: String,
    /// Where it came from; empty when that is not known.
    pub source: String,
    /// Its columns as JSON: a list of objects with `name` and `type`.
    pub schema: String,
    /// How many rows it has.
    pub rows: u64,
}

/// A version of a registered model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVersion {
    /// The model's name.
    pub name: String,
    /// The version, from 1.
    pub version: u32,
    /// The run it came from; empty when there is none.
    pub run_id: String,
    /// Where its files are: a folder, or the server's address of them.
    pub source: String,
    /// Its aliases.
    pub aliases: Vec<String>,
    /// Milliseconds since 1970.
    pub created: i64,
}

/// Which runs to read.
///
/// ```
/// use oxilab_track::Search;
/// let best = Search::new("metrics.accuracy > 0.8").with_order("metrics.accuracy DESC").with_limit(10);
/// assert_eq!(best.limit, 10);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// MLflow's filter syntax; empty is all.
    pub filter: String,
    /// For example `metrics.accuracy DESC`; empty is newest first.
    pub order: String,
    /// The experiment's name; empty is the current one.
    pub experiment: String,
    /// How many at most; 1,000 by default.
    pub limit: usize,
}

impl Search {
    /// The runs of the current experiment that `filter` lets through.
    pub fn new(filter: impl Into<String>) -> Self {
        Self { filter: filter.into(), order: String::new(), experiment: String::new(), limit: 1000 }
    }

    /// Sorts, for example by `metrics.accuracy DESC`.
    #[must_use]
    pub fn with_order(mut self, order: impl Into<String>) -> Self {
        self.order = order.into();
        self
    }

    /// Reads another experiment.
    #[must_use]
    pub fn with_experiment(mut self, name: impl Into<String>) -> Self {
        self.experiment = name.into();
        self
    }

    /// Reads at most so many.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

impl From<&str> for Search {
    fn from(filter: &str) -> Self {
        Self::new(filter)
    }
}

/// Milliseconds since 1970.
#[must_use]
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn refuse(what: &'static str, name: &str, reason: impl Into<String>) -> TrackError {
    TrackError::Name { what, name: name.chars().take(60).collect(), reason: reason.into() }
}

/// Checks the name of a parameter, a metric or a tag by MLflow's rules.
pub(crate) fn check_key(what: &'static str, key: &str) -> Result<()> {
    const LONGEST: usize = 250;
    if key.is_empty() {
        return Err(refuse(what, key, "it is empty"));
    }
    if key.chars().count() > LONGEST {
        return Err(refuse(what, key, format!("it is longer than {LONGEST} characters")));
    }
    let allowed = |c: char| c.is_alphanumeric() || "_-. /:".contains(c);
    if let Some(bad) = key.chars().find(|c| !allowed(*c)) {
        let reason = format!("it has {bad:?}; use letters, digits, space and _ - . / :");
        return Err(refuse(what, key, reason));
    }
    if key.starts_with('/') || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(refuse(what, key, "its parts between slashes must be names"));
    }
    Ok(())
}

/// Checks the name of an experiment, a run or a model.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<()> {
    const LONGEST: usize = 500;
    if name.trim().is_empty() {
        return Err(refuse(what, name, "it is empty"));
    }
    if name.chars().count() > LONGEST {
        return Err(refuse(what, name, format!("it is longer than {LONGEST} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(refuse(what, name, "it has control characters"));
    }
    if what == "model" && name.contains(['/', ':', '@']) {
        return Err(refuse(
            what,
            name,
            "it has one of / : @, which separate name, version and alias",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_mlflows_rules() {
        for good in ["lr", "eval/loss", "größe", "a b", "système:cpu"] {
            check_key("metric", good).expect(good);
        }
        for bad in ["", "a\"b", "🦀", "../x", "/x", "a//b", &"x".repeat(5000)] {
            let message = check_key("metric", bad).expect_err(bad).to_string();
            assert!(message.len() < 400, "{message}");
        }
    }

    #[test]
    fn model_names_keep_their_separators_free() {
        check_name("experiment", "fraud / \"v2\" 🦀").expect("experiments are free");
        check_name("model", "a/b").expect_err("slash");
        check_name("model", "a@b").expect_err("at");
        check_name("run", &"n".repeat(5000)).expect_err("long");
    }
}
