//! Why a plot could not be drawn.

/// Result of the verbs of this crate.
pub type Result<T, E = PlotError> = std::result::Result<T, E>;

/// Why a plot could not be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A column that is not there.
    #[error("there is no column {column:?} to plot; columns are {available}")]
    NoColumn {
        /// The name asked for.
        column: String,
        /// The names there are.
        available: String,
    },
    /// A column of a type the plot cannot show.
    #[error("column {column:?} is {found}; {plot} needs {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// The plot.
        plot: String,
        /// What it should be.
        expected: String,
    },
    /// Nothing to draw.
    #[error("{plot}: {problem}")]
    Empty {
        /// The plot.
        plot: String,
        /// What is missing.
        problem: String,
    },
    /// The picture could not be made.
    #[error("drawing the picture failed: {0}")]
    Draw(String),
    /// The file could not be written.
    #[error("writing {path:?}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The extension says nothing.
    #[error("writing {path:?}: unknown extension; use png, svg or json")]
    Extension {
        /// The file.
        path: String,
    },
    /// polars refused.
    #[error("plotting: {0}")]
    Polars(#[from] polars::prelude::PolarsError),
}
