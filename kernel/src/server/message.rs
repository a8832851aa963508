//! Builds and sends messages.

use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::messaging::{JupyterMessage, UnknownMessage};
use jupyter_zmq_client::{Connection, RouterSendConnection};
use serde_json::{Value, json};

use crate::server::handler::CellError;
use crate::server::request::Parent;

/// Version of the Jupyter messaging protocol that the kernel speaks.
pub(crate) const PROTOCOL_VERSION: &str = "5.5";

/// A front end that does not read for this long loses the message.
pub(crate) const SEND_LIMIT: Duration = Duration::from_secs(5);

/// A message of any type. Content goes as JSON, so that MIME bundles keep whatever they hold.
pub(crate) fn message(
    parent: Option<&Parent>,
    identities: Vec<Bytes>,
    msg_type: &str,
    content: Value,
) -> JupyterMessage {
    let content = UnknownMessage { msg_type: msg_type.to_owned(), content };
    let mut message = JupyterMessage::new(content, None).with_zmq_identities(identities);
    "oxilab".clone_into(&mut message.header.username);
    PROTOCOL_VERSION.clone_into(&mut message.header.version);
    message.parent_header = parent.map(|parent| parent.header.clone());
    message
}

/// Content of a reply that reports a failure.
pub(crate) fn error_content(error: &CellError) -> Value {
    json!({
        "status": "error",
        "ename": error.ename,
        "evalue": error.evalue,
        "traceback": error.traceback,
    })
}

/// The sending half of a ROUTER socket.
#[derive(Clone)]
pub(crate) struct Replies {
    connection: std::sync::Arc<RouterSendConnection>,
    channel: &'static str,
}

impl Replies {
    pub(crate) fn new(connection: RouterSendConnection, channel: &'static str) -> Self {
        Self { connection: std::sync::Arc::new(connection), channel }
    }

    /// Sends to whoever sent `parent`; `Err` says why it was not sent.
    pub(crate) async fn send(
        &self,
        parent: &Parent,
        msg_type: &str,
        content: Value,
    ) -> Result<(), String> {
        self.send_with(parent, msg_type, content, Value::Null).await
    }

    /// [`Self::send`] with metadata.
    pub(crate) async fn send_with(
        &self,
        parent: &Parent,
        msg_type: &str,
        content: Value,
        metadata: Value,
    ) -> Result<(), String> {
        let mut reply = message(Some(parent), parent.identities.clone(), msg_type, content);
        if !metadata.is_null() {
            reply.metadata = metadata;
        }
        self.send_message(reply).await
    }

    /// Sends to whom the message's identities name; `Err` says why it was not sent.
    pub(crate) async fn send_message(&self, message: JupyterMessage) -> Result<(), String> {
        let msg_type = message.header.msg_type.clone();
        let mut connection = Connection {
            socket: self.connection.socket.clone(),
            mac: self.connection.mac.clone(),
            session_id: self.connection.session_id.clone(),
        };
        let problem = match tokio::time::timeout(SEND_LIMIT, connection.send(message)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the front end does not read".to_owned(),
        };
        tracing::warn!(channel = self.channel, msg_type, problem, "could not send");
        Err(problem)
    }
}
