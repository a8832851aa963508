//! The second engine: the `evcxr` crate behind the same trait, with the cargo feature `evcxr`.
//!
//! It is the way out for a cell that the first engine cannot take, and the oracle that the cell specs
//! are compared with (`cargo xtask peers`). Its context lives on a thread of its own, because its
//! calls block; cells come to it through a channel.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use evcxr::{CommandContext, EvalCallbacks, EvalContextOutputs, EvalOutputs};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use oxilab_protocol::MimeBundle;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::server::handler::{
    CellError, CellRunner, CommKind, CommMessage, Completeness, Completion, Completions,
    ExecuteCell, ExecuteReply, Output, OutputSender, StreamName,
};
use crate::session::{completeness, errors};

pub use evcxr::runtime_hook;

/// How often waiting text is looked for while a cell runs.
const LOOK: Duration = Duration::from_millis(20);

/// Runs cells with evcxr.
#[derive(Debug)]
pub struct Evcxr {
    jobs: mpsc::Sender<Job>,
    process: Arc<Mutex<std::process::Child>>,
    answers: Mutex<mpsc::Sender<Option<String>>>,
    busy: Arc<AtomicBool>,
}

enum Job {
    Execute(ExecuteCell, OutputSender, oneshot::Sender<ExecuteReply>),
    Complete(String, usize, oneshot::Sender<Completions>),
}

impl Evcxr {
    /// Starts evcxr and the process that it runs cells in.
    ///
    /// # Errors
    /// When evcxr does not start.
    pub fn start() -> Result<Self, CellError> {
        let (jobs, jobs_rx) = mpsc::channel();
        let (answers, answers_rx) = mpsc::channel();
        let (started_tx, started_rx) = mpsc::channel();
        let busy = Arc::new(AtomicBool::new(false));
        let of_thread = Arc::clone(&busy);
        thread::spawn(move || match CommandContext::new() {
            Ok((context, outputs)) => {
                // The other end waits for it.
                let _ = started_tx.send(Ok(context.process_handle()));
                serve(context, &outputs, &jobs_rx, &answers_rx, &of_thread);
            }
            Err(error) => {
                let _ = started_tx.send(Err(errors::plain("StartError", &error.to_string())));
            }
        });
        let gone = |_| Err(errors::plain("StartError", "evcxr ended while it started"));
        let process = started_rx.recv().unwrap_or_else(gone)?;
        Ok(Self { jobs, process, answers: Mutex::new(answers), busy })
    }
}

fn serve(
    mut context: CommandContext,
    outputs: &EvalContextOutputs,
    jobs: &mpsc::Receiver<Job>,
    answers: &mpsc::Receiver<Option<String>>,
    busy: &AtomicBool,
) {
    // Ends when the runner is dropped.
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Execute(cell, output, reply) => {
                busy.store(true, Ordering::SeqCst);
                let done = execute(&mut context, outputs, answers, &cell, &output);
                busy.store(false, Ordering::SeqCst);
                // Nobody waits for the reply of a session that was ended.
                let _ = reply.send(done);
            }
            Job::Complete(code, cursor, reply) => {
                let _ = reply.send(complete(&mut context, &code, cursor));
            }
        }
    }
}

fn execute(
    context: &mut CommandContext,
    outputs: &EvalContextOutputs,
    answers: &mpsc::Receiver<Option<String>>,
    cell: &ExecuteCell,
    output: &OutputSender,
) -> ExecuteReply {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| forward(outputs, output, &ended));
        // evcxr does not export the request's type.
        let callbacks = &mut EvalCallbacks {
            input_reader: &|request| {
                let password = request.is_password;
                output.send_blocking(Output::Input { prompt: request.prompt, password });
                answers.recv().ok().flatten().unwrap_or_default()
            },
        };
        let done = context.execute_with_callbacks(&cell.code, callbacks);
        ended.store(true, Ordering::SeqCst);
        done
    })
    .map_or_else(
        |error| ExecuteReply::Error(explained(&error)),
        |shown| {
            show(shown, cell, output);
            ExecuteReply::ok()
        },
    )
}

/// Passes text on until the cell has ended and nothing waits.
fn forward(outputs: &EvalContextOutputs, output: &OutputSender, ended: &AtomicBool) {
    loop {
        // Read before the streams: what came before the end is there to be taken.
        let last = ended.load(Ordering::SeqCst);
        for (name, lines) in
            [(StreamName::Stdout, &outputs.stdout), (StreamName::Stderr, &outputs.stderr)]
        {
            while let Ok(line) = lines.try_recv() {
                output.send_blocking(Output::Stream { name, text: line + "\n" });
            }
        }
        if last {
            return;
        }
        thread::sleep(LOOK);
    }
}

fn show(shown: EvalOutputs, cell: &ExecuteCell, output: &OutputSender) {
    if shown.content_by_mime_type.is_empty() || cell.silent {
        return;
    }
    let mut bundle = MimeBundle::text("<rich output>");
    for (kind, content) in shown.content_by_mime_type {
        bundle.data.insert(kind, Value::String(content));
    }
    output.send_blocking(Output::Result { bundle });
}

fn explained(error: &evcxr::Error) -> CellError {
    let evcxr::Error::CompilationErrors(found) = error else {
        return errors::plain("EvcxrError", &error.to_string());
    };
    let first = found.first();
    let code = first.and_then(|error| error.code());
    CellError {
        ename: code
            .map_or_else(|| "CompileError".to_owned(), |code| format!("CompileError[{code}]")),
        evalue: first.map_or_else(|| error.to_string(), evcxr::CompilationError::message),
        traceback: found.iter().map(evcxr::CompilationError::rendered).collect(),
        html: None,
    }
}

fn complete(context: &mut CommandContext, code: &str, cursor: usize) -> Completions {
    let byte = code.char_indices().nth(cursor).map_or(code.len(), |(at, _)| at);
    let Ok(found) = context.completions(code, byte) else { return Completions::default() };
    let points = |byte: usize| code.get(..byte).map_or(cursor, |text| text.chars().count());
    let items = found.completions.into_iter().map(|one| Completion {
        text: one.code,
        kind: one.kind.to_owned(),
        signature: one.label,
    });
    Completions {
        start: points(found.start_offset),
        end: points(found.end_offset),
        items: items.collect(),
    }
}

impl CellRunner for Evcxr {
    fn execute(&self, cell: ExecuteCell, output: OutputSender) -> BoxFuture<'_, ExecuteReply> {
        let (reply_tx, reply_rx) = oneshot::channel();
        let sent = self.jobs.send(Job::Execute(cell, output, reply_tx));
        async move {
            let gone = || ExecuteReply::Error(errors::plain("EvcxrError", "evcxr has ended"));
            if sent.is_err() { gone() } else { reply_rx.await.unwrap_or_else(|_| gone()) }
        }
        .boxed()
    }

    fn upcoming(&self, _code: &str) {}

    fn is_complete(&self, code: &str) -> Completeness {
        completeness::judge(code)
    }

    fn complete(&self, code: &str, cursor: usize) -> BoxFuture<'_, Completions> {
        let (reply_tx, reply_rx) = oneshot::channel();
        // The context has one thread: while it runs a cell there is nobody to ask.
        if !self.busy.load(Ordering::SeqCst) {
            let _ = self.jobs.send(Job::Complete(code.to_owned(), cursor, reply_tx));
        }
        async move { reply_rx.await.unwrap_or_default() }.boxed()
    }

    fn inspect(&self, _: &str, _: usize, _: u8) -> BoxFuture<'_, Option<MimeBundle>> {
        futures::future::ready(None).boxed()
    }

    fn interrupt(&self) {
        if !self.busy.load(Ordering::SeqCst) {
            return;
        }
        // evcxr can only end the process, and every variable with it.
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = process.kill() {
            tracing::warn!(%error, "evcxr's process was not ended");
        }
    }

    fn input_reply(&self, reply: Result<String, String>) {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        // A cell that asks no longer has ended.
        let _ = answers.send(reply.ok());
    }

    fn comm(&self, message: CommMessage, output: OutputSender) -> BoxFuture<'_, ()> {
        async move {
            if message.kind == CommKind::Open {
                let close = CommMessage {
                    kind: CommKind::Close,
                    target: String::new(),
                    data: Value::Object(Map::new()),
                    buffers: Vec::new(),
                    ..message
                };
                output.send(Output::Comm(close)).await;
            }
        }
        .boxed()
    }

    fn shutdown(&self, _restart: bool) -> BoxFuture<'_, ()> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended by itself.
        let _ = process.kill();
        futures::future::ready(()).boxed()
    }
}
