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

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// To send a request's headers, whether they are silent or send them byte by byte.
    headers: Duration,
    /// To finish when the server stops.
    drain: Duration,
}

/// Serves until `stop` is done. Connections under way then have `drain` to finish.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> Result<()> {
    serve_within(Patience { headers: HEADERS, drain }, listener, router, tls, stop).await
}

async fn serve_within(
    patience: Patience,
    listener: TcpListener,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience.headers);
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
        () = tokio::time::sleep(patience.drain) => tracing::warn!("some did not finish in time"),
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_client_that_drips_its_headers_is_let_go_of() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(|| async { "yes" }));
        let second = Duration::from_secs(1);
        let patience = Patience { headers: second, drain: second };
        let ended = async move { drop(stopped.await) };
        let serving = tokio::spawn(serve_within(patience, listener, router, None, ended));

        let slow = TcpStream::connect(address).await.expect("a connection");
        let (mut read, mut write) = slow.into_split();
        let begun = Instant::now();
        // A byte every now and then: it is never silent, and never done.
        let drip = tokio::spawn(async move {
            let head = b"GET / HTTP/1.1\r\nx-slow: ";
            let bytes = head.iter().copied().chain(std::iter::repeat(b'a'));
            for byte in bytes {
                if write.write_all(&[byte]).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut said = String::new();
        // Closed, or reset when a byte came too late.
        let ended = tokio::time::timeout(20 * second, read.read_to_string(&mut said)).await;
        assert!(ended.is_ok(), "it is held for ever");
        assert!(begun.elapsed() >= second, "{:?}: it has its time", begun.elapsed());
        assert!(!said.contains("200 OK"), "{said}");
        drip.abort();

        let mut quick = TcpStream::connect(address).await.expect("others get in");
        let asked = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        quick.write_all(asked).await.expect("sent");
        let mut said = String::new();
        quick.read_to_string(&mut said).await.expect("an answer");
        assert!(said.ends_with("yes"), "{said}");
        drop(stop);
        serving.await.expect("no panic").expect("it ends");
    }
}
