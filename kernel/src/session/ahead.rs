//! Compiling queued cells while another runs.
//!
//! The types of a cell's variables are known when it has compiled, before it has run. So the cells
//! queued behind it are prepared against the state that is expected; what comes of it is only that
//! the cache holds their libraries when their turn comes. A wrong guess costs nothing but the compile.
//!
//! One task walks the queue. When the turn of the first cell comes, a compile of it that is under way
//! is waited for rather than begun anew, and the task goes on with the cells behind it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::prepare::prepare;
use super::state::State;
use crate::compile::Compiler;
use crate::magics::{self, Segment};

/// Cells queued behind the running one.
#[derive(Debug, Default)]
pub struct Ahead {
    queue: Queue,
    task: Option<JoinHandle<()>>,
}

/// The queue, to which the server adds while a cell runs.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    waiting: Arc<Mutex<Waiting>>,
    added: Arc<Notify>,
    prepared: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Waiting {
    cells: VecDeque<String>,
    /// How many of the first ones the task has taken.
    taken: usize,
    /// Whether the last one taken is being prepared at this moment.
    under_way: bool,
}

impl Queue {
    /// A cell was queued.
    pub fn push(&self, code: &str) {
        self.waiting().cells.push_back(code.to_owned());
        self.added.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next cell to prepare, waiting for one.
    async fn next(&self) -> (String, UnderWay<'_>) {
        loop {
            {
                let mut waiting = self.waiting();
                if let Some(code) = waiting.cells.get(waiting.taken).cloned() {
                    waiting.taken += 1;
                    waiting.under_way = true;
                    return (code, UnderWay(self));
                }
            }
            self.added.notified().await;
        }
    }
}

/// A cell is being prepared until this is dropped, also by the end of the task.
struct UnderWay<'a>(&'a Queue);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.waiting().under_way = false;
        self.0.prepared.notify_waiters();
    }
}

impl Ahead {
    /// The queue.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Starts preparing what is queued, against the state expected behind cell `count`. A task that
    /// is at work already came to the same state by itself.
    pub fn start(&mut self, compiler: Arc<Compiler>, state: State, count: u32) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        self.queue.waiting().taken = 0;
        self.task = Some(tokio::spawn(prepare_queued(self.queue.clone(), compiler, state, count)));
    }

    /// The turn of a cell has come: waits while it is being prepared.
    pub async fn turn_of(&mut self, code: &str) {
        if self.queue.waiting().cells.front().is_none_or(|front| front != code) {
            // Not a cell of the queue: what was prepared expects another state.
            self.stop();
            return;
        }
        loop {
            // Made before the look, so that no notice is missed.
            let prepared = self.queue.prepared.notified();
            if !matches!(*self.queue.waiting(), Waiting { taken: 1, under_way: true, .. }) {
                break;
            }
            prepared.await;
        }
        let taken = {
            let mut waiting = self.queue.waiting();
            waiting.cells.pop_front();
            let taken = waiting.taken;
            waiting.taken = taken.saturating_sub(1);
            taken
        };
        if taken == 0 {
            // The task would go on with the next cell without having seen this one.
            self.stop();
        }
    }

    /// Stops preparing.
    pub fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }

    /// Forgets what is queued: it was aborted.
    pub fn clear(&mut self) {
        self.stop();
        self.queue.waiting().cells.clear();
    }
}

async fn prepare_queued(queue: Queue, compiler: Arc<Compiler>, mut state: State, mut count: u32) {
    loop {
        let (code, _under_way) = queue.next().await;
        count += 1;
        for segment in magics::split(&code) {
            // What a magic does is not known before it is done.
            let Segment::Rust(text) = segment else { return };
            if text.trim().is_empty() {
                continue;
            }
            let label = format!("In [{count}]");
            let Ok(prepared) = prepare(&compiler, &state, &text, &label, true).await else {
                return;
            };
            state = state.expected(&prepared);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with_task(queued: &[&str]) -> Ahead {
        let ahead = Ahead::default();
        for code in queued {
            ahead.queue().push(code);
        }
        ahead
    }

    #[tokio::test]
    async fn a_cell_under_way_is_waited_for_and_the_task_goes_on() {
        let mut ahead = with_task(&["a", "b"]);
        let queue = ahead.queue();
        let (done_tx, done_rx) = tokio::sync::oneshot::channel::<()>();
        ahead.task = Some(tokio::spawn(async move {
            let (_, under_way) = queue.next().await;
            let _ = done_rx.await;
            drop(under_way);
            assert_eq!(queue.next().await.0, "b");
            std::future::pending::<()>().await;
        }));
        while !ahead.queue.waiting().under_way {
            tokio::task::yield_now().await;
        }
        let waited = tokio::time::timeout(Duration::from_millis(20), ahead.turn_of("a")).await;
        assert!(waited.is_err(), "`a` is still being prepared");
        let _ = done_tx.send(());
        ahead.turn_of("a").await;
        while ahead.queue.waiting().taken == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ahead.queue.waiting().cells, ["b"]);
        assert!(ahead.task.as_ref().is_some_and(|task| !task.is_finished()));
    }

    #[tokio::test]
    async fn a_cell_from_elsewhere_stops_it_and_an_aborted_task_keeps_nobody_waiting() {
        let mut ahead = with_task(&["a"]);
        let queue = ahead.queue();
        ahead.task = Some(tokio::spawn(async move {
            let _under_way = queue.next().await;
            std::future::pending::<()>().await;
        }));
        while !ahead.queue.waiting().under_way {
            tokio::task::yield_now().await;
        }
        ahead.turn_of("other").await;
        ahead.turn_of("a").await;
        assert!(ahead.queue.waiting().cells.is_empty() && ahead.task.is_none());
    }
}
