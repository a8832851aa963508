//! The installed engine without a front end: cells in, text out.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oxilab_kernel::cli::engine::{self, Engine};
use oxilab_kernel::server::handler::{
    CellError, CellRunner, ExecuteCell, ExecuteReply, Output, OutputSender,
};
use oxilab_kernel::session::Config;
use oxilab_protocol::MimeBundle;

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
    let (reply, outputs) = outputs(runner, code, count, LIMIT).await;
    let text = |output| match output {
        Output::Stream { text, .. } => Some(text),
        Output::Result { bundle } | Output::Display { bundle, .. } => {
            Some(bundle.plain().to_owned())
        }
        _ => None,
    };
    let shown: String = outputs.into_iter().filter_map(text).collect();
    match reply {
        ExecuteReply::Ok { .. } => Ok(shown),
        ExecuteReply::Error(error) => Err(error),
        ExecuteReply::Aborted => panic!("aborted after {shown:?}"),
    }
}

/// The values that a cell shows, in order; it must not fail, nor take longer than that.
pub(crate) async fn shown(
    runner: &Arc<dyn CellRunner>,
    code: &str,
    limit: Duration,
) -> Vec<MimeBundle> {
    let (reply, outputs) = outputs(runner, code, 1, limit).await;
    if let ExecuteReply::Error(error) = &reply {
        panic!("{code}: {}", error.traceback.join("\n"));
    }
    let bundle = |output| match output {
        Output::Result { bundle } | Output::Display { bundle, .. } => Some(bundle),
        _ => None,
    };
    outputs.into_iter().filter_map(bundle).collect()
}

/// Runs a cell: how it ended, and all that it put out.
async fn outputs(
    runner: &Arc<dyn CellRunner>,
    code: &str,
    count: u32,
    limit: Duration,
) -> (ExecuteReply, Vec<Output>) {
    let (output, mut receiver) = OutputSender::channel();
    let put_out = Mutex::new(Vec::new());
    let run = async {
        let reply = runner.execute(ExecuteCell::new(code, count), output.clone()).await;
        output.barrier().await;
        reply
    };
    // Does not end by itself: the worker keeps the last cell's sender for its background threads.
    let collect = async {
        while let Some(output) = receiver.recv().await {
            put_out.lock().unwrap_or_else(PoisonError::into_inner).push(output);
        }
    };
    let both = async {
        tokio::select! {
            reply = run => reply,
            () = collect => ExecuteReply::Aborted,
        }
    };
    let reply = tokio::time::timeout(limit, both).await.expect("ends");
    (reply, put_out.into_inner().unwrap_or_else(PoisonError::into_inner))
}
