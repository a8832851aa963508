//! Accepts connections until it is told to stop, then lets those under way finish: [`serve`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::descriptors;
use crate::lanes::Lanes;

/// A client must have sent its headers by then; an idle connection is closed after as long.
const HEADERS: Duration = Duration::from_secs(15);

/// A client must have said hello by then.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Who has just connected says something within this time.
const SETTLE: Duration = Duration::from_millis(50);

/// Serves until `stop` is done. Connections under way then have `drain` to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> Result<()> {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    let most = descriptors::connections();
    let room = Arc::new(Semaphore::new(most));
    let lanes = Lanes::start()?;
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, mostly: others close in a moment.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            tracing::warn!("{most} connections are open: one more was closed");
            continue;
        };
        // Answers are small and whole; waiting to fill a packet would cost 40 ms.
        let _ = stream.set_nodelay(true);
        // Out of the runtime that accepts, into the lane's.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection");
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let (builder, watcher) = (Arc::clone(&builder), graceful.watcher());
        let tls = tls.clone();
        lanes.hold(async move {
            let _permit = permit;
            let stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%error, "cannot take a connection"),
            };
            match tls {
                None => converse(&builder, stream, service, watcher).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(&builder, stream, service, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
        });
    }
    drop(listener);
    // A connection of which no byte was read yet would be closed: its request is on its way.
    tokio::time::sleep(SETTLE).await;
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(drain) => tracing::warn!("some did not finish in time"),
    }
    Ok(())
}

async fn converse(
    builder: &Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: TowerToHyperService<Router>,
    watcher: Watcher,
) {
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection broke");
    }
}

/// What a client writes before the path.
pub(crate) fn url(address: SocketAddr, tls: bool) -> String {
    format!("{}://{address}", if tls { "https" } else { "http" })
}
