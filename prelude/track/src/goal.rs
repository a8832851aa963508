//! [`Goal`], [`goal`](fn@goal), [`goal!`](macro@crate::goal): what success means.

use std::collections::BTreeMap;

use crate::record::check_name;
use crate::session::{active_run, session, set_goals};
use crate::{Result, TrackError};

/// The tag of a registered model that holds a goal.
pub(crate) const GATE: &str = "oxilab.gate.";
/// The tags of a run that hold the project's goal.
pub(crate) const GOAL: &str = "oxilab.goal.";

/// What success means for a model: promotion checks it.
///
/// ```
/// use oxilab_track::Goal;
/// assert_eq!(Goal::at_least("accuracy", 0.9).to_string(), "accuracy >= 0.9");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    pub(crate) metric: String,
    bound: f64,
    least: bool,
}

impl Goal {
    /// The metric must be `floor` or more.
    pub fn at_least(metric: impl Into<String>, floor: f64) -> Self {
        Self { metric: metric.into(), bound: floor, least: true }
    }

    /// The metric must be `ceiling` or less.
    pub fn at_most(metric: impl Into<String>, ceiling: f64) -> Self {
        Self { metric: metric.into(), bound: ceiling, least: false }
    }

    fn rule(&self) -> String {
        format!("{} {}", if self.least { ">=" } else { "<=" }, self.bound)
    }

    pub(crate) fn parse(metric: &str, rule: &str) -> Option<Self> {
        let (sign, bound) = rule.split_once(' ')?;
        let least = sign == ">=";
        Some(Self { metric: metric.to_owned(), bound: bound.parse().ok()?, least })
    }

    /// Why a run with this value of the metric does not pass.
    pub(crate) fn refusal(&self, value: Option<f64>) -> Option<String> {
        let Some(value) = value else {
            return Some(format!("{self}, and its run has no metric {:?}", self.metric));
        };
        let passes = if self.least { value >= self.bound } else { value <= self.bound };
        (!passes).then(|| format!("{self}, and its run has {value}"))
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.metric, self.rule())
    }
}

/// Declares what a model has to reach before [`promote`] points an alias at a version of it.
///
/// # Errors
/// If the name cannot be used, or the backend fails.
pub fn goal(name: &str, goals: &[Goal]) -> Result<()> {
    check_name("model", name)?;
    let tracker = session()?.tracker();
    for goal in goals {
        tracker.set_model_tag(name, &format!("{GATE}{}", goal.metric), &goal.rule())?;
    }
    Ok(())
}

/// The goal that a run carries in its tags.
pub(crate) fn of_run(tags: &BTreeMap<String, String>) -> Vec<Goal> {
    let tag = |key: &str| tags.get(&format!("{GOAL}{key}"));
    let Some(metric) = tag("metric") else { return Vec::new() };
    let bound = |key: &str| tag(key).and_then(|text| text.parse().ok());
    let floor = bound("floor").map(|floor| Goal::at_least(metric, floor));
    floor.into_iter().chain(bound("ceiling").map(|most| Goal::at_most(metric, most))).collect()
}

/// Sets the project's goal: `metric`, `floor` or `ceiling`, and whatever else says what success means
/// (`cost`, `owner`, …). Every later run carries it, and the active one; [`promote`](crate::promote)
/// holds a version to the goal that its run carries. [`goal!`](macro@crate::goal) is the same, shorter.
///
/// # Errors
/// If there is no metric, a bound is no number, a name cannot be used, or the journal cannot be written.
pub fn set_goal(entries: &[(&str, String)]) -> Result<()> {
    let refuse = |name: &str, reason: &str| {
        Err(TrackError::Name { what: "goal", name: name.to_owned(), reason: reason.to_owned() })
    };
    if !entries.iter().any(|(key, value)| *key == "metric" && !value.is_empty()) {
        return refuse("", "it has no metric: goal! { metric: \"auc\", floor: 0.9 }");
    }
    for (key, value) in entries {
        if matches!(*key, "floor" | "ceiling") && value.parse::<f64>().is_err() {
            return refuse(key, &format!("{value:?} is no number"));
        }
    }
    set_goals(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect());
    if let Some(run) = active_run() {
        for (key, value) in entries {
            run.set_tag(&format!("{GOAL}{key}"), value)?;
        }
    }
    Ok(())
}

/// Sets the project's goal; see [`set_goal`].
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// track::goal! { metric: "auc", floor: 0.9, cost: "a missed fraud costs 50 times a false alarm" }?;
/// let run = track::start_run("demo")?;
/// assert_eq!(run.record()?.tags["oxilab.goal.floor"], "0.9");
/// # Ok::<(), track::TrackError>(())
/// ```
#[macro_export]
macro_rules! goal {
    ($($key:ident : $value:expr),+ $(,)?) => {
        $crate::set_goal(&[$((::core::stringify!($key), ::std::string::ToString::to_string(&$value))),+])
    };
}
