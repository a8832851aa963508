//! Why a magic did not do what it was asked.

use std::io;
use std::path::PathBuf;

use crate::server::handler::CellError;

/// A magic's error.
#[derive(Debug, thiserror::Error)]
pub enum MagicError {
    /// There is no such magic.
    #[error("there is no magic `{spelling}`{}; `%lsmagic` lists all", suggestion(nearest.as_deref()))]
    Unknown {
        /// As it was written.
        spelling: String,
        /// The name that is nearest to it, with its mark.
        nearest: Option<String>,
    },
    /// It was called wrongly.
    #[error("{reason}\nusage: {usage}")]
    Usage {
        /// What is wrong.
        reason: String,
        /// How it is called.
        usage: &'static str,
    },
    /// It was called rightly and failed.
    #[error("{0}")]
    Failed(String),
    /// A file could not be used.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried: `cannot write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Rust that the magic ran failed; shown as that cell's own error.
    #[error("{}", .0.evalue)]
    Cell(CellError),
    /// The user interrupted.
    #[error("interrupted")]
    Interrupted,
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

impl MagicError {
    /// As the error of the cell. What a piece of Rust said is passed on unchanged.
    #[must_use]
    pub fn into_cell_error(self) -> CellError {
        let ename = match self {
            Self::Cell(error) => return error,
            Self::Interrupted => "KeyboardInterrupt",
            Self::Unknown { .. } | Self::Usage { .. } => "UsageError",
            Self::Failed(_) | Self::File { .. } => "MagicError",
        };
        let evalue = self.to_string();
        let traceback = evalue.lines().enumerate().map(|(index, line)| match index {
            0 => format!("\u{1b}[1;31m{ename}\u{1b}[0m: {line}"),
            _ => line.to_owned(),
        });
        CellError { ename: ename.to_owned(), traceback: traceback.collect(), evalue, html: None }
    }
}
