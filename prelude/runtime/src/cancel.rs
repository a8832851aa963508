//! The interrupt flag: polls for cell code, hooks for libraries.
//!
//! One press of the interrupt button sets the flag. Code on the cell's thread calls [`poll`], which
//! unwinds that thread to the cell's frame; what returns errors asks [`requested`] and returns early.
//! Threads that a cell has started itself go on: the press does not concern them.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long after a press threads of rayon's pools and polars' queries go on. They may work for a thread
/// that the press does not concern, and a cell that does not wait for them has ended by then.
pub const GRACE: Duration = Duration::from_millis(100);

static FLAG: AtomicBool = AtomicBool::new(false);
/// When it was set, in milliseconds of [`CLOCK`].
static SET_AT: AtomicU64 = AtomicU64::new(0);
static CLOCK: LazyLock<Instant> = LazyLock::new(Instant::now);
/// In a program without cells a press concerns every thread.
static HAS_CELL_THREAD: AtomicBool = AtomicBool::new(false);
static CANCELLED: Notify = Notify::const_new();
static HOOKS: Mutex<Vec<fn(bool)>> = Mutex::new(Vec::new());

thread_local! {
    static ON_CELL_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// The payload of an interrupt's unwinding. Code that catches panics should pass it on.
#[derive(Debug)]
pub struct Interrupted;

/// Unwinds the running cell if the user has interrupted it. Does nothing on other threads and while a
/// panic is already unwinding. Costs one relaxed load.
#[inline]
pub fn poll() {
    if FLAG.load(Ordering::Relaxed) {
        unwind_cell();
    }
}

/// Whether the user has interrupted the running cell and this thread works for it: for code that returns
/// early with an error. Threads that the user's code has started do not; threads of rayon's pools may, and
/// are told a moment later ([`GRACE`]).
#[inline]
#[must_use]
pub fn requested() -> bool {
    pressed() && concerns_this_thread()
}

/// Whether the user has interrupted the running cell, whichever thread asks.
#[inline]
#[must_use]
pub fn pressed() -> bool {
    FLAG.load(Ordering::Relaxed)
}

/// Calls `hook(true)` when a cell is interrupted and `hook(false)` before the next one runs: for
/// libraries with a cancel mechanism of their own. Hooks run on the worker's reader thread and must
/// return at once.
pub fn register_interrupt_hook(hook: fn(bool)) {
    lock_hooks().push(hook);
}

/// Resolves when the running cell is interrupted.
pub async fn cancelled() {
    loop {
        let notified = CANCELLED.notified();
        if pressed() {
            return;
        }
        notified.await;
    }
}

/// Calls code that may poll, for callers that end in good order when the user interrupts it: an interrupt
/// comes back as an error. Other panics go on.
///
/// # Errors
/// When a poll has unwound `call`.
///
/// ```
/// use oxilab_runtime::cancel;
/// assert_eq!(cancel::catch(|| 40 + 2).ok(), Some(42));
/// ```
pub fn catch<T>(call: impl FnOnce() -> T) -> Result<T, Interrupted> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| match payload.downcast() {
        Ok(interrupted) => *interrupted,
        Err(panic) => resume_unwind(panic),
    })
}

/// Whether this payload of a panic is an interrupt.
#[must_use]
pub fn is_interrupt(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Interrupted>()
}

/// Whether this thread runs cells, or would if this program had any.
pub(crate) fn may_be_cell_thread() -> bool {
    on_cell_thread() || !HAS_CELL_THREAD.load(Ordering::Relaxed)
}

pub(crate) fn on_cell_thread() -> bool {
    // A thread that is being torn down has no thread-locals any more and is not the cell's thread.
    ON_CELL_THREAD.try_with(Cell::get).unwrap_or(false)
}

pub(crate) fn mark_cell_thread() {
    ON_CELL_THREAD.set(true);
    HAS_CELL_THREAD.store(true, Ordering::Relaxed);
}

pub(crate) fn set() {
    SET_AT.store(now(), Ordering::Relaxed);
    FLAG.store(true, Ordering::SeqCst);
    for hook in lock_hooks().iter() {
        hook(true);
    }
    CANCELLED.notify_waiters();
}

/// Makes ready for the next cell.
pub(crate) fn reset() {
    if FLAG.swap(false, Ordering::SeqCst) {
        for hook in lock_hooks().iter() {
            hook(false);
        }
    }
}

/// For tests of crates whose loops poll: the button is pressed until this is dropped. The flag is one for
/// the process, so such tests have a process of their own.
#[doc(hidden)]
#[derive(Debug)]
pub struct Pressed(());

#[doc(hidden)]
#[must_use]
pub fn press() -> Pressed {
    set();
    Pressed(())
}

impl Drop for Pressed {
    fn drop(&mut self) {
        reset();
    }
}

#[cold]
#[inline(never)]
fn concerns_this_thread() -> bool {
    let in_a_pool = || rayon::current_thread_index().is_some();
    let since = || Duration::from_millis(now().saturating_sub(SET_AT.load(Ordering::Relaxed)));
    may_be_cell_thread() || in_a_pool() && since() >= GRACE
}

fn now() -> u64 {
    u64::try_from(CLOCK.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cold]
#[inline(never)]
fn unwind_cell() {
    if unwinds() {
        unwind();
    }
}

/// Whether a poll on this thread unwinds now.
pub(crate) fn unwinds() -> bool {
    pressed() && on_cell_thread() && !std::thread::panicking()
}

#[cold]
#[inline(never)]
pub(crate) fn unwind() -> ! {
    resume_unwind(Box::new(Interrupted))
}

fn lock_hooks() -> std::sync::MutexGuard<'static, Vec<fn(bool)>> {
    HOOKS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::MutexGuard;

    use super::*;

    /// The flag is one for the process: tests that set it take turns.
    pub(crate) fn turn() -> MutexGuard<'static, ()> {
        static TURN: Mutex<()> = Mutex::new(());
        TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    #[test]
    fn only_the_cell_thread_unwinds_and_only_once_set() {
        let _turn = turn();
        let unwound = |cell_thread: bool| {
            std::thread::spawn(move || {
                if cell_thread {
                    mark_cell_thread();
                }
                catch(poll).is_err()
            })
            .join()
            .expect("joins")
        };
        assert!(!unwound(true));
        set();
        assert!(pressed());
        assert!(unwound(true));
        assert!(!unwound(false));
        reset();
        assert!(!pressed());
    }

    #[test]
    fn a_press_concerns_the_cell_and_soon_the_pools_and_no_other_thread() {
        let _turn = turn();
        let asked = |cell_thread: bool| {
            let ask = move || {
                if cell_thread {
                    mark_cell_thread();
                }
                requested()
            };
            std::thread::spawn(ask).join().expect("joins")
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool");
        assert!(!asked(true));
        set();
        assert!(asked(true));
        assert!(!pool.install(requested), "it may work for another thread");
        std::thread::sleep(GRACE + Duration::from_millis(10));
        assert!(pool.install(requested));
        assert!(!asked(false));
        reset();
        assert!(!asked(true));
        assert!(!pool.install(requested));
    }

    #[test]
    fn a_poll_in_a_destructor_of_an_unwinding_thread_returns() {
        struct Polls;
        impl Drop for Polls {
            fn drop(&mut self) {
                poll();
            }
        }
        let _turn = turn();
        let ended = std::thread::spawn(|| {
            mark_cell_thread();
            set();
            let caught = catch_unwind(|| {
                let _polls = Polls;
                resume_unwind(Box::new("first"));
            });
            reset();
            caught.is_err_and(|payload| payload.downcast_ref() == Some(&"first"))
        });
        assert!(ended.join().expect("no abort"));
    }
}
