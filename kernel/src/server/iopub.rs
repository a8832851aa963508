//! The broadcast channel: a short queue that merges, and the task that empties it.
//!
//! Adjacent chunks of one stream and adjacent updates of one display become one message while they
//! wait. The queue is bounded: whoever shows more than the front end reads waits for room, so that a
//! status or an error is never behind more than [`MAX_QUEUED`] messages. Statuses and errors
//! themselves never wait.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jupyter_protocol::messaging::JupyterMessage;
use jupyter_zmq_client::{KernelIoPubXPubConnection, SubscriptionEvent};
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::server::handler::StreamName;
use crate::server::message::{SEND_LIMIT, message};
use crate::server::request::Parent;

/// Messages that may wait.
const MAX_QUEUED: usize = 256;
/// Text that one stream message may hold before a new one is begun, in bytes.
const MAX_TEXT: usize = 128 * 1024;
/// Pause between two messages of a stream that goes on and on.
const STREAM_PACE: Duration = Duration::from_millis(15);

/// A handle on the queue; clones share it.
#[derive(Clone, Default)]
pub(crate) struct IoPub {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Notify,
    room: Notify,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    last_stream: Option<Instant>,
}

enum Item {
    Stream { parent: Arc<Parent>, name: StreamName, text: String },
    Update { parent: Arc<Parent>, display_id: String, content: Value },
    Message(Box<JupyterMessage>),
    Barrier(oneshot::Sender<()>),
}

impl Item {
    /// Takes `next` into itself where the two can be one message; else gives it back.
    fn merge(&mut self, next: Item) -> Option<Item> {
        match (self, next) {
            (
                Item::Stream { parent, name, text },
                Item::Stream { parent: next_parent, name: next_name, text: next_text },
            ) if Arc::ptr_eq(parent, &next_parent)
                && *name == next_name
                && text.len() + next_text.len() <= MAX_TEXT =>
            {
                text.push_str(&next_text);
                None
            }
            (
                Item::Update { display_id, content, .. },
                Item::Update { display_id: next_id, content: next_content, .. },
            ) if *display_id == next_id => {
                *content = next_content;
                None
            }
            (_, next) => Some(next),
        }
    }
}

impl IoPub {
    /// Queues a message that may not wait: a status, an error, a cell's input.
    pub(crate) fn publish(&self, parent: Option<&Parent>, msg_type: &str, content: Value) {
        self.lock().items.push_back(Item::Message(Box::new(message(
            parent,
            topic(msg_type),
            msg_type,
            content,
        ))));
        self.shared.filled.notify_one();
    }

    /// Queues text of a stream, waiting for room.
    pub(crate) async fn stream(&self, parent: &Arc<Parent>, name: StreamName, text: String) {
        self.push(Item::Stream { parent: Arc::clone(parent), name, text }).await;
    }

    /// Queues an update of a display, waiting for room.
    pub(crate) async fn update(&self, parent: &Arc<Parent>, display_id: String, content: Value) {
        self.push(Item::Update { parent: Arc::clone(parent), display_id, content }).await;
    }

    /// Queues any other output, waiting for room.
    pub(crate) async fn output(
        &self,
        parent: &Parent,
        msg_type: &str,
        content: Value,
        metadata: Option<Value>,
        buffers: Vec<Bytes>,
    ) {
        let mut message =
            message(Some(parent), topic(msg_type), msg_type, content).with_buffers(buffers);
        if let Some(metadata) = metadata {
            message.metadata = metadata;
        }
        self.push(Item::Message(Box::new(message))).await;
    }

    /// Waits until everything queued so far has been sent.
    pub(crate) async fn flush(&self) {
        let (sent_tx, sent_rx) = oneshot::channel();
        self.lock().items.push_back(Item::Barrier(sent_tx));
        self.shared.filled.notify_one();
        // An error means that nobody sends any more.
        let _ = sent_rx.await;
    }

    async fn push(&self, item: Item) {
        let mut item = item;
        loop {
            let mut room = pin!(self.shared.room.notified());
            // Registers before the look at the queue, so that no wake-up is missed.
            room.as_mut().enable();
            {
                let mut queue = self.lock();
                if let Some(last) = queue.items.back_mut() {
                    match last.merge(item) {
                        None => return,
                        Some(rest) => item = rest,
                    }
                }
                if queue.items.len() < MAX_QUEUED {
                    queue.items.push_back(item);
                    self.shared.filled.notify_one();
                    return;
                }
            }
            room.await;
        }
    }

    async fn next(&self) -> Item {
        loop {
            let wait = {
                let mut queue = self.lock();
                if let Some(wait) = queue.pause() {
                    wait
                } else if let Some(item) = queue.items.pop_front() {
                    if matches!(item, Item::Stream { .. }) {
                        queue.last_stream = Some(Instant::now());
                    }
                    self.shared.room.notify_waiters();
                    return item;
                } else {
                    Duration::MAX
                }
            };
            // Either way the queue is looked at again.
            let _ = tokio::time::timeout(wait, self.shared.filled.notified()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// How long the only waiting item, a stream's, should go on collecting.
    fn pause(&self) -> Option<Duration> {
        let [Item::Stream { text, .. }] = self.items.as_slices().0 else { return None };
        if self.items.len() > 1 || text.len() >= MAX_TEXT {
            return None;
        }
        let wait = (self.last_stream? + STREAM_PACE).checked_duration_since(Instant::now())?;
        (!wait.is_zero()).then_some(wait)
    }
}

fn topic(msg_type: &str) -> Vec<Bytes> {
    vec![Bytes::from(format!("kernel.{msg_type}"))]
}

/// Sends what is queued and welcomes new subscribers (protocol 5.5, JEP 65), for as long as it is
/// polled.
pub(crate) async fn run(mut connection: KernelIoPubXPubConnection, queue: IoPub) {
    loop {
        tokio::select! {
            biased;
            event = connection.recv_subscription() => match event {
                Ok(SubscriptionEvent::Subscribe(topic)) => {
                    let identities = vec![Bytes::from(topic.clone())];
                    let content = json!({ "subscription": topic });
                    send(&mut connection, message(None, identities, "iopub_welcome", content)).await;
                }
                Ok(SubscriptionEvent::Unsubscribe(_)) => {}
                Err(error) => {
                    tracing::debug!(%error, "a subscriber left");
                    tokio::task::yield_now().await;
                }
            },
            item = queue.next() => match item {
                Item::Stream { parent, name, text } => {
                    let content = json!({ "name": name.as_str(), "text": text });
                    send(&mut connection, message(Some(&parent), topic("stream"), "stream", content))
                        .await;
                }
                Item::Update { parent, content, .. } => {
                    let kind = "update_display_data";
                    send(&mut connection, message(Some(&parent), topic(kind), kind, content)).await;
                }
                Item::Message(message) => send(&mut connection, *message).await,
                Item::Barrier(sent_tx) => {
                    // Nobody waits any more if this fails.
                    let _ = sent_tx.send(());
                }
            },
        }
    }
}

async fn send(connection: &mut KernelIoPubXPubConnection, message: JupyterMessage) {
    let msg_type = message.header.msg_type.clone();
    match tokio::time::timeout(SEND_LIMIT, connection.send(message)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(msg_type, %error, "could not publish"),
        Err(_) => tracing::warn!(msg_type, "a front end does not read what is published"),
    }
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::messaging::{JupyterMessage, KernelInfoRequest};

    use super::*;

    fn parent() -> Arc<Parent> {
        let header = JupyterMessage::new(KernelInfoRequest {}, None).header;
        Arc::new(Parent { identities: Vec::new(), header })
    }

    #[tokio::test]
    async fn chunks_of_a_stream_become_one_message() {
        let iopub = IoPub::default();
        let parent = parent();
        for index in 0..100 {
            iopub.stream(&parent, StreamName::Stdout, format!("{index}\n")).await;
        }
        iopub.stream(&parent, StreamName::Stderr, "warning".into()).await;
        iopub.publish(Some(&parent), "status", json!({"execution_state": "idle"}));
        assert_eq!(iopub.lock().items.len(), 3);
        let Item::Stream { text, .. } = iopub.next().await else { panic!("a stream comes first") };
        assert_eq!(text.lines().count(), 100);
    }

    #[tokio::test]
    async fn updates_of_one_display_keep_the_last() {
        let iopub = IoPub::default();
        let parent = parent();
        for index in 0..50 {
            iopub.update(&parent, "a".into(), json!(index)).await;
        }
        iopub.update(&parent, "b".into(), json!(0)).await;
        let Item::Update { content, .. } = iopub.next().await else { panic!("an update") };
        assert_eq!(content, json!(49));
        assert_eq!(iopub.lock().items.len(), 1);
    }

    #[tokio::test]
    async fn output_waits_for_room_and_a_status_does_not() {
        let iopub = IoPub::default();
        let parent = parent();
        let filler = {
            let (iopub, parent) = (iopub.clone(), Arc::clone(&parent));
            tokio::spawn(async move {
                for _ in 0..2 * MAX_QUEUED {
                    iopub.output(&parent, "display_data", json!({}), None, Vec::new()).await;
                }
            })
        };
        while iopub.lock().items.len() < MAX_QUEUED {
            tokio::task::yield_now().await;
        }
        iopub.publish(Some(&parent), "status", json!({"execution_state": "idle"}));
        assert_eq!(iopub.lock().items.len(), MAX_QUEUED + 1);
        assert!(!filler.is_finished());
        for _ in 0..=2 * MAX_QUEUED {
            iopub.next().await;
        }
        filler.await.expect("fills");
    }

    #[tokio::test]
    async fn a_stream_that_goes_on_is_sent_at_a_pace() {
        let iopub = IoPub::default();
        let parent = parent();
        iopub.stream(&parent, StreamName::Stdout, "a".into()).await;
        assert_eq!(iopub.lock().pause(), None, "the first text is sent at once");
        iopub.next().await;
        iopub.lock().last_stream = Some(Instant::now() + Duration::from_secs(60));
        iopub.stream(&parent, StreamName::Stdout, "b".into()).await;
        assert!(iopub.lock().pause().is_some());
        iopub.publish(None, "status", json!({}));
        assert_eq!(iopub.lock().pause(), None, "a status behind it sends the text at once");
    }
}
