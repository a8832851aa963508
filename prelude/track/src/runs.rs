//! Reading runs: [`runs`], [`search`], [`artifacts`].

use std::collections::BTreeSet;

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
    session.tracker().search(&search).map_err(|error| error.needed("reading runs"))
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
pub(crate) fn frame(runs: &[RunRecord]) -> Result<DataFrame> {
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

pub(crate) fn params(runs: &[RunRecord]) -> BTreeSet<&str> {
    runs.iter().flat_map(|run| run.params.keys()).map(String::as_str).collect()
}

pub(crate) fn metrics(runs: &[RunRecord]) -> BTreeSet<&str> {
    runs.iter().flat_map(|run| run.metrics.keys()).map(String::as_str).collect()
}

/// The run that a user means: its identifier, the beginning of it (four characters or more), or its name
/// in the current experiment, of several the newest.
pub(crate) fn find(text: &str) -> Result<RunRecord> {
    const SHORTEST: usize = 4;
    let session = session()?;
    session.flush()?;
    let tracker = session.tracker();
    let error = match tracker.run(text) {
        Ok(run) => return Ok(run),
        Err(error) if error.is_transient() => return Err(error.needed("reading runs")),
        Err(error) => error,
    };
    // One that the journal knows and the server knows by another name.
    if let Ok(local) = session.journal.local_id(text)
        && let Ok(run) = crate::Tracker::run(&*session.journal, &local)
    {
        return Ok(run);
    }
    let all = tracker.search(&Search::new("").with_experiment(current_experiment()))?;
    let starts = |run: &&RunRecord| text.len() >= SHORTEST && run.id.starts_with(text);
    let named = all.iter().find(|run| run.name == text).or_else(|| all.iter().find(starts));
    named.cloned().ok_or(error)
}

/// The files of a run (its identifier, the beginning of it, or its name; empty is the active run, or the
/// newest) as a frame: `path`, `bytes`.
///
/// # Errors
/// If there is no such run, or the backend fails.
pub fn artifacts(run: &str) -> Result<DataFrame> {
    let session = session()?;
    let id = match (run, crate::active_run()) {
        ("", Some(run)) => {
            run.flush()?;
            run.id().to_owned()
        }
        ("", None) => {
            let newest = search(Search::new("").with_limit(1))?;
            let none = || TrackError::missing("run in the experiment", current_experiment());
            newest.into_iter().next().ok_or_else(none)?.id
        }
        (text, _) => find(text)?.id,
    };
    let files = session.tracker().artifacts(&id)?;
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let sizes: Vec<u64> = files.iter().map(|file| file.size).collect();
    let columns = vec![
        Series::new("path".into(), paths).into_column(),
        Series::new("bytes".into(), sizes).into_column(),
    ];
    Ok(DataFrame::new(files.len(), columns)?)
}

/// Copies a file of a run to this machine; `to` is a folder, which is made. Returns where it is.
///
/// # Errors
/// If there is no such run or file, or it cannot be written.
pub fn download(
    run: &str,
    path: &str,
    to: impl AsRef<std::path::Path>,
) -> Result<std::path::PathBuf> {
    crate::artifact::check(path)?;
    let id = find(run)?.id;
    let name = path.rsplit('/').next().unwrap_or(path);
    let to = to.as_ref().join(name);
    session()?.tracker().get_artifact(&id, path, &to)?;
    Ok(to)
}
