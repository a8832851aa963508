//! The prelude as one shared library: cells link this, so that nothing of it is linked again.

pub use oxilab::*;

use oxilab_runtime::worker::{self, Start};

/// What the worker's executable calls after it has loaded this library.
///
/// # Safety
/// `start` points to a [`Start`] whose descriptors are open and used by nobody else.
#[expect(unsafe_code, reason = "found by name by the worker's executable")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oxilab_worker_main(start: *const Start) -> std::ffi::c_int {
    // SAFETY: the caller promises a valid pointer.
    let start = unsafe { &*start };
    worker::main(start, oxilab::init)
}
