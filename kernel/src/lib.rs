//! Jupyter kernel for Rust: cells, magics, installation, notebook runner.

pub mod server;
