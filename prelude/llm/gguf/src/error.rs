//! What can go wrong with a file.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a file could not be read.
///
/// ```
/// use oxilab_gguf::{Gguf, GgufError};
/// let error = Gguf::open("/nowhere/model.gguf").expect_err("there is none");
/// assert!(matches!(error, GgufError::File { .. }));
/// assert!(error.to_string().contains("/nowhere/model.gguf"));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The system could not read it.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is damaged, or made to do harm.
    #[error("{} is not a usable GGUF file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, with numbers.
        reason: String,
    },
    /// A tensor is stored in a way that is not known here.
    #[error("tensor type {code} of {tensor:?} in {} is not known", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The type's number.
        code: u32,
    },
}

impl GgufError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

/// The result of this crate's functions.
pub type Result<T, E = GgufError> = std::result::Result<T, E>;
