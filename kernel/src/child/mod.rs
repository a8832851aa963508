//! The worker process: start, requests, interrupt, kill, restart; its output as one ordered channel.
//!
//! * [`Worker`]: the handle. * [`ChildOutput`]: what comes back. * [`Exit`]: how it ended, in words.
//!
//! One thread per worker reads the event pipe, standard output and standard error ([`pump`]); text is
//! decoded, batched and cut ([`text`]), and evcxr's protocol on standard output becomes displays
//! ([`evcxr`]).

mod error;
mod evcxr;
mod exit;
mod pump;
mod spawn;
mod text;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxilab_protocol::{Event, Request, wire};
use tokio::sync::mpsc;

pub use error::ChildError;
pub use exit::Exit;

/// A cell that has not ended so long after an interrupt is ended with its process (step c).
const INTERRUPT_DEADLINE: Duration = Duration::from_millis(4500);

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The executable `oxilab-worker`.
    pub executable: PathBuf,
    /// `libstd-*.so` of the toolchain that built the prelude.
    pub standard_library: PathBuf,
    /// The prelude's shared library.
    pub prelude: PathBuf,
    /// Working directory.
    pub directory: PathBuf,
    /// Changes to the kernel's own environment: set, or unset with `None`.
    pub environment: Vec<(OsString, Option<OsString>)>,
}

/// What comes from a worker, in the order it was made.
#[derive(Debug)]
pub enum ChildOutput {
    /// A frame.
    Event(Event),
    /// Text on standard output or standard error.
    Stream {
        /// Which of the two.
        name: StreamName,
        /// The text, valid UTF-8, of several lines or a part of one.
        text: String,
    },
    /// The process has ended; nothing comes after this.
    Exited(Exit),
}

/// A standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StreamName {
    /// The name in Jupyter's `stream` messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A running worker. Dropping the handle kills the process.
#[derive(Debug)]
pub struct Worker {
    config: WorkerConfig,
    pid: u32,
    requests: Mutex<File>,
    shared: Arc<Shared>,
}

/// What handle, pump and watchdogs share.
#[derive(Debug)]
struct Shared {
    process: OwnedFd,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Cells and callbacks that the worker has been given and has not ended, in its order.
    jobs: VecDeque<u64>,
    exited: bool,
    /// Why we killed it.
    reason: Option<String>,
}

impl Worker {
    /// Starts a worker. [`Event::Ready`] comes when its prelude is loaded; requests can be sent before.
    ///
    /// # Errors
    /// When the executable cannot be started or the system gives no pipes or threads.
    pub fn spawn(config: WorkerConfig) -> Result<(Self, mpsc::Receiver<ChildOutput>), ChildError> {
        let spawned = spawn::spawn(&config)?;
        let shared = Arc::new(Shared {
            process: spawned.process,
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        });
        let (outputs_tx, outputs_rx) = mpsc::channel(256);
        let pid = spawned.child.id();
        pump::start(spawned.child, spawned.pipes, Arc::clone(&shared), outputs_tx)?;
        let requests = Mutex::new(spawned.requests);
        Ok((Self { config, pid, requests, shared }, outputs_rx))
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the process is gone; [`ChildOutput::Exited`] tells why.
    pub fn send(&self, request: &Request) -> Result<(), ChildError> {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Request::Run { cell: job, .. } | Request::Comm { id: job, .. } = request {
            self.shared.lock().jobs.push_back(*job);
        }
        wire::write_frame(&mut *requests, request).map_err(|source| ChildError::Send { source })
    }

    /// Interrupts the running cell or callback: by the cancel flag, then by parking its thread, both inside the
    /// worker; when neither ends it in time, by killing the process. Does nothing when none runs.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn interrupt(&self) -> Result<(), ChildError> {
        let Some(&job) = self.shared.lock().jobs.front() else { return Ok(()) };
        self.send(&Request::Interrupt)?;
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new()
            .name("oxilab-watchdog".to_owned())
            .spawn(move || shared.kill_unless_ended(job))
            .map_err(|source| ChildError::Thread { source })?;
        Ok(())
    }

    /// Kills the process; the reason is part of the [`Exit`].
    pub fn kill(&self, reason: &str) {
        self.shared.kill(reason);
    }

    /// Asks the process to end: variables are dropped, buffers flushed. Kills it after `patience`.
    pub fn shut_down(&self, patience: Duration) {
        if self.send(&Request::Exit).is_ok() {
            let deadline = Instant::now() + patience;
            let mut state = self.shared.lock();
            while !state.exited && Instant::now() < deadline {
                state = self.shared.wait(state, deadline);
            }
        }
        self.kill("shut down");
    }

    /// Ends this process, if it still runs, and starts another with the same configuration.
    ///
    /// # Errors
    /// As [`Worker::spawn`].
    pub fn restart(self) -> Result<(Self, mpsc::Receiver<ChildOutput>), ChildError> {
        let config = self.config.clone();
        drop(self);
        Self::spawn(config)
    }

    /// How it was started; changes count from the next restart on.
    pub fn config_mut(&mut self) -> &mut WorkerConfig {
        &mut self.config
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether a cell or a callback runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.shared.lock().jobs.is_empty()
    }

    /// Whether the process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.shared.lock().exited
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill("the kernel ended it");
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let left = until.saturating_duration_since(Instant::now());
        self.changed
            .wait_timeout(state, left)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state)
    }

    fn kill(&self, reason: &str) {
        self.kill_locked(&mut self.lock(), reason);
    }

    fn kill_locked(&self, state: &mut State, reason: &str) {
        if state.exited {
            return;
        }
        state.reason.get_or_insert_with(|| reason.to_owned());
        // SAFETY: the descriptor is a pidfd that we own; no signal information is passed. The process
        // may have ended by itself: an error here is no matter.
        #[expect(unsafe_code, reason = "pidfd_send_signal has no safe wrapper")]
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.process.as_raw_fd(),
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            );
        }
    }

    fn kill_unless_ended(&self, job: u64) {
        let deadline = Instant::now() + INTERRUPT_DEADLINE;
        let mut state = self.lock();
        while state.jobs.contains(&job) && !state.exited {
            if Instant::now() >= deadline {
                self.kill_locked(&mut state, "the cell did not stop when it was interrupted");
                return;
            }
            state = self.wait(state, deadline);
        }
    }

    /// The pump has seen the end of a cell or a callback.
    fn job_ended(&self, job: u64) {
        self.lock().jobs.retain(|running| *running != job);
        self.changed.notify_all();
    }

    /// Whether the worker has this to do.
    fn is_job(&self, id: u64) -> bool {
        self.lock().jobs.contains(&id)
    }

    /// The pump has seen the end of the process. Returns why we killed it, if we did.
    fn exited(&self) -> Option<String> {
        let mut state = self.lock();
        state.exited = true;
        state.jobs.clear();
        self.changed.notify_all();
        state.reason.clone()
    }
}
