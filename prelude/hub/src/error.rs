//! What can go wrong with files from elsewhere. No message holds a token or a signed address.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file could not be had or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HubError {
    /// A repository, revision or file name is not one.
    #[error("{what} {given:?} cannot be used: {reason}")]
    Name {
        /// `the repository`, `the revision`, `the file`, …
        what: &'static str,
        /// What was given.
        given: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The hub says no.
    #[error("the hub does not give {file}: {reason}")]
    Refused {
        /// Repository, file and revision.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The hub cannot be reached, and the cache does not hold the file.
    #[error("{file} is not in the cache {}, and {reason}", cache.display())]
    NotCached {
        /// Repository and file.
        file: String,
        /// The cache folder.
        cache: PathBuf,
        /// Why it was not fetched.
        reason: String,
    },
    /// The transfer broke off.
    #[error(
        "downloading {file} stopped after {got} of {size} bytes: {reason}; what is there is kept, and the \
         next call goes on from it"
    )]
    Broken {
        /// The file.
        file: String,
        /// Bytes on disk.
        got: u64,
        /// Bytes of the whole file.
        size: u64,
        /// The cause.
        reason: String,
    },
    /// The content is not what was promised.
    #[error(
        "{file} has the wrong SHA-256: expected {expected}, got {got}; the download was thrown away. Try \
         again; if it stays so, the file was changed or damaged at its source"
    )]
    Checksum {
        /// The file.
        file: String,
        /// The promised sum, in hexadecimal.
        expected: String,
        /// The sum of what came.
        got: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A PyTorch file is damaged, made to do harm, or of a form that is not read.
    #[error("{file} is not a usable PyTorch file: {reason}")]
    Torch {
        /// The file.
        file: String,
        /// What is wrong, with numbers.
        reason: String,
    },
    /// The user interrupted a download.
    #[error("downloading {file} was interrupted; what is there is kept, and the next call goes on")]
    Interrupted {
        /// The file.
        file: String,
    },
}

impl HubError {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}

/// The result of this crate's verbs.
pub type Result<T, E = HubError> = std::result::Result<T, E>;
