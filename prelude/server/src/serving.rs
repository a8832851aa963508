//! The model process: models, predictions, routes.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::args::Args;
use crate::front::{READY, STOP, STOPPING, TOKEN};
use crate::last::Last;
use crate::limits::sha256;
use crate::monitoring::{alerts, redact};
use crate::{listen, reload, routes, tls};

pub(crate) fn run(args: Args) -> Result<()> {
    let mut args = args.checked()?;
    args.salt = redact::salt().context("cannot make a secret for --redact")?;
    let tls = tls::acceptor(&args)?;
    let admin = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let admin = admin.map(|token| sha256(token.as_bytes()));
    let app = Arc::new(App::load(args, admin, &Last::of_environment())?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let result = runtime.block_on(serve(Arc::clone(&app), tls));
    app.finish();
    // A computation that nobody waits for any more does not hold the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(app: Arc<App>, tls: Option<tokio_rustls::TlsAcceptor>) -> Result<()> {
    let inherited = std::io::stdin().as_fd().try_clone_to_owned().context("no socket was given")?;
    let listener = std::net::TcpListener::from(inherited);
    listener.set_nonblocking(true).context("no socket was given")?;
    let listener = TcpListener::from_std(listener).context("cannot listen")?;
    let inherited = std::io::stdout().as_fd().try_clone_to_owned().context("no front")?;
    let control = StdStream::from(inherited);
    control.set_nonblocking(true).context("no front")?;
    let (words, mut front) = UnixStream::from_std(control).context("no front")?.into_split();

    for slot in app.slots() {
        tracing::info!(model = %slot.name, version = slot.current().version(), "loaded");
        slot.follow(&app);
    }
    for slot in &app.llms {
        reload::follow(slot, &app);
    }
    tokio::spawn(alerts::watch(Arc::clone(&app)));
    front.write_all(format!("{READY}\n").as_bytes()).await.context("the front is gone")?;
    let router = routes::router(Arc::clone(&app));
    let stop = told_to_stop(Arc::clone(&app), words, front);
    listen::serve(listener, router, tls, stop, app.args.timeout()).await
}

/// Done when the front says so or is gone, a request of the owner or a signal says so.
async fn told_to_stop(app: Arc<App>, words: OwnedReadHalf, mut front: OwnedWriteHalf) {
    let told = async {
        let mut lines = BufReader::new(words).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == STOP {
                break;
            }
        }
    };
    let signalled = async {
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(mut terminate), Ok(mut interrupt)) => tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            },
            _ => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told => {}
        () = signalled => {}
        () = app.stop.notified() => {}
    }
    tracing::info!("stopping: no new connections, those under way finish");
    // The front may be gone; then nobody is to be told.
    let _ = front.write_all(format!("{STOPPING}\n").as_bytes()).await;
}
