//! The process's tokio runtime: entered for every cell, behind top-level `.await`.

use std::future::Future;
use std::io;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::cancel;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The process's multi-threaded runtime, made at the first call.
///
/// # Errors
/// When the operating system gives no threads.
pub fn handle() -> io::Result<&'static Handle> {
    if RUNTIME.get().is_none() {
        let runtime =
            Builder::new_multi_thread().enable_all().thread_name("oxilab-tokio").build()?;
        // Of two that are made at once, one is dropped.
        if let Err(second) = RUNTIME.set(runtime) {
            second.shutdown_background();
        }
    }
    RUNTIME.get().map(Runtime::handle).ok_or_else(|| io::Error::other("the runtime was not kept"))
}

/// Runs a future to its end on the process's runtime. When the user interrupts the cell, the future is
/// dropped where it stands and the cell unwinds; on threads that the cell has started it goes on.
///
/// # Panics
/// When called from inside an asynchronous task, as tokio's `block_on` does, and when no runtime can
/// be made.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let handle = match handle() {
        Ok(handle) => handle,
        Err(error) => panic!("`.await` needs threads, and the system gives none: {error}"),
    };
    let result = handle.block_on(async {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = cancel::cancelled(), if cancel::may_be_cell_thread() => None,
        }
    });
    match result {
        Some(output) => output,
        None => std::panic::resume_unwind(Box::new(cancel::Interrupted)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_future_that_never_resolves_is_interrupted() {
        let _turn = cancel::tests::turn();
        assert_eq!(block_on(async { 7 }), 7);
        let (marked_tx, marked_rx) = std::sync::mpsc::channel();
        let waiting = std::thread::spawn(move || {
            cancel::mark_cell_thread();
            marked_tx.send(()).expect("is waited for");
            std::panic::catch_unwind(|| block_on(std::future::pending::<()>()))
        });
        // Before there is a cell's thread a press concerns all of them.
        marked_rx.recv().expect("is marked");
        let other = std::thread::spawn(|| {
            block_on(async {
                tokio::time::sleep(Duration::from_millis(60)).await;
                "done"
            })
        });
        std::thread::sleep(Duration::from_millis(20));
        cancel::set();
        let caught = waiting.join().expect("joins").expect_err("interrupted");
        assert_eq!(other.join().expect("it goes on"), "done");
        cancel::reset();
        assert!(cancel::is_interrupt(&*caught));
    }
}
