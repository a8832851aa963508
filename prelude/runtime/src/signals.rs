//! Crashes: a last note for the kernel before the process dies. And safepoints, whose faults are none.
//!
//! The note goes to a pipe of its own that the kernel reads after the death, because a frame of the
//! event pipe may be half written at that moment. Everything in the handler is async-signal-safe.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use crate::safepoint;

static NOTE: AtomicI32 = AtomicI32::new(-1);
static GUARD_LOW: AtomicUsize = AtomicUsize::new(0);
static GUARD_HIGH: AtomicUsize = AtomicUsize::new(0);

const ALTERNATE_STACK: usize = 64 * 1024;

/// Installs the handlers for invalid memory accesses. They run on an alternate stack where the thread
/// has one, and end in the signal's default action.
pub(crate) fn install(note: RawFd) -> io::Result<()> {
    NOTE.store(note, Ordering::Relaxed);
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE] {
        handle(signal, crashed, libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER)?;
    }
    // A core file of all values would take longer to write than the person wants to wait.
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: setrlimit reads the struct.
    #[expect(unsafe_code, reason = "setrlimit has no safe wrapper")]
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core);
    }
    Ok(())
}

pub(crate) type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);

pub(crate) fn handle(signal: libc::c_int, handler: Handler, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: sigaction is plain data; the handler has the signature that SA_SIGINFO asks for.
    #[expect(unsafe_code, reason = "sigaction has no safe wrapper")]
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = flags;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the calling thread an alternate signal stack and remembers where its guard page is.
pub(crate) fn watch_this_thread() -> io::Result<()> {
    #[expect(unsafe_code, reason = "thread attributes and mappings have no safe wrapper")]
    // SAFETY: the mapping is new and never unmapped: the thread lives as long as the process. The
    // attributes are initialised by pthread_getattr_np before they are read and destroyed after.
    unsafe {
        let stack = libc::mmap(
            std::ptr::null_mut(),
            ALTERNATE_STACK,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if stack == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let alternate = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: ALTERNATE_STACK };
        if libc::sigaltstack(&raw const alternate, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
        let error = libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes);
        if error != 0 {
            return Err(io::Error::from_raw_os_error(error));
        }
        let (mut low, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
        libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size);
        libc::pthread_attr_getguardsize(&raw const attributes, &raw mut guard);
        libc::pthread_attr_destroy(&raw mut attributes);
        // A huge page would hold two megabytes for a few calls.
        libc::madvise(low, size, libc::MADV_NOHUGEPAGE);
        // Whether the guard counts as part of the stack differs between versions of glibc.
        let page = guard.max(4096);
        GUARD_LOW.store((low as usize).saturating_sub(page), Ordering::Relaxed);
        GUARD_HIGH.store(low as usize + page, Ordering::Relaxed);
    }
    Ok(())
}

/// Writes a note for the kernel. Async-signal-safe.
pub(crate) fn note(text: &[u8]) {
    let descriptor = NOTE.load(Ordering::Relaxed);
    if descriptor >= 0 {
        // SAFETY: write reads `text.len()` bytes; a failed write has no remedy here.
        #[expect(unsafe_code, reason = "std's writers are not async-signal-safe")]
        unsafe {
            libc::write(descriptor, text.as_ptr().cast(), text.len());
        }
    }
}

extern "C" fn crashed(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo; these signals carry an address.
    #[expect(unsafe_code, reason = "the signal's address is a field of a C union")]
    let address = unsafe { (*info).si_addr() } as usize;
    // SAFETY: the context is that of this signal.
    #[expect(unsafe_code, reason = "the thread's registers are a C struct")]
    if signal == libc::SIGSEGV && unsafe { safepoint::goes_on(address, context) } {
        return;
    }
    let guard = GUARD_LOW.load(Ordering::Relaxed)..GUARD_HIGH.load(Ordering::Relaxed);
    if guard.contains(&address) {
        note(b"stack overflow");
    } else if signal == libc::SIGSEGV || signal == libc::SIGBUS {
        let (digits, length) = hexadecimal(address);
        note(b"invalid memory access at address 0x");
        note(&digits[16 - length..]);
    }
    // SAFETY: back to the default action, which the faulting instruction or the raise below meets.
    #[expect(unsafe_code, reason = "the process ends here")]
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        // A signal sent by `kill` or `raise` does not come again by itself.
        if (*info).si_code <= 0 {
            libc::raise(signal);
        }
    }
}

/// The digits at the end of the array, and how many.
fn hexadecimal(mut number: usize) -> ([u8; 16], usize) {
    let mut digits = [b'0'; 16];
    let mut length = 0;
    while length == 0 || (number > 0 && length < 16) {
        digits[15 - length] = b"0123456789abcdef"[number & 15];
        number >>= 4;
        length += 1;
    }
    (digits, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_without_leading_zeroes() {
        let written = |number| {
            let (digits, length) = hexadecimal(number);
            String::from_utf8_lossy(&digits[16 - length..]).into_owned()
        };
        assert_eq!(written(0), "0");
        assert_eq!(written(0xdead), "dead");
        assert_eq!(written(usize::MAX), "ffffffffffffffff");
    }
}
