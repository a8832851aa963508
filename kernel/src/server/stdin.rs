//! Input: a cell asks, the front end that sent the cell answers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jupyter_zmq_client::RouterRecvConnection;
use serde_json::json;

use crate::server::Server;
use crate::server::message::{Replies, message};
use crate::server::request::{Parent, Request, receive};

/// What a cell is told where there is nobody to ask.
const NOT_ALLOWED: &str = "this front end does not answer input requests (it ran the cell with \
     allow_stdin = false, as `oxilab run`, nbclient and papermill do); set the value in the cell instead";

/// The stdin channel.
pub(crate) struct Stdin {
    requests: Replies,
    /// The request whose answer a cell waits for.
    waiting: Mutex<Option<String>>,
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
        *self.lock() = Some(request.header.msg_id.clone());
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
        self.lock().take_if(|id| to.is_none_or(|to| to == id)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
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
