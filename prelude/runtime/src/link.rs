//! The connection to the kernel process: the event pipe and the barrier that keeps order.

use std::fs::File;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use oxilab_protocol::{Event, wire};

use crate::streams::Streams;
use crate::worker::critical;

/// A kernel that does not read for so long is stuck; order is given up rather than the cell.
const PATIENCE: Duration = Duration::from_secs(10);

static LINK: OnceLock<Link> = OnceLock::new();

/// The connection of this process to its kernel.
#[derive(Debug)]
pub(crate) struct Link {
    events: Mutex<File>,
    descriptor: RawFd,
    streams: Streams,
}

/// The connection; `None` outside a worker.
pub(crate) fn get() -> Option<&'static Link> {
    LINK.get()
}

/// Makes this process a worker.
pub(crate) fn connect(events: File, streams: Streams) -> &'static Link {
    let descriptor = events.as_raw_fd();
    LINK.get_or_init(|| Link { events: Mutex::new(events), descriptor, streams })
}

impl Link {
    /// Sends an event that nobody sees: no barrier.
    pub(crate) fn send(&self, event: &Event) {
        let _critical = critical::enter();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // A broken pipe means that the kernel is gone; the reader thread sees that and ends us.
        let _ = wire::write_frame(&mut *events, event);
    }

    /// Sends an event in order with the output around it: what was printed before has been read by the
    /// kernel before, and the event has been read when this returns.
    pub(crate) fn send_visible(&self, event: &Event) {
        // User code may run in a flush (a C library's hook), so it stays out of the lock.
        self.streams.flush();
        let _critical = critical::enter();
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        self.streams.wait_until_read();
        if wire::write_frame(&mut *events, event).is_ok() {
            wait_until_empty(&[self.descriptor]);
        }
    }

    /// Flushes the streams, puts file descriptors 0 to 2 back and waits until the kernel has read all.
    pub(crate) fn settle(&self) {
        self.streams.flush();
        let _critical = critical::enter();
        self.streams.wait_until_read();
        self.streams.restore();
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }
}

/// Waits until the readers of these pipes have read everything, within [`PATIENCE`].
pub(crate) fn wait_until_empty(pipes: &[RawFd]) {
    let mut tries = 0_u32;
    let mut started = None;
    while pipes.iter().any(|pipe| unread(*pipe) > 0) {
        // The reader is woken by the write itself: it usually needs some tens of microseconds.
        if tries < 50 {
            std::thread::yield_now();
        } else {
            if started.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return;
            }
            nap(if tries < 200 { 20_000 } else { 500_000 });
        }
        tries += 1;
    }
}

fn unread(pipe: RawFd) -> libc::c_int {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int; a descriptor that is no pipe gives an error.
    #[expect(unsafe_code, reason = "no safe wrapper for FIONREAD")]
    let result = unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut count) };
    if result < 0 { 0 } else { count }
}

/// Sleeps without the worker's interruptible `nanosleep`.
fn nap(nanos: libc::c_long) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: nanos };
    // SAFETY: the time outlives the call; the remaining time is not asked for.
    #[expect(unsafe_code, reason = "the wrapper in std is what we go around")]
    unsafe {
        libc::syscall(libc::SYS_nanosleep, &raw const time, std::ptr::null_mut::<libc::timespec>());
    }
}
