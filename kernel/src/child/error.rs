//! What can go wrong with the worker process.

use std::io;
use std::path::PathBuf;

use oxilab_protocol::wire::WireError;
use thiserror::Error;

/// Why a worker could not be started or reached.
#[derive(Debug, Error)]
pub enum ChildError {
    /// The executable did not start.
    #[error(
        "cannot start the worker {}: {source}; `oxilab doctor` checks the installation",
        path.display()
    )]
    Start {
        /// The executable.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The system gave no pipe.
    #[error("cannot make a pipe to the worker: {source}")]
    Pipe {
        /// The cause.
        source: io::Error,
    },
    /// The system gave no thread.
    #[error("cannot start a thread that reads the worker's output: {source}")]
    Thread {
        /// The cause.
        source: io::Error,
    },
    /// The process is gone.
    #[error("the worker process does not answer: {source}")]
    Send {
        /// The cause.
        source: WireError,
    },
}
