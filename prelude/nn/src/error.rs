//! What can go wrong in training.

use std::path::PathBuf;

use thiserror::Error;

/// Why a training run or a net stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NnError {
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A frame could not be read.
    #[error("cannot read the frame: {0}")]
    Frame(#[from] polars::prelude::PolarsError),
    /// A column is missing or has values that a net cannot take.
    #[error("column {column:?} cannot be used: {reason}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A setting is out of range.
    #[error("{setting} is {value}, but {expected}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// The loss or the gradient is not a number; the parameters are those before the batch.
    #[error(
        "{what} is {value} in epoch {epoch}, batch {batch} (rows {rows}); the parameters are those \
         before this batch. Look for missing or huge values in these rows, lower the learning rate, or \
         clip the gradient with `with_clip_norm(1.0)`"
    )]
    NotFinite {
        /// `the loss` or `the gradient's norm`.
        what: &'static str,
        /// The value.
        value: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The batch in the epoch, from 1.
        batch: usize,
        /// The rows of the data set, shortened.
        rows: String,
    },
    /// The user interrupted the training.
    #[error(
        "training was interrupted in epoch {epoch} after {step} steps; the model keeps what it has \
         learned, and `fit` goes on from here"
    )]
    Interrupted {
        /// The epoch, from 1.
        epoch: usize,
        /// Steps done in all.
        step: usize,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A checkpoint does not hold what the trainer needs.
    #[error("the checkpoint {} does not fit: {reason}", path.display())]
    Checkpoint {
        /// The folder.
        path: PathBuf,
        /// What is missing or different.
        reason: String,
    },
    /// A picture cannot be used.
    #[error("cannot use the picture {}: {reason}", path.display())]
    Image {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A file of weights is damaged or does not fit.
    #[error("cannot use the weights in {}: {reason}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of the hub or of PyTorch cannot be had or read.
    #[error(transparent)]
    Hub(Box<oxilab_hub::HubError>),
    /// There is nothing to train on.
    #[error("the data set has no rows")]
    NoData,
    /// The net has not been trained yet.
    #[error("the net is not trained yet; call `fit` first")]
    NotTrained,
}

impl From<oxilab_hub::HubError> for NnError {
    fn from(error: oxilab_hub::HubError) -> Self {
        Self::Hub(Box::new(error))
    }
}

/// The result of this crate's verbs.
pub type Result<T, E = NnError> = std::result::Result<T, E>;
