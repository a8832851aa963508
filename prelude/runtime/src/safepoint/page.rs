//! A safepoint reads a page of memory, which is taken away to interrupt.

use std::arch::asm;
use std::time::Duration;

use crate::cancel;

const SIZE: usize = 4096;

/// Read by every safepoint. It holds nothing, and nothing else lies in its page of memory.
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "what is read is not looked at")] [u8; SIZE]);

static PAGE: Page = Page([0; SIZE]);

/// For how long the page stays away from threads that are not to be interrupted: loops whose iterations
/// take less come by in that time.
const AWAY: Duration = Duration::from_millis(1);

/// Unwinds the running cell, as [`cancel::poll`] does, soon after the user has interrupted it: for loops
/// whose iterations are quick. Costs a load whose value nobody waits for.
#[expect(clippy::inline_always, reason = "a call would cost more than the load")]
#[inline(always)]
pub fn safepoint() {
    // The four bytes that the page is tested with are the way to the label. These registers need no
    // prefix, so that the instruction is the one that `goes_on` knows.
    // SAFETY: reads a static, changes nothing but flags, and goes to the label if the handler says so.
    #[expect(unsafe_code, reason = "Rust would leave out a load whose value is not used")]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is ever written there")]
    unsafe {
        asm!(
            "2: testl $({landed} - 2b), ({page})",
            page = in(reg_abcd) &raw const PAGE,
            landed = label { landed() },
            options(nomem, nostack, att_syntax),
        );
    }
}

#[cold]
#[inline(never)]
fn landed() {
    if cancel::requested() {
        // Goes on here on other threads and in destructors.
        cancel::poll();
        std::thread::sleep(AWAY);
    }
    protect(libc::PROT_READ);
}

/// Interrupts the cell thread at its next safepoint. The first thread that has come by and goes on opens
/// the page again, so this is to be called until the cell has ended.
///
/// For processes whose handler of SIGSEGV asks [`goes_on`].
pub(crate) fn close() {
    protect(libc::PROT_NONE);
}

fn protect(access: libc::c_int) {
    // SAFETY: the page is all of the static, which safepoints alone read, and they expect this. A
    // failure, for want of memory for the system's tables, leaves things as they are.
    #[expect(unsafe_code, reason = "mprotect has no safe wrapper")]
    unsafe {
        libc::mprotect((&raw const PAGE).cast_mut().cast(), SIZE, access);
    }
}

/// Whether it was a safepoint that faulted by reading an address; the thread goes on behind it then, as its
/// context says from now on. Async-signal-safe.
///
/// # Safety
/// The context is what the system gave the handler of this fault.
#[expect(
    unsafe_code,
    reason = "the thread's registers are a C struct, its instruction bytes in memory"
)]
pub(crate) unsafe fn goes_on(address: usize, context: *mut libc::c_void) -> bool {
    let page = (&raw const PAGE).addr();
    if !(page..page + SIZE).contains(&address) {
        return false;
    }
    // SAFETY: safepoints alone read the page. Theirs is a byte of code, one that tells the register, and the
    // distance.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let instruction = &mut registers[libc::REG_RIP as usize];
        let Ok(at) = usize::try_from(*instruction) else { return false };
        let distance = std::ptr::with_exposed_provenance::<u8>(at).add(2);
        *instruction += i64::from(distance.cast::<i32>().read_unaligned());
    }
    true
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;
    use crate::signals;

    #[test]
    fn the_cell_thread_unwinds_and_others_go_on() {
        let _turn = cancel::tests::turn();
        signals::install(-1).expect("handlers");
        let (rounds, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let cell = scope.spawn(|| {
                cancel::mark_cell_thread();
                catch_unwind(|| {
                    loop {
                        safepoint();
                    }
                })
            });
            let other = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    safepoint();
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
            while rounds.load(Ordering::Relaxed) < 1_000 {
                std::thread::yield_now();
            }
            cancel::set();
            while !cell.is_finished() {
                close();
                std::thread::sleep(Duration::from_millis(5));
            }
            // Closed by one that was late.
            close();
            cancel::reset();
            let before = rounds.load(Ordering::Relaxed);
            while rounds.load(Ordering::Relaxed) < before + 1_000_000 {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
            other.join().expect("goes on to its end");
            let unwound = cell.join().expect("joins").expect_err("interrupted");
            assert!(cancel::is_interrupt(&*unwound));
        });
    }
}
