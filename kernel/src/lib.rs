//! Jupyter kernel for Rust: cells, magics, installation, notebook runner.

pub mod install;
pub mod server;
pub mod toolchain;
