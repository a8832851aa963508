//! [`Bar`]: how far a job is that gives an error when the user interrupts it.

use oxilab_runtime::cancel;
use oxilab_runtime::progress::Progress;

use crate::error::{LlmError, Result};

/// A progress bar, seen only when the job takes a while.
#[derive(Debug)]
pub(crate) struct Bar(Progress);

impl Bar {
    pub(crate) fn new(label: impl Into<String>, total: usize) -> Self {
        Self(Progress::new(label, Some(total as u64)))
    }

    /// So much is done.
    ///
    /// # Errors
    /// When the user has interrupted the job.
    pub(crate) fn set(&self, done: usize) -> Result<()> {
        check()?;
        self.0.tell(done as u64, "");
        Ok(())
    }
}

/// The poll of jobs that have no bar.
///
/// # Errors
/// When the user has interrupted the job.
pub(crate) fn check() -> Result<()> {
    if cancel::requested() { Err(LlmError::Interrupted) } else { Ok(()) }
}
