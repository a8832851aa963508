//! The installed engine without a front end: cells in, text out.

use std::sync::Arc;
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
    let (output, mut receiver) = OutputSender::channel();
    let reply = async {
        let reply = runner.execute(ExecuteCell::new(code, 1), output.clone()).await;
        output.barrier().await;
        drop(output);
        reply
    };
    let collect = async {
        let mut text = String::new();
        while let Some(output) = receiver.recv().await {
            match output {
                Output::Stream { text: part, .. } => text.push_str(&part),
                Output::Result { bundle } | Output::Display { bundle, .. } => {
                    text.push_str(bundle.plain());
                }
                _ => {}
            }
        }
        text
    };
    let both = async {
        tokio::pin!(collect);
        tokio::select! {
            reply = reply => {
                // A background thread of the cell may hold the other end: what came is enough.
                let text = tokio::time::timeout(Duration::from_millis(200), collect).await;
                (reply, text.unwrap_or_default())
            }
            text = &mut collect => (ExecuteReply::Aborted, text),
        }
    };
    match tokio::time::timeout(LIMIT, both).await.expect("ends") {
        (ExecuteReply::Ok { .. }, text) => Ok(text),
        (ExecuteReply::Error(error), _) => Err(error),
        (ExecuteReply::Aborted, text) => panic!("aborted after {text:?}"),
    }
}
