//! What the kernel asks of the worker.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A message to the worker. Requests are taken in order by the worker's cell thread, except
/// [`Request::Interrupt`], [`Request::Input`] and [`Request::Exit`], which its reader thread acts on
/// at once.
#[expect(missing_docs, reason = "the fields of a frame are named for what they carry")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Load libraries that cells need (items of earlier cells, the session's dependencies), by
    /// absolute path, in order. Answered by [`crate::Event::Replied`].
    Load { id: u64, libraries: Vec<PathBuf> },
    /// Run a cell: load `libraries`, then `library`, and call [`crate::CELL_ENTRY`] in it.
    /// Ends with [`crate::Event::Done`] carrying the same `cell`.
    Run {
        cell: u64,
        library: PathBuf,
        libraries: Vec<PathBuf>,
        /// False for silent executions: the tail expression is not shown.
        show: bool,
        /// Whether the front end answers input requests.
        allow_stdin: bool,
        /// Execution count, for `out!(n)`.
        count: u32,
    },
    /// Ask something about live values. Answered by [`crate::Event::Replied`].
    Ask { id: u64, query: Query },
    /// Interrupt the running cell (step a: the cancel flag).
    Interrupt,
    /// The front end's answer to [`crate::Event::Input`].
    Input { text: String },
    /// The front end cannot answer.
    InputRefused { reason: String },
    /// A comm message from the front end (`comm_open`, `comm_msg`, `comm_close` as Jupyter names them).
    /// Announced by [`crate::Event::Callback`] when its callback begins; answered by
    /// [`crate::Event::Replied`] when it has ended, with the [`crate::Failure`] if it failed.
    Comm {
        id: u64,
        kind: String,
        comm_id: String,
        target: String,
        data: Value,
        buffers: Vec<String>,
    },
    /// Drop the named variables; all of them when `names` is empty.
    Forget { id: u64, names: Vec<String> },
    /// Set (or with `None` unset) an environment variable.
    SetEnv { id: u64, name: String, value: Option<String> },
    /// Change the working directory.
    SetDirectory { id: u64, path: PathBuf },
    /// Drop all variables, newest first, flush and end the process.
    Exit,
}

/// A question about live values.
#[expect(missing_docs, reason = "the fields of a frame are named for what they carry")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "query", rename_all = "snake_case")]
pub enum Query {
    /// All variables: `Vec<VariableInfo>` as JSON.
    Variables,
    /// One variable as its MIME bundle.
    Preview { name: String },
    /// Column names of the variable if it is a frame: `Vec<String>`.
    Columns { name: String },
    /// A page of a frame: `{columns, dtypes, rows, height}`.
    Slice { name: String, offset: u64, length: u64, sort: Option<String>, descending: bool },
}
