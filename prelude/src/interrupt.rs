//! Interrupts that reach into polars.
//!
//! polars stops a running query when its abort flag is set, by a panic on the thread that asked for
//! the query. It offers one way to set the flag, its own handler of SIGINT, which acts only while a
//! catcher (`catch_polars_abort`) is on some stack; and one way to clear it: the last catcher leaves.
//!
//! A catcher around the user's code would never leave when a cell's thread is given up and parked,
//! and every later query would be aborted. So one sleeping thread is the catcher: the interrupt hook
//! raises the signal in this process, and before the next cell that thread leaves and comes back. The
//! runtime sees the panic while the interrupt is pending and reports an interrupt.

use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use polars::error::abort::{catch_polars_abort, register_polars_abort_mechanism};

/// Asks the catcher to leave and come back; it answers when it is back.
static RELEASE: OnceLock<Sender<SyncSender<()>>> = OnceLock::new();

/// The catcher answers in microseconds; a cell does not wait longer than this for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Installs polars' handler, the catcher and the hook. Without a thread for the catcher queries
/// simply run to their end.
pub(crate) fn register() {
    let (release_tx, release_rx) = channel();
    let (back_tx, back_rx) = sync_channel(1);
    let catcher = std::thread::Builder::new().name("oxilab-polars-abort".to_owned());
    if catcher.spawn(move || catch_for_ever(&release_rx, back_tx)).is_err() {
        return;
    }
    register_polars_abort_mechanism();
    let _ = back_rx.recv_timeout(PATIENCE);
    if RELEASE.set(release_tx).is_ok() {
        oxilab_runtime::cancel::register_interrupt_hook(hook);
    }
}

fn catch_for_ever(release_rx: &Receiver<SyncSender<()>>, first: SyncSender<()>) {
    let mut back = Some(first);
    loop {
        let mut ended = false;
        // The flag may have been set while nobody was inside: then this returns at once, having
        // cleared it, and the next turn goes in.
        let _ = catch_polars_abort(AssertUnwindSafe(|| {
            if let Some(back) = back.take() {
                let _ = back.try_send(());
            }
            match release_rx.recv() {
                Ok(next) => back = Some(next),
                Err(_) => ended = true,
            }
        }));
        if ended {
            return;
        }
    }
}

fn hook(interrupted: bool) {
    if interrupted {
        // SAFETY: raise has no preconditions, and the handler installed above only sets a flag.
        #[expect(unsafe_code, reason = "raise has no safe wrapper in std")]
        unsafe {
            libc::raise(libc::SIGINT);
        }
    } else if let Some(release_tx) = RELEASE.get() {
        let (back_tx, back_rx) = sync_channel(1);
        if release_tx.send(back_tx).is_ok() {
            let _ = back_rx.recv_timeout(PATIENCE);
        }
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
        for _ in 0..100 {
            let few = frame().filter(col("x").lt(lit(5))).collect().expect("runs");
            assert_eq!(few.height(), 5);
        }
    }
}
