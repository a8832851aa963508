//! Crates that a session adds with `%dep`.
//!
//! [`Dependency`] is one line of what the user wrote. [`build`] makes a [`SessionLibrary`] of several:
//! cargo compiles them in the prelude's target directory against the prelude's lock, so that a crate
//! which the prelude holds is the same crate with the same types, and rustc links the others into a
//! library of their own. Where a dependency wants a feature that the prelude's crate lacks, that crate
//! and those above it are compiled again beside the prelude's, which is said before: both live in one
//! process, with types of their own, and nothing of the prelude is rebuilt.
//!
//! Libraries are kept by content in the cache folder and shared by all sessions. Each further `%dep`
//! builds on the libraries before it, so types of earlier cells stay what they are.

mod build;
mod error;
mod link;
mod manifest;
mod pins;
mod progress;
mod run;
mod spec;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use build::build;
pub use error::DepError;
pub use spec::{Dependency, SpecError};

/// A library of crates that a session has added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLibrary {
    /// Its crate's name. A cell that uses one of [`Self::externs`] links it by
    /// `extern crate <name> as _;`, or is compiled with `--extern force:<name>=<library>`.
    pub crate_name: String,
    /// The library; loaded before any cell that uses it, after those of earlier `%dep`s.
    pub library: PathBuf,
    /// For `-L dependency=`: the library, the crates inside, and procedural macros.
    pub search: PathBuf,
    /// Crate names usable in a cell, each with the file for `--extern`.
    pub externs: BTreeMap<String, PathBuf>,
}
