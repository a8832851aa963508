//! Literate specs: Markdown whose `rust` blocks are cells and whose other blocks say what they show.
//!
//! A heading begins a new notebook. After a cell may stand
//!
//! - `text`: its streams, results and displays as plain text, in order;
//! - `html`: the HTML of its results and displays; compared only where such a block stands;
//! - `error`: `ename: evalue` and the traceback without colours.
//!
//! `text` and `error` are compared always: a cell without them shows nothing and does not fail. In an
//! expected line `[..]` stands for any text. [`Spec::bless`] writes what came instead of comparing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use oxilab_kernel::server::handler::{CellRunner, ExecuteCell, ExecuteReply, Output, OutputSender};
use regex::Regex;

/// No cell of a spec takes longer; the cells after one that hangs are not run.
const LIMIT: Duration = Duration::from_mins(1);

/// A spec file.
#[derive(Clone, Debug)]
pub struct Spec {
    path: PathBuf,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Lines between blocks, a heading among them if `heading` is set.
    Prose { text: String, heading: Option<String> },
    /// A cell, its line in the file and what it is to show.
    Cell { line: usize, code: String, expected: Vec<Block> },
}

/// An output block.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    kind: String,
    text: String,
}

/// What a cell has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shown {
    text: String,
    html: String,
    error: String,
}

impl Shown {
    fn failed(error: &str) -> Self {
        Self { error: error.to_owned(), ..Self::default() }
    }

    fn of(&self, kind: &str) -> &str {
        match kind {
            "text" => &self.text,
            "html" => &self.html,
            _ => &self.error,
        }
    }
}

/// A cell that showed something else than its spec says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The heading it stands under.
    pub heading: String,
    /// The cell.
    pub code: String,
    /// Text and error of the spec.
    pub expected: String,
    /// Text and error that came.
    pub shown: String,
}

const KINDS: [&str; 3] = ["text", "html", "error"];

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// When the file cannot be read or an output block stands without a cell.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read the spec {}", path.display()))?;
        Ok(Self { path: path.to_owned(), pieces: parse(&text)? })
    }

    /// Runs all notebooks of the spec, each with a runner of its own from `start`. Returns one message
    /// per cell that showed something else.
    ///
    /// # Errors
    /// When a runner does not start.
    pub async fn check(
        &self,
        start: impl AsyncFn() -> anyhow::Result<Arc<dyn CellRunner>>,
    ) -> anyhow::Result<Vec<String>> {
        let mut differences = Vec::new();
        for (piece, shown) in self.run(start).await? {
            let Piece::Cell { line, code, expected } = piece else { continue };
            for kind in KINDS {
                let block = expected.iter().find(|block| block.kind == kind);
                let wanted = block.map_or("", |block| block.text.as_str());
                if (kind == "html" && block.is_none()) || matches(wanted, shown.of(kind)) {
                    continue;
                }
                let path = self.path.display();
                differences.push(format!(
                    "{path}:{line}: this cell's {kind} differs\n{}expected:\n{}\nshown:\n{}",
                    indented(code),
                    indented(wanted),
                    indented(shown.of(kind)),
                ));
            }
        }
        Ok(differences)
    }

    /// Runs all notebooks with another runner: for each cell under its heading, its code and what it
    /// showed, where that is not what the spec says.
    ///
    /// # Errors
    /// When a runner does not start.
    pub async fn differences(
        &self,
        start: impl AsyncFn() -> anyhow::Result<Arc<dyn CellRunner>>,
    ) -> anyhow::Result<Vec<Difference>> {
        let mut differences = Vec::new();
        let mut heading = String::new();
        for (piece, shown) in self.run(start).await? {
            let (code, expected) = match piece {
                Piece::Prose { heading: found, .. } => {
                    heading = found.clone().unwrap_or(heading);
                    continue;
                }
                Piece::Cell { code, expected, .. } => (code, expected),
            };
            let expected = |kind: &str| {
                expected.iter().find(|b| b.kind == kind).map_or("", |block| block.text.as_str())
            };
            // Errors are worded by each engine; that a cell fails, and as what, is compared.
            let failed = |text: &str| text.split(": ").next().unwrap_or_default().to_owned();
            let same = matches(expected("text"), &shown.text)
                && failed(expected("error")) == failed(&shown.error);
            if !same {
                let shown = [shown.text.trim_end(), shown.error.as_str()].join("\n");
                let expected = [expected("text"), expected("error")].join("\n");
                differences.push(Difference {
                    heading: heading.clone(),
                    code: code.clone(),
                    expected: expected.trim().to_owned(),
                    shown: shown.trim().to_owned(),
                });
            }
        }
        Ok(differences)
    }

    /// Runs all notebooks and writes what they show into the spec; blocks that match stay as they are.
    ///
    /// # Errors
    /// When a runner does not start or the file cannot be written.
    pub async fn bless(
        &self,
        start: impl AsyncFn() -> anyhow::Result<Arc<dyn CellRunner>>,
    ) -> anyhow::Result<()> {
        let blessed = self.run(start).await?.into_iter().map(|(piece, shown)| match piece {
            Piece::Prose { .. } => piece.clone(),
            Piece::Cell { line, code, expected } => {
                let blocks = KINDS.iter().filter_map(|kind| {
                    let block = expected.iter().find(|block| block.kind == *kind);
                    let text = shown.of(kind).trim_end_matches('\n').to_owned();
                    match block {
                        Some(block) if matches(&block.text, &text) => Some(block.clone()),
                        None if *kind == "html" => None,
                        _ => (!text.is_empty()).then(|| Block { kind: (*kind).to_owned(), text }),
                    }
                });
                Piece::Cell { line: *line, code: code.clone(), expected: blocks.collect() }
            }
        });
        let text = write(&blessed.collect::<Vec<_>>());
        std::fs::write(&self.path, text)
            .with_context(|| format!("could not write the spec {}", self.path.display()))
    }

    async fn run(
        &self,
        start: impl AsyncFn() -> anyhow::Result<Arc<dyn CellRunner>>,
    ) -> anyhow::Result<Vec<(&Piece, Shown)>> {
        let mut results = Vec::new();
        let mut runner: Option<Arc<dyn CellRunner>> = None;
        let mut count = 0;
        let mut hangs = false;
        for piece in &self.pieces {
            let shown = match piece {
                Piece::Prose { heading, .. } => {
                    if heading.is_some() {
                        if let Some(ended) = runner.take() {
                            ended.shutdown(false).await;
                        }
                        count = 0;
                        hangs = false;
                    }
                    Shown::default()
                }
                Piece::Cell { .. } if hangs => Shown::failed("NotRun: an earlier cell hangs"),
                Piece::Cell { code, .. } => {
                    let current = match &mut runner {
                        Some(runner) => runner,
                        none => none.insert(start().await?),
                    };
                    count += 1;
                    let cell = run_cell(&**current, ExecuteCell::new(code, count));
                    if let Ok(shown) = tokio::time::timeout(LIMIT, cell).await {
                        shown
                    } else {
                        // What hangs may not end either.
                        hangs = true;
                        runner = None;
                        Shown::failed("Hangs: no answer after a minute")
                    }
                }
            };
            results.push((piece, shown));
        }
        if let Some(ended) = runner {
            ended.shutdown(false).await;
        }
        Ok(results)
    }
}

async fn run_cell(runner: &dyn CellRunner, cell: ExecuteCell) -> Shown {
    let (output, mut receiver) = OutputSender::channel();
    let mut shown = Shown::default();
    let collect = async {
        while let Some(output) = receiver.recv().await {
            if matches!(output, Output::Input { .. }) {
                runner.input_reply(Err("a spec has no input".to_owned()));
            }
            shown.add(output);
        }
    };
    let run = async {
        let reply = runner.execute(cell, output.clone()).await;
        output.barrier().await;
        reply
    };
    let reply = tokio::select! {
        reply = run => reply,
        () = collect => ExecuteReply::Aborted,
    };
    match reply {
        ExecuteReply::Ok { .. } => {}
        ExecuteReply::Error(error) => {
            let traceback = error.traceback.join("\n");
            let text = plain(&format!("{}: {}\n{traceback}", error.ename, error.evalue));
            text.trim_end().clone_into(&mut shown.error);
        }
        ExecuteReply::Aborted => "aborted".clone_into(&mut shown.error),
    }
    shown
}

impl Shown {
    fn add(&mut self, output: Output) {
        match output {
            Output::Stream { text, .. } => self.text.push_str(&plain(&text)),
            Output::Display { bundle, .. } | Output::Result { bundle } => {
                if !self.text.is_empty() && !self.text.ends_with('\n') {
                    self.text.push('\n');
                }
                self.text.push_str(&plain(bundle.plain()));
                self.text.push('\n');
                if let Some(html) = bundle.data.get("text/html").and_then(|html| html.as_str()) {
                    self.html.push_str(html);
                    self.html.push('\n');
                }
            }
            Output::Clear { .. } => *self = Self::default(),
            Output::Input { prompt, .. } => {
                self.text.push_str(&prompt);
                self.text.push('\n');
            }
            Output::Error(error) => {
                let _ = writeln!(self.error, "{}: {}", error.ename, error.evalue);
            }
            Output::Comm(message) => {
                // Writing to a String cannot fail.
                let _ = writeln!(self.text, "{} {}", message.kind.as_str(), message.target);
            }
        }
    }
}

/// Text without colours.
fn plain(text: &str) -> String {
    let colours = Regex::new("\u{1b}\\[[0-9;]*[A-Za-z]").expect("is a pattern");
    colours.replace_all(text, "").into_owned()
}

/// Whether the text is as expected, line by line; white space at ends of lines does not count.
fn matches(expected: &str, text: &str) -> bool {
    let (expected, text) = (expected.trim_end(), text.trim_end());
    expected.lines().count() == text.lines().count()
        && expected.lines().zip(text.lines()).all(|(expected, line)| {
            let parts: Vec<String> = expected.trim_end().split("[..]").map(regex::escape).collect();
            let pattern = Regex::new(&format!("^{}$", parts.join(".*"))).expect("is a pattern");
            pattern.is_match(line.trim_end())
        })
}

fn indented(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + "    " + line + "\n")
}

fn parse(text: &str) -> anyhow::Result<Vec<Piece>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut lines = text.lines().enumerate();
    let mut prose = String::new();
    while let Some((index, line)) = lines.next() {
        let fence = line.len() - line.trim_start_matches('`').len();
        if fence < 3 {
            if line.starts_with('#') {
                push_prose(&mut pieces, &mut prose, None);
                prose.push_str(line);
                prose.push('\n');
                push_prose(
                    &mut pieces,
                    &mut prose,
                    Some(line.trim_start_matches('#').trim().to_owned()),
                );
            } else {
                prose.push_str(line);
                prose.push('\n');
            }
            continue;
        }
        let kind = line[fence..].trim();
        let mut body = Vec::new();
        let mut closed = false;
        for (_, line) in lines.by_ref() {
            if line.trim_end() == "`".repeat(fence) {
                closed = true;
                break;
            }
            body.push(line);
        }
        anyhow::ensure!(closed, "line {}: the block is not closed", index + 1);
        let body = body.join("\n");
        if kind == "rust" {
            push_prose(&mut pieces, &mut prose, None);
            pieces.push(Piece::Cell { line: index + 1, code: body, expected: Vec::new() });
        } else if KINDS.contains(&kind) {
            anyhow::ensure!(
                prose.trim().is_empty(),
                "line {}: {kind} does not follow a cell",
                index + 1
            );
            let Some(Piece::Cell { expected, .. }) = pieces.last_mut() else {
                anyhow::bail!("line {}: {kind} does not follow a cell", index + 1);
            };
            prose.clear();
            expected.push(Block { kind: kind.to_owned(), text: body });
        } else {
            // Writing to a String cannot fail.
            let _ = writeln!(prose, "{line}\n{body}\n{}", "`".repeat(fence));
        }
    }
    push_prose(&mut pieces, &mut prose, None);
    Ok(pieces)
}

fn push_prose(pieces: &mut Vec<Piece>, prose: &mut String, heading: Option<String>) {
    let text = std::mem::take(prose);
    if !text.is_empty() {
        pieces.push(Piece::Prose { text, heading });
    }
}

fn write(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Prose { text: prose, .. } => {
                let prose = prose.trim_matches('\n');
                if prose.is_empty() {
                    continue;
                }
                separate(&mut text);
                text.push_str(prose);
                text.push('\n');
            }
            Piece::Cell { code, expected, .. } => {
                separate(&mut text);
                block(&mut text, "rust", code);
                for Block { kind, text: body } in expected {
                    text.push('\n');
                    block(&mut text, kind, body);
                }
            }
        }
    }
    text
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

fn block(text: &mut String, kind: &str, body: &str) {
    let longest = body.lines().map(|line| line.len() - line.trim_start_matches('`').len()).max();
    let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{fence}{kind}\n{body}\n{fence}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Echo;

    const SPEC: &str = "# One\n\nSome words.\n\n```rust\nprint a\nresult 3\n```\n\n```text\na\n[..]\n```\n\n```rust\nerror E bad\n```\n\n```error\nE: bad\nE: [..]\n```\n\n## Two\n\n```rust\nclear\n```\n";

    fn written(text: &str) -> (tempfile::TempDir, Spec) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("spec.md");
        std::fs::write(&path, text).expect("writes");
        let spec = Spec::read(&path).expect("reads");
        (folder, spec)
    }

    async fn start() -> anyhow::Result<Arc<dyn CellRunner>> {
        Ok(Echo::new())
    }

    #[tokio::test]
    async fn a_spec_that_holds_has_no_differences_and_blesses_to_itself() {
        let (_folder, spec) = written(SPEC);
        assert_eq!(spec.check(start).await.expect("runs"), Vec::<String>::new());
        spec.bless(start).await.expect("blesses");
        assert_eq!(std::fs::read_to_string(&spec.path).expect("reads"), SPEC);
    }

    #[tokio::test]
    async fn differences_name_their_line_and_are_blessed_away() {
        let wrong =
            SPEC.replace("E: bad\n", "E: worse\n").replace("```rust\nclear", "```rust\nprint x");
        let (_folder, spec) = written(&wrong);
        let differences = spec.check(start).await.expect("runs");
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(
            differences[0].contains("spec.md:15: this cell's error differs"),
            "{}",
            differences[0]
        );
        spec.bless(start).await.expect("blesses");
        let spec = Spec::read(&spec.path).expect("reads");
        assert_eq!(spec.check(start).await.expect("runs"), Vec::<String>::new());
    }

    #[tokio::test]
    async fn each_heading_is_a_notebook_of_its_own() {
        let started = std::sync::atomic::AtomicUsize::new(0);
        let (_folder, spec) = written(SPEC);
        let differences = spec
            .check(async || {
                started.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                start().await
            })
            .await;
        assert_eq!(differences.expect("runs"), Vec::<String>::new());
        assert_eq!(started.into_inner(), 2);
    }

    #[test]
    fn wildcards_match_within_a_line() {
        assert!(matches("a [..] c\nd", "a b c\nd\n"));
        assert!(matches("[..]", "anything"));
        assert!(matches("took [..] s", "took 0.3 s of 2 s"));
        assert!(!matches("took [..] s", "took 0.3 m"));
        assert!(!matches("a", "a\nb"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn an_output_without_a_cell_is_refused() {
        assert!(parse("# x\n\n```text\na\n```\n").is_err());
        assert!(parse("```rust\na\n").is_err());
    }
}
