//! Comms: two-way channels between cell code and the front end, as widgets use them.
//!
//! Callbacks run on the cell thread while no cell runs; messages that arrive during a cell wait. A
//! callback that panics, reports an error or is interrupted fails alone: its comm goes on.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oxilab_protocol::{Event, Failure, FailureKind};
use serde_json::Value;

use crate::worker::critical;
use crate::{cancel, cell, display, link, panics};

/// A message that came from the front end.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// `comm_open`, `comm_msg` or `comm_close`.
    pub kind: String,
    /// Its JSON data.
    pub data: Value,
    /// Its binary buffers.
    pub buffers: Vec<Vec<u8>>,
}

/// A comm, known to both sides by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comm {
    id: String,
}

type Callback = Box<dyn FnMut(&Comm, &Message) + Send>;
type Target = fn(&Comm, &Message);

#[derive(Default)]
struct Registry {
    callbacks: HashMap<String, Callback>,
    targets: HashMap<String, Target>,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);
/// What the running callback has reported.
static REPORTED: Mutex<Option<Failure>> = Mutex::new(None);

impl Comm {
    /// Opens a comm at a target of the front end, for example `jupyter.widget`.
    #[must_use]
    pub fn open(target: &str, data: Value, metadata: Value, buffers: &[Vec<u8>]) -> Self {
        let comm = Self { id: display::new_id() };
        comm.post("comm_open", target, data, metadata, buffers);
        comm
    }

    /// The comm's id; a widget's model id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends data to the front end.
    pub fn send(&self, data: Value, buffers: &[Vec<u8>]) {
        self.post("comm_msg", "", data, Value::Object(serde_json::Map::new()), buffers);
    }

    /// Closes the comm and forgets its callback.
    pub fn close(&self, data: Value) {
        registry(|registry| registry.callbacks.remove(&self.id));
        self.post("comm_close", "", data, Value::Object(serde_json::Map::new()), &[]);
    }

    /// Calls `callback` for every message to this comm, its close included. Replaces an earlier one.
    pub fn on_message(&self, callback: impl FnMut(&Comm, &Message) + Send + 'static) {
        let old =
            registry(|registry| registry.callbacks.insert(self.id.clone(), Box::new(callback)));
        drop(old);
    }

    fn post(&self, kind: &str, target: &str, data: Value, metadata: Value, buffers: &[Vec<u8>]) {
        if let Some(link) = link::get() {
            link.send_visible(&Event::Comm {
                kind: kind.to_owned(),
                comm_id: self.id.clone(),
                target: target.to_owned(),
                data,
                metadata,
                buffers: buffers.iter().map(|bytes| STANDARD.encode(bytes)).collect(),
            });
        }
    }
}

/// Calls `target` when the front end opens a comm of this name.
pub fn register_target(name: impl Into<String>, target: fn(&Comm, &Message)) {
    registry(|registry| registry.targets.insert(name.into(), target));
}

/// Says from inside a callback that it failed; the person sees it as an error below the cell that opened
/// the comm. The first report of a callback counts. `name` is the error's type, `message` what it says.
pub fn report(name: impl Into<String>, message: impl Into<String>) {
    reported().get_or_insert(Failure {
        kind: FailureKind::Error,
        name: name.into(),
        message: message.into(),
        details: Vec::new(),
        location: None,
        frames: Vec::new(),
    });
}

/// Delivers a message on the cell thread and says how its callback failed. A comm that nobody knows is
/// closed, as Jupyter asks.
pub(crate) fn deliver(comm: String, target: &str, message: &Message) -> Option<Failure> {
    let comm = Comm { id: comm };
    if message.kind == "comm_open" {
        match registry(|registry| registry.targets.get(target).copied()) {
            Some(target) => return guarded(|| target(&comm, message)),
            None => comm.close(Value::Object(serde_json::Map::new())),
        }
        return None;
    }
    // The callback is out of the registry while it runs: it may open, close or replace comms.
    let mut callback = registry(|registry| registry.callbacks.remove(&comm.id))?;
    let failure = guarded(|| callback(&comm, message));
    if message.kind != "comm_close" {
        let unused = registry(|registry| {
            if registry.callbacks.contains_key(&comm.id) {
                Some(callback)
            } else {
                registry.callbacks.insert(comm.id.clone(), callback)
            }
        });
        drop(unused);
    }
    failure
}

fn guarded(callback: impl FnOnce()) -> Option<Failure> {
    *reported() = None;
    // A callback is the user's code: it may be parked when it does not answer an interrupt.
    critical::release();
    let ended = catch_unwind(AssertUnwindSafe(callback));
    critical::hold();
    let report = reported().take();
    let Err(payload) = ended else {
        return if cancel::requested() { Some(cell::interrupted()) } else { report };
    };
    let interrupted = cancel::requested() || cancel::is_interrupt(&*payload);
    let failure = if interrupted { cell::interrupted() } else { panics::failure(&*payload) };
    std::mem::forget(payload);
    Some(failure)
}

fn reported() -> MutexGuard<'static, Option<Failure>> {
    REPORTED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn registry<T>(work: impl FnOnce(&mut Registry) -> T) -> T {
    let mut held: MutexGuard<'_, Option<Registry>> =
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    work(held.get_or_insert_with(Registry::default))
}

/// Decodes the buffers of a request; what is not base64 is left out.
pub(crate) fn decode(buffers: &[String]) -> Vec<Vec<u8>> {
    buffers.iter().filter_map(|text| STANDARD.decode(text).ok()).collect()
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("targets", &self.targets.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    /// Callbacks run one at a time in a worker.
    fn turn() -> MutexGuard<'static, ()> {
        crate::cancel::tests::turn()
    }

    fn message(kind: &str) -> Message {
        Message { kind: kind.to_owned(), data: json!({}), buffers: Vec::new() }
    }

    #[test]
    fn a_callback_gets_messages_until_the_close_and_survives_a_panic() {
        let _turn = turn();
        let calls = Arc::new(AtomicUsize::new(0));
        let comm = Comm::open("test", json!({}), json!({}), &[]);
        let counted = Arc::clone(&calls);
        comm.on_message(move |_, message| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert!(message.data.is_object(), "not an object");
        });
        assert_eq!(deliver(comm.id().to_owned(), "", &message("comm_msg")), None);
        let bad = Message { data: json!(1), ..message("comm_msg") };
        let failure = deliver(comm.id().to_owned(), "", &bad).expect("failed");
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "not an object"));
        deliver(comm.id().to_owned(), "", &message("comm_close"));
        deliver(comm.id().to_owned(), "", &message("comm_msg"));
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_report_is_the_callbacks_failure_and_is_not_kept() {
        let _turn = turn();
        let comm = Comm::open("test", json!({}), json!({}), &[]);
        comm.on_message(|_, message| {
            if message.data.is_null() {
                report("ShapeError", "2 is not 3");
                report("Second", "is not heard");
            }
        });
        let bad = Message { data: json!(null), ..message("comm_msg") };
        let failure = deliver(comm.id().to_owned(), "", &bad).expect("failed");
        assert_eq!((failure.name.as_str(), failure.message.as_str()), ("ShapeError", "2 is not 3"));
        assert_eq!(deliver(comm.id().to_owned(), "", &message("comm_msg")), None);
    }

    #[test]
    fn a_callback_may_replace_itself_and_unknown_comms_are_ignored() {
        let _turn = turn();
        let comm = Comm::open("test", json!({}), json!({}), &[]);
        let second = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&second);
        comm.on_message(move |comm, _| {
            let counted = Arc::clone(&counted);
            comm.on_message(move |_, _| {
                counted.fetch_add(1, Ordering::Relaxed);
            });
        });
        deliver(comm.id().to_owned(), "", &message("comm_msg"));
        deliver(comm.id().to_owned(), "", &message("comm_msg"));
        assert_eq!(second.load(Ordering::Relaxed), 1);
        deliver("nobody".to_owned(), "", &message("comm_msg"));
        deliver("new".to_owned(), "unknown target", &message("comm_open"));
    }
}
