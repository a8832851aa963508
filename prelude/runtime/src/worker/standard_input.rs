//! `std::io::stdin()` in cells: a read of file descriptor 0 asks the front end.
//!
//! The worker's executable has a `read` of its own that every library in the process finds first; it
//! comes here for descriptor 0. Its `nanosleep` asks [`wake`] when a signal has interrupted it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::input::{self, InputError};
use crate::{cancel, link};

/// What is left of the last line.
static REST: Mutex<VecDeque<u8>> = Mutex::new(VecDeque::new());

pub(super) extern "C" fn read(buffer: *mut u8, length: usize) -> isize {
    if length == 0 {
        return 0;
    }
    let rest = std::mem::take(&mut *REST.lock().unwrap_or_else(PoisonError::into_inner));
    let mut bytes = if rest.is_empty() {
        match input::ask("", false) {
            Ok(line) => {
                let mut bytes = VecDeque::from(line.into_bytes());
                bytes.push_back(b'\n');
                bytes
            }
            Err(InputError::Interrupted) => return -errno(libc::ECANCELED),
            Err(error @ InputError::NotAllowed { .. }) => {
                eprintln!("stdin: {error}");
                return -errno(libc::EOPNOTSUPP);
            }
        }
    } else {
        rest
    };
    let count = length.min(bytes.len());
    for (index, byte) in bytes.drain(..count).enumerate() {
        // SAFETY: the caller gives `length` bytes, and `index` is below `count` ≤ `length`.
        #[expect(unsafe_code, reason = "the buffer of a read(2)")]
        unsafe {
            buffer.add(index).write(byte);
        }
    }
    *REST.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    count.cast_signed()
}

/// Whether a sleep of the calling thread is to end early.
pub(super) extern "C" fn wake() -> bool {
    cancel::pressed() && cancel::on_cell_thread() && link::get().is_some()
}

fn errno(number: libc::c_int) -> isize {
    isize::try_from(number).unwrap_or(isize::MAX)
}
