//! One rustc call: source text → shared library, with its diagnostics.
//!
//! [`Compiler::compile`] looks into the [`cache`] first; a hit costs two file reads. rustc is called
//! directly (no cargo, no proxy) and killed with its linker when the future is dropped. Knows nothing of
//! Jupyter.

mod cache;
mod rustc;

use std::path::PathBuf;

use thiserror::Error;

pub use cache::Cache;
pub use rustc::{Compiler, file_name};

use crate::diagnostics::Message;

/// What to compile.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// Name of the crate.
    pub crate_name: &'a str,
    /// The whole source.
    pub source: &'a str,
    /// What the library is for.
    pub kind: Kind,
    /// 0 to 3.
    pub opt_level: u8,
    /// Crates usable by name: (name, file).
    pub externs: Vec<(String, PathBuf)>,
    /// Folders in which crates of crates are found.
    pub search: Vec<PathBuf>,
}

/// What a library is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A cell's statements: a cdylib with one C function.
    Cell,
    /// Items that later cells link: a dylib whose identity is fixed by `metadata`.
    Items {
        /// Hash of what fixes layout and dispatch.
        metadata: String,
    },
}

/// A compiled library.
#[derive(Clone, Debug)]
pub struct Built {
    /// The library, in the cache; never overwritten.
    pub library: PathBuf,
    /// Hash of everything that went into it.
    pub key: String,
    /// Warnings and the lint that tells types.
    pub messages: Vec<Message>,
    /// Milliseconds rustc took; 0 when it came from the cache.
    pub millis: f64,
    /// Whether rustc was not called.
    pub cached: bool,
}

/// Why nothing was compiled.
#[derive(Debug, Error)]
pub enum CompileError {
    /// rustc refused the source.
    #[error("the code does not compile")]
    Rejected {
        /// All its messages.
        messages: Vec<Message>,
        /// Milliseconds rustc took.
        millis: f64,
    },
    /// rustc could not be run or ended without a message.
    #[error("rustc failed: {reason}; `oxilab doctor` checks the installation")]
    Rustc {
        /// What it printed.
        reason: String,
    },
    /// A file could not be written or read.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}
