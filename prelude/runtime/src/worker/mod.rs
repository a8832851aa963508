//! The worker's main loop.
//!
//! Two threads: the process's first thread reads [`Request`]s and acts at once on interrupts, input and
//! exit; the cell thread takes everything else in order. All cells run on that one long-lived thread,
//! so that `thread_local!` and `Rc` work across cells.

mod cells;
pub(crate) mod critical;
mod libraries;
mod queue;
mod standard_input;
mod take_over;

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd as _, RawFd};
use std::time::Duration;

use oxilab_protocol::{Event, Request, wire};

use crate::streams::Streams;
use crate::{cancel, input, leaving, link, memory, panics, signals};

/// What the executable gives the runtime, all by number, because it has a standard library of its own.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Start {
    /// Pipe that [`Request`]s come from.
    pub requests: libc::c_int,
    /// Pipe that [`Event`]s go to.
    pub events: libc::c_int,
    /// Pipe for a last note before a crash; -1 for none.
    pub note: libc::c_int,
    /// Called once, to give the executable's `read` and `nanosleep` what they call back.
    pub set_hooks: Option<extern "C" fn(Hooks)>,
}

/// What the executable's own `read` and `nanosleep` ask.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Hooks {
    /// Reads file descriptor 0: bytes written to the buffer, or minus an errno.
    pub read: extern "C" fn(*mut u8, usize) -> isize,
    /// Whether the calling thread's sleep is to end early.
    pub wake: extern "C" fn() -> bool,
}

/// How long variables may take to be dropped at the end.
const LAST_DROPS: Duration = Duration::from_secs(1);
/// How long what libraries have to write may take after that.
const LAST_HOOKS: Duration = Duration::from_millis(400);

/// Runs the worker until the kernel ends it; then the process is gone. Returns only when the worker
/// cannot start, with an exit status.
///
/// `init` registers what the prelude's crates add: inspectors, interrupt hooks, step wrappers.
pub fn main(start: &Start, init: fn()) -> libc::c_int {
    match serve(start, init) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("oxilab-worker: cannot start: {error}");
            signals::note(error.to_string().as_bytes());
            70
        }
    }
}

enum Never {}

fn serve(start: &Start, init: fn()) -> io::Result<Never> {
    memory::keep_freed();
    let mut requests = adopt(start.requests)?;
    let events = adopt(start.events)?;
    if start.note >= 0 {
        close_on_exec(start.note)?;
    }
    let link = link::connect(events, Streams::capture()?);
    panics::install();
    signals::install(start.note)?;
    take_over::install()?;
    init();
    if let Some(set_hooks) = start.set_hooks {
        set_hooks(Hooks { read: standard_input::read, wake: standard_input::wake });
    }
    cells::start(Some(Event::Ready { pid: std::process::id() }))?;
    loop {
        match wire::read_frame::<Request>(&mut requests) {
            Ok(Some(Request::Interrupt)) => interrupt(),
            Ok(Some(Request::Input { text })) => input::answer(text),
            Ok(Some(Request::InputRefused { reason })) => input::refuse(reason),
            // No request any more: the kernel is gone.
            Ok(Some(Request::Exit) | None) => leave(),
            Ok(Some(request)) => queue::push(request),
            Err(error) => {
                link.send(&Event::Log { message: format!("the worker ends: {error}") });
                leave();
            }
        }
    }
}

fn interrupt() {
    let Some(job) = queue::running() else { return };
    cancel::set();
    if let Err(error) = take_over::watch(job)
        && let Some(link) = link::get()
    {
        let message = format!("an interrupt cannot be escalated: {error}");
        link.send(&Event::Log { message });
    }
}

/// Ends the process: variables are dropped newest first, within a second.
fn leave() -> ! {
    if queue::running().is_some() {
        cancel::set();
    }
    queue::finish(LAST_DROPS);
    leaving::run_hooks(LAST_HOOKS);
    if let Some(link) = link::get() {
        link.streams().flush();
    }
    // SAFETY: no destructors and exit handlers: threads of the user's may still run.
    #[expect(unsafe_code, reason = "std::process::exit would run exit handlers")]
    unsafe {
        libc::_exit(0)
    }
}

fn adopt(descriptor: RawFd) -> io::Result<File> {
    close_on_exec(descriptor)?;
    // SAFETY: the executable passes descriptors that it got for us and does not use itself.
    #[expect(unsafe_code, reason = "ownership of a descriptor given by number")]
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

fn close_on_exec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: fcntl with an invalid descriptor is an error, not undefined.
    #[expect(unsafe_code, reason = "fcntl has no safe wrapper")]
    let result = unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
