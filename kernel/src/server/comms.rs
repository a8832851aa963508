//! Which comms are open, for `comm_info_request`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::server::handler::{CommKind, CommMessage};

/// The open comms: identifier → target.
#[derive(Debug, Default)]
pub(crate) struct Comms {
    open: Mutex<BTreeMap<String, String>>,
}

impl Comms {
    /// Takes note of a message, in either direction.
    pub(crate) fn note(&self, message: &CommMessage) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match message.kind {
            CommKind::Open => {
                open.insert(message.comm_id.clone(), message.target.clone());
            }
            CommKind::Message => {}
            CommKind::Close => {
                open.remove(&message.comm_id);
            }
        }
    }

    /// Content of a `comm_info_reply`: all open comms, or those of one target.
    pub(crate) fn info(&self, target: Option<&str>) -> Value {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let comms: Map<String, Value> = open
            .iter()
            .filter(|(_, found)| target.is_none_or(|target| target == found.as_str()))
            .map(|(id, found)| (id.clone(), json!({ "target_name": found })))
            .collect();
        json!({ "status": "ok", "comms": comms })
    }
}

/// Content of a comm message as Jupyter writes it.
pub(crate) fn content(message: &CommMessage) -> Value {
    match message.kind {
        CommKind::Open => json!({
            "comm_id": message.comm_id,
            "target_name": message.target,
            "data": object(&message.data),
        }),
        CommKind::Message | CommKind::Close => {
            json!({ "comm_id": message.comm_id, "data": object(&message.data) })
        }
    }
}

fn object(data: &Value) -> Value {
    if data.is_object() { data.clone() } else { json!({}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_comms_are_listed_by_target() {
        let comms = Comms::default();
        let message = |kind, id: &str, target: &str| CommMessage {
            kind,
            comm_id: id.into(),
            target: target.into(),
            data: Value::Null,
            metadata: Value::Null,
            buffers: Vec::new(),
        };
        comms.note(&message(CommKind::Open, "1", "jupyter.widget"));
        comms.note(&message(CommKind::Open, "2", "oxilab.variables"));
        comms.note(&message(CommKind::Message, "1", ""));
        assert_eq!(comms.info(None)["comms"].as_object().map(Map::len), Some(2));
        comms.note(&message(CommKind::Close, "1", ""));
        assert_eq!(comms.info(Some("jupyter.widget")), json!({"status": "ok", "comms": {}}));
    }
}
