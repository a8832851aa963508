//! [`Queue`]: records leave the caller's thread at once and are written in batches by another.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::record::{Batch, Metric};
use crate::tracker::Tracker;
use crate::{Result, TrackError};

/// How many messages are written in one go at most.
const MOST: usize = 50_000;
/// How long a batch is waited for.
const MOMENT: Duration = Duration::from_millis(20);
/// How long after a failure the next attempt comes.
const PAUSE: Duration = Duration::from_millis(200);

enum Message {
    Metric(Arc<str>, Metric),
    Param(Arc<str>, String, String),
    Tag(Arc<str>, String, String),
    Flush(Duration, Sender<Result<()>>),
}

/// Writes records of runs to a [`Tracker`] on a thread of its own, in order for each run.
///
/// What the tracker cannot take now (the disk is full, the file is locked) is kept and tried again; what
/// it will never take (a parameter that conflicts) is dropped and said by the next
/// [`flush`](Queue::flush). When the queue is dropped it writes what it has.
pub struct Queue {
    sender: Option<Sender<Message>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    /// Starts the thread. `written` is called on it after each batch.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn new(tracker: Arc<dyn Tracker>, written: impl Fn() + Send + 'static) -> Result<Self> {
        let (sender, receiver) = channel();
        let writer = Writer {
            tracker,
            pending: Vec::new(),
            refused: None,
            late: None,
            clocks: HashMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("oxilab-track".to_owned())
            .spawn(move || writer.serve(&receiver, &written))
            .map_err(|error| TrackError::file("start the thread of", "oxilab-track", error))?;
        Ok(Self { sender: Some(sender), thread: Mutex::new(Some(thread)) })
    }

    fn send(&self, message: Message) -> Result<()> {
        let gone =
            || TrackError::Pending { count: 1, reason: "the writing thread has ended".to_owned() };
        self.sender.as_ref().ok_or_else(gone)?.send(message).map_err(|_| gone())
    }

    /// Queues a metric.
    ///
    /// # Errors
    /// If the writing thread has ended.
    pub fn metric(&self, run: &Arc<str>, metric: Metric) -> Result<()> {
        self.send(Message::Metric(Arc::clone(run), metric))
    }

    /// Queues a parameter.
    ///
    /// # Errors
    /// If the writing thread has ended.
    pub fn param(&self, run: &Arc<str>, key: String, value: String) -> Result<()> {
        self.send(Message::Param(Arc::clone(run), key, value))
    }

    /// Queues a tag.
    ///
    /// # Errors
    /// If the writing thread has ended.
    pub fn tag(&self, run: &Arc<str>, key: String, value: String) -> Result<()> {
        self.send(Message::Tag(Arc::clone(run), key, value))
    }

    /// Waits until all that was queued before is written, for `patience` at most.
    ///
    /// # Errors
    /// If records were refused since the last flush, or are not written in time; those are kept.
    pub fn flush(&self, patience: Duration) -> Result<()> {
        let (reply, answer) = channel();
        self.send(Message::Flush(patience, reply))?;
        answer.recv().unwrap_or_else(|_| {
            Err(TrackError::Pending { count: 0, reason: "the writing thread has ended".to_owned() })
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the writer was printed by the hook already.
            drop(thread.join());
        }
    }
}

/// The message and those that come within a moment, so that one transaction writes many. Whoever waits
/// ends the moment. It sleeps and looks, because a thread that waits for messages has to be woken by
/// whoever sends one, and that costs the caller.
fn gather(first: Message, receiver: &Receiver<Message>) -> Vec<Message> {
    let until = Instant::now() + MOMENT;
    let mut messages = vec![first];
    loop {
        let waits = messages.iter().any(|message| matches!(message, Message::Flush(..)));
        let more = MOST - messages.len();
        messages.extend(receiver.try_iter().take(more));
        if waits || messages.len() >= MOST || Instant::now() >= until {
            return messages;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Writer {
    tracker: Arc<dyn Tracker>,
    /// Batches in order of the first record of each run.
    pending: Vec<(Arc<str>, Batch)>,
    refused: Option<TrackError>,
    late: Option<String>,
    /// The latest time of a metric of each run: a clock that is set back does not reorder them.
    clocks: HashMap<Arc<str>, i64>,
}

impl Writer {
    fn serve(mut self, receiver: &Receiver<Message>, written: &impl Fn()) {
        loop {
            let first = if self.pending.is_empty() {
                receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                receiver.recv_timeout(PAUSE)
            };
            let mut flushes = Vec::new();
            let mut gone = false;
            match first {
                Ok(message) => {
                    let messages = gather(message, receiver);
                    self.take(messages.into_iter(), &mut flushes);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => gone = true,
            }
            if self.write() {
                written();
            }
            for (patience, reply) in flushes {
                // Nobody waits any more: nothing to tell.
                drop(reply.send(self.settle(patience)));
            }
            if gone {
                if let Err(error) = self.settle(Duration::from_secs(1)) {
                    eprintln!("oxilab: not all that was tracked is written: {error}");
                }
                return;
            }
        }
    }

    fn take(
        &mut self,
        messages: impl Iterator<Item = Message>,
        flushes: &mut Vec<(Duration, Sender<Result<()>>)>,
    ) {
        let mut places: HashMap<Arc<str>, usize> =
            self.pending.iter().enumerate().map(|(at, (run, _))| (Arc::clone(run), at)).collect();
        let pending = &mut self.pending;
        let mut batch = |run: Arc<str>| -> usize {
            *places.entry(Arc::clone(&run)).or_insert_with(|| {
                pending.push((run, Batch::default()));
                pending.len() - 1
            })
        };
        let mut records = Vec::new();
        for message in messages {
            match message {
                Message::Flush(patience, reply) => flushes.push((patience, reply)),
                Message::Metric(run, mut metric) => {
                    let clock = self.clocks.entry(Arc::clone(&run)).or_insert(metric.timestamp);
                    *clock = metric.timestamp.max(*clock);
                    metric.timestamp = *clock;
                    records.push((batch(run), Record::Metric(metric)));
                }
                Message::Param(run, key, value) => {
                    records.push((batch(run), Record::Param(key, value)));
                }
                Message::Tag(run, key, value) => {
                    records.push((batch(run), Record::Tag(key, value)));
                }
            }
        }
        for (at, record) in records {
            let Some((_, batch)) = self.pending.get_mut(at) else { continue };
            match record {
                Record::Metric(metric) => batch.metrics.push(metric),
                Record::Param(key, value) => batch.params.push((key, value)),
                Record::Tag(key, value) => batch.tags.push((key, value)),
            }
        }
    }

    /// Writes what there is; what has to wait stays. Returns whether something was written.
    fn write(&mut self) -> bool {
        let mut some = false;
        self.late = None;
        let (tracker, refused, late) = (&self.tracker, &mut self.refused, &mut self.late);
        self.pending.retain(|(run, batch)| match tracker.log_batch(run, batch) {
            Ok(()) => {
                some = true;
                false
            }
            Err(error) if error.is_transient() => {
                *late = Some(error.to_string());
                true
            }
            Err(error) => {
                some = true;
                refused.get_or_insert(error);
                false
            }
        });
        some
    }

    fn settle(&mut self, patience: Duration) -> Result<()> {
        let start = Instant::now();
        while !self.pending.is_empty() && start.elapsed() < patience {
            std::thread::sleep(PAUSE / 4);
            self.write();
        }
        if let Some(reason) = self.late.clone() {
            let count = self.pending.iter().map(|(_, batch)| batch.len()).sum();
            return Err(TrackError::Pending { count, reason });
        }
        self.refused.take().map_or(Ok(()), Err)
    }
}

enum Record {
    Metric(Metric),
    Param(String, String),
    Tag(String, String),
}
