//! Jupyter kernel for Rust: cells, magics, installation, notebook runner.

#![expect(
    clippy::format_collect,
    clippy::format_push_string,
    reason = "composed code is written once per cell; the pieces read better as formats than as folds"
)]

mod assist;
mod bytes;
mod cargo;
pub mod cell;
pub mod child;
pub mod cli;
pub mod compile;
pub mod compose;
pub mod dep;
pub mod diagnostics;
pub mod doctor;
#[cfg(feature = "evcxr")]
pub mod evcxr;
pub mod history;
pub mod install;
pub mod magics;
pub mod notebook;
mod process_group;
pub mod server;
pub mod session;
pub mod toolchain;
pub mod units;
