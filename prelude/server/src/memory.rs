//! Memory that a thread keeps though it is free: [`give_back`].

use std::time::Duration;

/// How often threads that go on give back what they do not need.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// Gives what this thread has allocated and others have freed back to the system. Frames of requests are made
/// on one thread and let go of on another, which the allocator notices when the first asks for more of that
/// size: after a swap or a crowd that may be never.
#[expect(unsafe_code, reason = "the allocator has a C interface")]
pub(crate) fn give_back() {
    // SAFETY: it may be called at any time, on any thread; it touches nothing that is in use.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
