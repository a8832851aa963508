//! A safepoint reads the interrupt flag.

pub use crate::cancel::poll as safepoint;

pub(crate) fn close() {}

#[expect(unsafe_code, reason = "as it is where it has something to do")]
pub(crate) unsafe fn goes_on(_address: usize, _context: *mut libc::c_void) -> bool {
    false
}
