//! `oxilab kernel`: serves a connection file until it is told to end.

use std::process::ExitCode;
use std::time::Duration;

use super::{KernelArgs, engine};
use crate::install;
use crate::server::{ServerConfig, read_connection_file, serve};

pub(super) fn run(args: &KernelArgs) -> anyhow::Result<ExitCode> {
    let engine = args.engine.engine;
    let info = read_connection_file(&args.connection_file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = ServerConfig::new(engine::rust_version())
        .with_history(install::data_dir().join("history.sqlite"))
        .with_signals()
        .with_until(orphaned());
    runtime.block_on(serve(&info, config, move || engine::start(engine)))?;
    // Blocking work that is still under way does not keep the process.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Ends when the process that started the kernel is gone. Jupyter says so by `JPY_PARENT_PID`; a
/// kernel that a person started by hand may outlive the shell.
async fn orphaned() {
    if std::env::var_os("JPY_PARENT_PID").is_none() {
        return std::future::pending().await;
    }
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tracing::info!("the process that started the kernel is gone");
}
