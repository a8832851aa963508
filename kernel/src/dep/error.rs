//! Why a dependency could not be added.

use std::io;
use std::path::PathBuf;

use crate::install::InstallError;

/// A dependency could not be added; the session is as it was.
#[derive(Debug, thiserror::Error)]
pub enum DepError {
    /// Cargo could not resolve or compile it.
    #[error("`cargo {step}` failed, so nothing was added:\n{message}")]
    Cargo {
        /// Which command.
        step: &'static str,
        /// The end of what it wrote.
        message: String,
    },
    /// The library could not be linked.
    #[error(
        "the dependencies were compiled but could not be linked, so nothing was added:\n{message}"
    )]
    Link {
        /// The compiler's messages.
        message: String,
    },
    /// Cargo's answer was not understood.
    #[error("cargo's answer was not understood ({reason}), so nothing was added")]
    Answer {
        /// What was wrong.
        reason: String,
    },
    /// The checkout has gone.
    #[error(
        "`%dep` needs the checkout that the prelude was built from, and {} is not there any more: \
         run `oxilab install --source FOLDER`", folder.display()
    )]
    NoSource {
        /// Where it was.
        folder: PathBuf,
    },
    /// A program could not be started.
    #[error("{} could not be started: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The installation is at fault.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A file.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DepError {
    /// For `map_err`: a file operation that failed.
    pub(super) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
