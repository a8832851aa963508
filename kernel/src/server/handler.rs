//! What the server knows of Rust cells: one trait, [`CellRunner`], and the values that cross it.
//!
//! The server owns everything Jupyter (sockets, queue, execution counts, history, busy and idle); the
//! runner owns everything Rust. The session implements the trait; tests use a scripted runner; the
//! notebook runner and the literate cell specs drive it without any socket.

use bytes::Bytes;
use futures::future::BoxFuture;
use oxilab_protocol::MimeBundle;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

/// Outputs that may wait between a runner and whoever shows them; a runner that is faster waits.
const OUTPUT_CAPACITY: usize = 256;

/// Runs cells and answers questions about code.
pub trait CellRunner: Send + Sync + 'static {
    /// Runs one cell to its end; everything shown on the way goes to `output` in order. Never called
    /// while another cell runs. A clone of `output` may outlive the cell, for its background threads.
    fn execute(&self, cell: ExecuteCell, output: OutputSender) -> BoxFuture<'_, ExecuteReply>;

    /// What the last cell cost, if it ran to its end; goes into its reply's metadata.
    fn figures(&self) -> Option<CellFigures> {
        None
    }

    /// A cell was queued behind the running one and can be compiled ahead. Must not block.
    fn upcoming(&self, code: &str);

    /// Whether `code` is a whole cell. Must not block on a running cell.
    fn is_complete(&self, code: &str) -> Completeness;

    /// Completions at `cursor`, in Unicode code points from the start of `code`. May be called while
    /// a cell runs and must not wait for it.
    fn complete(&self, code: &str, cursor: usize) -> BoxFuture<'_, Completions>;

    /// What is known of the name at `cursor` (code points); `detail` 1 asks for the source as well.
    /// `None` when there is nothing. May be called while a cell runs.
    fn inspect(&self, code: &str, cursor: usize, detail: u8) -> BoxFuture<'_, Option<MimeBundle>>;

    /// Interrupts the running cell; without one it does nothing. Must not block.
    fn interrupt(&self);

    /// The answer to the last [`Output::Input`]; `Err` says why there is none. Must not block.
    fn input_reply(&self, reply: Result<String, String>);

    /// Whether the runner answers this comm by itself, at once and also while a cell runs. Must not
    /// block.
    fn answers_comm(&self, _message: &CommMessage) -> bool {
        false
    }

    /// A comm message from the front end. `output` belongs to this message: what a callback shows
    /// goes there, or to the cell that opened the comm. Ends when the message has been handled, or
    /// queued where [`Self::answers_comm`] holds. An open for an unknown target is answered by an
    /// [`Output::Comm`] that closes it.
    fn comm(&self, message: CommMessage, output: OutputSender) -> BoxFuture<'_, ()>;

    /// Ends the worker; nothing is called afterwards unless `restart` is set.
    fn shutdown(&self, restart: bool) -> BoxFuture<'_, ()>;
}

/// A cell to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecuteCell {
    /// The cell's text as the user wrote it.
    pub code: String,
    /// Show nothing of the tail expression and record nothing.
    pub silent: bool,
    /// Keep the cell and its result (`out!(n)`, history). Never set together with `silent`.
    pub store_history: bool,
    /// Whether the front end answers input requests.
    pub allow_stdin: bool,
    /// The execution count of this cell: the `5` of `In [5]`.
    pub count: u32,
    /// The notebook's identifier of the cell, where the front end says it.
    pub cell_id: Option<String>,
    /// Name → expression, evaluated after the cell and answered in the reply.
    pub user_expressions: Map<String, Value>,
}

impl ExecuteCell {
    /// A cell as a notebook runs it: stored in the history, without input.
    #[must_use]
    pub fn new(code: impl Into<String>, count: u32) -> Self {
        Self { code: code.into(), store_history: true, count, ..Self::default() }
    }
}

/// How a cell ended.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecuteReply {
    /// It ran to its end.
    Ok {
        /// Name → `{"status": "ok", "data": …, "metadata": …}` or `{"status": "error", …}`.
        user_expressions: Map<String, Value>,
        /// Jupyter's payloads, for example a page of help: `{"source": "page", "data": …, "start": 0}`.
        payload: Vec<Value>,
    },
    /// It failed; cells queued behind it are aborted.
    Error(CellError),
    /// It was never started.
    Aborted,
}

impl ExecuteReply {
    /// A cell that ran to its end, without expressions or payload.
    #[must_use]
    pub fn ok() -> Self {
        Self::Ok { user_expressions: Map::new(), payload: Vec::new() }
    }
}

/// What a cell cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CellFigures {
    /// Calls of rustc.
    pub compiles: u32,
    /// Milliseconds in rustc.
    pub compile_ms: f64,
    /// Milliseconds in the cell's own code.
    pub run_ms: f64,
    /// Milliseconds of everything else.
    pub overhead_ms: f64,
}

/// Why a cell failed, ready to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellError {
    /// The error's type, `panic`, `KeyboardInterrupt`, `CompileError`.
    pub ename: String,
    /// The message.
    pub evalue: String,
    /// Lines with ANSI colours.
    pub traceback: Vec<String>,
    /// Its form for a browser, where there is one.
    pub html: Option<Box<ErrorPage>>,
}

/// An error in two parts that stand below each other in a browser; neither says what the other does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorPage {
    /// What stays text: headlines, places, frames; lines with ANSI colours.
    pub headline: Vec<String>,
    /// The source with the failing span underlined, suggestions, explanations.
    pub html: String,
    /// The second part where there is no browser; with ANSI colours.
    pub plain: String,
}

/// Something a cell shows or asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Plain output of the process.
    Stream {
        /// Which stream.
        name: StreamName,
        /// Any part of it, not necessarily whole lines.
        text: String,
    },
    /// A displayed value.
    Display {
        /// The value.
        bundle: MimeBundle,
        /// By which later updates find it.
        display_id: Option<String>,
        /// Replace what has this `display_id` instead of showing a new one.
        update: bool,
    },
    /// The value of the tail expression.
    Result {
        /// The value.
        bundle: MimeBundle,
    },
    /// Clear what the cell has shown so far.
    Clear {
        /// Only when the next output arrives.
        wait: bool,
    },
    /// The cell waits for a line from the user; [`CellRunner::input_reply`] brings it.
    Input {
        /// Shown before the field.
        prompt: String,
        /// Hide what is typed.
        password: bool,
    },
    /// A comm message to the front end.
    Comm(CommMessage),
    /// A failure that ends no cell: of a widget's callback.
    Error(CellError),
}

/// Name of a standard stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StreamName {
    /// The name as Jupyter writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A comm message, in either direction.
#[derive(Clone, Debug, PartialEq)]
pub struct CommMessage {
    /// What it does.
    pub kind: CommKind,
    /// Which comm.
    pub comm_id: String,
    /// The target's name; empty except for [`CommKind::Open`].
    pub target: String,
    /// Its content.
    pub data: Value,
    /// The message's metadata.
    pub metadata: Value,
    /// Binary parts.
    pub buffers: Vec<Bytes>,
}

/// What a comm message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CommKind {
    /// Opens a comm.
    #[serde(rename = "comm_open")]
    Open,
    /// Carries data.
    #[serde(rename = "comm_msg")]
    Message,
    /// Closes it.
    #[serde(rename = "comm_close")]
    Close,
}

impl CommKind {
    /// The message type as Jupyter writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "comm_open",
            Self::Message => "comm_msg",
            Self::Close => "comm_close",
        }
    }
}

/// Whether code is a whole cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It can run as it is.
    Complete,
    /// More is needed; the next line starts with `indent`.
    Incomplete {
        /// White space for the next line.
        indent: String,
    },
    /// No continuation makes it valid.
    Invalid,
    /// Not known.
    Unknown,
}

/// Completions of the text between two positions, in code points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// Start of the text that a completion replaces.
    pub start: usize,
    /// Its end.
    pub end: usize,
    /// The proposals, best first.
    pub items: Vec<Completion>,
}

/// One proposal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// What is inserted.
    pub text: String,
    /// What it is: `function`, `method`, `field`, `variable`, `module`, `struct`, …; empty if unknown.
    pub kind: String,
    /// Signature or type; empty if unknown.
    pub signature: String,
}

/// Where a runner sends what a cell shows. Cheap to clone; works from async and blocking code.
#[derive(Clone, Debug)]
pub struct OutputSender {
    sender: mpsc::Sender<Item>,
}

/// The other end of an [`OutputSender`].
#[derive(Debug)]
pub struct OutputReceiver {
    receiver: mpsc::Receiver<Item>,
}

#[derive(Debug)]
enum Item {
    Output(Box<Output>),
    Barrier(oneshot::Sender<()>),
}

impl OutputSender {
    /// A sender and its receiver.
    #[must_use]
    pub fn channel() -> (Self, OutputReceiver) {
        let (sender, receiver) = mpsc::channel(OUTPUT_CAPACITY);
        (Self { sender }, OutputReceiver { receiver })
    }

    /// Sends one output, waiting for room. Output that nobody receives any more is dropped.
    pub async fn send(&self, output: Output) {
        if self.sender.send(Item::Output(Box::new(output))).await.is_err() {
            tracing::debug!("output after the end of its receiver was dropped");
        }
    }

    /// [`Self::send`] from a thread that may block. Panics inside an async task, as tokio does.
    pub fn send_blocking(&self, output: Output) {
        if self.sender.blocking_send(Item::Output(Box::new(output))).is_err() {
            tracing::debug!("output after the end of its receiver was dropped");
        }
    }

    /// Sends text to a stream.
    pub async fn stream(&self, name: StreamName, text: impl Into<String>) {
        self.send(Output::Stream { name, text: text.into() }).await;
    }

    /// Waits until everything sent so far has been taken by the receiver and handled.
    pub async fn barrier(&self) {
        let (handled_tx, handled_rx) = oneshot::channel();
        if self.sender.send(Item::Barrier(handled_tx)).await.is_ok() {
            // An error means that the receiver has gone, and with it everything to wait for.
            let _ = handled_rx.await;
        }
    }
}

impl OutputReceiver {
    /// The next output; `None` when all senders are gone. Barriers reached on the way are released,
    /// so an output counts as handled when the next one is asked for.
    pub async fn recv(&mut self) -> Option<Output> {
        loop {
            match self.receiver.recv().await? {
                Item::Output(output) => return Some(*output),
                Item::Barrier(handled_tx) => {
                    // Nobody waits any more if this fails.
                    let _ = handled_tx.send(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_barrier_waits_for_everything_before_it() {
        let (sender, mut receiver) = OutputSender::channel();
        let reader = tokio::spawn(async move {
            let mut texts = Vec::new();
            while let Some(output) = receiver.recv().await {
                let Output::Stream { text, .. } = output else { panic!("only streams were sent") };
                texts.push(text);
            }
            texts
        });
        for index in 0..1000 {
            sender.stream(StreamName::Stdout, index.to_string()).await;
        }
        sender.barrier().await;
        drop(sender);
        assert_eq!(reader.await.expect("reads").len(), 1000);
    }

    #[tokio::test]
    async fn a_barrier_without_a_receiver_does_not_hang() {
        let (sender, receiver) = OutputSender::channel();
        drop(receiver);
        sender.stream(StreamName::Stderr, "lost").await;
        sender.barrier().await;
    }
}
