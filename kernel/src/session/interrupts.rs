//! The interrupt button, as everything that can wait sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether the running cell was interrupted.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    pressed: AtomicBool,
    notify: Notify,
}

impl Interrupts {
    /// The button was pressed.
    pub fn press(&self) {
        self.inner.pressed.store(true, Ordering::SeqCst);
        self.inner.notify.notify_waiters();
    }

    /// A new cell starts.
    pub fn reset(&self) {
        self.inner.pressed.store(false, Ordering::SeqCst);
    }

    /// Whether it was pressed since the last reset.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.inner.pressed.load(Ordering::SeqCst)
    }

    /// Resolves when it is pressed, at once if it was.
    pub async fn pressed(&self) {
        loop {
            let notified = self.inner.notify.notified();
            tokio::pin!(notified);
            // Registered before the flag is read, so no press falls between.
            notified.as_mut().enable();
            if self.is_pressed() {
                return;
            }
            notified.await;
        }
    }
}
