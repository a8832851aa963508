//! Experiment tracking and model registry: MLflow server, embedded journal, in memory.
//!
//! * In a notebook: [`experiment`], [`start_run`] and the [`Run`] it gives, [`runs`], [`compare`],
//!   [`best`], [`register`], [`goal`], [`promote`], [`load_path`], [`sync`](fn@sync), [`set_uri`].
//! * [`Tracker`] is what a backend can do; [`Journal`] and [`Mlflow`] are the backends. A run is always
//!   written to the journal first; when there is a server, what the journal has is sent to it, so that a
//!   server that is down loses nothing.
//! * [`Queue`] takes writing off the caller's thread.

#![expect(
    clippy::format_collect,
    reason = "a few short pieces read better as formats than as a fold"
)]

mod artifact;
mod error;
mod filter;
mod journal;
mod mlflow;
mod mlmodel;
mod queue;
mod record;
mod registry;
mod run;
mod runs;
mod session;
mod sync;
mod tracker;

pub use error::{Result, TrackError};
pub use filter::Filter;
pub use journal::Journal;
pub use mlflow::Mlflow;
pub use queue::Queue;
pub use record::{Artifact, Batch, Metric, ModelVersion, NewRun, RunRecord, Search, Status};
pub use registry::{
    Goal, Models, goal, load_path, models, promote, register, register_with, resolve,
};
pub use run::{Run, Step};
pub use runs::{Best, Comparison, best, compare, runs, search};
pub use session::{
    active_run, current_experiment, experiment, flush, set_uri, start_run, sync, uri,
};
pub use sync::Report;
pub use tracker::Tracker;
