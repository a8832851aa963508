//! Serving models and watching them: what the server process and the notebook share.
//!
//! * In a cell: [`Server`] starts `oxilab-server` as a process of its own that outlives the cell;
//!   [`list`], [`logs`], [`stop`]; [`post_json`], [`get_json`] ask it; [`monitor`] shows its drift.
//! * In the server: [`Predictor`] answers for a model file; [`body`] reads the bodies of `MLflow`,
//!   Open Inference Protocol and plain JSON and names the field that is wrong.
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

pub mod body;
mod cells;
mod drift;
mod error;
mod http;
mod infer;
mod launch;
mod monitor;
mod predictor;
mod reference;
mod signature;
mod state;
pub mod stats;

pub use drift::{ColumnDrift, Drift, DriftReport, drift};
pub use error::{Result, ServeError};
pub use http::{get_json, get_text, post_json, post_json_with_key};
pub use infer::{infer_request, infer_response};
pub use launch::{Server, ServerHandle};
pub use monitor::{ModelStatus, Monitor, monitor};
pub use predictor::{Predictions, Predictor, resolve};
pub use reference::{load_reference, reference_path, save_reference, write_parquet};
pub use signature::Signature;
pub use state::{Running, State, check_name, list, logs, stop};
