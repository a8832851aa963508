//! Input: a cell asks, the front end that sent the cell answers. When it goes meanwhile and does not come
//! back, nobody can answer any more, and the cell is told so.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::channel::mpsc::Receiver;
use jupyter_zmq_client::RouterRecvConnection;
use serde_json::json;
use tokio::time::Instant;
use zeromq::SocketEvent;

use crate::server::Server;
use crate::server::message::{Replies, message};
use crate::server::request::{Parent, Request, receive};

/// What a cell is told where there is nobody to ask.
const NOT_ALLOWED: &str = "this front end does not answer input requests (it ran the cell with \
     allow_stdin = false, as `oxilab run`, nbclient and papermill do); set the value in the cell instead";

/// How long a front end may be away: one that has lost its connection is back in a fraction of it.
const AWAY: Duration = Duration::from_secs(3);

/// The stdin channel.
pub(crate) struct Stdin {
    requests: Replies,
    waiting: Mutex<Option<Waiting>>,
}

/// The request whose answer a cell waits for.
struct Waiting {
    request: String,
    /// Who was asked: its identity on the socket, the same after a reconnect.
    peer: Bytes,
}

impl Stdin {
    pub(crate) fn new(requests: Replies) -> Self {
        Self { requests, waiting: Mutex::default() }
    }

    /// Asks the front end that sent `parent`. `Err` says why it cannot answer.
    pub(crate) async fn ask(
        &self,
        parent: &Parent,
        allowed: bool,
        prompt: &str,
        password: bool,
    ) -> Result<(), String> {
        if !allowed {
            return Err(NOT_ALLOWED.to_owned());
        }
        let content = json!({ "prompt": prompt, "password": password });
        let request = message(Some(parent), parent.identities.clone(), "input_request", content);
        *self.lock() = Some(Waiting {
            request: request.header.msg_id.clone(),
            peer: parent.identities.first().cloned().unwrap_or_default(),
        });
        self.requests.send_message(request).await.map_err(|problem| {
            self.forget();
            format!("the front end could not be asked for input: {problem}")
        })
    }

    /// The cell that may have waited has ended.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// Whether an answer to message `to` is the one a cell waits for; then it waits no more. Some
    /// front ends do not say what they answer.
    fn take(&self, to: Option<&str>) -> bool {
        self.lock().take_if(|waiting| to.is_none_or(|to| to == waiting.request)).is_some()
    }

    /// The request that this front end is asked for.
    fn asked_of(&self, peer: &[u8]) -> Option<String> {
        self.lock().as_ref().filter(|waiting| waiting.peer == peer).map(|one| one.request.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands answers to the runner, as long as it is polled.
pub(crate) async fn run(server: &Server, mut connection: RouterRecvConnection) {
    loop {
        let incoming = match receive(&mut connection, "stdin").await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::warn!(%error, "the stdin socket failed");
                return;
            }
        };
        let Request::Input { to, answer } = incoming.request else {
            let msg_type = incoming.parent.header.msg_type;
            tracing::warn!(msg_type, "dropped a message that does not belong on stdin");
            continue;
        };
        if !server.stdin.take(to.as_deref()) {
            tracing::warn!("dropped an answer that no cell waits for");
            continue;
        }
        if let Some(runner) = server.runner.ready() {
            runner.input_reply(answer);
        }
    }
}

/// Ends the wait for a front end that has gone, as long as it is polled. `events` are the socket's.
pub(crate) async fn watch(server: &Server, mut events: Receiver<SocketEvent>) {
    let mut gone: Option<Gone> = None;
    loop {
        let deadline = gone.as_ref().map(|gone| gone.since + AWAY);
        let patience = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.next() => match event {
                Some(SocketEvent::Disconnected(peer)) => {
                    if let Some(request) = server.stdin.asked_of(&peer) {
                        let peer = Bytes::from(peer);
                        gone = Some(Gone { request, peer, since: Instant::now() });
                    }
                }
                Some(SocketEvent::Accepted(_, peer)) => {
                    gone = gone.filter(|gone| gone.peer != peer[..]);
                }
                Some(_) => {}
                // The socket is closed.
                None => return,
            },
            () = patience => {
                let waited_for = gone.take().is_some_and(|gone| server.stdin.take(Some(&gone.request)));
                if let (true, Some(runner)) = (waited_for, server.runner.ready()) {
                    runner.input_reply(Err(format!(
                        "the front end that ran this cell has gone: its connection was closed while it \
                         was asked, and did not come back within {} s", AWAY.as_secs()
                    )));
                }
            }
        }
    }
}

/// A front end that went while it was asked.
struct Gone {
    request: String,
    peer: Bytes,
    since: Instant,
}
