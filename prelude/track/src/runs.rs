//! Reading runs: [`runs`], [`compare`], [`best`].

use std::collections::BTreeSet;

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::{Column, DataFrame, DataType, IntoColumn, NamedFrom, Series, TimeUnit};

use crate::record::{RunRecord, Search};
use crate::session::{current_experiment, session};
use crate::{Result, TrackError};

/// The records of runs: those that `search` lets through, newest first unless it says otherwise.
///
/// # Errors
/// If the query cannot be read, or the backend fails.
pub fn search(search: impl Into<Search>) -> Result<Vec<RunRecord>> {
    let mut search = search.into();
    if search.experiment.is_empty() {
        search.experiment = current_experiment();
    }
    let session = session()?;
    session.flush()?;
    session.tracker().search(&search)
}

/// Runs as a frame: `run_id`, `name`, `status`, `start_time`, `seconds`, then `params.…` and `metrics.…`.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// track::experiment("sweep")?;
/// for depth in [2, 4] {
///     let run = track::start_run("tree")?;
///     run.log_param("depth", depth)?;
///     run.log_metric("accuracy", 0.8 + f64::from(depth) / 100.0, 0)?;
///     run.end()?;
/// }
/// let frame = track::runs("metrics.accuracy > 0.83")?;
/// assert_eq!(frame.height(), 1);
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If the query cannot be read, or the backend fails.
pub fn runs(query: impl Into<Search>) -> Result<DataFrame> {
    frame(&search(query)?)
}

#[expect(clippy::cast_precision_loss, reason = "a run does not last 2^53 milliseconds")]
fn frame(runs: &[RunRecord]) -> Result<DataFrame> {
    fn text<'a>(name: &str, values: impl Iterator<Item = Option<&'a str>>) -> Column {
        Series::new(name.into(), values.collect::<Vec<_>>()).into_column()
    }
    let starts: Vec<i64> = runs.iter().map(|run| run.start_time).collect();
    let starts = Series::new("start_time".into(), starts)
        .cast(&DataType::Datetime(TimeUnit::Milliseconds, None))?;
    let seconds: Vec<Option<f64>> = runs
        .iter()
        .map(|run| run.end_time.map(|end| (end - run.start_time) as f64 / 1e3))
        .collect();
    let mut columns = vec![
        text("run_id", runs.iter().map(|run| Some(run.id.as_str()))),
        text("name", runs.iter().map(|run| Some(run.name.as_str()))),
        text("status", runs.iter().map(|run| Some(run.status.as_str()))),
        starts.into_column(),
        Series::new("seconds".into(), seconds).into_column(),
    ];
    for key in params(runs) {
        let values = runs.iter().map(|run| run.params.get(key).map(String::as_str));
        columns.push(text(&format!("params.{key}"), values));
    }
    for key in metrics(runs) {
        let values: Vec<Option<f64>> =
            runs.iter().map(|run| run.metrics.get(key).copied()).collect();
        columns.push(Series::new(format!("metrics.{key}").into(), values).into_column());
    }
    Ok(DataFrame::new(runs.len(), columns)?)
}

fn params(runs: &[RunRecord]) -> BTreeSet<&str> {
    runs.iter().flat_map(|run| run.params.keys()).map(String::as_str).collect()
}

fn metrics(runs: &[RunRecord]) -> BTreeSet<&str> {
    runs.iter().flat_map(|run| run.metrics.keys()).map(String::as_str).collect()
}

/// Runs side by side: one row per parameter and metric, one column per run.
///
/// # Errors
/// If one of the runs does not exist, or the backend fails.
pub fn compare<S: AsRef<str>>(ids: &[S]) -> Result<Comparison> {
    let session = session()?;
    session.flush()?;
    let read = |id: &S| {
        let id = id.as_ref();
        session.tracker().run(id).or_else(|error| match session.journal.local_id(id) {
            Ok(local) => crate::Tracker::run(&*session.journal, &local).map_err(|_| error),
            Err(_) => Err(error),
        })
    };
    Ok(Comparison::new(ids.iter().map(read).collect::<Result<_>>()?))
}

/// Which value of a metric is best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Best {
    /// The highest: accuracy, R².
    #[default]
    Highest,
    /// The lowest: loss, errors.
    Lowest,
}

/// The run of the current experiment that is best by a metric.
///
/// # Errors
/// If no run has the metric, or the backend fails.
pub fn best(metric: &str, which: Best) -> Result<RunRecord> {
    let direction = if which == Best::Highest { "DESC" } else { "ASC" };
    let order = format!("metrics.`{metric}` {direction}");
    let found = search(Search::new("").with_order(order).with_limit(100))?;
    let usable = |run: &RunRecord| run.metrics.get(metric).is_some_and(|value| !value.is_nan());
    found.into_iter().find(usable).ok_or_else(|| TrackError::NotFound {
        what: "run with the metric",
        name: metric.to_owned(),
        hint: format!(" in the experiment {:?}", current_experiment()),
    })
}

/// Runs side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The runs, in the order they were asked for.
    pub runs: Vec<RunRecord>,
}

impl Comparison {
    /// Compares records.
    #[must_use]
    pub fn new(runs: Vec<RunRecord>) -> Self {
        Self { runs }
    }

    /// As a frame, one row per run; see [`runs`].
    ///
    /// # Errors
    /// If the frame cannot be made.
    pub fn frame(&self) -> Result<DataFrame> {
        frame(&self.runs)
    }

    fn table(&self) -> Table {
        let mut headings = vec![Heading::new("")];
        headings.extend(self.runs.iter().map(|run| Heading::new(run.name.clone())));
        let mut table = Table::new(headings);
        let mut row = |label: String, value: &dyn Fn(&RunRecord) -> Option<String>| {
            let mut cells = vec![Some(label)];
            cells.extend(self.runs.iter().map(|run| Some(value(run).unwrap_or_default())));
            table.push(cells);
        };
        row("run".to_owned(), &|run| Some(run.id.chars().take(8).collect()));
        row("status".to_owned(), &|run| Some(run.status.as_str().to_lowercase()));
        for key in params(&self.runs) {
            row(format!("params.{key}"), &|run| run.params.get(key).cloned());
        }
        for key in metrics(&self.runs) {
            row(format!("metrics.{key}"), &|run| {
                run.metrics.get(key).map(|value| format!("{value:.6}"))
            });
        }
        table
    }
}

impl Render for Comparison {
    fn render(&self) -> MimeBundle {
        self.table().render()
    }
}

impl Render for RunRecord {
    fn render(&self) -> MimeBundle {
        Comparison::new(vec![self.clone()]).render()
    }
}
