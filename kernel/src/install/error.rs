//! What can go wrong with an installation.

use std::io;
use std::path::PathBuf;

use crate::toolchain::ToolchainError;

/// Why an installation could not be made, found or used.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Nothing has been installed yet.
    #[error("oxilab is not installed ({} is missing): run `oxilab install`", record.display())]
    NotInstalled {
        /// The record that was looked for.
        record: PathBuf,
    },
    /// The record cannot be read.
    #[error("the installation record {} cannot be read ({reason}): run `oxilab install`", record.display())]
    Record {
        /// The record.
        record: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the installation has gone.
    #[error("{} belongs to the installation but is missing: run `oxilab install`", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The compiler that built the prelude has gone.
    #[error(
        "the prelude was built with {}, which is not there any more: \
         run `oxilab install` to build it with the compiler you have now", rustc.display()
    )]
    CompilerMissing {
        /// Where it was.
        rustc: PathBuf,
    },
    /// The compiler has been updated.
    #[error(
        "the prelude was built with {built}, but {} is now {present}: \
         run `oxilab install` to build it again", rustc.display()
    )]
    CompilerChanged {
        /// The compiler.
        rustc: PathBuf,
        /// First line of its version when the prelude was built.
        built: String,
        /// First line of its version now.
        present: String,
    },
    /// No toolchain.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The toolchain has no cargo.
    #[error("cargo was not found: install Rust from https://rustup.rs, then run `oxilab install`")]
    NoCargo,
    /// The checkout to build from is not there.
    #[error(
        "{} is not a checkout of oxilab: name one with `oxilab install --source FOLDER`", folder.display()
    )]
    NoSource {
        /// The folder.
        folder: PathBuf,
    },
    /// Cargo failed.
    #[error("`{command}` failed in {}; its messages stand above. {hint}", folder.display())]
    Build {
        /// The command.
        command: String,
        /// Where it ran.
        folder: PathBuf,
        /// What to do.
        hint: String,
    },
    /// Cargo did not say what was expected of it.
    #[error("cargo built the prelude but did not name {what}; this is a fault of oxilab")]
    NoArtifact {
        /// What was looked for.
        what: String,
    },
    /// The new installation does not compile a cell.
    #[error("a first cell does not compile with the new prelude:\n{message}")]
    Check {
        /// The compiler's messages.
        message: String,
    },
    /// The Jupyter side.
    #[error("{0}")]
    Kernelspec(String),
    /// A file.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried: `cannot write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl InstallError {
    /// For `map_err`: a file operation that failed.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
