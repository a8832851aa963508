//! The front process: holds the socket, keeps a model process running, answers 503 while there is none.
//!
//! What the model process has loaded it tells here, and the one after a crash is told: the version that
//! answered goes on to do so, whatever the registry says meanwhile.
//!
//! The model process inherits the listening socket as its standard input and accepts connections
//! itself, so nothing stands between clients and models. Its standard output is one end of a socket
//! pair: it says `ready` there, and learns there (by a word or by the end) that it is to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use oxilab_serve::{Replaced, Replacement};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::args::Args;
use crate::control::{self, Control, Owner, Request};
use crate::last::Last;
use crate::limits::{allowed, sha256};
use crate::monitoring::redact;
use crate::part::{End, Part, next};
use crate::recipe::{Gifts, Recipe};
use crate::routes::problem;
use crate::{descriptors, listed, listen, tls};

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
    let mut args = args.checked()?;
    let tls = tls::acceptor(&args)?;
    let token = match std::env::var(TOKEN).ok().filter(|token| !token.is_empty()) {
        Some(token) => token,
        None if args.state.is_none() => listed::enlist(&mut args),
        None => String::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    let state = args.state.clone();
    let result = runtime.block_on(serve(args, token, tls));
    if let Some(state) = state {
        listed::strike(&state);
    }
    result
}

async fn serve(args: Args, token: String, tls: Option<TlsAcceptor>) -> Result<()> {
    let wanted = SocketAddr::new(args.host, args.port);
    let listener = bind(wanted)?;
    let address = listener.local_addr().context("cannot learn the port")?;
    let (control, requests) = match &args.state {
        Some(state) if !token.is_empty() => match control::open(state, &token) {
            Ok((control, requests)) => (Some(control), Some(requests)),
            Err(error) => {
                tracing::warn!("{error:#}; this server takes no other models while it runs");
                (None, None)
            }
        },
        _ => (None, None),
    };
    let front = Front {
        url: listen::url(address, tls.is_some()),
        program: std::env::current_exe().context("cannot find this program")?,
        state: args.state.clone(),
        of_shell: args.of_shell,
        recipe: Recipe::own(args),
        salt: redact::salt().context("cannot make a secret for --redact")?,
        token,
        stop: Arc::new(Notify::new()),
        listener,
        tls,
        control,
        requests,
        retired: JoinSet::new(),
    };
    tokio::spawn(watch_signals(Arc::clone(&front.stop))?);
    front.keep_running().await?;
    tracing::info!("stopped");
    Ok(())
}

fn bind(wanted: SocketAddr) -> Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(wanted)
        .with_context(|| format!("cannot listen on {wanted}; another --port may be free"))?;
    listener.set_nonblocking(true).context("cannot listen")?;
    descriptors::widen(&listener);
    Ok(listener)
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
    recipe: Recipe,
    /// As it was at the start: a new version that is installed over it has the same path.
    program: PathBuf,
    state: Option<PathBuf>,
    of_shell: bool,
    url: String,
    token: String,
    /// What captured values are hashed with; as long as this process lives the same.
    salt: String,
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    stop: Arc<Notify>,
    control: Option<Control>,
    requests: Option<mpsc::Receiver<Request>>,
    /// Model processes that finish what they have begun.
    retired: JoinSet<()>,
}

/// Where the state is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Another server may have been as quick.
    Free,
    Own,
}

/// A model process that was asked for and is ready, and what belongs to it.
struct Successor {
    part: Part,
    recipe: Recipe,
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    url: String,
}

impl Front {
    async fn keep_running(mut self) -> Result<()> {
        let mut part = self.start(&self.recipe, &self.listener, &Last::default())?;
        if !part.until_ready(&self.stop).await? {
            return Ok(());
        }
        if let Err(error) = self.write_state(Place::Free) {
            if !self.of_shell {
                return Err(error);
            }
            tracing::warn!("{error:#}; `oxilab serve list` does not show this server");
            self.state = None;
        }
        tracing::info!("listening on {}", self.url);
        let mut pause = SHORTEST;
        loop {
            let begun = Instant::now();
            let patience = self.recipe.args.timeout();
            match part.until_end(&self.stop, patience, &mut self.requests).await {
                End::Stopped => {
                    while self.retired.join_next().await.is_some() {}
                    return Ok(());
                }
                End::Asked(request) => {
                    if let Some((new, owner)) = self.succeed(request).await {
                        let old = std::mem::replace(&mut part, new);
                        old.retire(patience, &mut self.retired).await;
                        owner.answer(Replaced::Done).await;
                        pause = SHORTEST;
                    }
                    continue;
                }
                End::Crashed(how) => {
                    tracing::error!("the model process {how}; another one is started");
                }
            }
            if begun.elapsed() > HEALTHY {
                pause = SHORTEST;
            }
            let over = Arc::new(Notify::new());
            let excuse = tokio::spawn(self.excuse(Arc::clone(&over)));
            let restarted = self.restart(&mut pause, part.loaded()).await;
            over.notify_one();
            excuse.await.context("the front failed")?;
            match restarted {
                Some((new, owner)) => {
                    part = new;
                    if let Some(owner) = owner {
                        owner.answer(Replaced::Done).await;
                    }
                }
                None => return Ok(()),
            }
            tracing::info!("the model process is back");
        }
    }

    fn start(
        &self,
        recipe: &Recipe,
        listener: &std::net::TcpListener,
        last: &Last,
    ) -> Result<Part> {
        let (program, token, salt) = (&self.program, &self.token, &self.salt);
        Part::start(recipe, &Gifts { program, token, salt, last }, listener)
    }

    /// Starts model processes until one is ready, with the versions that were loaded `last`; `None` when it
    /// is to stop. Other models may be asked for meanwhile: those that are there may never load again.
    async fn restart(
        &mut self,
        pause: &mut Duration,
        last: &Last,
    ) -> Option<(Part, Option<Owner>)> {
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(*pause) => None,
                () = self.stop.notified() => return None,
                request = next(&mut self.requests) => Some(request),
            };
            if let Some(request) = asked {
                if let Some((new, owner)) = self.succeed(request).await {
                    return Some((new, Some(owner)));
                }
                continue;
            }
            *pause = (*pause * 2).min(LONGEST);
            match self.start_ready(last).await {
                Ok(Some(part)) => return Some((part, None)),
                Ok(None) => return None,
                Err(reason) => tracing::error!("{reason:#}; another try follows"),
            }
        }
    }

    /// One try of [`Front::restart`]. It fails as well where the system gives no process now.
    async fn start_ready(&self, last: &Last) -> Result<Option<Part>> {
        let mut part = self.start(&self.recipe, &self.listener, last)?;
        Ok(part.until_ready(&self.stop).await?.then_some(part))
    }

    /// Starts the models that are asked for. Where they are ready they are this server's from now on; where
    /// not, the owner is told why and everything is as it was.
    async fn succeed(&mut self, request: Request) -> Option<(Part, Owner)> {
        let Request { wanted, mut owner } = request;
        match self.successor(wanted, &mut owner).await {
            Ok(Some(Successor { part, recipe, listener, tls, url })) => {
                let names: Vec<String> =
                    recipe.args.models().into_iter().map(|(name, _)| name).collect();
                tracing::info!("other models answer at {url}: {}", names.join(", "));
                (self.recipe, self.listener, self.tls, self.url) = (recipe, listener, tls, url);
                if let Err(error) = self.write_state(Place::Own) {
                    tracing::error!("{error:#}");
                }
                Some((part, owner))
            }
            // It is to stop, or nobody waits any more.
            Ok(None) => None,
            Err(error) => {
                tracing::error!("other models were asked for and do not answer: {error:#}");
                owner.answer(Replaced::Refused(format!("{error:#}"))).await;
                None
            }
        }
    }

    async fn successor(&self, wanted: Replacement, owner: &mut Owner) -> Result<Option<Successor>> {
        let recipe = Recipe::of(wanted)?;
        let (args, own) = (&recipe.args, self.recipe.args.server_name());
        ensure!(args.server_name() == own, "this server is {own:?}, not {:?}", args.server_name());
        let tls = tls::acceptor(args)?;
        let address = self.listener.local_addr().context("cannot learn the port")?;
        let same = args.host == address.ip() && (args.port == 0 || args.port == address.port());
        let listener = if same {
            self.listener.try_clone().context("cannot share the socket")?
        } else {
            bind(SocketAddr::new(args.host, args.port))?
        };
        let address = listener.local_addr().context("cannot learn the port")?;
        let url = listen::url(address, tls.is_some());
        let mut part = self.start(&recipe, &listener, &Last::default())?;
        let ready = tokio::select! {
            ready = part.until_ready(&self.stop) => ready?,
            () = owner.gone() => false,
        };
        // A process that is not ready ends with `part`.
        Ok(ready.then_some(Successor { part, recipe, listener, tls, url }))
    }

    /// Answers 503 until `over`. Where the system has no room for that, clients wait for the models.
    fn excuse(&self, over: Arc<Notify>) -> impl Future<Output = ()> + use<> {
        let listener = self.listener.try_clone();
        let admin = (!self.token.is_empty()).then(|| sha256(self.token.as_bytes()));
        let name = self.recipe.args.server_name();
        let state = Arc::new((admin, Arc::clone(&self.stop), name));
        let router = Router::new().fallback(restarting).with_state(state);
        let tls = self.tls.clone();
        async move {
            let over = async move { over.notified().await };
            let answered = match listener.and_then(TcpListener::from_std) {
                Ok(listener) => {
                    listen::serve(listener, router, tls, over, Duration::from_secs(1)).await
                }
                Err(error) => Err(anyhow::Error::new(error).context("cannot share the socket")),
            };
            if let Err(error) = answered {
                tracing::error!("nobody is told that the models are being loaded: {error:#}");
            }
        }
    }

    /// Aside, readable by its owner only, then renamed.
    fn write_state(&self, place: Place) -> Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        let args = &self.recipe.args;
        let state = oxilab_serve::State {
            name: args.server_name(),
            url: self.url.clone(),
            pid: std::process::id(),
            models: args.models(),
            token: self.token.clone(),
            shell: self.of_shell,
            control: self.control.as_ref().map(|control| control.path().to_owned()),
        };
        let doing = || format!("cannot write {}", path.display());
        let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
        serde_json::to_writer(file.as_file_mut(), &state).with_context(doing)?;
        match place {
            // Nobody but its owner knows the place of a cell's server.
            Place::Free if self.of_shell => file.persist_noclobber(path).with_context(doing)?,
            _ => file.persist(path).with_context(doing)?,
        };
        Ok(())
    }
}

type Excuse = Arc<(Option<[u8; 32]>, Arc<Notify>, String)>;

async fn restarting(State(state): State<Excuse>, request: HttpRequest) -> Response {
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
