//! `oxilab-server`: models over HTTP, in a process of its own.
//!
//! The protocols of `MLflow`, the Open Inference Protocol, `TensorFlow` Serving and `TorchServe` on one
//! predictor; metrics, drift and capture; new versions without a failed request.
//!
//! * [`args`]: the command line. [`app`]: models and their state. [`routes`], [`pages`]: what is
//!   answered. [`reload`]: hot swap. [`watch`], [`metrics`]: monitoring. [`listen`]: connections.

mod app;
mod args;
mod listen;
mod metrics;
mod pages;
mod reload;
mod routes;
mod watch;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use app::App;
use args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("OXILAB_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .with_ansi(false)
        .init();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    anyhow::ensure!(
        args.host.is_loopback() || !args.api_key_hash.is_empty(),
        "{} can be reached by others: give --api-key-hash, the SHA-256 of a key",
        args.host
    );
    let admin = std::env::var("OXILAB_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
    let state = args.state.clone();
    let app = App::load(args, admin.as_deref().map(|token| Sha256::digest(token).into()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let result = runtime.block_on(serve(Arc::new(app), admin.unwrap_or_default()));
    // A computation that nobody waits for any more does not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Some(state) = state {
        // It may be gone already; the owner looks at the process as well.
        let _ = std::fs::remove_file(state);
    }
    result
}

async fn serve(app: Arc<App>, token: String) -> Result<()> {
    let address = SocketAddr::new(app.args.host, app.args.port);
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; another --port may be free"))?;
    let address = listener.local_addr().context("cannot learn the port")?;
    let url = format!("http://{address}");
    let every = Duration::from_millis(app.args.watch.max(10));
    for slot in &app.slots {
        tracing::info!(model = %slot.name, version = slot.current().version(), "loaded");
        tokio::spawn(reload::watch(Arc::clone(slot), every, reload::mark(slot)));
    }
    if let Some(path) = &app.args.state {
        let state = oxilab_serve::State {
            name: app.args.name.clone(),
            url: url.clone(),
            pid: std::process::id(),
            models: app.args.models.clone(),
            token,
        };
        write_state(path, &state)?;
    }
    tracing::info!("listening on {url}");
    let result = listen::serve(listener, routes::router(Arc::clone(&app)), &app).await;
    app.flush();
    tracing::info!("stopped");
    result
}

/// Aside, readable by its owner only, then renamed.
fn write_state(path: &Path, state: &oxilab_serve::State) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
    serde_json::to_writer(file.as_file_mut(), state).with_context(doing)?;
    file.persist(path).with_context(doing)?;
    Ok(())
}
