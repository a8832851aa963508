//! Runs cargo and rustc for a dependency: progress is streamed, and all of it ends when dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::DepError;
use crate::install::Prelude;
use crate::process_group::ProcessGroup;
use crate::server::handler::{OutputSender, StreamName};

/// Lines of a program's messages that an error shows.
const SHOWN: usize = 40;

/// A program's end.
pub(super) struct Ran {
    pub(super) success: bool,
    /// Lines of its standard output.
    pub(super) lines: Vec<String>,
    /// The last lines of its standard error.
    pub(super) message: String,
}

/// Cargo as the installation used it: same configuration, flags and target directory.
pub(super) fn cargo(prelude: &Prelude, step: &str, manifest: &Path) -> Command {
    let folder = prelude.rustc.parent().map(Path::to_owned).unwrap_or_default();
    let beside = folder.join("cargo");
    let program = if beside.is_file() { beside } else { PathBuf::from("cargo") };
    let mut command = Command::new(program);
    // Build scripts ask for their compiler by name; the proxy may not be in the path of a notebook.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([folder]);
    if let Ok(path) = std::env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
        .current_dir(&prelude.source)
        .env("CARGO_TARGET_DIR", &prelude.target_directory)
        .env("CARGO_ENCODED_RUSTFLAGS", prelude.flags.join("\u{1f}"))
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_TERM_PROGRESS_WHEN", "never")
        .env_remove("RUSTC_BOOTSTRAP")
        .env_remove("LD_LIBRARY_PATH")
        .arg(step)
        .arg("--manifest-path")
        .arg(manifest);
    command
}

/// Runs a program to its end; its standard error is shown as it comes where `progress` says so.
pub(super) async fn run(
    mut command: Command,
    progress: Option<&OutputSender>,
) -> Result<Ran, DepError> {
    let program = PathBuf::from(command.as_std().get_program());
    let start = |source| DepError::Start { program: program.clone(), source };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut group = ProcessGroup::of(child.id());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (lines, messages) = futures::join!(read(stdout, None), read(stderr, progress));
    let status = child.wait().await.map_err(start)?;
    group.release();
    let first = messages.len().saturating_sub(SHOWN);
    Ok(Ran { success: status.success(), lines, message: messages[first..].join("\n") })
}

async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    progress: Option<&OutputSender>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(pipe) = pipe else { return lines };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A pipe that cannot be read has ended.
        if reader.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
            return lines;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if let Some(output) = progress {
            output.stream(StreamName::Stdout, format!("{text}\n")).await;
        }
        lines.push(text);
    }
}
