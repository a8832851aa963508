//! The worker as the session sees it: requests that are answered, cells that end, output that goes to
//! the cell that made it.
//!
//! One task takes what comes from the worker, in order. Text and displays go to the current cell's
//! output, also after its end, so that background threads are heard until the next cell starts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use oxilab_protocol::{Event, Failure, Outcome, Query, Request, StoredVariable};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::child::{
    ChildError, ChildOutput, Exit, StreamName as ChildStream, Worker, WorkerConfig,
};
use crate::server::handler::{CommKind, CommMessage, Output, OutputSender, StreamName};

/// A cell's end, as the worker tells it.
#[derive(Debug)]
pub struct CellEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// What it stored.
    pub stored: Vec<StoredVariable>,
    /// What it took and did not put back.
    pub lost: Vec<String>,
    /// Microseconds from entering the cell's code to leaving it.
    pub micros: u64,
}

/// A running worker with its dispatcher.
#[derive(Debug)]
pub struct Link {
    worker: Worker,
    routes: Arc<Mutex<Routes>>,
}

#[derive(Debug, Default)]
struct Routes {
    output: Option<OutputSender>,
    done: Option<(u64, oneshot::Sender<CellEnd>)>,
    replies: HashMap<u64, oneshot::Sender<Result<Value, String>>>,
    comms: Comms,
    exit: Option<Exit>,
    next: u64,
}

/// Where the output of comms goes.
#[derive(Debug, Default)]
struct Comms {
    /// Comm → the output of the cell or callback that opened it.
    openers: HashMap<String, OutputSender>,
    /// Request → the output of the front end's message.
    messages: HashMap<u64, OutputSender>,
    /// The callback that runs.
    running: Option<Callback>,
}

/// A callback: its comm messages belong to the message it answers, whatever else it shows to whoever
/// opened the comm.
#[derive(Clone, Debug)]
struct Callback {
    id: u64,
    message: OutputSender,
    shows: OutputSender,
}

impl Routes {
    fn target(&self, output: &Output) -> Option<OutputSender> {
        match (&self.comms.running, output) {
            (Some(callback), Output::Comm(_)) => Some(callback.message.clone()),
            (Some(callback), _) => Some(callback.shows.clone()),
            (None, _) => self.output.clone(),
        }
    }
}

impl Link {
    /// Starts a worker and its dispatcher.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(config: WorkerConfig) -> Result<Self, ChildError> {
        let (worker, outputs_rx) = Worker::spawn(config)?;
        let routes = Arc::new(Mutex::new(Routes::default()));
        tokio::spawn(dispatch(outputs_rx, Arc::clone(&routes)));
        Ok(Self { worker, routes })
    }

    /// Sends the output of what runs from now on somewhere else.
    pub fn direct(&self, output: OutputSender) {
        lock(&self.routes).output = Some(output);
    }

    /// Runs a cell's library. Ends with how the cell ended, or how the process did.
    ///
    /// # Errors
    /// The exit of the process, if it ended before the cell.
    pub async fn run(&self, request: impl FnOnce(u64) -> Request) -> Result<CellEnd, Option<Exit>> {
        let (done_tx, done_rx) = oneshot::channel();
        let cell = {
            let mut routes = lock(&self.routes);
            routes.next += 1;
            let cell = routes.next;
            if routes.exit.is_some() {
                return Err(routes.exit.clone());
            }
            routes.done = Some((cell, done_tx));
            cell
        };
        // A closed pipe is followed by the exit, which says more.
        let _ = self.worker.send(&request(cell));
        match done_rx.await {
            Ok(end) => Ok(end),
            Err(_) => Err(lock(&self.routes).exit.clone()),
        }
    }

    /// Asks the worker something.
    ///
    /// # Errors
    /// What the worker says, or that it is gone.
    pub async fn ask(&self, query: Query) -> Result<Value, String> {
        self.request(|id| Request::Ask { id, query }).await
    }

    /// Sends a request that is answered.
    ///
    /// # Errors
    /// What the worker says, or that it is gone.
    pub async fn request(&self, request: impl FnOnce(u64) -> Request) -> Result<Value, String> {
        let (reply_tx, reply_rx) = oneshot::channel();
        let id = {
            let mut routes = lock(&self.routes);
            if let Some(exit) = &routes.exit {
                return Err(format!("the worker has ended: {exit}"));
            }
            routes.next += 1;
            let id = routes.next;
            routes.replies.insert(id, reply_tx);
            id
        };
        self.worker.send(&request(id)).map_err(|error| error.to_string())?;
        reply_rx.await.unwrap_or_else(|_| Err("the worker ended before it answered".to_owned()))
    }

    /// Hands over a comm message and waits until its callback has ended. Returns how the callback
    /// failed, if it did, and where to say so.
    pub async fn comm(
        &self,
        message: CommMessage,
        output: OutputSender,
    ) -> Option<(Failure, OutputSender)> {
        use base64::Engine as _;
        let encode = |bytes: &Bytes| base64::engine::general_purpose::STANDARD.encode(bytes);
        let comm_id = message.comm_id.clone();
        let closes = message.kind == CommKind::Close;
        let shows = lock(&self.routes).comms.openers.get(&comm_id).cloned();
        let shows = shows.unwrap_or_else(|| output.clone());
        let answer = self
            .request(|id| {
                lock(&self.routes).comms.messages.insert(id, output);
                Request::Comm {
                    id,
                    kind: message.kind.as_str().to_owned(),
                    comm_id: message.comm_id,
                    target: message.target,
                    data: message.data,
                    buffers: message.buffers.iter().map(encode).collect(),
                }
            })
            .await;
        if closes {
            lock(&self.routes).comms.openers.remove(&comm_id);
        }
        // Everything the callback has shown is on its way before its message is done.
        shows.barrier().await;
        let failure = serde_json::from_value::<Option<Failure>>(answer.ok()?).ok()??;
        Some((failure, shows))
    }

    /// Sends a request that is not answered.
    pub fn tell(&self, request: &Request) {
        if let Err(error) = self.worker.send(request) {
            tracing::debug!(%error, "a request did not reach the worker");
        }
    }

    /// Interrupts the running cell.
    pub fn interrupt(&self) {
        if let Err(error) = self.worker.interrupt() {
            tracing::debug!(%error, "the interrupt did not reach the worker");
        }
    }

    /// How the process ended, if it has.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        lock(&self.routes).exit.clone()
    }

    /// Whether a cell runs.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.worker.is_busy()
    }

    /// Process id of the worker.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.worker.pid()
    }

    /// The kernel ends: nobody needs to be told that the worker's comms are gone.
    pub fn forget_comms(&self) {
        lock(&self.routes).comms = Comms::default();
    }

    /// Ends the process, orderly if it can.
    pub fn shut_down(&self) {
        self.worker.shut_down(std::time::Duration::from_millis(1500));
    }
}

async fn dispatch(mut outputs_rx: mpsc::Receiver<ChildOutput>, routes: Arc<Mutex<Routes>>) {
    while let Some(output) = outputs_rx.recv().await {
        match output {
            ChildOutput::Stream { name, text } => {
                let name = match name {
                    ChildStream::Stdout => StreamName::Stdout,
                    ChildStream::Stderr => StreamName::Stderr,
                };
                show(&routes, Output::Stream { name, text }).await;
            }
            ChildOutput::Event(event) => handle(event, &routes).await,
            ChildOutput::Exited(exit) => {
                close_comms(&routes).await;
                let mut routes = lock(&routes);
                routes.exit = Some(exit);
                // Dropping the senders wakes everyone who waits.
                routes.done = None;
                routes.replies.clear();
            }
        }
    }
}

/// The worker's ends of its comms are gone: the front end is told, so that its widgets show it.
async fn close_comms(routes: &Mutex<Routes>) {
    let comms = std::mem::take(&mut lock(routes).comms);
    for (comm_id, opener) in comms.openers {
        let data = Value::Object(serde_json::Map::new());
        let (kind, target, metadata) = (CommKind::Close, String::new(), data.clone());
        let close = CommMessage { kind, comm_id, target, data, metadata, buffers: Vec::new() };
        opener.send(Output::Comm(close)).await;
    }
}

async fn handle(event: Event, routes: &Mutex<Routes>) {
    match event {
        Event::Display { bundle, result: true, .. } => {
            show(routes, Output::Result { bundle }).await;
        }
        Event::Display { bundle, display_id, update, .. } => {
            show(routes, Output::Display { bundle, display_id, update }).await;
        }
        Event::Clear { wait } => show(routes, Output::Clear { wait }).await,
        Event::Input { prompt, password } => show(routes, Output::Input { prompt, password }).await,
        Event::Comm { kind, comm_id, target, data, metadata, buffers } => {
            let kind = match kind.as_str() {
                "comm_open" => CommKind::Open,
                "comm_close" => CommKind::Close,
                _ => CommKind::Message,
            };
            let buffers = buffers.iter().filter_map(|text| decode(text)).collect();
            note_opener(&mut lock(routes), kind, &comm_id);
            show(
                routes,
                Output::Comm(CommMessage { kind, comm_id, target, data, metadata, buffers }),
            )
            .await;
        }
        Event::Done { cell, outcome, stored, lost, micros } => {
            let mut routes = lock(routes);
            if routes.done.as_ref().is_some_and(|(running, _)| *running == cell)
                && let Some((_, done_tx)) = routes.done.take()
            {
                // The receiver is gone only when the kernel is shutting down.
                let _ = done_tx.send(CellEnd { outcome, stored, lost, micros });
            }
        }
        Event::Callback { id, comm_id } => {
            let mut routes = lock(routes);
            if let Some(message) = routes.comms.messages.remove(&id) {
                let shows = routes.comms.openers.get(&comm_id).unwrap_or(&message).clone();
                routes.comms.running = Some(Callback { id, message, shows });
            }
        }
        Event::Replied { id, answer } => {
            lock(routes).comms.running.take_if(|callback| callback.id == id);
            if let Some(reply_tx) = lock(routes).replies.remove(&id) {
                let _ = reply_tx.send(answer);
            }
        }
        Event::Log { message } => tracing::info!(target: "oxilab::worker", "{message}"),
        Event::Ready { pid, .. } => tracing::debug!(pid, "the prelude is loaded"),
    }
}

/// Remembers who opened a comm. A comm that a callback opens belongs to the callback's cell.
fn note_opener(routes: &mut Routes, kind: CommKind, comm_id: &str) {
    match kind {
        CommKind::Open => {
            let running = routes.comms.running.as_ref();
            let opener = running.map(|callback| callback.shows.clone()).or(routes.output.clone());
            if let Some(opener) = opener {
                routes.comms.openers.insert(comm_id.to_owned(), opener);
            }
        }
        CommKind::Message => {}
        CommKind::Close => {
            routes.comms.openers.remove(comm_id);
        }
    }
}

async fn show(routes: &Mutex<Routes>, output: Output) {
    let sender = lock(routes).target(&output);
    if let Some(sender) = sender {
        sender.send(output).await;
    } else {
        tracing::debug!(?output, "output before the first cell");
    }
}

fn decode(text: &str) -> Option<Bytes> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok().map(Bytes::from)
}

fn lock(routes: &Mutex<Routes>) -> std::sync::MutexGuard<'_, Routes> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}
