//! The Jupyter side of the kernel.

pub mod handler;
