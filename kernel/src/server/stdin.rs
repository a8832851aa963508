//! Input: a cell asks, the front end that sent the cell answers.

use std::sync::atomic::{AtomicBool, Ordering};

use jupyter_zmq_client::RouterRecvConnection;
use serde_json::json;

use crate::server::Server;
use crate::server::message::Replies;
use crate::server::request::{Parent, Request, receive};

/// What a cell is told where there is nobody to ask.
const NOT_ALLOWED: &str = "this front end does not answer input requests (it ran the cell with \
     allow_stdin = false, as `oxilab run`, nbclient and papermill do); set the value in the cell instead";

/// The stdin channel.
pub(crate) struct Stdin {
    requests: Replies,
    waiting: AtomicBool,
}

impl Stdin {
    pub(crate) fn new(requests: Replies) -> Self {
        Self { requests, waiting: AtomicBool::new(false) }
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
        self.set_waiting(true);
        let content = json!({ "prompt": prompt, "password": password });
        if let Err(problem) = self.requests.send(parent, "input_request", content).await {
            self.set_waiting(false);
            return Err(format!("the front end could not be asked for input: {problem}"));
        }
        Ok(())
    }

    /// Sets whether a cell waits, and says whether one did.
    pub(crate) fn set_waiting(&self, waiting: bool) -> bool {
        self.waiting.swap(waiting, Ordering::SeqCst)
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
        let Request::Input(reply) = incoming.request else {
            let msg_type = incoming.parent.header.msg_type;
            tracing::warn!(msg_type, "dropped a message that does not belong on stdin");
            continue;
        };
        if !server.stdin.set_waiting(false) {
            tracing::warn!("dropped an answer that no cell waits for");
            continue;
        }
        if let Some(runner) = server.runner.ready() {
            runner.input_reply(reply);
        }
    }
}
