//! Runs a command: output is streamed while it runs, an interrupt ends all its processes.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::{MagicContext, MagicError, MagicResult};
use crate::process_group::ProcessGroup;
use crate::server::handler::{OutputSender, StreamName};

/// How long a process that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long output of processes that a command leaves behind is still read.
const TAIL: Duration = Duration::from_millis(200);

/// Runs `program` with arguments, in the session's directory and environment; `input` is its standard
/// input.
pub(super) async fn run(
    context: &mut dyn MagicContext,
    program: &str,
    arguments: &[&str],
    input: Option<&str>,
) -> MagicResult<ExitStatus> {
    let surroundings = context.surroundings();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&surroundings.directory);
    for (name, value) in &surroundings.environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that all of it can be ended, and nothing of the kernel with it.
        .process_group(0)
        .kill_on_drop(true);
    let child = command
        .spawn()
        .map_err(|error| MagicError::Failed(format!("{program} could not be started: {error}")))?;
    let mut group = Group { processes: ProcessGroup::of(child.id()), child };
    let status = group.stream(context.output(), input, context.interrupted()).await;
    if !matches!(status, Err(MagicError::Interrupted)) {
        // Nothing to end any more; what it has put into the background lives on.
        group.processes.release();
    }
    status
}

/// How a command ended, if not well: `exit status 3`, `ended by signal 9`.
pub(super) fn failure(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("exit status {code}")),
        (None, Some(signal)) => Some(format!("ended by signal {signal}")),
        (None, None) => Some("ended without a status".to_owned()),
    }
}

/// A process and all its descendants; killed when dropped.
struct Group {
    processes: ProcessGroup,
    child: Child,
}

impl Group {
    async fn stream(
        &mut self,
        output: OutputSender,
        input: Option<&str>,
        interrupted: BoxFuture<'static, ()>,
    ) -> MagicResult<ExitStatus> {
        if let (Some(mut stdin), Some(text)) = (self.child.stdin.take(), input) {
            let text = text.to_owned();
            // A command need not read its input: a closed pipe is not an error.
            tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
        }
        let reading =
            tokio::spawn(forward_both(self.child.stdout.take(), self.child.stderr.take(), output));
        let abort = reading.abort_handle();
        tokio::select! {
            status = self.child.wait() => {
                let status = status.map_err(|error| MagicError::Failed(format!("waiting failed: {error}")))?;
                if tokio::time::timeout(TAIL, reading).await.is_err() {
                    abort.abort();
                }
                Ok(status)
            }
            () = interrupted => {
                self.processes.signal(libc::SIGINT);
                // Whether it ends by itself or not, the rest is killed when the group is dropped.
                let _ = tokio::time::timeout(GRACE, self.child.wait()).await;
                self.processes.signal(libc::SIGKILL);
                let _ = tokio::time::timeout(TAIL, reading).await;
                abort.abort();
                Err(MagicError::Interrupted)
            }
        }
    }
}

async fn forward_both(
    stdout: Option<impl AsyncRead + Unpin>,
    stderr: Option<impl AsyncRead + Unpin>,
    output: OutputSender,
) {
    futures::join!(
        forward(stdout, StreamName::Stdout, &output),
        forward(stderr, StreamName::Stderr, &output)
    );
}

/// Sends what a pipe brings as text; a character cut in two waits for its rest.
async fn forward(pipe: Option<impl AsyncRead + Unpin>, name: StreamName, output: &OutputSender) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    let mut pending = Vec::new();
    loop {
        let read = pipe.read(&mut buffer).await.unwrap_or(0);
        pending.extend_from_slice(&buffer[..read]);
        let whole = if read == 0 { pending.len() } else { whole_characters(&pending) };
        if whole > 0 {
            let text = String::from_utf8_lossy(&pending[..whole]).into_owned();
            pending.drain(..whole);
            output.stream(name, text).await;
        }
        if read == 0 {
            return;
        }
    }
}

/// Bytes before a character that is not yet whole.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    for (index, byte) in bytes.iter().enumerate().skip(start).rev() {
        let length = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => 1,
        };
        return if index + length > bytes.len() { index } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let text = "aé€😀".as_bytes();
        for (end, whole) in
            [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (6, 6), (7, 6), (9, 6), (10, 10)]
        {
            assert_eq!(whole_characters(&text[..end]), whole, "{end}");
        }
        assert_eq!(whole_characters(b"\x80\x80\x80\x80"), 4);
    }
}
