//! Starting the process: pipes, environment, working directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use oxilab_protocol::environment;

use super::{ChildError, WorkerConfig};

/// Room for output that comes faster than it is read.
const PIPE_SIZE: libc::c_int = 1 << 20;

/// A process that was started, with our ends of its pipes.
pub(super) struct Spawned {
    pub(super) child: Child,
    /// A pidfd: signals and polls that never meet another process of the same number.
    pub(super) process: OwnedFd,
    pub(super) requests: File,
    pub(super) pipes: Pipes,
}

/// What the worker writes to; all read without blocking.
pub(super) struct Pipes {
    pub(super) events: File,
    pub(super) stdout: File,
    pub(super) stderr: File,
    pub(super) note: File,
}

pub(super) fn spawn(config: &WorkerConfig) -> Result<Spawned, ChildError> {
    let pipe = || pipe().map_err(|source| ChildError::Pipe { source });
    let (requests_read, requests_write) = pipe()?;
    let (events_read, events_write) = pipe()?;
    let (note_read, note_write) = pipe()?;
    let (stdout_read, stdout_write) = pipe()?;
    let (stderr_read, stderr_write) = pipe()?;
    for end in [&events_read, &note_read, &stdout_read, &stderr_read] {
        enlarge(end);
        do_not_block(end).map_err(|source| ChildError::Pipe { source })?;
    }
    enlarge(&requests_write);
    let inherited = [&requests_read, &events_write, &note_write].map(AsRawFd::as_raw_fd);
    let mut command = Command::new(&config.executable);
    command
        .current_dir(&config.directory)
        .stdin(Stdio::null())
        .stdout(stdout_write)
        .stderr(stderr_write)
        // Ctrl-C in the terminal is the kernel's: it interrupts one cell, not the process.
        .process_group(0);
    for (name, value) in &config.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env(environment::REQUEST_FD, inherited[0].to_string())
        .env(environment::EVENT_FD, inherited[1].to_string())
        .env(environment::NOTE_FD, inherited[2].to_string())
        .env(environment::STANDARD_LIBRARY, &config.standard_library)
        .env(environment::PRELUDE, &config.prelude);
    // SAFETY: between fork and exec only fcntl is called, which is async-signal-safe.
    #[expect(unsafe_code, reason = "std passes no descriptors beyond the standard three")]
    unsafe {
        command.pre_exec(move || inherited.iter().try_for_each(|end| keep_on_exec(*end)));
    }
    let child = command
        .spawn()
        .map_err(|source| ChildError::Start { path: config.executable.clone(), source })?;
    let process = pidfd(&child)
        .map_err(|source| ChildError::Start { path: config.executable.clone(), source })?;
    Ok(Spawned {
        child,
        process,
        requests: File::from(requests_write),
        pipes: Pipes {
            events: File::from(events_read),
            stdout: File::from(stdout_read),
            stderr: File::from(stderr_read),
            note: File::from(note_read),
        },
    })
}

/// A pipe that no other child inherits.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((read.into(), write.into()))
}

/// Asks for more room; a pipe of the usual size works as well.
fn enlarge(pipe: &OwnedFd) {
    // SAFETY: the descriptor is ours and open.
    #[expect(unsafe_code, reason = "fcntl has no safe wrapper")]
    unsafe {
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_SIZE);
    }
}

fn do_not_block(pipe: &OwnedFd) -> io::Result<()> {
    control(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK)
}

fn keep_on_exec(descriptor: RawFd) -> io::Result<()> {
    control(descriptor, libc::F_SETFD, 0)
}

fn control(descriptor: RawFd, command: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: a wrong descriptor is an error, not undefined.
    #[expect(unsafe_code, reason = "fcntl has no safe wrapper")]
    let result = unsafe { libc::fcntl(descriptor, command, value) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn pidfd(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: the child has not been waited for, so its number is its own.
    #[expect(unsafe_code, reason = "pidfd_open has no safe wrapper")]
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let descriptor = RawFd::try_from(result).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    #[expect(unsafe_code, reason = "ownership of a descriptor given by number")]
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
