//! Where the cell thread must not be parked: everywhere but in the cell's own code.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::cancel;

/// Zero only while a cell's code runs outside of the runtime's critical sections.
static DEPTH: AtomicU32 = AtomicU32::new(1);

/// A section in which the cell thread holds something that others need.
#[derive(Debug)]
pub(crate) struct Critical {
    counted: bool,
}

/// Enters a critical section; it ends with the guard. Other threads are never parked.
pub(crate) fn enter() -> Critical {
    let counted = cancel::on_cell_thread();
    if counted {
        DEPTH.fetch_add(1, Ordering::SeqCst);
    }
    Critical { counted }
}

impl Drop for Critical {
    fn drop(&mut self) {
        if self.counted {
            DEPTH.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The cell's code begins.
pub(crate) fn release() {
    DEPTH.store(0, Ordering::SeqCst);
}

/// The cell's code has ended.
pub(crate) fn hold() {
    DEPTH.store(1, Ordering::SeqCst);
}

/// Whether the cell thread may be parked. Async-signal-safe.
pub(crate) fn may_park() -> bool {
    DEPTH.load(Ordering::SeqCst) == 0
}
