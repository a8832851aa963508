//! What waits for the cell thread, and what it is doing.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxilab_protocol::Request;

use crate::cancel;

/// Something for the cell thread.
#[derive(Debug)]
pub(super) enum Job {
    /// A request of the kernel; its number is new for every one.
    Request(u64, Request),
    /// Drop all variables: the process ends.
    Finish,
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Job>,
    next: u64,
    /// The job that runs user code, and can be interrupted.
    running: Option<u64>,
    finished: bool,
}

static QUEUE: Mutex<Queue> =
    Mutex::new(Queue { waiting: VecDeque::new(), next: 0, running: None, finished: false });
static CHANGED: Condvar = Condvar::new();

/// Adds a request. An interrupt that comes after it is meant for it.
pub(super) fn push(request: Request) {
    let mut queue = lock();
    queue.next += 1;
    let number = queue.next;
    if queue.running.is_none() && matches!(request, Request::Run { .. }) {
        cancel::reset();
        queue.running = Some(number);
    }
    queue.waiting.push_back(Job::Request(number, request));
    CHANGED.notify_all();
}

/// Waits for the next job.
pub(super) fn pop() -> Job {
    let mut queue = lock();
    loop {
        match queue.waiting.pop_front() {
            Some(job) => return job,
            None => queue = CHANGED.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// User code begins, of a job that [`push`] has not marked already.
pub(super) fn begin(job: u64) {
    let mut queue = lock();
    if queue.running != Some(job) {
        cancel::reset();
        queue.running = Some(job);
    }
}

/// User code has ended: an interrupt that comes now is meant for nobody. False when the job has been
/// ended by a take-over.
pub(super) fn end(job: u64) -> bool {
    let mut queue = lock();
    let ours = queue.running == Some(job);
    if ours {
        queue.running = None;
        cancel::reset();
        CHANGED.notify_all();
    }
    ours
}

/// The job that runs user code.
pub(super) fn running() -> Option<u64> {
    lock().running
}

/// Waits until a job has ended, no longer than `patience`. True when it has.
pub(super) fn wait_for_end(job: u64, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut queue = lock();
    while queue.running == Some(job) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        queue = CHANGED
            .wait_timeout(queue, left)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(queue, _)| queue);
    }
    true
}

/// Asks the cell thread to drop all variables, before anything else that waits, and waits for it.
pub(super) fn finish(patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut queue = lock();
    queue.waiting.clear();
    queue.waiting.push_back(Job::Finish);
    CHANGED.notify_all();
    while !queue.finished {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        queue = CHANGED
            .wait_timeout(queue, left)
            .map_or_else(|poisoned| poisoned.into_inner().0, |(queue, _)| queue);
    }
}

/// All variables are dropped.
pub(super) fn finished() {
    lock().finished = true;
    CHANGED.notify_all();
}

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
