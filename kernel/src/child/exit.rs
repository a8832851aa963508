//! How a worker ended, in words for a person.

use std::fmt;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// How a worker process ended. Its `Display` is a clause such as `killed by SIGSEGV: stack overflow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The exit status.
    pub status: ExitStatus,
    /// What the worker wrote in its last moment.
    pub note: String,
    /// Why the kernel process killed it, if it did.
    pub reason: Option<String>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(reason), Some(libc::SIGKILL)) = (&self.reason, self.status.signal()) {
            return write!(f, "ended by the kernel: {reason}");
        }
        match (self.status.code(), self.status.signal()) {
            (Some(64 | 69 | 70), _) if !self.note.is_empty() => {
                write!(f, "could not start: {}", self.note)
            }
            (Some(code), _) => write!(f, "exited with status {code} (process::exit)"),
            (None, Some(signal)) => {
                match name(signal) {
                    Some(name) => write!(f, "killed by {name}")?,
                    None => write!(f, "killed by signal {signal}")?,
                }
                let cause = if self.note.is_empty() { usual_cause(signal) } else { &self.note };
                if cause.is_empty() { Ok(()) } else { write!(f, ": {cause}") }
            }
            (None, None) => write!(f, "ended: {}", self.status),
        }
    }
}

fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        _ => return None,
    })
}

fn usual_cause(signal: i32) -> &'static str {
    match signal {
        libc::SIGABRT => {
            "aborted (process::abort, a failed allocation, or a panic that cannot unwind)"
        }
        libc::SIGBUS => "a mapped file or memory is gone",
        libc::SIGILL => "an illegal instruction",
        libc::SIGKILL => "probably out of memory",
        libc::SIGSEGV => "invalid memory access",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(raw: i32, note: &str, reason: Option<&str>) -> String {
        let status = ExitStatus::from_raw(raw);
        Exit { status, note: note.to_owned(), reason: reason.map(str::to_owned) }.to_string()
    }

    #[test]
    fn every_end_has_its_words() {
        assert_eq!(said(11, "stack overflow", None), "killed by SIGSEGV: stack overflow");
        assert_eq!(said(11, "", None), "killed by SIGSEGV: invalid memory access");
        assert_eq!(said(9, "", None), "killed by SIGKILL: probably out of memory");
        assert_eq!(said(9, "", Some("shut down")), "ended by the kernel: shut down");
        assert_eq!(said(3 << 8, "", None), "exited with status 3 (process::exit)");
        assert_eq!(said(0, "", Some("shut down")), "exited with status 0 (process::exit)");
        assert!(said(6, "", None).starts_with("killed by SIGABRT: aborted"));
        assert_eq!(said(69 << 8, "no such library", None), "could not start: no such library");
        assert_eq!(said(40, "", None), "killed by signal 40");
    }
}
