//! From what arrives on a socket to a typed [`Request`].
//!
//! The signature is checked first; a message that fails the check never gets further. Content that
//! does not parse still names its sender, so that it can be answered.

use bytes::Bytes;
use jupyter_protocol::messaging::{
    CommInfoRequest, CompleteRequest, ExecuteRequest, Header, InputReply, InspectRequest,
    IsCompleteRequest, ReplyStatus, ShutdownRequest,
};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection, RuntimeError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeromq::SocketRecv as _;

use crate::history::HistoryQuery;
use crate::server::handler::{CommKind, CommMessage};

/// Whom a message answers: the routing identities and the header of the request.
#[derive(Clone, Debug)]
pub(crate) struct Parent {
    pub(crate) identities: Vec<Bytes>,
    pub(crate) header: Header,
}

impl Parent {
    /// The type of the reply to this request: `execute_request` → `execute_reply`.
    pub(crate) fn reply_type(&self) -> String {
        match self.header.msg_type.strip_suffix("_request") {
            Some(stem) => format!("{stem}_reply"),
            None => format!("{}_reply", self.header.msg_type),
        }
    }
}

/// A message whose signature is right.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) parent: Parent,
    pub(crate) request: Request,
}

/// What a front end asks.
#[derive(Debug)]
pub(crate) enum Request {
    KernelInfo,
    Execute {
        content: ExecuteRequest,
        cell_id: Option<String>,
    },
    IsComplete(IsCompleteRequest),
    Complete(CompleteRequest),
    Inspect(InspectRequest),
    CommInfo(CommInfoRequest),
    History(HistoryQuery),
    Comm(CommMessage),
    Interrupt,
    Shutdown(ShutdownRequest),
    /// The answer to an input request; `to` is the request's `msg_id`, where the front end says it.
    Input {
        to: Option<String>,
        answer: Result<String, String>,
    },
    Debug(Value),
    /// A request this kernel does not know.
    Unknown,
    /// A known request whose content is not what the protocol says.
    Malformed(String),
}

/// Waits for the next message with a valid signature; others are logged and dropped.
pub(crate) async fn receive(
    connection: &mut RouterRecvConnection,
    channel: &'static str,
) -> Result<Incoming, RuntimeError> {
    loop {
        let parts = connection.socket.recv().await?;
        match RawMessage::from_multipart(parts, &connection.mac) {
            Ok(message) => match decode(message) {
                Ok(incoming) => return Ok(incoming),
                Err(error) => {
                    tracing::warn!(channel, %error, "dropped a message without a valid header");
                }
            },
            Err(RuntimeError::VerifyError(_) | RuntimeError::DecodeError(_)) => {
                tracing::warn!(channel, "dropped a message with a bad signature");
            }
            Err(error) => {
                tracing::warn!(channel, %error, "dropped a message that is not Jupyter's");
            }
        }
    }
}

fn decode(message: RawMessage) -> Result<Incoming, serde_json::Error> {
    let header: Header = serde_json::from_slice(&message.jparts[0])?;
    let metadata: Value = serde_json::from_slice(&message.jparts[2]).unwrap_or_default();
    let buffers = message.jparts.get(4..).unwrap_or_default().to_vec();
    let to = serde_json::from_slice::<Value>(&message.jparts[1]).ok();
    let to = to.and_then(|parent| parent.get("msg_id")?.as_str().map(str::to_owned));
    let request = serde_json::from_slice(&message.jparts[3])
        .and_then(|content| typed(&header.msg_type, content, to, metadata, buffers))
        .unwrap_or_else(|error| Request::Malformed(error.to_string()));
    Ok(Incoming { parent: Parent { identities: message.zmq_identities, header }, request })
}

/// The one place where a message type is a string.
fn typed(
    msg_type: &str,
    content: Value,
    to: Option<String>,
    metadata: Value,
    buffers: Vec<Bytes>,
) -> Result<Request, serde_json::Error> {
    Ok(match msg_type {
        "kernel_info_request" => Request::KernelInfo,
        "execute_request" => {
            let cell_id = metadata.get("cellId").and_then(Value::as_str).map(str::to_owned);
            Request::Execute { content: parse(content)?, cell_id }
        }
        "is_complete_request" => Request::IsComplete(parse(content)?),
        "complete_request" => Request::Complete(parse(content)?),
        "inspect_request" => Request::Inspect(parse(content)?),
        "comm_info_request" => Request::CommInfo(parse(content)?),
        "history_request" => Request::History(parse(content)?),
        "comm_open" => comm(CommKind::Open, content, metadata, buffers)?,
        "comm_msg" => comm(CommKind::Message, content, metadata, buffers)?,
        "comm_close" => comm(CommKind::Close, content, metadata, buffers)?,
        "interrupt_request" => Request::Interrupt,
        "shutdown_request" => Request::Shutdown(parse(content)?),
        "input_reply" => Request::Input { to, answer: input(parse(content)?) },
        "debug_request" => Request::Debug(content),
        _ => Request::Unknown,
    })
}

fn parse<T: DeserializeOwned>(content: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(content)
}

fn input(reply: InputReply) -> Result<String, String> {
    match (reply.status, reply.error) {
        (ReplyStatus::Ok, _) => Ok(reply.value),
        (_, Some(error)) => Err(format!("{}: {}", error.ename, error.evalue)),
        (_, None) => Err("the front end gave no input".to_owned()),
    }
}

#[derive(Deserialize)]
struct CommContent {
    comm_id: String,
    #[serde(default)]
    target_name: String,
    #[serde(default)]
    data: Map<String, Value>,
}

fn comm(
    kind: CommKind,
    content: Value,
    metadata: Value,
    buffers: Vec<Bytes>,
) -> Result<Request, serde_json::Error> {
    let CommContent { comm_id, target_name, data } = parse(content)?;
    let data = Value::Object(data);
    Ok(Request::Comm(CommMessage { kind, comm_id, target: target_name, data, metadata, buffers }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn raw(msg_type: &str, content: &str) -> RawMessage {
        let header = json!({"msg_id": "1", "username": "u", "session": "s", "date": null,
            "msg_type": msg_type, "version": "5.4"});
        let jparts = [header.to_string(), "{}".into(), "{}".into(), content.to_owned()];
        RawMessage { zmq_identities: Vec::new(), jparts: jparts.map(Bytes::from).to_vec() }
    }

    #[test]
    fn content_that_does_not_parse_keeps_its_sender() {
        for content in ["{", "[]", r#"{"code": 3}"#] {
            let incoming = decode(raw("execute_request", content)).expect("has a header");
            assert!(matches!(incoming.request, Request::Malformed(_)), "{content}");
            assert_eq!(incoming.parent.reply_type(), "execute_reply");
        }
    }

    #[test]
    fn unknown_requests_are_told_apart() {
        let incoming = decode(raw("create_subshell_request", "{}")).expect("has a header");
        assert!(matches!(incoming.request, Request::Unknown));
        assert_eq!(incoming.parent.reply_type(), "create_subshell_reply");
    }
}
