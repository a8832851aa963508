//! Interrupt, step (b): a cell that does not answer the flag is parked, and a new thread takes over.
//!
//! For two seconds the cell thread is only nudged: a signal ends blocking calls with `EINTR`, which wakes
//! sleeps, and its handler closes the safepoints. Then the thread is asked to park: the handler does so
//! only where it cannot hold a lock that others need, which is in the code of cells and items and in a
//! blocking system call. If it parks, a new cell thread proves that it can allocate and print before it
//! takes over. If it does not, the kernel process ends this one: step (c).

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use oxilab_protocol::Outcome;

use super::{cells, critical, libraries, queue};
use crate::{cancel, cell, input, link, safepoint, signals};

const NUDGES: Duration = Duration::from_secs(2);
const NUDGE: Duration = Duration::from_millis(50);
const TRIES: Duration = Duration::from_secs(2);
const PROOF: Duration = Duration::from_secs(1);

/// What is said of a callback whose thread was parked.
const LOST: &str = "The widget's callback did not stop by itself and is lost: run its cell again.";

/// What the next signal asks of the cell thread.
const NOTHING: u32 = 0;
const PARK_IN_CODE: u32 = 1;
const PARK_IN_CALL: u32 = 2;

static WANTED: AtomicU32 = AtomicU32::new(NOTHING);
static PARKED: AtomicBool = AtomicBool::new(false);
static THREAD: AtomicI32 = AtomicI32::new(0);
/// The job that runs, what it is, and the kernel's number of it.
static JOB: AtomicU64 = AtomicU64::new(0);
static IS_CELL: AtomicBool = AtomicBool::new(true);
static NUMBER: AtomicU64 = AtomicU64::new(0);
/// The job that is being watched, so that a second press does not start a second watch.
static WATCHED: AtomicU64 = AtomicU64::new(0);

/// System calls that wait for something and hold nothing of ours.
const WAITING_CALLS: &[libc::c_long] = &[
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pause,
    libc::SYS_restart_syscall,
];

fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 7
}

pub(super) fn install() -> io::Result<()> {
    // Without SA_RESTART: the signal is meant to end blocking calls.
    signals::handle(signal(), nudged, libc::SA_SIGINFO | libc::SA_ONSTACK)
}

pub(super) fn this_is_the_cell_thread() {
    // SAFETY: gettid has no preconditions.
    #[expect(unsafe_code, reason = "std does not tell the thread's number")]
    let thread = unsafe { libc::gettid() };
    THREAD.store(thread, Ordering::SeqCst);
}

/// User code that can be interrupted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// A cell, by its number.
    Cell(u64),
    /// A comm's callback, by its request's id.
    Callback(u64),
}

pub(super) fn running(job: u64, work: Work) {
    let (is_cell, number) = match work {
        Work::Cell(cell) => (true, cell),
        Work::Callback(id) => (false, id),
    };
    NUMBER.store(number, Ordering::SeqCst);
    IS_CELL.store(is_cell, Ordering::SeqCst);
    JOB.store(job, Ordering::SeqCst);
}

/// Watches over an interrupt of this job, on a thread of its own.
pub(super) fn watch(job: u64) -> io::Result<()> {
    if WATCHED.swap(job, Ordering::SeqCst) == job {
        return Ok(());
    }
    std::thread::Builder::new()
        .name("oxilab-interrupt".to_owned())
        .stack_size(256 << 10)
        .spawn(move || escalate(job))
        .map(|_| ())
}

fn escalate(job: u64) {
    let start = Instant::now();
    while start.elapsed() < NUDGES {
        nudge();
        if queue::wait_for_end(job, NUDGE) {
            return;
        }
    }
    if JOB.load(Ordering::SeqCst) != job {
        return;
    }
    let start = Instant::now();
    while start.elapsed() < TRIES {
        if let Some(wanted) = whereabouts() {
            WANTED.store(wanted, Ordering::SeqCst);
            nudge();
        }
        if queue::wait_for_end(job, Duration::from_millis(1)) {
            return;
        }
        if PARKED.swap(false, Ordering::SeqCst) {
            replace(job);
            return;
        }
    }
}

/// What to ask of the cell thread where it stands; `None` where it must not be disturbed.
fn whereabouts() -> Option<u32> {
    if !critical::may_park() {
        return None;
    }
    let thread = THREAD.load(Ordering::SeqCst);
    let line = std::fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    let call = line.split_whitespace().next()?;
    if call == "running" {
        return Some(PARK_IN_CODE);
    }
    let call: libc::c_long = call.parse().ok()?;
    WAITING_CALLS.contains(&call).then_some(PARK_IN_CALL)
}

fn nudge() {
    let thread = THREAD.load(Ordering::SeqCst);
    // SAFETY: the cell thread lives as long as the process, so its number is not another's.
    #[expect(unsafe_code, reason = "a signal to one thread")]
    unsafe {
        libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal());
    }
}

/// Runs on the cell thread. Async-signal-safe.
extern "C" fn nudged(
    _signal: libc::c_int,
    _info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // Here, since this thread goes on now: another one that loops would open them again while this one
    // waits for its turn.
    if cancel::unwinds() {
        safepoint::close();
    }
    let wanted = WANTED.swap(NOTHING, Ordering::SeqCst);
    if wanted == NOTHING || !critical::may_park() {
        return;
    }
    let Some(place) = Place::of(context) else { return };
    let may = libraries::contain(place.instruction)
        || (wanted == PARK_IN_CALL && place.in_interrupted_call());
    if !may {
        return;
    }
    PARKED.store(true, Ordering::SeqCst);
    // SAFETY: all signals are blocked, and the thread sleeps for ever; its stack stays as it is.
    #[expect(unsafe_code, reason = "parking without locks or allocation")]
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
        loop {
            libc::syscall(
                libc::SYS_ppoll,
                std::ptr::null_mut::<libc::pollfd>(),
                0,
                std::ptr::null::<libc::timespec>(),
                std::ptr::null::<libc::sigset_t>(),
                0,
            );
        }
    }
}

/// Where a thread stood when the signal came.
struct Place {
    instruction: usize,
    /// The result register: after a system call that a signal ended, `-EINTR`.
    result: i64,
}

impl Place {
    #[cfg(target_arch = "x86_64")]
    fn of(context: *mut libc::c_void) -> Option<Self> {
        // SAFETY: with SA_SIGINFO the third argument is a ucontext_t.
        #[expect(unsafe_code, reason = "the registers are behind a C pointer")]
        let registers = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
        let index = |register: libc::c_int| usize::try_from(register).ok();
        Some(Self {
            instruction: usize::try_from(registers[index(libc::REG_RIP)?]).ok()?,
            result: registers[index(libc::REG_RAX)?],
        })
    }

    /// Elsewhere the registers are not known: the kernel process takes step (c).
    #[cfg(not(target_arch = "x86_64"))]
    fn of(_context: *mut libc::c_void) -> Option<Self> {
        None
    }

    /// Whether a waiting system call was ended by this very signal.
    fn in_interrupted_call(&self) -> bool {
        const SYSCALL: [u8; 2] = [0x0f, 0x05];
        if self.result != -i64::from(libc::EINTR) || self.instruction < 2 {
            return false;
        }
        let before = (self.instruction - 2) as *const [u8; 2];
        // SAFETY: the instruction before the one that the thread stands at is mapped code: what comes
        // after a system call cannot be the first instruction of a page that follows nothing.
        #[expect(unsafe_code, reason = "reading the code that ran")]
        unsafe {
            *before == SYSCALL
        }
    }
}

/// The cell thread is parked: a new one proves itself and takes over.
fn replace(job: u64) {
    let (proof, proved) = mpsc::sync_channel(1);
    let started = std::thread::Builder::new().name("oxilab-proof".to_owned()).spawn(move || {
        prove();
        // Nobody listens any more when this took too long.
        let _ = proof.send(());
    });
    if started.is_err() || proved.recv_timeout(PROOF).is_err() {
        end_process();
    }
    let Some(link) = link::get() else { return };
    critical::hold();
    link.settle();
    input::allow(false);
    let number = NUMBER.load(Ordering::SeqCst);
    let is_cell = IS_CELL.load(Ordering::SeqCst);
    if cells::start(None).is_err() {
        end_process();
    }
    if queue::end(job) {
        if is_cell {
            cells::done(link, number, Outcome::Failed(cell::interrupted()), 0);
        } else {
            let mut failure = cell::interrupted();
            failure.details.push(LOST.to_owned());
            cells::callback_ended(link, number, Some(&failure));
        }
    }
}

/// What the next cell surely does: allocate, print, look at the store, read the environment.
fn prove() {
    for power in 4..24 {
        let mut block: Vec<u8> = Vec::with_capacity(1 << power);
        block.push(1);
        std::hint::black_box(&mut block);
    }
    if let Some(link) = link::get() {
        link.streams().flush();
    }
    drop(io::stderr().lock());
    std::hint::black_box(std::env::var_os("PATH"));
    crate::store::with(|store| std::hint::black_box(store.lost().len()));
}

fn end_process() -> ! {
    signals::note(b"the interrupted cell held a lock that the next cell needs");
    std::process::abort();
}
