//! What the worker tells the kernel.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::MimeBundle;

/// A message from the worker.
#[expect(missing_docs, reason = "the fields of a frame are named for what they carry")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The prelude is loaded and cells can run.
    Ready { pid: u32 },
    /// Something to show. `result` marks the value of the cell's tail expression; `update` replaces
    /// what was shown under the same `display_id`.
    Display { bundle: MimeBundle, display_id: Option<String>, update: bool, result: bool },
    /// Clear the cell's output, at once or with the next display.
    Clear { wait: bool },
    /// The cell waits for a line of input.
    Input { prompt: String, password: bool },
    /// A comm message to the front end.
    Comm {
        kind: String,
        comm_id: String,
        target: String,
        data: Value,
        metadata: Value,
        buffers: Vec<String>,
    },
    /// The callback of the [`crate::Request::Comm`] with this `id` begins.
    Callback { id: u64, comm_id: String },
    /// A log line for the kernel's log, not for the user.
    Log { message: String },
    /// A cell has ended; its output has been flushed and read.
    Done {
        cell: u64,
        outcome: Outcome,
        /// Variables that were put into the store by this cell, newest value of each.
        stored: Vec<StoredVariable>,
        /// Variables that the cell had taken and that are gone: moved, or lost with a failure.
        lost: Vec<String>,
        /// Microseconds from entering the cell's function to leaving it.
        micros: u64,
    },
    /// The answer to a request with this `id`.
    Replied { id: u64, answer: Result<Value, String> },
}

/// How a cell ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The cell ran to its end (or to a top-level `return`).
    Ok,
    /// The cell failed.
    Failed(Failure),
}

/// Why a cell failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// `ename` of the error reply: the error's type for `?`, `panic` for a panic.
    pub name: String,
    /// `evalue`: the Display chain of the error, or the panic's message.
    pub message: String,
    /// Further lines for the traceback: the error's causes, a hint.
    pub details: Vec<String>,
    /// Source file (as rustc was given it), line and column, both from 1.
    pub location: Option<(String, u32, u32)>,
    /// Frames of the backtrace inside cells and items: function name, file, line.
    pub frames: Vec<(String, String, u32)>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// An `Err` or `None` left a top-level `?`.
    Error,
    /// A panic.
    Panic,
    /// The user interrupted.
    Interrupted,
    /// The cell's library could not be loaded, or a stored value had another type than expected.
    Load,
}

/// A variable that a cell has put into the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredVariable {
    /// Its name.
    pub name: String,
    /// `std::any::type_name` of its type: for people, not for composing code.
    pub type_name: String,
    /// Whether dropping it does something: then it is surely not `Copy`, and by-value uses move it.
    pub needs_drop: bool,
}

/// A line of `%who` and of the variable explorer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariableInfo {
    /// Its name.
    pub name: String,
    /// `std::any::type_name` of its type.
    pub type_name: String,
    /// Shape where the type has one: `1000 × 4`, `len 3`.
    pub shape: Option<String>,
    /// Bytes held, as far as the type says (heap of frames, tensors, strings, vectors).
    pub bytes: u64,
    /// One line of the value.
    pub preview: String,
    /// Whether [`crate::Query::Slice`] gives pages of it.
    #[serde(default)]
    pub pages: bool,
}
