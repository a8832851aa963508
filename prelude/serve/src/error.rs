//! What can go wrong: [`ServeError`].

use std::path::PathBuf;

use oxilab_model::ModelError;
use polars::prelude::PolarsError;

/// The result of every verb of this crate.
pub type Result<T, E = ServeError> = std::result::Result<T, E>;

/// Why a request, a model or a server could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A field of a request does not fit the model's signature.
    #[error("field `{field}`: {problem}")]
    Field {
        /// The column or key.
        field: String,
        /// What is wrong with it and what was expected.
        problem: String,
    },
    /// The body of a request cannot be read at all.
    #[error("the body cannot be read: {problem}")]
    Body {
        /// What is wrong with it.
        problem: String,
    },
    /// A request has more rows than the server takes.
    #[error("the request has {rows} rows, the limit is {limit}; send it in parts")]
    TooManyRows {
        /// Rows of the request.
        rows: usize,
        /// Rows that are allowed.
        limit: usize,
    },
    /// The model could not be loaded or refused the data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model of the registry could not be found.
    #[error("cannot resolve {uri}: {problem}")]
    Registry {
        /// As the user wrote it.
        uri: String,
        /// Why not.
        problem: String,
    },
    /// polars refused.
    #[error("{doing}: {source}")]
    Polars {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: PolarsError,
    },
    /// A file could not be read or written.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A server answered with an error.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// A server could not be reached.
    #[error("cannot reach {url}: {problem}; is the server running? `serve::list()` shows all")]
    Http {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
    },
    /// A server process could not be started, found or stopped.
    #[error("server `{name}`: {problem}")]
    Server {
        /// Its name.
        name: String,
        /// What went wrong and what to do.
        problem: String,
    },
    /// The model panicked.
    #[error("the model panicked; the server's log says where")]
    Panicked,
    /// A retraining cannot be declared, begun or finished.
    #[error("retraining {name}: {problem}")]
    Retrain {
        /// The model.
        name: String,
        /// What went wrong and what to do.
        problem: String,
    },
    /// Whether a retraining is due is not known.
    #[error("retraining {name}: a trigger cannot ask its server: {source}")]
    Unasked {
        /// The model.
        name: String,
        /// Why the server could not be asked.
        source: Box<ServeError>,
    },
    /// The tracker or registry refused.
    #[error(transparent)]
    Track(#[from] oxilab_track::TrackError),
    /// The user interrupted the cell.
    #[error("interrupted")]
    Interrupted,
}

impl ServeError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    pub(crate) fn body(problem: impl Into<String>) -> Self {
        Self::Body { problem: problem.into() }
    }

    pub(crate) fn server(name: &str, problem: impl Into<String>) -> Self {
        Self::Server { name: name.to_owned(), problem: problem.into() }
    }

    pub(crate) fn retrain(name: &str, problem: impl Into<String>) -> Self {
        Self::Retrain { name: name.to_owned(), problem: problem.into() }
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }

    /// Whether a server could not be asked now, and may be later without anybody doing anything.
    pub(crate) fn may_pass(&self) -> bool {
        let Self::Unasked { source, .. } = self else { return false };
        match source.as_ref() {
            Self::Http { .. } | Self::Server { .. } => true,
            Self::Status { status, .. } => matches!(*status, 408 | 429 | 500..),
            _ => false,
        }
    }

    /// The HTTP status that says the same to a client.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Field { .. }
            | Self::Model(ModelError::Column { .. } | ModelError::MissingColumn { .. }) => 422,
            Self::Body { .. } => 400,
            Self::TooManyRows { .. } => 413,
            Self::Status { status, .. } => *status,
            _ => 500,
        }
    }

    /// The field of the request that is to blame, if there is one.
    #[must_use]
    pub fn blamed(&self) -> Option<&str> {
        match self {
            Self::Field { field, .. } => Some(field),
            Self::Model(
                ModelError::Column { column, .. } | ModelError::MissingColumn { column, .. },
            ) => Some(column),
            _ => None,
        }
    }

    /// The message for a client: without paths or other inner matters of this machine.
    #[must_use]
    pub fn public(&self) -> String {
        match self.status() {
            500.. => "the model could not answer; the server's log says why".to_owned(),
            _ => self.to_string(),
        }
    }
}

/// Says what was being done when polars refused.
pub(crate) trait While<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> While<T> for Result<T, PolarsError> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|source| ServeError::Polars { doing, source })
    }
}
