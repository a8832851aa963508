//! What can go wrong: [`ModelError`].

use std::path::PathBuf;

use oxilab_model_format::FormatError;
use polars::prelude::PolarsError;

/// The result of every verb of this crate.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;

/// Why a model could not be fitted, used, saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A column that is needed is not there.
    #[error("there is no column `{column}`; the frame has {available}")]
    MissingColumn {
        /// The column asked for.
        column: String,
        /// The columns there are.
        available: String,
    },
    /// An input column cannot be used.
    #[error("column `{column}`: {problem}; {hint}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The target cannot be used.
    #[error("target `{target}`: {problem}; {hint}")]
    Target {
        /// The column.
        target: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The data as a whole cannot be used.
    #[error("{problem}; {hint}")]
    Data {
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A step of a pipeline refused.
    #[error(transparent)]
    Pipeline(#[from] oxilab_data::DataError),
    /// A parameter is out of range.
    #[error("{learner}: {name} is {value}, it must be {allowed}")]
    Parameter {
        /// The learner or verb.
        learner: &'static str,
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// A verb that this model does not have.
    #[error("{model} cannot {verb}; {hint}")]
    Unsupported {
        /// The learner.
        model: String,
        /// What was asked for.
        verb: &'static str,
        /// What can be done.
        hint: String,
    },
    /// A metric is not defined for this input.
    #[error("{metric}: {problem}; {hint}")]
    Metric {
        /// The metric.
        metric: &'static str,
        /// Why it is not defined.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// LightGBM or XGBoost refused.
    #[error("{library}, {doing}: {message}")]
    Library {
        /// Which of them.
        library: &'static str,
        /// What was being done.
        doing: &'static str,
        /// Its message.
        message: String,
    },
    /// polars refused.
    #[error("{doing}: {source}")]
    Polars {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: PolarsError,
    },
    /// A chart cannot be drawn.
    #[error(transparent)]
    Plot(#[from] oxilab_plot::PlotError),
    /// A model file cannot be read or written.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A file cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file of trials cannot be read or written.
    #[error("study `{study}`, {doing}: {source}")]
    Storage {
        /// The study.
        study: String,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
    /// A trial was stopped early because it was worse than others; see `Trial::prune`.
    #[error("the trial was pruned at step {step}")]
    Pruned {
        /// The step it reached.
        step: u64,
    },
    /// A trial's objective failed.
    #[error("trial {trial}: {message}")]
    Trial {
        /// Its number.
        trial: u64,
        /// Why.
        message: String,
    },
    /// The user interrupted the cell.
    #[error("interrupted")]
    Interrupted,
}

impl ModelError {
    pub(crate) fn data(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Data { problem: problem.into(), hint: hint.into() }
    }

    pub(crate) fn column(
        column: &str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Column { column: column.to_owned(), problem: problem.into(), hint: hint.into() }
    }

    pub(crate) fn target(
        target: &str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Target { target: target.to_owned(), problem: problem.into(), hint: hint.into() }
    }

    pub(crate) fn metric(
        metric: &'static str,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Metric { metric, problem: problem.into(), hint: hint.into() }
    }
}

/// Adds what was being done to errors of polars.
pub(crate) trait While<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> While<T> for std::result::Result<T, PolarsError> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| ModelError::Polars { doing, source })
    }
}

/// Checks a parameter.
pub(crate) fn require(
    ok: bool,
    learner: &'static str,
    name: &'static str,
    value: impl std::fmt::Display,
    allowed: &'static str,
) -> Result<()> {
    if ok {
        Ok(())
    } else {
        Err(ModelError::Parameter { learner, name, value: value.to_string(), allowed })
    }
}

/// Ends work on any thread when the user interrupts: unwinds the cell's own thread, and gives worker
/// threads an error to return.
pub(crate) fn check_interrupt() -> Result<()> {
    if oxilab_runtime::cancel::requested() {
        oxilab_runtime::cancel::poll();
        return Err(ModelError::Interrupted);
    }
    Ok(())
}
