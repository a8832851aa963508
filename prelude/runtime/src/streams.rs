//! File descriptors 0, 1 and 2: flushing, the kernel's reading, repair after a cell.

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use crate::link::wait_until_empty;

/// Private duplicates of the standard streams, out of reach of `close(1)` in a cell.
#[derive(Debug)]
pub(crate) struct Streams {
    private: [OwnedFd; 3],
}

#[expect(unsafe_code, reason = "C's standard output is a variable of libc")]
unsafe extern "C" {
    static mut stdout: *mut libc::FILE;
}

impl Streams {
    /// Duplicates descriptors 0 to 2 as they are now.
    pub(crate) fn capture() -> io::Result<Self> {
        let duplicate = |descriptor: RawFd| {
            // SAFETY: the standard descriptors are open: the kernel process gave them to us.
            #[expect(unsafe_code, reason = "a raw descriptor is borrowed for one call")]
            let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
            borrowed.try_clone_to_owned()
        };
        Ok(Self { private: [duplicate(0)?, duplicate(1)?, duplicate(2)?] })
    }

    /// Flushes Rust's and C's standard output. Standard error has no buffer in either.
    #[expect(clippy::unused_self, reason = "there is nothing to flush without captured streams")]
    pub(crate) fn flush(&self) {
        // A cell that closed its standard output has nothing more to say.
        let _ = io::stdout().flush();
        // SAFETY: C's stdout is never freed; fflush locks it.
        #[expect(unsafe_code, reason = "C's standard output has no other handle")]
        unsafe {
            libc::fflush(stdout);
        }
    }

    /// Waits until the kernel has read what was written.
    pub(crate) fn wait_until_read(&self) {
        wait_until_empty(&[self.private[1].as_raw_fd(), self.private[2].as_raw_fd()]);
    }

    /// Puts the descriptors back, whatever a cell did to them.
    pub(crate) fn restore(&self) {
        for (number, private) in (0..).zip(&self.private) {
            if !same_file(private.as_raw_fd(), number) {
                // SAFETY: both are descriptors; what stood at `number` is the cell's to lose.
                #[expect(
                    unsafe_code,
                    reason = "dup2 onto a standard descriptor has no safe wrapper"
                )]
                unsafe {
                    libc::dup2(private.as_raw_fd(), number);
                }
            }
        }
    }
}

fn same_file(one: RawFd, other: RawFd) -> bool {
    let identity = |descriptor: RawFd| {
        // SAFETY: stat is plain data, for which zeroes are a value; fstat fills it.
        #[expect(unsafe_code, reason = "fstat of a descriptor that may be closed")]
        unsafe {
            let mut status: libc::stat = std::mem::zeroed();
            (libc::fstat(descriptor, &raw mut status) == 0)
                .then_some((status.st_dev, status.st_ino))
        }
    };
    identity(one).is_some_and(|one| identity(other) == Some(one))
}
