//! Failures as Jupyter's error replies: ename, evalue, a coloured traceback with the cell's lines.

use std::collections::BTreeSet;

use oxilab_protocol::{Failure, FailureKind};

use super::prepare::{PrepareError, Source};
use crate::diagnostics::{Report, html, paths};
use crate::server::handler::{CellError, ErrorPage};

const BOLD_RED: &str = "\u{1b}[1;91m";
const BOLD: &str = "\u{1b}[1m";
const BLUE: &str = "\u{1b}[1;94m";
const RESET: &str = "\u{1b}[0m";

/// The reply to a cell that does not compile.
#[must_use]
pub fn of_prepare(error: &PrepareError) -> CellError {
    match error {
        PrepareError::Code(reports) => of_reports(reports),
        PrepareError::System(error) => plain("SystemError", &error.to_string()),
    }
}

/// A reply with one line.
#[must_use]
pub fn plain(ename: &str, evalue: &str) -> CellError {
    CellError {
        ename: ename.to_owned(),
        evalue: evalue.to_owned(),
        traceback: vec![format!("{BOLD_RED}{ename}{RESET}: {evalue}")],
        html: None,
    }
}

/// The reply to an interrupt before the cell ran.
#[must_use]
pub fn interrupted_compile() -> CellError {
    plain("KeyboardInterrupt", "interrupted while it was compiled")
}

/// The reply to a magic whose Rust failed: it names the magic's line, and nothing of the Rust.
#[must_use]
pub fn of_magic(error: CellError, count: u32, cell: &str, line: usize) -> CellError {
    let shown = cell.lines().nth(line).unwrap_or_default();
    let column = shown.chars().take_while(|c| c.is_whitespace()).count();
    let mut traceback = plain(&error.ename, &error.evalue).traceback;
    traceback.extend(mark(&format!("In [{count}]"), line + 1, column, shown));
    CellError { traceback, html: None, ..error }
}

fn of_reports(reports: &[Report]) -> CellError {
    let errors: Vec<&Report> = reports.iter().filter(|report| report.error).collect();
    let (ename, evalue) = match errors.first() {
        Some(first) if first.code.starts_with('E') => {
            (format!("CompileError[{}]", first.code), first.title.clone())
        }
        Some(first) => ("CompileError".to_owned(), first.title.clone()),
        None => ("CompileError".to_owned(), "the cell does not compile".to_owned()),
    };
    let mut traceback: Vec<String> = errors.iter().map(|report| report.ansi.clone()).collect();
    if errors.len() > 1 {
        traceback.push(count_of(&errors));
    }
    let html = page_of_reports(&errors);
    CellError { ename, evalue, traceback, html }
}

fn page_of_reports(errors: &[&Report]) -> Option<Box<ErrorPage>> {
    let mut page = ErrorPage::default();
    let mut explained = BTreeSet::new();
    for report in errors {
        let mut body = report.html.clone();
        if explained.insert(&report.code) {
            body.push_str(&report.explanation);
        }
        if body.is_empty() {
            // All there is stands in its text.
            page.headline.push(report.ansi.clone());
            continue;
        }
        let (headline, rest) = report.parts();
        page.headline.push(headline.to_owned());
        if errors.len() == 1 {
            page.plain.push_str(rest);
        } else {
            body.insert_str(0, &html::headline(&report.code, &report.title));
            page.plain.push_str(&report.ansi);
        }
        page.plain.push('\n');
        page.html.push_str(&html::block(&body));
    }
    if errors.len() > 1 {
        page.headline.push(count_of(errors));
    }
    for report in errors.iter().filter(|report| !report.explanation.is_empty()) {
        if explained.remove(&report.code) {
            let said = format!("`rustc --explain {}` explains this error\n", report.code);
            page.plain.push_str(&said);
        }
    }
    page.plain.truncate(page.plain.trim_end().len());
    (!page.html.is_empty()).then(|| Box::new(page))
}

fn count_of(errors: &[&Report]) -> String {
    format!("{BOLD_RED}{} errors{RESET}", errors.len())
}

/// The reply to a cell that failed while it ran.
#[must_use]
pub fn of_failure(failure: &Failure, sources: &[Source]) -> CellError {
    let name = &failure.name;
    let message = paths::shorten(&failure.message);
    let mut traceback = vec![format!("{BOLD_RED}{name}{RESET}: {message}")];
    if failure.kind == FailureKind::Interrupted {
        traceback = vec![format!("{BOLD_RED}{name}{RESET}")];
    }
    if let Some((file, line, column)) = &failure.location {
        traceback.extend(excerpt(file, *line, *column, sources));
    }
    for (function, file, line) in &failure.frames {
        if let Some((label, own_line)) = own_place(file, *line, 1, sources) {
            traceback.push(format!(
                "  in {BOLD}{}{RESET} at {label}:{own_line}",
                paths::shorten(function)
            ));
        }
    }
    traceback.extend(failure.details.iter().map(|line| paths::shorten(line)));
    // A single message, as front ends expect of a cell that failed while it ran; it marks the place.
    CellError { ename: name.clone(), evalue: message, traceback, html: None }
}

fn own_place(file: &str, line: u32, column: u32, sources: &[Source]) -> Option<(String, usize)> {
    let source = sources.iter().rev().find(|source| file.ends_with(&source.file))?;
    let at = source.composed.map.offset(&source.composed.text, line, column)?;
    let (origin, range) = source.composed.map.locate(&(at..at + 1))?;
    Some((origin.label.clone(), origin.text[..range.start].matches('\n').count() + 1))
}

/// `--> In [5]:2:9` and the line it names.
fn excerpt(file: &str, line: u32, column: u32, sources: &[Source]) -> Vec<String> {
    let found =
        sources.iter().rev().find(|source| file.ends_with(&source.file)).and_then(|source| {
            let at = source.composed.map.offset(&source.composed.text, line, column)?;
            let map = &source.composed.map;
            // The question asked before a `?` is generated; it belongs to the text in front of it.
            let (origin, at) = map
                .locate(&(at..at + 1))
                .map(|(origin, range)| (origin, range.start))
                .or_else(|| map.locate_before(at))?;
            Some((origin.label.clone(), origin.text.clone(), at))
        });
    let Some((label, text, at)) = found else {
        // Inside a library: its own place is what there is.
        let known = !file.starts_with("oxi_");
        return if known {
            vec![format!("{BLUE} -->{RESET} {file}:{line}:{column}")]
        } else {
            Vec::new()
        };
    };
    let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..at];
    let number = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let shown = text[start..].lines().next().unwrap_or_default();
    mark(&label, number, text[start..at].chars().count(), shown)
}

/// A place and its line with a mark below; `column` counts from 0.
fn mark(label: &str, number: usize, column: usize, shown: &str) -> Vec<String> {
    let width = number.to_string().len();
    vec![
        format!("{BLUE}{:width$}-->{RESET} {label}:{number}:{}", "", column + 1),
        format!("{BLUE}{:width$} |{RESET}", ""),
        format!("{BLUE}{number} |{RESET} {shown}"),
        format!("{BLUE}{:width$} |{RESET} {}{BOLD_RED}^{RESET}", "", " ".repeat(column)),
    ]
}
