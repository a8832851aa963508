//! [`TrackError`]: what can go wrong while tracking.

use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = TrackError> = std::result::Result<T, E>;

/// What went wrong, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// A name that trackers cannot keep.
    #[error("{what} {name:?} cannot be used: {reason}")]
    Name {
        /// What it names.
        what: &'static str,
        /// The name, cut after 60 characters.
        name: String,
        /// The rule, and what to do.
        reason: String,
    },
    /// A parameter was logged before with another value.
    #[error(
        "parameter {key:?} of run {run} is {old:?} and was logged again as {new:?}: a parameter is \
         written once; log what changes as a metric, or start another run"
    )]
    ParamConflict {
        /// The run.
        run: String,
        /// The parameter.
        key: String,
        /// What the run has.
        old: String,
        /// What was refused.
        new: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {name:?}{hint}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// What there is instead, or what to do; starts with punctuation.
        hint: String,
    },
    /// An artifact's name that would leave the run's folder.
    #[error(
        "artifact path {path:?} is refused: {reason}; use a relative path such as \"plots/roc.png\""
    )]
    ArtifactPath {
        /// The path.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// The run has ended.
    #[error("run {run} has ended: start another with `track::start_run(name)`")]
    Ended {
        /// The run.
        run: String,
    },
    /// A query that cannot be read.
    #[error(
        "the query {query:?} cannot be read: {reason}; an example: \
         \"metrics.accuracy > 0.9 and params.depth = '6'\""
    )]
    Query {
        /// The query.
        query: String,
        /// What was wrong.
        reason: String,
    },
    /// A tracking address that no backend serves.
    #[error(
        "the tracking address {uri:?} cannot be used: {reason}; use http://HOST:PORT of an MLflow \
         server, journal:PATH for a file, or memory:"
    )]
    Uri {
        /// The address, without credentials.
        uri: String,
        /// Why.
        reason: String,
    },
    /// Gates refused a promotion.
    #[error("{name} version {version} is not promoted: {}", reasons.join("; "))]
    Gate {
        /// The model.
        name: String,
        /// The version.
        version: u32,
        /// What each gate that refused says.
        reasons: Vec<String>,
    },
    /// The server answered with an error.
    #[error("the MLflow server refused {doing}: {code}: {message}{hint}")]
    Server {
        /// The request, for example `runs/create`.
        doing: String,
        /// MLflow's error code, or the HTTP status.
        code: String,
        /// MLflow's message.
        message: String,
        /// What to do; empty or starts with punctuation.
        hint: &'static str,
    },
    /// The server cannot be reached.
    #[error(
        "the MLflow server at {uri} does not answer ({doing}: {reason}); what was logged is kept in \
         the journal and is sent by `track::sync(uri)` or the next run"
    )]
    Unreachable {
        /// The server, without credentials.
        uri: String,
        /// The request.
        doing: String,
        /// What the network said.
        reason: String,
    },
    /// The server cannot be reached, and what is asked for is nowhere else.
    #[error(
        "{doing} needs the MLflow server at {uri}, which cannot be reached ({reason}); see that it runs, \
         or use the journal on this machine: `%track uri journal:` (`track::set_uri(\"journal:\")?`)"
    )]
    Needed {
        /// What was tried.
        doing: &'static str,
        /// The server, without credentials.
        uri: String,
        /// What the network said.
        reason: String,
    },
    /// The server will not take a record.
    #[error("the MLflow server refused a record, which the journal keeps: {reason}")]
    Refused {
        /// Which record, and what the server said.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// The verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The journal failed.
    #[error("the journal {journal} failed while {doing}: {source}")]
    Journal {
        /// Its file.
        journal: String,
        /// What was tried.
        doing: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Records could not be written yet.
    #[error("{count} records are not written yet and are kept in memory: {reason}")]
    Pending {
        /// How many.
        count: usize,
        /// The last error.
        reason: String,
    },
    /// A table could not be made.
    #[error("the table of runs could not be made: {0}")]
    Frame(#[from] polars::error::PolarsError),
    /// A model could not be saved.
    #[error("the model could not be saved: {0}")]
    Save(String),
}

impl TrackError {
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
        source: std::io::Error,
    ) -> Self {
        Self::File { doing, path: path.into(), source }
    }

    pub(crate) fn missing(what: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { what, name: name.into(), hint: String::new() }
    }

    /// The same where the journal is no help: what was asked for is the server's to tell or to keep.
    pub(crate) fn needed(self, doing: &'static str) -> Self {
        match self {
            Self::Unreachable { uri, reason, .. } => Self::Needed { doing, uri, reason },
            other => other,
        }
    }

    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether trying again later can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Needed { .. }
            | Self::Journal { .. }
            | Self::File { .. } => true,
            Self::Server { code, .. } => {
                // Credentials can be renewed while the journal keeps what was logged.
                code.starts_with('5')
                    || matches!(
                        code.as_str(),
                        "401"
                            | "403"
                            | "408"
                            | "429"
                            | "UNAUTHENTICATED"
                            | "PERMISSION_DENIED"
                            | "TEMPORARILY_UNAVAILABLE"
                            | "INTERNAL_ERROR"
                    )
            }
            _ => false,
        }
    }
}
