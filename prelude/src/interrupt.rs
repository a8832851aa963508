//! Interrupts that reach into polars.
//!
//! polars stops a running query when its abort flag is set, by a panic on the thread that asked for
//! the query. It offers one way to set the flag, its own handler of SIGINT, which acts only while a
//! catcher (`catch_polars_abort`) is on some stack; and one way to clear it: the last catcher leaves.
//!
//! A catcher around the user's code would never leave when a cell's thread is given up and parked,
//! and every later query would be aborted. So one sleeping thread is the catcher: told of an interrupt
//! by the hook it raises the signal in this process, and before the next cell it leaves and comes back.
//! The runtime sees the panic while the interrupt is pending and reports an interrupt.
//!
//! The flag is one for all threads. So that a query of a background thread goes on while the cell ends
//! by other means, the catcher waits a moment before it raises the signal.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use oxilab_runtime::cancel::GRACE;
use polars::error::abort::{catch_polars_abort, register_polars_abort_mechanism};

/// What the catcher is told.
enum Word {
    /// The user has interrupted a cell.
    Pressed,
    /// The cell has ended: leave and come back, and answer then.
    Ended(SyncSender<()>),
}

static CATCHER: OnceLock<Sender<Word>> = OnceLock::new();

/// The catcher answers in microseconds; a cell does not wait longer than this for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Installs polars' handler, the catcher and the hook. Without a thread for the catcher queries
/// simply run to their end.
pub(crate) fn register() {
    let (word_tx, word_rx) = channel();
    let (back_tx, back_rx) = sync_channel(1);
    let catcher = std::thread::Builder::new().name("oxilab-polars-abort".to_owned());
    if catcher.spawn(move || catch_for_ever(&word_rx, back_tx)).is_err() {
        return;
    }
    register_polars_abort_mechanism();
    let _ = back_rx.recv_timeout(PATIENCE);
    if CATCHER.set(word_tx).is_ok() {
        oxilab_runtime::cancel::register_interrupt_hook(hook);
    }
}

fn catch_for_ever(words: &Receiver<Word>, first: SyncSender<()>) {
    let mut back = Some(first);
    loop {
        let mut ended = false;
        // The flag may have been set while nobody was inside: then this returns at once, having
        // cleared it, and the next turn goes in.
        let _ = catch_polars_abort(AssertUnwindSafe(|| {
            if let Some(back) = back.take() {
                let _ = back.try_send(());
            }
            match end_of_cell(words) {
                Some(next) => back = Some(next),
                None => ended = true,
            }
        }));
        if ended {
            return;
        }
    }
}

/// Waits for a cell's end, with queries aborted if it does not come soon after a press. Returns who asks
/// for an answer; nobody where no more words come.
fn end_of_cell(words: &Receiver<Word>) -> Option<SyncSender<()>> {
    if let Word::Ended(next) = words.recv().ok()? {
        return Some(next);
    }
    match words.recv_timeout(GRACE) {
        Ok(Word::Ended(next)) => return Some(next),
        Ok(Word::Pressed) | Err(RecvTimeoutError::Timeout) => abort(),
        Err(RecvTimeoutError::Disconnected) => return None,
    }
    loop {
        match words.recv().ok()? {
            Word::Ended(next) => return Some(next),
            Word::Pressed => abort(),
        }
    }
}

fn abort() {
    // SAFETY: raise has no preconditions, and the handler of SIGINT only sets a flag.
    #[expect(unsafe_code, reason = "raise has no safe wrapper in std")]
    unsafe {
        libc::raise(libc::SIGINT);
    }
}

fn hook(interrupted: bool) {
    let Some(catcher) = CATCHER.get() else { return };
    if interrupted {
        let _ = catcher.send(Word::Pressed);
        return;
    }
    let (back_tx, back_rx) = sync_channel(1);
    if catcher.send(Word::Ended(back_tx)).is_ok() {
        let _ = back_rx.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::time::Instant;

    use polars::prelude::*;

    use super::{Duration, hook};

    #[test]
    fn an_interrupt_ends_a_running_query_and_the_next_one_runs() {
        crate::init();
        let frame = || df!("x" => (0..1_000i64).collect::<Vec<_>>()).expect("frame").lazy();
        let interrupter = std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            hook(true);
        });
        let start = Instant::now();
        let ended = catch_unwind(|| {
            for _ in 0..100_000 {
                let joined = frame().cross_join(frame(), None);
                joined.select([(col("x") * col("x_right")).sum()]).collect().expect("runs");
            }
        });
        interrupter.join().expect("interrupts");
        assert!(ended.is_err(), "the query was not interrupted");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        hook(false);
        // A cell that ends by itself leaves queries of other threads alone.
        hook(true);
        hook(false);
        for _ in 0..100 {
            let few = frame().filter(col("x").lt(lit(5))).collect().expect("runs");
            assert_eq!(few.height(), 5);
        }
    }
}
