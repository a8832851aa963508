//! How many connections this process may hold: [`raise`], [`connections`], [`widen`].

use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Open connections; more are closed at once.
const MOST: usize = 16_384;

/// Files, pipes and sockets that are no connections of clients.
const OWN: usize = 256;

static ALLOWED: AtomicUsize = AtomicUsize::new(MOST);

/// Takes as many open files as the system gives: shells give 1,024, which a thousand idle clients would
/// use up.
pub(crate) fn raise() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls with valid pointers; the second asks for no more than the first has said.
    #[expect(unsafe_code, reason = "std cannot read or set limits")]
    let known = unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return;
        }
        let wanted = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const wanted) == 0 {
            limit.rlim_max
        } else {
            limit.rlim_cur
        }
    };
    ALLOWED.store(usize::try_from(known).unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// Lets more clients wait for being accepted than the 128 of std: one that finds no place tries again only
/// after a second.
pub(crate) fn widen(listener: &TcpListener) {
    const WAITING: libc::c_int = 4_096;
    // SAFETY: a plain call on a socket that is held open; on one that listens it only sets the number.
    #[expect(unsafe_code, reason = "std listens with a number of its own")]
    unsafe {
        // Where it fails, the old number stays.
        libc::listen(listener.as_raw_fd(), WAITING);
    }
}

/// How many connections may be open.
pub(crate) fn connections() -> usize {
    ALLOWED.load(Ordering::Relaxed).saturating_sub(OWN).clamp(1, MOST)
}
