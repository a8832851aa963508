//! `oxilab track`: sends a journal to an MLflow server, without a notebook.
//!
//! The kernel does not know the prelude, so this runs one cell, as a notebook would. Address and journal
//! reach it through its environment: the cell's text, which the cache keeps, holds no credentials and is
//! compiled once.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use super::{SyncArgs, engine};
use crate::server::handler::{CellRunner, ExecuteCell, ExecuteReply, Output, OutputSender};

const SYNC: &str = "oxilab::track::set_uri(\"journal:\")?;\n\
                    println!(\"{}\", oxilab::track::sync(&std::env::var(\"OXILAB_SYNC_TO\")?)?);";

pub(super) fn sync(args: &SyncArgs) -> anyhow::Result<ExitCode> {
    let Some(uri) = args.uri.clone().or_else(|| std::env::var("MLFLOW_TRACKING_URI").ok()) else {
        bail!("which server? `oxilab track sync http://HOST:PORT`, or set MLFLOW_TRACKING_URI");
    };
    let journal = std::path::absolute(&args.journal)
        .with_context(|| format!("`{}` is not a path", args.journal.display()))?;
    if !journal.is_file() {
        bail!(
            "there is no journal {}: it lies in `.oxilab` beside the notebook; name it with --journal",
            journal.display()
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let reply = runtime.block_on(async {
        let start = move || engine::start(engine::Engine::Oxilab);
        let runner = tokio::task::spawn_blocking(start)
            .await
            .context("the engine failed while it started")?
            .map_err(|error| anyhow::anyhow!("{}", error.evalue))?;
        let reply = run(&*runner, &cell(&uri, &journal)).await;
        runner.shutdown(false).await;
        anyhow::Ok(reply)
    })?;
    runtime.shutdown_background();
    match reply {
        ExecuteReply::Ok { .. } => Ok(ExitCode::SUCCESS),
        ExecuteReply::Error(error) => bail!("{}", error.evalue),
        ExecuteReply::Aborted => bail!("it was aborted"),
    }
}

fn cell(uri: &str, journal: &Path) -> String {
    format!("%env OXILAB_SYNC_TO='{uri}'\n%env OXILAB_JOURNAL='{}'\n{SYNC}", journal.display())
}

/// Runs a cell; what it writes goes to this process's streams.
async fn run(runner: &dyn CellRunner, text: &str) -> ExecuteReply {
    let (output, mut shown) = OutputSender::channel();
    let print = async {
        while let Some(shown) = shown.recv().await {
            if let Output::Stream { text, .. } = shown {
                print!("{text}");
            }
        }
    };
    let run = async {
        let reply = runner.execute(ExecuteCell::new(text, 1), output.clone()).await;
        output.barrier().await;
        reply
    };
    tokio::select! {
        reply = run => reply,
        // Ends only when all senders are gone, which `output` prevents.
        () = print => ExecuteReply::Aborted,
    }
}
