//! The installed engine without a front end: cells in, text out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxilab_kernel::cli::engine::{self, Engine};
use oxilab_kernel::server::handler::{
    CellError, CellRunner, ExecuteCell, ExecuteReply, Output, OutputSender,
};
use oxilab_kernel::session::Config;

const LIMIT: Duration = Duration::from_mins(2);

/// The installed engine.
pub(crate) async fn start(config: Config) -> Arc<dyn CellRunner> {
    let started = tokio::task::spawn_blocking(move || engine::start_with(Engine::Oxilab, &config));
    started.await.expect("does not panic").expect("starts")
}

/// Runs a cell: what it has shown as plain text, or its error.
pub(crate) async fn run(runner: &Arc<dyn CellRunner>, code: &str) -> Result<String, CellError> {
    run_as(runner, code, 1).await
}

/// [`run`], as `In [count]`.
pub(crate) async fn run_as(
    runner: &Arc<dyn CellRunner>,
    code: &str,
    count: u32,
) -> Result<String, CellError> {
    let (output, mut receiver) = OutputSender::channel();
    let shown = Mutex::new(String::new());
    let run = async {
        let reply = runner.execute(ExecuteCell::new(code, count), output.clone()).await;
        output.barrier().await;
        reply
    };
    // Does not end by itself: the worker keeps the last cell's sender for its background threads.
    let collect = async {
        while let Some(output) = receiver.recv().await {
            let text = match output {
                Output::Stream { text, .. } => text,
                Output::Result { bundle } | Output::Display { bundle, .. } => {
                    bundle.plain().to_owned()
                }
                _ => continue,
            };
            shown.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
        }
    };
    let both = async {
        tokio::select! {
            reply = run => reply,
            () = collect => ExecuteReply::Aborted,
        }
    };
    let reply = tokio::time::timeout(LIMIT, both).await.expect("ends");
    let shown = shown.into_inner().unwrap_or_else(PoisonError::into_inner);
    match reply {
        ExecuteReply::Ok { .. } => Ok(shown),
        ExecuteReply::Error(error) => Err(error),
        ExecuteReply::Aborted => panic!("aborted after {shown:?}"),
    }
}
