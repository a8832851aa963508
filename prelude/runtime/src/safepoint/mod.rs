//! Where a quick loop of a cell can be interrupted: [`safepoint`].
//!
//! A flag that is loaded and tested costs a loop of two cycles a third of its time, even if that happens
//! once in thousands of iterations: what follows is a call from which other threads come back, and LLVM
//! keeps nothing in registers that it might change. So such a loop reads a page without looking at what it
//! read, as the virtual machines of Java do. To interrupt it, [`close`] takes the page away: the read
//! faults, and the signal's handler sends the thread on as [`goes_on`] tells it.
//!
//! This is for Linux on x86-64; elsewhere a safepoint is a poll of the flag.

#[cfg_attr(all(target_os = "linux", target_arch = "x86_64"), path = "page.rs")]
#[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), path = "flag.rs")]
mod way;

pub use way::safepoint;
pub(crate) use way::{close, goes_on};
