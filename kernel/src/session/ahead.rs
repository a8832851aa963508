//! Compiling queued cells while another runs.
//!
//! The types of a cell's variables are known when it has compiled, before it has run. So the cells
//! queued behind it are prepared against the state that is expected; what comes of it is only that
//! the cache holds their libraries when their turn comes. A wrong guess costs nothing but the compile.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

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
    cells: Arc<Mutex<VecDeque<String>>>,
    added: Arc<tokio::sync::Notify>,
}

impl Queue {
    /// A cell was queued.
    pub fn push(&self, code: &str) {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).push_back(code.to_owned());
        self.added.notify_one();
    }

    fn front(&self) -> Option<String> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    fn get(&self, index: usize) -> Option<String> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner).get(index).cloned()
    }
}

impl Ahead {
    /// The queue.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue.clone()
    }

    /// Starts preparing what is queued, against the state expected behind cell `count`.
    pub fn start(&mut self, compiler: Arc<Compiler>, state: State, count: u32) {
        self.stop();
        let queue = self.queue.clone();
        self.task = Some(tokio::spawn(async move {
            let mut state = state;
            let mut index = 0;
            let mut count = count;
            loop {
                let Some(code) = queue.get(index) else {
                    queue.added.notified().await;
                    continue;
                };
                index += 1;
                count += 1;
                for segment in magics::split(&code) {
                    // What a magic does is not known before it is done.
                    let Segment::Rust(text) = segment else { return };
                    if text.trim().is_empty() {
                        continue;
                    }
                    let Ok(prepared) =
                        prepare(&compiler, &state, &text, &format!("In [{count}]"), true).await
                    else {
                        return;
                    };
                    state = state.expected(&prepared);
                }
            }
        }));
    }

    /// The turn of a cell has come.
    pub fn finish(&mut self, code: &str) {
        let Some(front) = self.queue.front() else {
            self.stop();
            return;
        };
        let mine = front == code;
        if !mine {
            self.stop();
        }
        self.queue.cells.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some(task) = self.task.take() {
            // The cache makes the second preparation cheap; the one under way must not run twice.
            task.abort();
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
        self.queue.cells.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
