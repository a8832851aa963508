//! From what a runner shows to messages on iopub and stdin.

use std::sync::{Arc, Mutex, PoisonError};

use oxilab_protocol::MimeBundle;
use serde_json::{Value, json};

use crate::server::Server;
use crate::server::comms;
use crate::server::handler::{CellError, CommMessage, Output, OutputReceiver, OutputSender};
use crate::server::message::error_content;
use crate::server::request::Parent;

/// What output belongs to.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The request that caused it.
    pub(crate) parent: Arc<Parent>,
    /// Execution count of the cell; 0 for comms.
    pub(crate) count: u32,
    /// Whether the front end answers input requests.
    pub(crate) allow_stdin: bool,
    /// Whether results are shown.
    pub(crate) silent: bool,
    /// Plain text of the last result, for the history.
    pub(crate) result: Arc<Mutex<Option<String>>>,
}

impl Origin {
    pub(crate) fn comm(parent: Arc<Parent>) -> Self {
        Self { parent, count: 0, allow_stdin: false, silent: false, result: Arc::default() }
    }
}

/// A sender for a runner; what it sends is published as output of `origin` for as long as a clone of
/// it lives.
pub(crate) fn sender(server: &Arc<Server>, origin: Origin) -> OutputSender {
    let (sender, receiver) = OutputSender::channel();
    tokio::spawn(forward(Arc::clone(server), origin, receiver));
    sender
}

async fn forward(server: Arc<Server>, origin: Origin, mut receiver: OutputReceiver) {
    while let Some(output) = receiver.recv().await {
        publish(&server, &origin, output).await;
    }
}

async fn publish(server: &Server, origin: &Origin, output: Output) {
    let parent = &origin.parent;
    match output {
        Output::Stream { name, text } => server.iopub.stream(parent, name, text).await,
        Output::Display { bundle, display_id, update } => {
            let mut content = bundle_content(bundle);
            content["transient"] = match &display_id {
                Some(id) => json!({ "display_id": id }),
                None => json!({}),
            };
            match display_id {
                Some(id) if update => server.iopub.update(parent, id, content).await,
                _ => server.iopub.output(parent, "display_data", content, None, Vec::new()).await,
            }
        }
        Output::Result { bundle } => {
            if origin.silent {
                return;
            }
            *origin.result.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(bundle.plain().to_owned());
            let mut content = bundle_content(bundle);
            content["execution_count"] = json!(origin.count);
            server.iopub.output(parent, "execute_result", content, None, Vec::new()).await;
        }
        Output::Clear { wait } => {
            let content = json!({ "wait": wait });
            server.iopub.output(parent, "clear_output", content, None, Vec::new()).await;
        }
        Output::Input { prompt, password } => {
            let asked = server.stdin.ask(parent, origin.allow_stdin, &prompt, password).await;
            if let (Err(reason), Some(runner)) = (asked, server.runner.ready()) {
                runner.input_reply(Err(reason));
            }
        }
        Output::Comm(message) => publish_comm(server, parent, message).await,
        Output::Error(error) => server.iopub.publish(Some(parent), "error", shown_error(&error)),
    }
}

async fn publish_comm(server: &Server, parent: &Parent, message: CommMessage) {
    server.comms.note(&message);
    let content = comms::content(&message);
    let metadata = message.metadata.is_object().then_some(message.metadata);
    server.iopub.output(parent, message.kind.as_str(), content, metadata, message.buffers).await;
}

/// Content of an `error` message: that of a reply without its status.
pub(crate) fn shown_error(error: &CellError) -> Value {
    let mut shown = error_content(error);
    if let Some(content) = shown.as_object_mut() {
        content.remove("status");
    }
    shown
}

/// `data` and `metadata` of a bundle; text/plain is added where a foreign bundle has none.
fn bundle_content(mut bundle: MimeBundle) -> Value {
    complete(&mut bundle);
    json!({ "data": bundle.data, "metadata": bundle.metadata })
}

/// Gives a bundle a `text/plain` that names its other types if it has none.
pub(crate) fn complete(bundle: &mut MimeBundle) {
    if !bundle.data.contains_key("text/plain") {
        let types: Vec<&str> = bundle.data.keys().map(String::as_str).collect();
        let plain = format!("<{}>", types.join(", "));
        bundle.data.insert("text/plain".to_owned(), Value::String(plain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundle_has_plain_text() {
        let mut bundle = MimeBundle::text("").with("image/png", "iVBOR");
        bundle.data.remove("text/plain");
        assert_eq!(bundle_content(bundle)["data"]["text/plain"], "<image/png>");
        assert_eq!(bundle_content(MimeBundle::text("3"))["data"]["text/plain"], "3");
    }
}
