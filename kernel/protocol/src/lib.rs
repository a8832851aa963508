//! Frames between the kernel process and the worker process.
//!
//! Two private pipes carry them, one each way: [`Request`]s go to the worker, [`Event`]s come back.
//! A frame is a length (`u32`, little endian) and that many bytes of JSON; [`wire`] reads and writes
//! them. File descriptors 1 and 2 of the worker are pipes of their own and carry plain output only.
//!
//! Order: before the worker writes an [`Event`] that a person can see, it has flushed its streams and
//! waited until the kernel has read them, so output and displays arrive in the order they were made.

pub mod bar;
pub mod event;
pub mod mime;
pub mod panel;
pub mod request;
pub mod wire;

pub use bar::Bar;
pub use event::{Event, Failure, FailureKind, Outcome, StoredVariable, VariableInfo};
pub use mime::MimeBundle;
pub use request::{Query, Request};

/// Environment variables the kernel sets for the worker; nothing else is passed that way.
pub mod environment {
    /// File descriptor the worker reads [`crate::Request`]s from.
    pub const REQUEST_FD: &str = "OXILAB_REQUEST_FD";
    /// File descriptor the worker writes [`crate::Event`]s to.
    pub const EVENT_FD: &str = "OXILAB_EVENT_FD";
    /// File descriptor the worker writes a last note to when it crashes: plain text.
    pub const NOTE_FD: &str = "OXILAB_NOTE_FD";
    /// Absolute path of the Rust standard library that the prelude and all cells are linked to.
    pub const STANDARD_LIBRARY: &str = "OXILAB_STD";
    /// Absolute path of the prelude's shared library.
    pub const PRELUDE: &str = "OXILAB_PRELUDE";
}

/// Name of the C function in the prelude's library that the worker calls after loading it:
/// `extern "C" fn(*const oxilab_runtime::worker::Start) -> c_int`. It returns only when the worker
/// cannot start; the result is the exit status.
pub const WORKER_MAIN: &str = "oxilab_worker_main";

/// Name of the C function in a cell's library: `extern "C" fn()`. It reports through the runtime.
pub const CELL_ENTRY: &str = "oxilab_cell_main";
