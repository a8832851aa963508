//! A safepoint reads a page of memory, which is taken away to interrupt.

use std::arch::asm;
use std::time::Duration;

use crate::cancel;

const SIZE: usize = 4096;

/// Read by every safepoint. It holds nothing, and nothing else lies in its page of memory.
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "what is read is not looked at")] [u8; SIZE]);

static PAGE: Page = Page([0; SIZE]);

/// Bytes of a safepoint's instruction: what it does, the register, and four that are tested with the page.
const INSTRUCTION: i64 = 6;
const DISTANCE_AT: usize = 2;

/// For how long another thread that came by waits before it opens the page: loops of the cell thread whose
/// iterations take less come by in that time.
const AWAY: Duration = Duration::from_millis(20);

/// Unwinds the running cell, as [`cancel::poll`] does, soon after the user has interrupted it: for loops
/// whose iterations are quick. Costs a load whose value nobody waits for.
#[expect(clippy::inline_always, reason = "a call would cost more than the load")]
#[inline(always)]
pub fn safepoint() {
    // What the page is tested with is the way to the label. These registers need no prefix, so that the
    // instruction is the one that `goes_on` knows. The label does not lead back: LLVM would take everything
    // for changed there, and load it in each iteration.
    // SAFETY: reads a static, changes nothing but flags, and goes to the label if the handler says so.
    #[expect(unsafe_code, reason = "Rust would leave out a load whose value is not used")]
    #[expect(clippy::pointers_in_nomem_asm_block, reason = "nothing is ever written there")]
    unsafe {
        asm!(
            "2: testl $({unwind} - 2b), ({page})",
            page = in(reg_abcd) &raw const PAGE,
            unwind = label { cancel::unwind() },
            options(nomem, nostack, att_syntax),
        );
    }
}

/// Interrupts the cell thread at its next safepoint. The first other thread that comes by opens the page
/// again, so this is to be called until the cell has ended, best by the cell thread: it comes by next.
///
/// Async-signal-safe. For processes whose handler of SIGSEGV asks [`goes_on`].
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

/// Whether it was a safepoint that faulted by reading an address. The thread unwinds then, or goes on as if
/// it had read: another thread, and one that is unwinding already. For handlers of SIGSEGV.
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
    let unwinds = cancel::unwinds();
    // SAFETY: this is the context of a fault, and safepoints alone read the page.
    unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        let instruction = &mut registers[libc::REG_RIP as usize];
        if unwinds {
            let Ok(at) = usize::try_from(*instruction) else { return false };
            let distance = std::ptr::with_exposed_provenance::<u8>(at).add(DISTANCE_AT);
            *instruction += i64::from(distance.cast::<i32>().read_unaligned());
        } else {
            *instruction += INSTRUCTION;
        }
    }
    if !unwinds {
        if cancel::pressed() {
            std::thread::sleep(AWAY);
        }
        protect(libc::PROT_READ);
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
