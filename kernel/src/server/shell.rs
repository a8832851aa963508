//! The shell channel: cells go to the queue, comms to theirs, everything else is answered at once,
//! also while a cell runs.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt as _;
use jupyter_protocol::messaging::{CompleteRequest, InspectRequest};
use jupyter_zmq_client::RouterRecvConnection;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::history::{HistoryEntry, HistoryQuery};
use crate::server::Server;
use crate::server::busy::Busy;
use crate::server::execute::Execution;
use crate::server::handler::{CellError, CommMessage, Completeness, Completions};
use crate::server::message::{Replies, error_content};
use crate::server::output::{self, Origin};
use crate::server::request::{Incoming, Parent, Request, receive};
use crate::server::{control, kernel_info};

/// A comm message on its way to the runner.
pub(crate) type Comm = (Arc<Parent>, CommMessage);

/// Dispatches for as long as it is polled.
pub(crate) async fn run(
    server: Arc<Server>,
    mut connection: RouterRecvConnection,
    cells_tx: UnboundedSender<Execution>,
    comms_tx: UnboundedSender<Comm>,
    panels_tx: UnboundedSender<Comm>,
) {
    loop {
        let Incoming { parent, request } = match receive(&mut connection, "shell").await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::error!(%error, "the shell socket failed");
                return server.stop();
            }
        };
        let parent = Arc::new(parent);
        match request {
            Request::Execute { content, cell_id } => {
                let waits = server.cells.fetch_add(1, Ordering::SeqCst) > 0;
                if let (true, Some(runner)) = (waits, server.runner.ready()) {
                    runner.upcoming(&content.code);
                }
                // The receiver lives as long as the server.
                let _ = cells_tx.send(Execution { parent, content, cell_id });
            }
            Request::Comm(message) => {
                let runner = server.runner.ready();
                let answers = runner.is_some_and(|runner| runner.answers_comm(&message));
                let _ = if answers { &panels_tx } else { &comms_tx }.send((parent, message));
            }
            // Old clients send these here.
            Request::Shutdown(request) => {
                let (server, replies) = (Arc::clone(&server), server.shell.clone());
                tokio::spawn(async move {
                    control::shut_down(&server, &replies, &parent, request.restart).await;
                });
            }
            request => {
                let (server, replies) = (Arc::clone(&server), server.shell.clone());
                tokio::spawn(async move { answer(&server, &replies, &parent, request).await });
            }
        }
    }
}

/// Handles comm messages in order, beside the cells. A message to the worker is handled when its
/// callback has ended: a front end that waits for idle, as ipywidgets does, sends no more than the
/// callbacks take.
pub(crate) async fn run_comms(server: Arc<Server>, mut comms_rx: UnboundedReceiver<Comm>) {
    while let Some((parent, message)) = comms_rx.recv().await {
        let _busy = Busy::start(&server.iopub, &parent);
        server.comms.note(&message);
        let Ok(runner) = server.runner.get().await else { continue };
        let output = output::sender(&server, Origin::comm(Arc::clone(&parent)));
        let handled = AssertUnwindSafe(runner.comm(message, output.clone())).catch_unwind().await;
        if handled.is_err() {
            tracing::error!("a comm message made the kernel panic");
        }
        output.barrier().await;
    }
}

/// Busy, answer, reply, idle; a panic on the way becomes an error reply.
pub(crate) async fn answer(server: &Server, replies: &Replies, parent: &Parent, request: Request) {
    let _busy = Busy::start(&server.iopub, parent);
    let content = AssertUnwindSafe(respond(server, parent, request)).catch_unwind().await;
    let content = content.unwrap_or_else(|_| {
        error_content(&CellError {
            ename: "InternalError".to_owned(),
            evalue: format!("oxilab panicked while it answered {}", parent.header.msg_type),
            ..CellError::default()
        })
    });
    // A front end that has gone was logged; there is nobody else to tell.
    let _ = replies.send(parent, &parent.reply_type(), content).await;
}

async fn respond(server: &Server, parent: &Parent, request: Request) -> Value {
    match request {
        Request::KernelInfo => kernel_info::content(&server.rust_version.clone().await),
        Request::IsComplete(request) => is_complete(server, &request.code).await,
        Request::Complete(request) => complete(server, request).await,
        Request::Inspect(request) => inspect(server, request).await,
        Request::CommInfo(request) => {
            server.comms.info(request.target_name.as_deref().filter(|target| !target.is_empty()))
        }
        Request::History(query) => history(server, query).await,
        Request::Interrupt => {
            if let Some(runner) = server.runner.ready() {
                runner.interrupt();
            }
            json!({ "status": "ok" })
        }
        Request::Debug(request) => json!({
            "type": "response",
            "request_seq": request.get("seq").cloned().unwrap_or_default(),
            "command": request.get("command").cloned().unwrap_or_default(),
            "success": false,
            "message": "oxilab has no debugger",
        }),
        Request::Malformed(problem) => error_content(&CellError {
            ename: "ProtocolError".to_owned(),
            evalue: format!("the content of {} is not valid: {problem}", parent.header.msg_type),
            ..CellError::default()
        }),
        Request::Unknown
        | Request::Execute { .. }
        | Request::Comm(_)
        | Request::Shutdown(_)
        | Request::Input { .. } => error_content(&CellError {
            ename: "ProtocolError".to_owned(),
            evalue: format!("oxilab does not answer {} on this channel", parent.header.msg_type),
            ..CellError::default()
        }),
    }
}

async fn is_complete(server: &Server, code: &str) -> Value {
    let completeness = match server.runner.get().await {
        Ok(runner) => runner.is_complete(code),
        Err(_) => Completeness::Unknown,
    };
    match completeness {
        Completeness::Complete => json!({ "status": "complete" }),
        Completeness::Incomplete { indent } => json!({ "status": "incomplete", "indent": indent }),
        Completeness::Invalid => json!({ "status": "invalid" }),
        Completeness::Unknown => json!({ "status": "unknown" }),
    }
}

async fn complete(server: &Server, request: CompleteRequest) -> Value {
    let cursor = request.cursor_pos.min(request.code.chars().count());
    let found = match server.runner.get().await {
        Ok(runner) => runner.complete(&request.code, cursor).await,
        Err(_) => Completions { start: cursor, end: cursor, items: Vec::new() },
    };
    let matches: Vec<&str> = found.items.iter().map(|item| item.text.as_str()).collect();
    let types: Vec<Value> = found
        .items
        .iter()
        .map(|item| {
            json!({
                "text": item.text,
                "type": item.kind,
                "signature": item.signature,
                "start": found.start,
                "end": found.end,
            })
        })
        .collect();
    json!({
        "status": "ok",
        "matches": matches,
        "cursor_start": found.start,
        "cursor_end": found.end,
        // Index-aligned with `matches`; JupyterLab takes icons and signatures from it.
        "metadata": { "_jupyter_types_experimental": types },
    })
}

async fn inspect(server: &Server, request: InspectRequest) -> Value {
    let cursor = request.cursor_pos.min(request.code.chars().count());
    let detail = u8::from(request.detail_level.unwrap_or(0) > 0);
    let found = match server.runner.get().await {
        Ok(runner) => runner.inspect(&request.code, cursor, detail).await,
        Err(_) => None,
    };
    match found {
        Some(bundle) => json!({
            "status": "ok", "found": true, "data": bundle.data, "metadata": bundle.metadata,
        }),
        None => json!({
            "status": "ok", "found": false, "data": Map::new(), "metadata": Map::new(),
        }),
    }
}

async fn history(server: &Server, query: HistoryQuery) -> Value {
    let with_output = query.output();
    let entries = match server.history.clone() {
        Some(history) => {
            let read = tokio::task::spawn_blocking(move || history.query(&query)).await;
            match read {
                Ok(Ok(entries)) => entries,
                Ok(Err(error)) => return history_failed(&error.to_string()),
                Err(error) => return history_failed(&error.to_string()),
            }
        }
        None => Vec::new(),
    };
    let entry = |entry: HistoryEntry| {
        if with_output {
            json!([entry.session, entry.line, [entry.source, entry.output]])
        } else {
            json!([entry.session, entry.line, entry.source])
        }
    };
    json!({ "status": "ok", "history": entries.into_iter().map(entry).collect::<Vec<_>>() })
}

fn history_failed(problem: &str) -> Value {
    let mut content = error_content(&CellError {
        ename: "HistoryError".to_owned(),
        evalue: problem.to_owned(),
        ..CellError::default()
    });
    content["history"] = json!([]);
    content
}
