//! Jupyter kernel for Rust: cells, magics, installation, notebook runner.
