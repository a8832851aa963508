//! The Jupyter side of the kernel: sockets, dispatch, queue, busy and idle, history.
//!
//! [`serve`] binds the sockets of a connection file and answers until it is asked to shut down. All it
//! knows of Rust cells is the trait [`handler::CellRunner`]; the runner starts while the sockets
//! already answer. One file per channel, and one per thing a channel needs:
//!
//! - [`request`]: from signed frames to a typed request; [`message`]: the way back.
//! - [`shell`] and [`control`]: dispatch; [`execute`]: the queue of cells; [`stdin`], [`heartbeat`].
//! - [`iopub`]: what everybody sees, merged and bounded; [`busy`]: the bracket around every request.
//! - [`output`]: from what a runner shows to messages; [`divert`]: what is looked at before.

mod busy;
mod comms;
mod connection;
mod control;
pub(crate) mod divert;
mod execute;
pub mod handler;
mod heartbeat;
mod iopub;
mod kernel_info;
mod message;
mod output;
mod request;
mod runner;
mod shell;
mod stdin;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use jupyter_protocol::connection_info::ConnectionInfo;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use zeromq::Socket as _;

pub use connection::{ConnectionError, read_connection_file};
pub use runner::Started;

use crate::history::History;
use crate::server::comms::Comms;
use crate::server::connection::Sockets;
use crate::server::iopub::IoPub;
use crate::server::message::Replies;
use crate::server::runner::RunnerSlot;
use crate::server::stdin::Stdin;

/// How long a kernel that ends waits for its last messages to leave. The sockets say when a message
/// was handed over, not when it was written, so this is a pause.
const LINGER: Duration = Duration::from_millis(50);
/// How long the worker may take to drop its variables.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// What a server needs beside its sockets.
pub struct ServerConfig {
    /// rustc's version for `kernel_info`, found while the sockets are bound.
    pub rust_version: BoxFuture<'static, String>,
    /// The history file; `None` keeps the history in memory.
    pub history: Option<PathBuf>,
    /// Whether SIGINT interrupts and SIGTERM shuts down. Once per process.
    pub signals: bool,
    /// Shuts down when it ends, for example when the process that started the kernel is gone.
    pub until: BoxFuture<'static, ()>,
}

impl ServerConfig {
    /// A server for a known rustc, with its history in memory and without signals.
    #[must_use]
    pub fn new(rust_version: impl Into<String>) -> Self {
        let rust_version = rust_version.into();
        let rust_version = async { rust_version }.boxed();
        Self {
            rust_version,
            history: None,
            signals: false,
            until: futures::future::pending().boxed(),
        }
    }

    /// Keeps the history in this file.
    #[must_use]
    pub fn with_history(mut self, path: PathBuf) -> Self {
        self.history = Some(path);
        self
    }

    /// Handles SIGINT and SIGTERM.
    #[must_use]
    pub fn with_signals(mut self) -> Self {
        self.signals = true;
        self
    }

    /// Shuts down when `until` ends.
    #[must_use]
    pub fn with_until(mut self, until: impl Future<Output = ()> + Send + 'static) -> Self {
        self.until = until.boxed();
        self
    }
}

/// What all channels share.
pub(crate) struct Server {
    pub(crate) iopub: IoPub,
    pub(crate) shell: Replies,
    pub(crate) control: Replies,
    pub(crate) stdin: Stdin,
    pub(crate) runner: RunnerSlot,
    pub(crate) history: Option<Arc<History>>,
    pub(crate) comms: Comms,
    pub(crate) rust_version: Shared<BoxFuture<'static, String>>,
    /// Cells that have arrived and not ended.
    pub(crate) cells: AtomicUsize,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Ends the runner. The server ends when the reply has been sent: [`Self::stop`].
    pub(crate) async fn shut_down(&self, restart: bool) {
        let Some(runner) = self.runner.ready() else { return };
        if tokio::time::timeout(SHUTDOWN_LIMIT, runner.shutdown(restart)).await.is_err() {
            tracing::warn!("the worker did not end in time");
        }
    }

    /// Ends [`serve`].
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Binds the sockets and serves until a shutdown request or SIGTERM. `start` runs on a thread of its
/// own meanwhile; requests that need no runner do not wait for it.
///
/// # Errors
/// When the connection asks for something that oxilab refuses, or a socket cannot be bound.
pub async fn serve(
    info: &ConnectionInfo,
    config: ServerConfig,
    start: impl FnOnce() -> Started + Send + 'static,
) -> Result<(), ConnectionError> {
    let session = uuid::Uuid::new_v4().to_string();
    let (shell, control, mut stdin, iopub, heartbeat, _files) =
        Sockets::bind(info, &session).await?.into_parts();
    let stdin_events = stdin.socket.monitor();
    if info.key.is_empty() {
        tracing::warn!("the connection file has no key: messages are not signed");
    }
    let (shell_tx, shell_rx) = shell.split();
    let (control_tx, control_rx) = control.split();
    let (stdin_tx, stdin_rx) = stdin.split();
    let (stop, mut stopped) = watch::channel(false);
    let rust_version = config.rust_version.shared();
    // Polled from now on, so that the first kernel_info does not wait for it to begin.
    tokio::spawn(rust_version.clone());
    let server = Arc::new(Server {
        iopub: IoPub::default(),
        shell: Replies::new(shell_tx, "shell"),
        control: Replies::new(control_tx, "control"),
        stdin: Stdin::new(Replies::new(stdin_tx, "stdin")),
        runner: RunnerSlot::start(start),
        history: open_history(config.history),
        comms: Comms::default(),
        rust_version,
        cells: AtomicUsize::new(0),
        stop,
    });

    let (cells_tx, cells_rx) = mpsc::unbounded_channel();
    let (comms_tx, comms_rx) = mpsc::unbounded_channel();
    let (panels_tx, panels_rx) = mpsc::unbounded_channel();
    // Tasks end with the set.
    let mut tasks = JoinSet::new();
    tasks.spawn(heartbeat::run(heartbeat));
    tasks.spawn(iopub::run(iopub, server.iopub.clone()));
    tasks.spawn(execute::run(Arc::clone(&server), cells_rx));
    tasks.spawn(shell::run_comms(Arc::clone(&server), comms_rx));
    tasks.spawn(shell::run_comms(Arc::clone(&server), panels_rx));
    tasks.spawn(shell::run(Arc::clone(&server), shell_rx, cells_tx, comms_tx, panels_tx));
    tasks.spawn(control::run(Arc::clone(&server), control_rx));
    tasks.spawn({
        let server = Arc::clone(&server);
        async move {
            futures::join!(stdin::run(&server, stdin_rx), stdin::watch(&server, stdin_events));
        }
    });
    tasks.spawn({
        let server = Arc::clone(&server);
        async move {
            config.until.await;
            server.shut_down(false).await;
            server.stop();
        }
    });
    if config.signals {
        tasks.spawn(handle_signals(Arc::clone(&server)));
    }

    // An error means that the server is gone, which is an end as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
    if tokio::time::timeout(SHUTDOWN_LIMIT, server.iopub.flush()).await.is_err() {
        tracing::warn!("the last messages were not read");
    }
    tokio::time::sleep(LINGER).await;
    tasks.shutdown().await;
    Ok(())
}

fn open_history(path: Option<PathBuf>) -> Option<Arc<History>> {
    let opened = match path {
        Some(path) => History::open(&path).or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "the history is kept in memory only");
            History::in_memory()
        }),
        None => History::in_memory(),
    };
    match opened {
        Ok(history) => Some(Arc::new(history)),
        Err(error) => {
            tracing::warn!(%error, "there is no history");
            None
        }
    }
}

async fn handle_signals(server: Arc<Server>) {
    let signals = signal(SignalKind::interrupt())
        .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)));
    let (mut interrupt, mut terminate) = match signals {
        Ok(signals) => signals,
        Err(error) => {
            tracing::warn!(%error, "signals are not handled");
            return;
        }
    };
    loop {
        tokio::select! {
            Some(()) = interrupt.recv() => {
                if let Some(runner) = server.runner.ready() {
                    runner.interrupt();
                }
            }
            Some(()) = terminate.recv() => {
                server.shut_down(false).await;
                server.stop();
                return;
            }
        }
    }
}
