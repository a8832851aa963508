//! Experiment tracking and model registry: MLflow server, embedded journal, in memory.
//!
//! * In a notebook: [`experiment`], [`start_run`] and the [`Run`] it gives, [`log_metric`] and the others
//!   that log to the active run, [`params!`], [`autolog`], [`runs`], [`compare`], [`best`],
//!   [`artifacts`](fn@artifacts); [`register`], [`goal!`], [`check`], [`promote`], [`rollback`],
//!   [`load_path`], [`save_onnx`], [`lineage`](fn@lineage); [`set_uri`], [`start_server`], [`ui`], [`sync`](fn@sync).
//! * [`Tracker`] is what a backend can do; [`Journal`] and [`Mlflow`] are the backends. A run is always
//!   written to the journal first; when there is a server, what the journal has is sent to it, so that a
//!   server that is down loses nothing.
//! * [`Queue`] takes writing off the caller's thread.

#![expect(
    clippy::format_collect,
    reason = "a few short pieces read better as formats than as a fold"
)]

mod active;
mod artifact;
mod autolog;
mod best;
mod cell;
mod chart;
mod compare;
mod error;
mod filter;
mod gates;
mod goal;
mod journal;
mod lineage;
mod mlflow;
mod mlmodel;
mod names;
mod promotion;
mod queue;
mod record;
mod redact;
mod registry;
mod run;
mod runs;
mod sender;
mod server;
mod session;
mod starting;
mod surroundings;
mod sync;
mod system;
mod tracker;

pub use active::{
    end_run, end_run_as, log_artifact, log_metric, log_metrics, log_param, log_text, set_tag,
};
#[doc(hidden)]
pub use active::{logged, say_run};
pub use autolog::autolog;
pub use best::{Best, best};
pub use cell::{CellSummary, begin_cell, end_cell};
pub use compare::{Comparison, compare};
pub use error::{Result, TrackError};
pub use filter::Filter;
pub use gates::{Candidate, check};
pub use goal::{Goal, goal, set_goal};
pub use journal::Journal;
pub use lineage::{Lineage, lineage};
pub use mlflow::Mlflow;
pub use mlmodel::save_onnx;
pub use promotion::{check_alias, demote, promote, rollback};
pub use queue::Queue;
pub use record::{Artifact, Batch, Input, Metric, ModelVersion, NewRun, RunRecord, Search, Status};
pub use registry::{
    Models, describe, description, load_path, models, register, register_with, resolve,
    tag_version, version_tags,
};
pub use run::{Run, Step};
pub use runs::{artifacts, download, runs, search};
pub use server::{ServerPage, start_server, stop_server, ui};
pub use session::{
    active_run, current_experiment, experiment, flush, resume_run, server_note, set_uri, start_run,
    sync, uri,
};
pub use sync::Report;
pub use tracker::Tracker;
