//! The control channel: interrupt and shutdown, which never wait for a cell.

use std::sync::Arc;

use jupyter_zmq_client::RouterRecvConnection;
use serde_json::json;

use crate::server::busy::Busy;
use crate::server::message::Replies;
use crate::server::request::{Incoming, Parent, Request, receive};
use crate::server::{Server, shell};

/// Dispatches for as long as it is polled.
pub(crate) async fn run(server: Arc<Server>, mut connection: RouterRecvConnection) {
    loop {
        let Incoming { parent, request } = match receive(&mut connection, "control").await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::error!(%error, "the control socket failed");
                return server.stop();
            }
        };
        let (server, replies) = (Arc::clone(&server), server.control.clone());
        tokio::spawn(async move {
            match request {
                Request::Shutdown(request) => {
                    shut_down(&server, &replies, &parent, request.restart).await;
                }
                request => shell::answer(&server, &replies, &parent, request).await,
            }
        });
    }
}

/// Ends the runner, replies, and ends the server.
pub(crate) async fn shut_down(server: &Server, replies: &Replies, parent: &Parent, restart: bool) {
    {
        let _busy = Busy::start(&server.iopub, parent);
        server.shut_down(restart).await;
        let content = json!({ "status": "ok", "restart": restart });
        // A front end that has gone was logged; the kernel ends all the same.
        let _ = replies.send(parent, &parent.reply_type(), content).await;
    }
    server.stop();
}
