//! What can go wrong in training.

use std::path::PathBuf;

use thiserror::Error;

/// Why a training run or a net stopped.
///
/// ```
/// use oxilab_nn::{Mlp, NnError};
/// let error = Mlp::new(0, &[], 1, 0).err().expect("refused");
/// assert!(matches!(error, NnError::Setting { .. }));
/// assert_eq!(error.to_string(), "the number of inputs is 0, but it must be at least 1");
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NnError {
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(candle_core::Error),
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
    /// A metric is watched that the run does not have.
    #[error("the watched metric {metric:?} does not exist in this run, which has {known}{hint}")]
    Watched {
        /// What is watched.
        metric: String,
        /// The metrics that there are.
        known: String,
        /// What to do.
        hint: &'static str,
    },
    /// The loss or the gradient is not a number.
    #[error(
        "{what} is {value} in epoch {epoch}, batch {batch} (rows {rows}); the parameters are {kept}. Look for missing or huge values in these rows, lower the learning rate, or \
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
        /// Which parameters the model has now, in words.
        kept: &'static str,
    },
    /// The code of a data set, or what joins its rows, panicked.
    #[error(
        "the data set panicked while it made batch {batch} of {} (rows {rows}): {message}. Correct the \
         data set or these rows; a trainer keeps what it has learned before this batch, and `fit` goes on \
         from there",
        .epoch.map_or_else(|| "the evaluation".to_owned(), |epoch| format!("epoch {epoch}"))
    )]
    DataPanicked {
        /// The epoch, from 1; none for an evaluation.
        epoch: Option<usize>,
        /// The batch in the epoch, from 1.
        batch: usize,
        /// The rows of the data set, shortened.
        rows: String,
        /// What the panic said.
        message: String,
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
    /// An optimiser's state is of other parameters.
    #[error("the optimiser's state of {name} has {held} values, the parameter {expected}")]
    OptimizerState {
        /// The parameter.
        name: String,
        /// Values in the state.
        held: usize,
        /// Values of the parameter.
        expected: usize,
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
    /// A row beyond the end was asked for.
    #[error("row {row} does not exist: the data set has {rows} rows, numbered from 0")]
    Row {
        /// The row.
        row: usize,
        /// The number of rows.
        rows: usize,
    },
    /// There is nothing to train on.
    #[error("the data set has no rows")]
    NoData,
    /// The net has not been trained yet.
    #[error("the net is not trained yet; call `fit` first")]
    NotTrained,
}

/// The first rows of a batch, as an error lists them.
pub(crate) fn some_of(rows: &[usize]) -> String {
    let shown: Vec<String> = rows.iter().take(8).map(usize::to_string).collect();
    shown.join(", ") + if rows.len() > 8 { ", …" } else { "" }
}

/// The error without candle's stack: under `RUST_BACKTRACE=1` its text has some thirty lines of frames of
/// candle behind the one that says what is wrong.
#[must_use]
pub fn plain(error: candle_core::Error) -> candle_core::Error {
    use candle_core::Error;
    match error {
        Error::WithBacktrace { inner, .. } => plain(*inner),
        Error::WithPath { inner, path } => Error::WithPath { inner: Box::new(plain(*inner)), path },
        Error::Context { inner, context } => {
            Error::Context { inner: Box::new(plain(*inner)), context }
        }
        other => other,
    }
}

impl From<candle_core::Error> for NnError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(plain(error))
    }
}

impl From<oxilab_hub::HubError> for NnError {
    fn from(error: oxilab_hub::HubError) -> Self {
        Self::Hub(Box::new(error))
    }
}

/// The result of this crate's verbs.
pub type Result<T, E = NnError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::backtrace::Backtrace;

    use super::*;

    #[test]
    fn an_error_of_candle_is_shown_without_its_stack() {
        let inner = Box::new(candle_core::Error::Msg("shapes differ".to_owned()));
        let backtrace = Box::new(Backtrace::force_capture());
        let error = candle_core::Error::WithBacktrace { inner, backtrace };
        let error = NnError::from(error.context("layer 2").with_path("net.safetensors"));
        let text = format!("{error} {error:?}");
        assert!(text.contains("shapes differ") && text.contains("layer 2"), "{text}");
        assert!(!text.contains("backtrace") && !text.contains("error.rs:"), "{text}");
    }
}
