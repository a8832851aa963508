//! `read`, `nanosleep` and `clock_nanosleep` of the whole process.
//!
//! An executable's symbols come before those of libc, so libraries call these. They do what libc's do,
//! except that a read of descriptor 0 asks the front end, and that a sleep of the cell's thread ends
//! early when the cell is interrupted.

use std::ffi::c_void;
use std::sync::OnceLock;

use libc::{c_int, clockid_t, size_t, ssize_t, timespec};

/// What the runtime decides; the other side of it is `oxilab_runtime::worker::Hooks`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Hooks {
    /// Reads descriptor 0: bytes written, or minus an errno.
    read: extern "C" fn(*mut u8, usize) -> isize,
    /// Whether the calling thread's sleep is to end early.
    wake: extern "C" fn() -> bool,
}

static HOOKS: OnceLock<Hooks> = OnceLock::new();

/// Keeps what the linker would otherwise drop: nothing in this executable calls these.
#[used]
static KEPT: (Read, Sleep, ClockSleep) = (read, nanosleep, clock_nanosleep);

type Read = unsafe extern "C" fn(c_int, *mut c_void, size_t) -> ssize_t;
type Sleep = unsafe extern "C" fn(*const timespec, *mut timespec) -> c_int;
type ClockSleep = unsafe extern "C" fn(clockid_t, c_int, *const timespec, *mut timespec) -> c_int;

/// Called by the runtime, once.
pub(crate) extern "C" fn set_hooks(hooks: Hooks) {
    // A second call changes nothing.
    let _ = HOOKS.set(hooks);
}

/// As `read(2)`.
///
/// # Safety
/// `buffer` has room for `count` bytes.
#[expect(unsafe_code, reason = "takes the place of libc's")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn read(
    descriptor: c_int,
    buffer: *mut c_void,
    count: size_t,
) -> ssize_t {
    if descriptor == 0
        && let Some(hooks) = HOOKS.get()
    {
        let result = (hooks.read)(buffer.cast(), count);
        return if result < 0 { fail(result.unsigned_abs()) } else { result };
    }
    // SAFETY: the caller keeps read's contract.
    let result = unsafe { libc::syscall(libc::SYS_read, descriptor, buffer, count) };
    // A read is never longer than what its type holds.
    ssize_t::try_from(result).unwrap_or(-1)
}

/// As `nanosleep(2)`.
///
/// # Safety
/// `time` is valid, and `left` is valid or null.
#[expect(unsafe_code, reason = "takes the place of libc's")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: the caller keeps nanosleep's contract. CLOCK_REALTIME without TIMER_ABSTIME is not
    // affected by changes of the clock.
    let error = unsafe { clock_nanosleep(libc::CLOCK_REALTIME, 0, time, left) };
    if error == 0 {
        return 0;
    }
    fail(error.unsigned_abs() as usize);
    -1
}

/// As `clock_nanosleep(2)`.
///
/// # Safety
/// `time` is valid, and `left` is valid or null.
#[expect(unsafe_code, reason = "takes the place of libc's")]
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    let woken = || HOOKS.get().is_some_and(|hooks| (hooks.wake)());
    if woken() {
        return 0;
    }
    // SAFETY: the caller keeps clock_nanosleep's contract; errno is the calling thread's.
    unsafe {
        if libc::syscall(libc::SYS_clock_nanosleep, clock, flags, time, left) == 0 {
            return 0;
        }
        let error = *libc::__errno_location();
        // The signal that interrupts a cell ends its sleep; any other is the caller's to see.
        if error == libc::EINTR && woken() { 0 } else { error }
    }
}

fn fail(error: usize) -> ssize_t {
    // SAFETY: the location of the calling thread's errno.
    #[expect(unsafe_code, reason = "errno has no other door")]
    unsafe {
        *libc::__errno_location() = c_int::try_from(error).unwrap_or(libc::EIO);
    }
    -1
}
