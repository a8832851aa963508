//! Serving models and watching them: what the server process and the notebook share.
//!
//! * In a cell: [`Server`] starts `oxilab-server` as a process of its own that outlives the cell;
//!   [`list`], [`logs`], [`stop`]; [`post_json`], [`get_json`] ask it; [`monitor`] shows its drift.
//! * In the server: [`Predictor`] answers for a model file; [`body`] reads the bodies of `MLflow`,
//!   Open Inference Protocol and plain JSON and names the field that is wrong.
//! * Elsewhere: [`Push`] sends a model to another server, [`kserve`] writes what Kubernetes needs.
//! * Again: [`Retrain`] runs a notebook when a [`Trigger`] holds, compares, registers, promotes;
//!   [`rollback`] goes back.
//! * In both: [`drift()`] compares a frame with a reference (PSI, Kolmogorov-Smirnov, chi-squared,
//!   Wasserstein); [`save_reference`] stores the reference with a model.

#![allow(
    clippy::double_must_use,
    clippy::duration_suboptimal_units,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::many_single_char_names,
    clippy::single_match_else,
    reason = "formulas keep the letters of their papers; the rest is style, to be worked off file by file"
)]

mod aside;
mod binary;
pub mod body;
mod category;
mod cells;
mod csv;
mod dashboard;
mod datatype;
mod drift;
mod error;
mod handle;
mod http;
mod infer;
mod launch;
mod locate;
mod monitor;
mod performance;
mod predictor;
mod program;
mod push;
mod records;
mod reference;
mod registry;
mod replace;
mod retrain;
mod secret;
mod signature;
mod state;
pub mod stats;

pub use binary::with_binary;
pub use drift::{ColumnDrift, Drift, DriftReport, drift};
pub use error::{Result, ServeError};
pub use handle::ServerHandle;
pub use http::{get_json, get_text, notify, post_json, post_json_as, post_json_with_key};
pub use infer::{infer_request, infer_response};
pub use launch::Server;
pub use locate::{Located, address, default_name, locate, resolve};
pub use monitor::{Generated, ModelStatus, Monitor, monitor, monitor_with_key};
pub use performance::Performance;
pub use predictor::{Predictions, Predictor};
pub use push::{Push, Pushed, kserve, push};
pub use reference::{load_reference, reference_path, save_reference, write_parquet};
pub use registry::{promote, register, rollback};
pub use replace::{Replaced, Replacement};
pub use retrain::{Retrain, Retrained, Trigger};
pub use secret::secret;
pub use signature::Signature;
pub use state::{Running, State, check_name, list, logs, place, stop};
