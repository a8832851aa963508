//! Reports in the style of rustc, with the cell's own lines.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Patch, Renderer, Snippet,
};

use super::paths::shorten;
use super::rustc::{Message, Span};
use super::{python, question};
use crate::compose::{Origin, SourceMap};

/// A diagnostic ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whether it is an error.
    pub error: bool,
    /// `E0308` or a lint's name.
    pub code: String,
    /// The headline.
    pub title: String,
    /// The report with ANSI colours.
    pub ansi: String,
    /// All but the headline, for a browser; empty where there is no more to say.
    pub html: String,
    /// What its code means, folded, for a browser; empty where rustc does not say.
    pub explanation: String,
    /// Where its primary span stands: the origin's label and bytes.
    pub place: Option<(String, Range<usize>)>,
}

impl Report {
    /// Adds what the session knows of a name in it.
    pub(crate) fn note(&mut self, text: &str) {
        self.ansi.push_str(&format!("\n  \u{1b}[1mnote\u{1b}[0m: {text}"));
        self.html.push_str(&super::html::remark("note", text));
    }

    /// The text up to the place, and the rest: the source with its marks, notes, suggestions.
    #[must_use]
    pub(crate) fn parts(&self) -> (&str, &str) {
        let place = self.ansi.find("--> ");
        let end = place.map_or(self.ansi.len(), |place| {
            self.ansi[place..].find('\n').map_or(self.ansi.len(), |length| place + length)
        });
        (&self.ansi[..end], self.ansi[end..].trim_start_matches('\n'))
    }
}

/// Headlines that say nothing beyond the reports above them.
const SUMMARIES: &[&str] = &[
    "aborting due to",
    "For more information about",
    "Some errors have detailed",
    "warning emitted",
    "warnings emitted",
];

/// Renders the messages that concern the user's text. Warnings whose place is generated code are
/// left out; errors never are.
#[must_use]
pub fn render(messages: &[Message], map: &SourceMap, file: &str) -> Vec<Report> {
    let mut reports: Vec<Report> = Vec::new();
    for message in messages {
        if SUMMARIES.iter().any(|summary| message.message.contains(summary))
            || message.level == "failure-note"
        {
            continue;
        }
        let message = &*question::reworded(message);
        let place = message.primary().and_then(|span| locate(span, map, file));
        if !message.is_error() && (place.is_none() || message.code() == "forgetting_references") {
            continue;
        }
        let report = report(message, place, map, file);
        if !reports.contains(&report) {
            reports.push(report);
        }
    }
    // An import stands in the cell and, for its statements, in generated code.
    let placed: Vec<(String, String)> = reports
        .iter()
        .filter(|report| report.place.is_some())
        .map(|report| (report.code.clone(), report.title.clone()))
        .collect();
    let placed_somewhere = !placed.is_empty();
    reports.retain(|report| {
        let again =
            placed.iter().any(|(code, title)| *code == report.code && *title == report.title);
        // What cannot be run over has no parts either.
        let follows = placed_somewhere && report.title.contains("the method `parts` exists");
        report.place.is_some() || !(again || follows)
    });
    reports
}

pub(super) fn locate<'a>(
    span: &Span,
    map: &'a SourceMap,
    file: &str,
) -> Option<(&'a Origin, Range<usize>)> {
    map.locate(&span.in_file(file)?)
}

fn report(
    message: &Message,
    place: Option<(&Origin, Range<usize>)>,
    map: &SourceMap,
    file: &str,
) -> Report {
    let error = message.is_error();
    let title = shorten(&message.message);
    let level = if error { Level::ERROR } else { Level::WARNING };
    let mut heading = level.primary_title(Cow::Owned(title.clone()));
    if message.code().starts_with('E') {
        heading = heading.id(message.code().to_owned());
    }
    let mut group = Group::with_title(heading);
    for snippet in snippets(&message.spans, map, file) {
        group = group.element(snippet);
    }
    let mut groups = vec![];
    let mut suggestions = vec![];
    for child in &message.children {
        let text = shorten(&child.message);
        if is_noise(&child.message) {
            continue;
        }
        if child.spans.iter().any(|span| span.suggested_replacement.is_some()) {
            suggestions.extend(suggestion(child, map, file));
            continue;
        }
        let level = if child.level == "help" { Level::HELP } else { Level::NOTE };
        let inside = snippets(&child.spans, map, file);
        if inside.is_empty() {
            group = group.element(Element::from(level.message(Cow::Owned(text))));
        } else {
            let mut extra = Group::with_title(level.secondary_title(Cow::Owned(text)));
            for snippet in inside {
                extra = extra.element(snippet);
            }
            suggestions.push(extra);
        }
    }
    let hint = hint(message, &title, place.as_ref());
    if let Some(hint) = &hint {
        group = group.element(Element::from(Level::HELP.message(Cow::Owned(hint.clone()))));
    }
    groups.push(group);
    groups.append(&mut suggestions);
    let ansi = Renderer::styled().term_width(100).render(&groups);
    let (html, explanation) = if error {
        let html = super::html::render(message, map, file, hint.as_deref());
        (html, super::html::explanation(message))
    } else {
        (String::new(), String::new())
    };
    Report {
        error,
        code: message.code().to_owned(),
        title,
        ansi,
        html,
        explanation,
        place: place.map(|(origin, range)| (origin.label.clone(), range)),
    }
}

/// Talk of the lint's name or of our attributes, which helps nobody in a notebook.
pub(super) fn is_noise(text: &str) -> bool {
    let text = shorten(text);
    text.starts_with("`#[")
        || text.contains("on by default")
        || text.contains("the lint level is defined")
        || text.contains("through its public re-export")
        || text.contains("oxilab_runtime::cell::")
}

/// How a Python spelling is written here.
fn hint(message: &Message, title: &str, place: Option<&(&Origin, Range<usize>)>) -> Option<String> {
    let (origin, range) = place.filter(|_| message.is_error())?;
    // A frame's usual name is a macro's too, a model's that of a module.
    let found = ["macro ", "crate ", "module "].map(|kind| format!("expected value, found {kind}"));
    if let Some(name) = found.iter().find_map(|start| title.strip_prefix(start)) {
        return Some(format!("no variable is called {name}: run the cell that makes it first"));
    }
    // Of examples that begin with `use anyhow::Result` or candle's.
    if message.code() == "E0107" && origin.text.get(range.clone()) == Some("Result") {
        let hint = "std's `Result` names its error, too; that of `anyhow::Result<…>` may be any, and \
                    candle's is `nn::Result<…>`";
        return Some(hint.to_owned());
    }
    let label = message.primary().and_then(|span| span.label.as_deref()).unwrap_or_default();
    let error = python::Error {
        code: message.code(),
        title,
        label: &shorten(label),
        text: &origin.text,
        range,
    };
    python::hint(&error).map(|hint| format!("coming from Python: {hint}"))
}

/// One snippet for each cell that the spans stand in, the one with the primary span first.
fn snippets(
    spans: &[Span],
    map: &SourceMap,
    file: &str,
) -> Vec<Snippet<'static, Annotation<'static>>> {
    let mut by_origin: Vec<(&Origin, bool, Vec<Annotation<'static>>)> = Vec::new();
    for span in spans {
        let Some((origin, range)) = locate(span, map, file) else { continue };
        let kind = if span.is_primary { AnnotationKind::Primary } else { AnnotationKind::Context };
        let label = span.label.as_deref().map(shorten).filter(|label| !label.is_empty());
        let annotation = kind.span(range).label(label.map(Cow::Owned));
        match by_origin.iter_mut().find(|(known, ..)| known.label == origin.label) {
            Some((_, primary, annotations)) => {
                *primary |= span.is_primary;
                annotations.push(annotation);
            }
            None => by_origin.push((origin, span.is_primary, vec![annotation])),
        }
    }
    by_origin.sort_by_key(|(_, primary, _)| !primary);
    by_origin
        .into_iter()
        .map(|(origin, _, annotations)| {
            Snippet::source(origin.text.to_string())
                .path(origin.label.clone())
                .annotations(annotations)
        })
        .collect()
}

fn suggestion(child: &Message, map: &SourceMap, file: &str) -> Option<Group<'static>> {
    let mut origin: Option<&Origin> = None;
    let mut patches = Vec::new();
    for span in &child.spans {
        let replacement = span.suggested_replacement.as_deref()?;
        let (found, range) = locate(span, map, file)?;
        if origin.is_some_and(|known| known.label != found.label) {
            return None;
        }
        origin = Some(found);
        patches.push(Patch::new(range, shorten_code(replacement)));
    }
    let origin = origin?;
    let title = Level::HELP.secondary_title(Cow::Owned(shorten(&child.message)));
    let snippet =
        Snippet::source(origin.text.to_string()).path(origin.label.clone()).patches(patches);
    Some(Group::with_title(title).element(snippet))
}

/// Code keeps its paths, except those of generated crates.
fn shorten_code(code: &str) -> String {
    code.replace("oxilab::prelude::", "")
}
