//! Logging to the run that goes on: [`log_metric`], [`log_param`], [`params!`](crate::params) and others.
//!
//! As in MLflow's client, the first of these without a run starts one, which goes on until [`end_run`],
//! the next `%%run`, or the end of the session.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::run::Step;
use crate::session::{active_run, start_run};
use crate::{Result, Run, Status, TrackError};

/// The run that was started without being asked for.
static IMPLICIT: Mutex<Option<Run>> = Mutex::new(None);

fn implicit() -> std::sync::MutexGuard<'static, Option<Run>> {
    IMPLICIT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The active run, or a new one.
pub(crate) fn run() -> Result<Run> {
    if let Some(run) = active_run() {
        return Ok(run);
    }
    let run = start_run(&crate::names::random())?;
    // The old one has ended, or it would be active.
    let old = implicit().replace(run.clone());
    drop(old);
    Ok(run)
}

/// Says which run the following words of a notebook write to, and starts one first if there is none and
/// one is needed: what was started in a cell that failed, or by itself, is easily forgotten. Within a
/// `%%run` cell nothing is said, its summary names the run.
///
/// # Errors
/// If no run can be started.
#[doc(hidden)]
pub fn say_run(needed: bool) -> Result<()> {
    if crate::cell::is_running() {
        return Ok(());
    }
    let (run, what) = match active_run() {
        Some(run) => (run, "goes on"),
        None if needed => (run()?, "started"),
        None => return Ok(()),
    };
    println!("run {} ({}) {what}; `oxilab::track::end_run()?` ends it", run.name(), run.id());
    Ok(())
}

/// Ends the active run as finished; without one it does nothing.
///
/// # Errors
/// As [`Run::end`].
pub fn end_run() -> Result<()> {
    end_run_as(Status::Finished)
}

/// Ends the active run with a status.
///
/// # Errors
/// As [`Run::end`].
pub fn end_run_as(status: Status) -> Result<()> {
    let active = active_run();
    let ended = active.map_or(Ok(()), |run| run.end_as(status));
    let old = implicit().take_if(|run| run.has_ended());
    drop(old);
    ended
}

/// Ends the run that was started without being asked for, when the process ends.
pub(crate) fn leave() {
    let run = IMPLICIT.try_lock().ok().and_then(|mut run| run.take());
    if let Some(run) = run {
        run.close(Status::Finished);
    }
}

/// Logs a metric's value at a step to the active run; see [`Run::log_metric`].
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let run = track::start_run("demo")?;
/// track::log_metric("loss", 0.25, 1)?;
/// assert_eq!(run.history("loss")?[0].step, 1);
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// As there, and if no run can be started.
pub fn log_metric(key: &str, value: impl Into<f64>, step: impl Step) -> Result<()> {
    run()?.log_metric(key, value, step)
}

/// Logs several metrics at one step to the active run.
///
/// # Errors
/// As [`log_metric`].
pub fn log_metrics<K: AsRef<str>>(
    metrics: impl IntoIterator<Item = (K, f64)>,
    step: impl Step,
) -> Result<()> {
    run()?.log_metrics(metrics, step)
}

/// Logs a parameter to the active run; see [`Run::log_param`].
///
/// # Errors
/// As there, and if no run can be started.
pub fn log_param(key: &str, value: impl ToString) -> Result<()> {
    run()?.log_param(key, value)
}

/// Sets a tag of the active run.
///
/// # Errors
/// As [`Run::set_tag`], and if no run can be started.
pub fn set_tag(key: &str, value: impl ToString) -> Result<()> {
    run()?.set_tag(key, value)
}

/// Copies a file or a folder into the active run; see [`Run::log_artifact`].
///
/// # Errors
/// As there, and if no run can be started.
pub fn log_artifact(path: impl AsRef<Path>) -> Result<()> {
    run()?.log_artifact(path)
}

/// Writes text as a file of the active run; see [`Run::log_text`].
///
/// # Errors
/// As there, and if no run can be started.
pub fn log_text(text: &str, path: &str) -> Result<()> {
    run()?.log_text(text, path)
}

/// Logs a value of [`params!`](crate::params) and hands it back; the first error is kept.
#[doc(hidden)]
pub fn logged<T: ToString>(problem: &mut Option<TrackError>, key: &str, value: T) -> T {
    if problem.is_none() {
        *problem = log_param(key, value.to_string()).err();
    }
    value
}

/// Logs parameters to the active run and gives their values back, as a tuple.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let run = track::start_run("demo")?;
/// let (rate, depth) = track::params! { rate: 0.1, depth: 6 }?;
/// let trees = 100;
/// track::params! { trees }?; // a variable, under its own name
/// assert_eq!(run.record()?.params["depth"], "6");
/// assert_eq!((rate, depth), (0.1, 6));
/// # Ok::<(), track::TrackError>(())
/// ```
#[macro_export]
macro_rules! params {
    ($($key:ident $(: $value:expr)?),+ $(,)?) => {{
        let mut problem = ::core::option::Option::None::<$crate::TrackError>;
        let values = ($(
            $crate::logged(&mut problem, ::core::stringify!($key), $crate::__value!($key $(, $value)?)),
        )+);
        match problem {
            ::core::option::Option::None => {
                ::core::result::Result::Ok::<_, $crate::TrackError>(values)
            }
            ::core::option::Option::Some(problem) => ::core::result::Result::Err(problem),
        }
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __value {
    ($key:ident) => {
        ::core::clone::Clone::clone(&$key)
    };
    ($key:ident, $value:expr) => {
        $value
    };
}
