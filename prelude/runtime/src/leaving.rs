//! What is done once before the worker's process ends: hooks for libraries that keep something to write.

use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

static HOOKS: Mutex<Vec<fn()>> = Mutex::new(Vec::new());

/// Calls `hook` before the process ends in an orderly way. It has a fraction of a second, and runs on a
/// thread of its own.
pub fn register_exit_hook(hook: fn()) {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner).push(hook);
}

/// Runs all hooks, for `limit` at most.
pub(crate) fn run_hooks(limit: Duration) {
    let hooks = std::mem::take(&mut *HOOKS.lock().unwrap_or_else(PoisonError::into_inner));
    if hooks.is_empty() {
        return;
    }
    let (done, ended) = channel();
    let run = move || {
        for hook in hooks {
            hook();
        }
        // The process may have stopped waiting.
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("oxilab-leave".to_owned()).spawn(run).is_ok() {
        let _ = ended.recv_timeout(limit);
    }
}
