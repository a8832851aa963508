//! The queue of cells: one runs at a time, and a failure aborts what is queued behind it.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use jupyter_protocol::messaging::ExecuteRequest;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::server::Server;
use crate::server::busy::Busy;
use crate::server::handler::{CellError, CellFigures, ExecuteCell, ExecuteReply};
use crate::server::message::error_content;
use crate::server::output::{self, Origin, shown_error};
use crate::server::request::Parent;

/// Cells sent before the front end could know of a failure may still be on their way when the cell
/// fails. What arrives within this pause, before the failure is published, is aborted as well.
const ABORT_PAUSE: Duration = Duration::from_millis(5);

/// A cell in the queue.
pub(crate) struct Execution {
    pub(crate) parent: Arc<Parent>,
    pub(crate) content: ExecuteRequest,
    pub(crate) cell_id: Option<String>,
}

/// Runs cells as they come, for as long as it is polled.
pub(crate) async fn run(server: Arc<Server>, mut cells_rx: UnboundedReceiver<Execution>) {
    let mut count = 0;
    while let Some(execution) = cells_rx.recv().await {
        let aborted = run_one(&server, execution, &mut count, &mut cells_rx).await;
        server.cells.fetch_sub(1 + aborted.len(), Ordering::SeqCst);
        for execution in aborted {
            abort(&server, &execution).await;
        }
    }
}

/// Runs one cell between busy and idle; returns the cells that its failure aborts.
async fn run_one(
    server: &Arc<Server>,
    execution: Execution,
    count: &mut u32,
    cells_rx: &mut UnboundedReceiver<Execution>,
) -> VecDeque<Execution> {
    let Execution { parent, content, cell_id } = execution;
    let _busy = Busy::start(&server.iopub, &parent);
    let store_history = content.store_history && !content.silent;
    if store_history {
        *count += 1;
    }
    let cell = ExecuteCell {
        silent: content.silent,
        store_history,
        allow_stdin: content.allow_stdin,
        // A cell that is not stored is numbered as the next one would be, without counting.
        count: if store_history || content.silent { *count } else { *count + 1 },
        cell_id,
        user_expressions: expressions(&content),
        code: content.code,
    };
    if !cell.silent {
        let input = json!({ "code": cell.code, "execution_count": cell.count });
        server.iopub.publish(Some(&parent), "execute_input", input);
    }
    let shown = cell.count;
    let (reply, figures) = execute(server, &parent, cell).await;

    let mut aborted = VecDeque::new();
    let reply = match reply {
        ExecuteReply::Ok { user_expressions, payload } => json!({
            "status": "ok",
            "execution_count": shown,
            "user_expressions": user_expressions,
            "payload": payload,
        }),
        ExecuteReply::Error(error) => {
            if content.stop_on_error {
                aborted = queued(cells_rx).await;
            }
            if !content.silent {
                publish_error(server, &parent, &error);
            }
            let mut reply = error_content(&error);
            reply["execution_count"] = json!(shown);
            reply["user_expressions"] = json!({});
            reply["payload"] = json!([]);
            reply
        }
        ExecuteReply::Aborted => aborted_content(),
    };
    // A front end that has gone was logged; the cell has run all the same.
    let metadata = figures.map_or(Value::Null, |figures| json!({ "oxilab": figures }));
    let _ = server.shell.send_with(&parent, "execute_reply", reply, metadata).await;
    aborted
}

/// Shows an error. Where it has a form for a browser, that stands below the headline as an output of its
/// own, with the same as text for front ends that show none.
fn publish_error(server: &Server, parent: &Parent, error: &CellError) {
    let mut shown = shown_error(error);
    let Some(page) = &error.html else {
        server.iopub.publish(Some(parent), "error", shown);
        return;
    };
    shown["traceback"] = json!(page.headline);
    server.iopub.publish(Some(parent), "error", shown);
    let data = json!({"text/html": page.html, "text/plain": page.plain});
    let content = json!({"data": data, "metadata": {}, "transient": {}});
    server.iopub.publish(Some(parent), "display_data", content);
}

/// Runs the cell and waits until everything it has shown is on its way.
async fn execute(
    server: &Arc<Server>,
    parent: &Arc<Parent>,
    cell: ExecuteCell,
) -> (ExecuteReply, Option<CellFigures>) {
    let runner = match server.runner.get().await {
        Ok(runner) => runner,
        Err(error) => return (ExecuteReply::Error(error), None),
    };
    let origin = Origin {
        parent: Arc::clone(parent),
        count: cell.count,
        allow_stdin: cell.allow_stdin,
        silent: cell.silent,
        result: Arc::default(),
    };
    let output = output::sender(server, origin.clone());
    let record = cell.store_history.then(|| (cell.count, cell.code.clone()));
    let run = AssertUnwindSafe(runner.execute(cell, output.clone())).catch_unwind();
    let reply = run.await.unwrap_or_else(|_| {
        ExecuteReply::Error(CellError {
            ename: "InternalError".to_owned(),
            evalue: "oxilab panicked while it ran the cell; the log has the place".to_owned(),
            ..CellError::default()
        })
    });
    output.barrier().await;
    server.stdin.forget();
    if let Some((line, source)) = record {
        let result = origin.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        remember(server, line, source, result).await;
    }
    let figures = matches!(reply, ExecuteReply::Ok { .. }).then(|| runner.figures()).flatten();
    (reply, figures)
}

async fn remember(server: &Server, line: u32, source: String, result: Option<String>) {
    let Some(history) = server.history.clone() else { return };
    let written =
        tokio::task::spawn_blocking(move || history.record(line, &source, result.as_deref()));
    match written.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a cell was not recorded"),
        Err(error) => tracing::warn!(%error, "a cell was not recorded"),
    }
}

fn expressions(content: &ExecuteRequest) -> Map<String, Value> {
    let expressions = content.user_expressions.iter().flatten();
    expressions.map(|(name, code)| (name.clone(), Value::String(code.clone()))).collect()
}

async fn queued(cells_rx: &mut UnboundedReceiver<Execution>) -> VecDeque<Execution> {
    let mut found = VecDeque::new();
    while let Ok(Some(execution)) = tokio::time::timeout(ABORT_PAUSE, cells_rx.recv()).await {
        found.push_back(execution);
    }
    found
}

async fn abort(server: &Server, execution: &Execution) {
    let _busy = Busy::start(&server.iopub, &execution.parent);
    let content = aborted_content();
    // A front end that has gone was logged.
    let _ = server.shell.send(&execution.parent, "execute_reply", content).await;
}

/// Without a count, as ipykernel's: the cell keeps an empty prompt.
fn aborted_content() -> Value {
    json!({ "status": "aborted" })
}
