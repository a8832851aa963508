//! What a person ran before, kept per user in one SQLite file that all kernels share.
//!
//! Each kernel is a session with a number; each stored cell has the line number that was its
//! execution count. The file is in WAL mode with a busy timeout, so several kernels write at once.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Deserialize;
use thiserror::Error;

/// How long to wait for another kernel that is writing.
const BUSY_LIMIT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS sessions (
        session INTEGER PRIMARY KEY AUTOINCREMENT,
        started TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    );
    CREATE TABLE IF NOT EXISTS cells (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        session INTEGER NOT NULL REFERENCES sessions (session),
        line INTEGER NOT NULL,
        source TEXT NOT NULL,
        output TEXT
    );
    CREATE INDEX IF NOT EXISTS cells_by_line ON cells (session, line);
";

/// Why the history could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The folder could not be made.
    #[error("could not make the folder {} for the history: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The database failed.
    #[error("the history database failed: {source}")]
    Database {
        /// The cause.
        #[from]
        source: rusqlite::Error,
    },
}

/// A question about the history, as `history_request` asks it. Fields that front ends leave out have
/// the defaults of Jupyter's own client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "hist_access_type", rename_all = "lowercase")]
pub enum HistoryQuery {
    /// Lines `start..stop` of one session.
    Range {
        /// The session: 0 or none is this one, -1 the one before it.
        #[serde(default)]
        session: Option<i64>,
        /// First line; negative counts from the end.
        #[serde(default)]
        start: i64,
        /// Line after the last; none is all.
        #[serde(default)]
        stop: Option<i64>,
        /// Answer with outputs.
        #[serde(default)]
        output: bool,
    },
    /// The last `n` cells of all sessions.
    Tail {
        /// How many.
        #[serde(default)]
        n: Option<u32>,
        /// Answer with outputs.
        #[serde(default)]
        output: bool,
    },
    /// Cells that match a pattern.
    Search {
        /// A glob: `*` and `?`; the whole cell must match.
        #[serde(default)]
        pattern: String,
        /// Each text once, at its last place.
        #[serde(default)]
        unique: bool,
        /// How many, the last ones; none is all.
        #[serde(default)]
        n: Option<u32>,
        /// Answer with outputs.
        #[serde(default)]
        output: bool,
    },
}

impl HistoryQuery {
    /// Whether the answer holds outputs.
    #[must_use]
    pub fn output(&self) -> bool {
        match self {
            Self::Range { output, .. }
            | Self::Tail { output, .. }
            | Self::Search { output, .. } => *output,
        }
    }
}

/// A cell of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its session.
    pub session: i64,
    /// Its execution count.
    pub line: i64,
    /// What was run.
    pub source: String,
    /// Plain text of its result.
    pub output: Option<String>,
}

/// The history, open for one session.
#[derive(Debug)]
pub struct History {
    connection: Mutex<Connection>,
    session: i64,
}

impl History {
    /// Opens the history file at `path`, making it and its folder if missing, and begins a session.
    ///
    /// # Errors
    /// When the folder cannot be made or the file is not a database that can be written.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| HistoryError::Folder { path: folder.to_owned(), source })?;
        }
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_LIMIT)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Self::begin(connection)
    }

    /// A history that ends with the process.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, HistoryError> {
        Self::begin(Connection::open_in_memory()?)
    }

    fn begin(connection: Connection) -> Result<Self, HistoryError> {
        connection.execute_batch(SCHEMA)?;
        connection.execute("INSERT INTO sessions DEFAULT VALUES", [])?;
        let session = connection.last_insert_rowid();
        Ok(Self { connection: Mutex::new(connection), session })
    }

    /// Number of this session.
    #[must_use]
    pub fn session(&self) -> i64 {
        self.session
    }

    /// Records a cell with its execution count and the plain text of its result.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn record(
        &self,
        line: u32,
        source: &str,
        output: Option<&str>,
    ) -> Result<(), HistoryError> {
        self.lock().execute(
            "INSERT INTO cells (session, line, source, output) VALUES (?1, ?2, ?3, ?4)",
            params![self.session, line, source, output],
        )?;
        Ok(())
    }

    /// Answers a query, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn query(&self, query: &HistoryQuery) -> Result<Vec<HistoryEntry>, HistoryError> {
        match query {
            HistoryQuery::Range { session, start, stop, .. } => {
                self.range(session.unwrap_or(0), *start, *stop)
            }
            HistoryQuery::Tail { n, .. } => self.tail(n.unwrap_or(10)),
            HistoryQuery::Search { pattern, unique, n, .. } => self.search(pattern, *unique, *n),
        }
    }

    fn range(
        &self,
        session: i64,
        start: i64,
        stop: Option<i64>,
    ) -> Result<Vec<HistoryEntry>, HistoryError> {
        let connection = self.lock();
        let session = if session > 0 { session } else { self.session + session };
        let last: Option<i64> = connection
            .query_row("SELECT max(line) FROM cells WHERE session = ?1", [session], |row| {
                row.get(0)
            })
            .optional()?
            .flatten();
        let end = last.unwrap_or(0) + 1;
        let from_end = |line: i64| if line < 0 { end + line } else { line };
        let stop = stop.map_or(end, from_end);
        rows(
            &connection,
            "SELECT session, line, source, output FROM cells
             WHERE session = ?1 AND line >= ?2 AND line < ?3 ORDER BY line, id",
            params![session, from_end(start), stop],
        )
    }

    fn tail(&self, count: u32) -> Result<Vec<HistoryEntry>, HistoryError> {
        rows(
            &self.lock(),
            "SELECT session, line, source, output FROM
             (SELECT * FROM cells ORDER BY id DESC LIMIT ?1) ORDER BY id",
            params![count],
        )
    }

    fn search(
        &self,
        pattern: &str,
        unique: bool,
        count: Option<u32>,
    ) -> Result<Vec<HistoryEntry>, HistoryError> {
        let pattern = if pattern.is_empty() { "*" } else { pattern };
        // SQLite takes a negative limit as none.
        let count = count.map_or(-1, i64::from);
        let sql = if unique {
            "SELECT session, line, source, output FROM cells WHERE id IN
             (SELECT max(id) FROM cells WHERE source GLOB ?1 GROUP BY source
              ORDER BY max(id) DESC LIMIT ?2) ORDER BY id"
        } else {
            "SELECT session, line, source, output FROM cells WHERE id IN
             (SELECT id FROM cells WHERE source GLOB ?1 ORDER BY id DESC LIMIT ?2) ORDER BY id"
        };
        rows(&self.lock(), sql, params![pattern, count])
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rows(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> Result<Vec<HistoryEntry>, HistoryError> {
    let entry = |row: &Row<'_>| {
        Ok(HistoryEntry {
            session: row.get(0)?,
            line: row.get(1)?,
            source: row.get(2)?,
            output: row.get(3)?,
        })
    };
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_map(parameters, entry)?.collect::<Result<_, _>>()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(entries: &[HistoryEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.source.as_str()).collect()
    }

    fn filled(path: &Path) -> History {
        let first = History::open(path).expect("opens");
        first.record(1, "let a = 1;", None).expect("records");
        first.record(2, "a", Some("1")).expect("records");
        let second = History::open(path).expect("opens beside the first");
        for (line, source) in [(1, "let b = 2;"), (2, "a"), (3, "b + 1")] {
            second.record(line, source, None).expect("records");
        }
        second
    }

    #[test]
    fn ranges_count_sessions_and_lines_as_jupyter_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = filled(&folder.path().join("deep/history.sqlite"));
        let range = |session, start, stop| {
            history
                .query(&HistoryQuery::Range { session, start, stop, output: false })
                .expect("reads")
        };
        assert_eq!(sources(&range(None, 1, Some(3))), ["let b = 2;", "a"]);
        assert_eq!(sources(&range(Some(0), 0, None)), ["let b = 2;", "a", "b + 1"]);
        assert_eq!(sources(&range(Some(-1), 0, None)), ["let a = 1;", "a"]);
        assert_eq!(sources(&range(Some(history.session() - 1), 2, None)), ["a"]);
        assert_eq!(sources(&range(None, -1, None)), ["b + 1"]);
        assert!(range(Some(99), 0, None).is_empty());
    }

    #[test]
    fn tail_and_search_span_sessions() {
        let folder = tempfile::tempdir().expect("a folder");
        let history = filled(&folder.path().join("history.sqlite"));
        let tail = history.query(&HistoryQuery::Tail { n: Some(4), output: true }).expect("reads");
        assert_eq!(sources(&tail), ["a", "let b = 2;", "a", "b + 1"]);
        assert_eq!(tail[0].output.as_deref(), Some("1"));
        let search = |pattern: &str, unique, n| {
            let pattern = pattern.to_owned();
            let query = HistoryQuery::Search { pattern, unique, n, output: false };
            history.query(&query).expect("reads")
        };
        assert_eq!(sources(&search("a", false, None)), ["a", "a"]);
        assert_eq!(search("a", true, None).len(), 1);
        assert_eq!(search("a", true, None)[0].session, history.session());
        assert_eq!(sources(&search("let*", false, Some(1))), ["let b = 2;"]);
        assert!(search("nothing", false, None).is_empty());
    }

    #[test]
    fn kernels_write_at_the_same_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("history.sqlite");
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || {
                    let history = History::open(&path).expect("opens");
                    for line in 1..=25 {
                        history.record(line, "x", None).expect("records");
                    }
                    history.session()
                })
            })
            .collect();
        let mut sessions: Vec<_> =
            writers.into_iter().map(|writer| writer.join().expect("writes")).collect();
        sessions.sort_unstable();
        sessions.dedup();
        assert_eq!(sessions.len(), 4);
        let all = History::open(&path).expect("opens").search("x", false, None).expect("reads");
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(
            file.path(),
            "not a database, and longer than a header of one would be: ".repeat(20),
        )
        .expect("writes");
        assert!(matches!(History::open(file.path()), Err(HistoryError::Database { .. })));
    }
}
