//! The front process: holds the socket, keeps a model process running, answers 503 while there is none.
//!
//! The model process inherits the listening socket as its standard input and accepts connections
//! itself, so nothing stands between clients and models. Its standard output is one end of a socket
//! pair: it says `ready` there, and learns there (by a word or by the end) that it is to stop.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::args::Args;
use crate::limits::{allowed, sha256};
use crate::routes::problem;
use crate::{PART, listen, tls};

/// Words on the control socket.
pub(crate) const READY: &str = "ready";
pub(crate) const FAILED: &str = "failed: ";
pub(crate) const STOPPING: &str = "stopping";
pub(crate) const STOP: &str = "stop";
/// Environment variables of the model process.
pub(crate) const FRONT: &str = "OXILAB_SERVE_FRONT";
pub(crate) const TOKEN: &str = "OXILAB_ADMIN_TOKEN";

/// A model process that lived this long had no fault in its start.
const HEALTHY: Duration = Duration::from_mins(1);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) fn run(args: Args) -> Result<()> {
    let args = args.checked()?;
    let tls = tls::acceptor(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let state = args.state.clone();
    let result = runtime.block_on(serve(args, tls));
    if let Some(state) = state {
        // It may be gone already; the owner looks at the process as well.
        let _ = std::fs::remove_file(state);
    }
    result
}

async fn serve(args: Args, tls: Option<TlsAcceptor>) -> Result<()> {
    let wanted = SocketAddr::new(args.host, args.port);
    let listener = std::net::TcpListener::bind(wanted)
        .with_context(|| format!("cannot listen on {wanted}; another --port may be free"))?;
    listener.set_nonblocking(true).context("cannot listen")?;
    let address = listener.local_addr().context("cannot learn the port")?;
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let front = Front {
        url: listen::url(address, tls.is_some()),
        token: token.unwrap_or_default(),
        stop: Arc::new(Notify::new()),
        listener,
        tls,
        args,
    };
    tokio::spawn(watch_signals(Arc::clone(&front.stop))?);
    front.keep_running().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells of SIGTERM and SIGINT.
fn watch_signals(stop: Arc<Notify>) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.notify_one();
        }
    })
}

struct Front {
    args: Args,
    url: String,
    token: String,
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    stop: Arc<Notify>,
}

/// A model process, and how to talk with it.
struct Part {
    child: Child,
    words: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    control: OwnedWriteHalf,
}

/// How a model process went.
enum End {
    /// Somebody wanted it.
    Stopped,
    /// Nobody wanted it.
    Crashed(String),
}

impl Front {
    async fn keep_running(self) -> Result<()> {
        let mut part = self.start()?;
        if !part.until_ready(&self.stop).await? {
            return Ok(());
        }
        self.write_state()?;
        tracing::info!("listening on {}", self.url);
        let mut pause = SHORTEST;
        loop {
            let begun = Instant::now();
            match part.until_end(&self.stop, self.args.timeout()).await {
                End::Stopped => return Ok(()),
                End::Crashed(how) => {
                    tracing::error!("the model process {how}; another one is started");
                }
            }
            if begun.elapsed() > HEALTHY {
                pause = SHORTEST;
            }
            let over = Arc::new(Notify::new());
            let excuse = self.excuse(Arc::clone(&over))?;
            let restarted = self.restart(&mut pause).await;
            over.notify_one();
            excuse.await.context("the front failed")??;
            match restarted? {
                Some(new) => part = new,
                None => return Ok(()),
            }
            tracing::info!("the model process is back");
        }
    }

    fn start(&self) -> Result<Part> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let (ours, theirs) = StdStream::pair().context("cannot make a pair of sockets")?;
        ours.set_nonblocking(true).context("cannot make a pair of sockets")?;
        let listener = self.listener.try_clone().context("cannot share the socket")?;
        let child = Command::new(&program)
            .args(std::env::args_os().skip(1))
            .env(PART, "model")
            .env(FRONT, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (read, control) = UnixStream::from_std(ours).context("cannot talk")?.into_split();
        Ok(Part { child, words: BufReader::new(read).lines(), control })
    }

    /// Starts model processes until one is ready; `None` when it is to stop.
    async fn restart(&self, pause: &mut Duration) -> Result<Option<Part>> {
        loop {
            tokio::select! {
                () = tokio::time::sleep(*pause) => {}
                () = self.stop.notified() => return Ok(None),
            }
            *pause = (*pause * 2).min(LONGEST);
            let mut part = self.start()?;
            match part.until_ready(&self.stop).await {
                Ok(true) => return Ok(Some(part)),
                Ok(false) => return Ok(None),
                Err(reason) => tracing::error!("{reason:#}; another try follows"),
            }
        }
    }

    /// Answers 503 until `over`.
    fn excuse(&self, over: Arc<Notify>) -> Result<tokio::task::JoinHandle<Result<()>>> {
        let listener = self.listener.try_clone().context("cannot share the socket")?;
        let listener = TcpListener::from_std(listener).context("cannot listen")?;
        let admin = (!self.token.is_empty()).then(|| sha256(self.token.as_bytes()));
        let state = Arc::new((admin, Arc::clone(&self.stop), self.args.server_name()));
        let router = Router::new().fallback(restarting).with_state(state);
        let tls = self.tls.clone();
        Ok(tokio::spawn(async move {
            let over = async move { over.notified().await };
            listen::serve(listener, router, tls, over, Duration::from_secs(1)).await
        }))
    }

    /// Aside, readable by its owner only, then renamed.
    fn write_state(&self) -> Result<()> {
        let Some(path) = &self.args.state else { return Ok(()) };
        let state = oxilab_serve::State {
            name: self.args.server_name(),
            url: self.url.clone(),
            pid: std::process::id(),
            models: self.args.models(),
            token: self.token.clone(),
        };
        let doing = || format!("cannot write {}", path.display());
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
        serde_json::to_writer(file.as_file_mut(), &state).with_context(doing)?;
        file.persist(path).with_context(doing)?;
        Ok(())
    }
}

impl Part {
    /// Whether it is ready; not if it was stopped before. An error if it ended.
    async fn until_ready(&mut self, stop: &Notify) -> Result<bool> {
        loop {
            tokio::select! {
                word = self.words.next_line() => match word {
                    Ok(Some(word)) if word == READY => return Ok(true),
                    Ok(Some(word)) if word.starts_with(FAILED) => {
                        bail!("{}", word.trim_start_matches(FAILED));
                    }
                    // What C libraries print.
                    Ok(Some(other)) => tracing::info!("{other}"),
                    Ok(None) | Err(_) => {
                        let status = self.child.wait().await.context("cannot wait")?;
                        bail!("the model process did not start ({status})");
                    }
                },
                () = stop.notified() => {
                    let _ = self.child.kill().await;
                    // Who waits for the end in `until_end` is told as well.
                    stop.notify_one();
                    return Ok(false);
                }
            }
        }
    }

    async fn until_end(&mut self, stop: &Notify, patience: Duration) -> End {
        let mut wanted = false;
        loop {
            tokio::select! {
                word = self.words.next_line(), if !wanted => match word {
                    Ok(Some(word)) if word == STOPPING => wanted = true,
                    Ok(Some(other)) => tracing::info!("{other}"),
                    Ok(None) | Err(_) => {
                        let status = self.child.wait().await;
                        return End::Crashed(status.map_or_else(|e| e.to_string(), |s| format!("ended ({s})")));
                    }
                },
                () = stop.notified(), if !wanted => {
                    wanted = true;
                    // It may have ended already.
                    let _ = self.control.write_all(format!("{STOP}\n").as_bytes()).await;
                }
                () = std::future::ready(()), if wanted => {
                    let patience = patience + Duration::from_secs(5);
                    if tokio::time::timeout(patience, self.child.wait()).await.is_err() {
                        tracing::warn!("the model process did not end in time and is killed");
                        let _ = self.child.kill().await;
                    }
                    return End::Stopped;
                }
            }
        }
    }
}

type Excuse = Arc<(Option<[u8; 32]>, Arc<Notify>, String)>;

async fn restarting(State(state): State<Excuse>, request: Request) -> Response {
    let (admin, stop, name) = &*state;
    match request.uri().path() {
        "/admin/stop" if admin.is_some_and(|admin| allowed(request.headers(), &[admin])) => {
            stop.notify_one();
            Json(json!({"stopping": true})).into_response()
        }
        "/health" => {
            let body = json!({"status": "restarting", "name": name, "pid": std::process::id()});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
        _ => problem(StatusCode::SERVICE_UNAVAILABLE, "the models are being loaded again", None),
    }
}
