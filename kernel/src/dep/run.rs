//! Runs cargo and rustc for a dependency: progress is a bar, and all of it ends when dropped.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use super::DepError;
use super::progress::Progress;
use crate::install::Prelude;
use crate::process_group::ProcessGroup;
use crate::server::handler::OutputSender;

/// Lines of a program's messages that an error shows.
const SHOWN: usize = 40;

/// Columns for cargo's progress; what does not fit is cut.
const WIDTH: &str = "120";

/// A program's end.
pub(super) struct Ran {
    pub(super) success: bool,
    /// Lines of its standard output.
    pub(super) lines: Vec<String>,
    /// Lines of its standard error, cargo's progress left out.
    messages: Vec<String>,
}

impl Ran {
    /// The end of its messages, for an error.
    pub(super) fn message(&self) -> String {
        self.messages[self.messages.len().saturating_sub(SHOWN)..].join("\n")
    }

    /// What compilers and build scripts said, without cargo's own `Compiling …`; of a failure what
    /// [`Self::message`] leaves out. A whole number of lines.
    pub(super) fn said(&self) -> String {
        let left_out = if self.success { 0 } else { SHOWN };
        let lines = &self.messages[..self.messages.len().saturating_sub(left_out)];
        lines.iter().filter(|line| !is_status(line)).map(|line| format!("{line}\n")).collect()
    }
}

/// Whether cargo says what it does: a verb that ends in the twelfth column.
fn is_status(line: &str) -> bool {
    let verb = line.get(..12).unwrap_or_default().trim_start();
    line.as_bytes().get(12) == Some(&b' ')
        && verb.starts_with(|c: char| c.is_ascii_uppercase())
        && verb.chars().all(|c| c.is_ascii_alphabetic())
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

/// Runs a program to its end. With `progress` it is cargo, whose progress is shown as a bar.
pub(super) async fn run(
    mut command: Command,
    progress: Option<&OutputSender>,
) -> Result<Ran, DepError> {
    let program = PathBuf::from(command.as_std().get_program());
    let start = |source| DepError::Start { program: program.clone(), source };
    let mut bar = progress.map(Progress::new);
    if bar.is_some() {
        command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", WIDTH);
    }
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
    let mut no_bar = None;
    let (lines, messages) = futures::join!(read(stdout, &mut no_bar), read(stderr, &mut bar));
    let status = child.wait().await.map_err(start)?;
    group.release();
    if let Some(bar) = bar {
        bar.finish(status.success()).await;
    }
    Ok(Ran { success: status.success(), lines, messages })
}

/// The lines that a pipe brings. What is written over by a carriage return is progress, and no line.
async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    progress: &mut Option<Progress<'_>>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(pipe) = pipe else { return lines };
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    loop {
        // A pipe that cannot be read has ended.
        let available = reader.fill_buf().await.unwrap_or_default();
        if available.is_empty() {
            if !line.is_empty() {
                lines.push(text(&line));
            }
            return lines;
        }
        let end = available.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        line.extend_from_slice(&available[..end.unwrap_or(available.len())]);
        let (mark, length) = match end {
            Some(end) => (Some(available[end]), end + 1),
            None => (None, available.len()),
        };
        reader.consume(length);
        let Some(mark) = mark else { continue };
        let piece = text(&line);
        line.clear();
        if let Some(progress) = progress {
            progress.read(&piece).await;
        }
        if mark == b'\n' {
            lines.push(piece);
        }
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_and_progress_is_not() {
        let said = "   Compiling shout v0.1.0 (/tmp/shout)\n    Building [>  ] 1/2: shout\r\
                    warning: unused variable: `é`\n\n  = note: on by default\n    Building [=> ] 1/2\r\
                    error: could not compile";
        let mut no_bar = None;
        let lines = read(Some(said.as_bytes()), &mut no_bar).await;
        assert_eq!(lines[1..4], ["warning: unused variable: `é`", "", "  = note: on by default"]);
        assert_eq!((lines.len(), lines[4].as_str()), (5, "error: could not compile"));
        let ran = Ran { success: true, lines: Vec::new(), messages: lines };
        assert_eq!(ran.said(), ran.messages[1..].join("\n") + "\n");
        let ran = Ran { success: false, ..ran };
        assert_eq!(ran.said(), "", "the error has it");
        assert!(ran.message().contains("unused") && ran.message().contains("Compiling"));
    }

    #[test]
    fn what_cargo_does_is_told_from_what_others_say() {
        for line in
            ["   Compiling a v1.0.0", "    Finished `release` profile", "    Blocking waiting"]
        {
            assert!(is_status(line), "{line}");
        }
        for line in
            ["warning: unused", "error[E0308]: mismatched types", "  --> src/lib.rs:1:1", "", "é"]
        {
            assert!(!is_status(line), "{line}");
        }
    }
}
