//! Ready-made checks for [`track::check`](oxilab_track::check): what a model has to pass before it is
//! promoted.
//!
//! ```no_run
//! use oxilab::{gates, track};
//! # let held_out = polars::df!("x" => [1.0], "y" => [2.0])?;
//! track::check("fraud", "latency", gates::latency(&held_out, 5.0))?;
//! track::check("fraud", "floor", gates::metric(&held_out, "auc", 0.9))?;
//! track::check("fraud", "fairness", gates::fairness(&held_out, "sex", "accuracy", 0.05))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Instant;

use oxilab_data::expect::Suite;
use oxilab_model::FittedModel;
use oxilab_track::{Best, Candidate, TrackError, resolve};
use polars::prelude::DataFrame;

type Verdict = Result<(), String>;

fn load(candidate: &Candidate) -> Result<FittedModel, String> {
    oxilab_model::load(candidate.path()).map_err(|error| error.to_string())
}

/// One prediction of one row takes `milliseconds` at most: the 95th percentile of 200, taken in turn from
/// the rows of `sample`.
pub fn latency(
    sample: &DataFrame,
    milliseconds: f64,
) -> impl Fn(&Candidate) -> Verdict + Send + Sync + 'static {
    const ROUNDS: usize = 200;
    let sample = sample.clone();
    move |candidate| {
        let model = load(candidate)?;
        if sample.height() == 0 {
            return Err("the sample has no rows".to_owned());
        }
        let mut times = Vec::with_capacity(ROUNDS);
        for round in 0..ROUNDS {
            let row = i64::try_from(round % sample.height()).unwrap_or(0);
            let row = sample.slice(row, 1);
            let start = Instant::now();
            let _ = model.predict(&row).map_err(|error| error.to_string())?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let found = times[ROUNDS * 95 / 100];
        if found <= milliseconds {
            return Ok(());
        }
        Err(format!("95 % of predictions take up to {found:.2} ms, {milliseconds} ms are allowed"))
    }
}

/// A metric on rows that hold the target is `bound` or better: that or more, and for errors and losses
/// (see [`Best::of`]) that or less.
pub fn metric(
    rows: &DataFrame,
    metric: &str,
    bound: f64,
) -> impl Fn(&Candidate) -> Verdict + Send + Sync + 'static {
    let (rows, metric) = (rows.clone(), metric.to_owned());
    move |candidate| {
        let found = load(candidate)?.evaluate(&rows).map_err(|error| error.to_string())?;
        let Some(value) = found.get(&metric) else {
            return Err(format!("the model has no metric {metric:?}"));
        };
        if as_good(&metric, value, bound) {
            return Ok(());
        }
        let side = if Best::of(&metric) == Best::Lowest { "most" } else { "least" };
        Err(format!("{metric} is {value:.4}, at {side} {bound} is asked"))
    }
}

/// Whether one value of a metric is another or better; NaN never is.
fn as_good(metric: &str, value: f64, other: f64) -> bool {
    if Best::of(metric) == Best::Lowest { value <= other } else { value >= other }
}

/// A metric differs by `most` at most between the groups of a column.
pub fn fairness(
    rows: &DataFrame,
    column: &str,
    metric: &str,
    most: f64,
) -> impl Fn(&Candidate) -> Verdict + Send + Sync + 'static {
    let (rows, column, metric) = (rows.clone(), column.to_owned(), metric.to_owned());
    move |candidate| {
        let slices = load(candidate)?
            .evaluate_by(&rows, &column, &metric)
            .map_err(|error| error.to_string())?;
        let values = slices.groups.iter().filter_map(|(name, _, interval)| {
            interval.as_ref().map(|interval| (name.as_str(), interval.value))
        });
        let by = |a: &(&str, f64), b: &(&str, f64)| a.1.total_cmp(&b.1);
        let (Some(low), Some(high)) = (values.clone().min_by(by), values.max_by(by)) else {
            return Err(format!("{metric} is defined for no group of {column:?}"));
        };
        if high.1 - low.1 <= most {
            return Ok(());
        }
        Err(format!(
            "{metric} is {:.3} for {column} {:?} and {:.3} for {:?}: it may differ by {most}",
            low.1, low.0, high.1, high.0
        ))
    }
}

/// The data passes a suite of expectations.
pub fn data(
    rows: &DataFrame,
    suite: &Suite,
) -> impl Fn(&Candidate) -> Verdict + Send + Sync + 'static {
    let (rows, suite) = (rows.clone(), suite.clone());
    move |_| {
        let report = suite.run(&rows).map_err(|error| error.to_string())?;
        report.check().map(drop).map_err(|error| error.to_string())
    }
}

/// A metric on the rows is not worse than that of the version which has the alias now: not lower, or, for
/// errors and losses, not higher. Without such a version the gate is open.
pub fn not_worse_than(
    alias: &str,
    rows: &DataFrame,
    metric: &str,
) -> impl Fn(&Candidate) -> Verdict + Send + Sync + 'static {
    let (alias, rows, metric) = (alias.to_owned(), rows.clone(), metric.to_owned());
    move |candidate| {
        let name = &candidate.version().name;
        let address = format!("models:/{name}@{alias}");
        match resolve(&address) {
            Err(TrackError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.to_string()),
            Ok(_) => {}
        }
        let path = oxilab_track::load_path(&address).map_err(|error| error.to_string())?;
        let champion = oxilab_model::load(path).map_err(|error| error.to_string())?;
        let value = |model: &FittedModel| {
            let found = model.evaluate(&rows).map_err(|error| error.to_string())?;
            found.get(&metric).ok_or_else(|| format!("there is no metric {metric:?}"))
        };
        let (new, old) = (value(&load(candidate)?)?, value(&champion)?);
        if as_good(&metric, new, old) {
            return Ok(());
        }
        Err(format!("{metric} is {new:.4}, and {old:.4} for the present {alias}"))
    }
}
