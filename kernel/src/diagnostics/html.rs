//! An error in a browser, below its headline: the source with the failing span underlined, labels and
//! notes, suggestions ready to copy, and the explanation of the error code, folded, without scripts.
//!
//! Colours are inherited or plain ones that both themes show, given in place, so that the block looks
//! the same in a notebook opened from disk. Where even those are stripped, `u` still underlines.

use std::fmt::Write as _;
use std::ops::Range;

use super::paths::shorten;
use super::render::{is_noise, locate};
use super::rustc::{Message, Span};
use crate::compose::{Origin, SourceMap};

const CODE: &str = "margin:4px 0;padding:4px 8px;border-left:3px solid #888;overflow:auto";
const WRONG: &str = "text-decoration:underline wavy #d9534f";
const RELATED: &str = "text-decoration:underline dotted #888";
const NEW: &str = "background-color:rgba(40,167,69,0.25)";

/// Lines of a long span that are shown: its first and its last ones.
const HEAD: usize = 5;
const FOOT: usize = 2;
/// Characters of a span in front of its label.
const QUOTED: usize = 40;

/// Everything of a message but its headline and the explanation of its code.
#[must_use]
pub(super) fn render(message: &Message, map: &SourceMap, file: &str, hint: Option<&str>) -> String {
    let mut body = sources(&message.spans, map, file);
    let mut suggestions = String::new();
    for child in message.children.iter().filter(|child| !is_noise(&child.message)) {
        if child.spans.iter().any(|span| span.suggested_replacement.is_some()) {
            suggestions.extend(suggestion(child, map, file));
        } else {
            let level = if child.level == "help" { "help" } else { "note" };
            body.push_str(&remark(level, &child.message));
            body.push_str(&sources(&child.spans, map, file));
        }
    }
    if let Some(hint) = hint {
        body.push_str(&remark("help", hint));
    }
    body + &suggestions
}

/// What an error code means, folded; empty where rustc does not say.
#[must_use]
pub(super) fn explanation(message: &Message) -> String {
    let text = message.code.as_ref().and_then(|code| code.explanation.as_deref());
    text.map_or_else(String::new, |text| {
        format!(
            "<details><summary>What {} means</summary>{}</details>",
            escape(message.code()),
            markdown(text)
        )
    })
}

/// A line with a word in front: `note: …`.
#[must_use]
pub(super) fn remark(level: &str, text: &str) -> String {
    format!("<div><b>{level}</b>: {}</div>", inline_code(&escape(&shorten(text))))
}

/// The headline of one error among several.
#[must_use]
pub(crate) fn headline(code: &str, title: &str) -> String {
    let error = if code.starts_with('E') { format!("error[{code}]") } else { "error".to_owned() };
    format!("<div><b>{error}</b>: {}</div>", inline_code(&escape(title)))
}

/// One error as a block of its own.
#[must_use]
pub(crate) fn block(body: &str) -> String {
    format!("<div class=\"oxilab-error\">{body}</div>")
}

/// The boundary of a character at a byte or before it.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A part of a text that is underlined.
struct Marked {
    range: Range<usize>,
    primary: bool,
}

/// The spans in their sources, one excerpt for each cell, the one with the primary span first; labels
/// stand below.
fn sources(spans: &[Span], map: &SourceMap, file: &str) -> String {
    let mut by_origin: Vec<(&Origin, Vec<Marked>, String)> = Vec::new();
    for span in spans {
        let Some((origin, range)) = locate(span, map, file) else { continue };
        let label = span.label.as_deref().map(shorten).filter(|label| !label.is_empty());
        let said = label.map_or_else(String::new, |label| {
            format!(
                "<div><code>{}</code>: {}</div>",
                escape(&quoted(&origin.text, &range)),
                inline_code(&escape(&label))
            )
        });
        let marked = Marked { range, primary: span.is_primary };
        match by_origin.iter_mut().find(|(known, ..)| known.label == origin.label) {
            Some((_, all, labels)) => {
                all.push(marked);
                labels.push_str(&said);
            }
            None => by_origin.push((origin, vec![marked], said)),
        }
    }
    by_origin.sort_by_key(|(_, all, _)| !all.iter().any(|marked| marked.primary));
    let first = by_origin.first().map(|(origin, ..)| origin.label.clone());
    let mut html = String::new();
    for (origin, all, labels) in by_origin {
        if first.as_ref() != Some(&origin.label) {
            let _ = write!(html, "<div>{}:</div>", escape(&origin.label));
        }
        html.push_str(&excerpt(&origin.text, &all));
        html.push_str(&labels);
    }
    html
}

/// The beginning of a span, on one line.
fn quoted(text: &str, range: &Range<usize>) -> String {
    let whole = &text[boundary(text, range.start)..boundary(text, range.end)];
    let line = whole.lines().next().unwrap_or_default();
    let mut shown: String = line.chars().take(QUOTED).collect();
    if shown.len() < whole.len() {
        shown.push('…');
    }
    shown
}

/// The lines of some spans, with the spans underlined.
fn excerpt(text: &str, marked: &[Marked]) -> String {
    let marked: Vec<Marked> = marked
        .iter()
        .map(|one| Marked { range: visible(text, &one.range), primary: one.primary })
        .collect();
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line_of = |at: usize| starts.partition_point(|start| *start <= at) - 1;
    let mut shown = std::collections::BTreeSet::new();
    for Marked { range, .. } in &marked {
        let (from, to) = (line_of(range.start), line_of(range.end.max(range.start + 1) - 1));
        let is_long = to - from > HEAD + FOOT;
        shown.extend(
            (from..=to).filter(|line| !is_long || *line < from + HEAD || *line + FOOT > to),
        );
    }
    let mut lines = Vec::new();
    let mut before: Option<usize> = None;
    for line in shown {
        if before.is_some_and(|before| before + 1 < line) {
            lines.push("…".to_owned());
        }
        before = Some(line);
        let end = starts.get(line + 1).map_or(text.len(), |next| next - 1);
        lines.push(underlined(text, &(starts[line]..end), &marked));
    }
    format!("<pre style=\"{CODE}\">{}</pre>", lines.join("\n"))
}

/// A range that can be seen: an empty one is the character behind it, or the one before it.
fn visible(text: &str, range: &Range<usize>) -> Range<usize> {
    let (start, end) = (boundary(text, range.start), boundary(text, range.end));
    if start < end {
        return start..end;
    }
    match text[start..].chars().next().filter(|next| *next != '\n') {
        Some(next) => start..start + next.len_utf8(),
        None => start - text[..start].chars().next_back().map_or(0, char::len_utf8)..start,
    }
}

/// One line, in which the primary span hides what it overlaps.
fn underlined(text: &str, line: &Range<usize>, marked: &[Marked]) -> String {
    let mut cuts = vec![line.start, line.end];
    for Marked { range, .. } in marked {
        cuts.extend([range.start, range.end].into_iter().filter(|at| line.contains(at)));
    }
    cuts.sort_unstable();
    cuts.dedup();
    let mut pieces: Vec<(Option<bool>, Range<usize>)> = Vec::new();
    for pair in cuts.windows(2) {
        let covering = marked.iter().filter(|one| one.range.contains(&pair[0]));
        let style = covering.map(|one| one.primary).max();
        match pieces.last_mut() {
            Some((known, range)) if *known == style => range.end = pair[1],
            _ => pieces.push((style, pair[0]..pair[1])),
        }
    }
    let mut html = String::new();
    for (style, range) in pieces {
        let piece = escape(&text[range]);
        match style {
            Some(primary) => {
                let style = if primary { WRONG } else { RELATED };
                let _ = write!(html, "<u style=\"{style}\">{piece}</u>");
            }
            None => html.push_str(&piece),
        }
    }
    html
}

/// The lines that a suggestion changes, as they would be, ready to copy.
fn suggestion(child: &Message, map: &SourceMap, file: &str) -> Option<String> {
    let mut patches = Vec::new();
    let mut origin: Option<&Origin> = None;
    for span in &child.spans {
        let replacement = span.suggested_replacement.as_deref()?;
        let (found, range) = locate(span, map, file)?;
        if origin.is_some_and(|known| known.label != found.label) {
            return None;
        }
        origin = Some(found);
        patches.push((range, replacement));
    }
    patches.sort_by_key(|(range, _)| range.start);
    let text = &*origin?.text;
    let (first, last) =
        (boundary(text, patches.first()?.0.start), boundary(text, patches.last()?.0.end));
    let from = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let to = text[last..].find('\n').map_or(text.len(), |at| last + at);
    let mut code = String::new();
    let mut at = from;
    for (range, replacement) in patches {
        let (start, end) = (boundary(text, range.start), boundary(text, range.end));
        // Two patches of one place: the later is part of another suggestion.
        if start < at {
            continue;
        }
        code.push_str(&escape(&text[at..start]));
        let _ = write!(code, "<span style=\"{NEW}\">{}</span>", escape(replacement));
        at = end;
    }
    code.push_str(&escape(&text[at..to]));
    let title = inline_code(&escape(&shorten(&child.message)));
    Some(format!("<div><b>help</b>: {title}:</div><pre style=\"{CODE}\">{code}</pre>"))
}

/// The little Markdown that explanations are written in: fenced code, `code`, paragraphs, headings.
fn markdown(text: &str) -> String {
    let mut html = String::new();
    let mut paragraph = String::new();
    let mut code: Option<String> = None;
    let flush = |paragraph: &mut String, html: &mut String| {
        if !paragraph.trim().is_empty() {
            let _ = write!(html, "<p>{}</p>", inline_code(&escape(paragraph.trim())));
        }
        paragraph.clear();
    };
    for line in text.lines() {
        let fence = line.starts_with("```");
        match &mut code {
            Some(block) if fence => {
                let _ = write!(html, "<pre style=\"{CODE}\">{}</pre>", escape(block.trim_end()));
                code = None;
            }
            // A line that rustdoc hides in examples.
            Some(_) if line.trim() == "#" || line.starts_with("# ") => {}
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
            None if fence => {
                flush(&mut paragraph, &mut html);
                code = Some(String::new());
            }
            None if line.trim().is_empty() => flush(&mut paragraph, &mut html),
            None => {
                paragraph.push_str(line.trim_start_matches('#').trim_start());
                paragraph.push(' ');
            }
        }
    }
    flush(&mut paragraph, &mut html);
    html
}

/// `` `x` `` in escaped text as code.
fn inline_code(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{part}</code>");
        } else {
            html.push_str(part);
        }
    }
    html
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::compose::Writer;

    fn composed(cell: &str) -> crate::compose::Composed {
        let mut writer = Writer::default();
        let origin = writer.origin(Origin { label: "In [7]".to_owned(), text: Arc::from(cell) });
        writer.generated("fn f(){");
        writer.paste(origin, 0..cell.len(), &[]);
        writer.generated("}");
        writer.finish()
    }

    fn message(start: usize, suggestion: &str) -> Message {
        let span = |replacement: Option<&str>, label: Option<&str>| {
            serde_json::json!({
                "file_name": "c.rs", "byte_start": start, "byte_end": start + 1,
                "is_primary": true, "label": label, "suggested_replacement": replacement,
            })
        };
        let json = serde_json::json!({
            "message": "expected `std::string::String`, found `a<b>`", "level": "error",
            "code": {"code": "E0308", "explanation": "Types `differ`.\n\n```\n# hidden\nlet x: <T>;\n```\nMore."},
            "spans": [span(None, Some("is an `a<b>`"))],
            "children": [
                {"message": "try `b`", "code": null, "level": "help",
                 "spans": [span(Some(suggestion), None)], "children": []},
                {"message": "expected `x`", "code": null, "level": "note", "spans": [], "children": []},
            ],
        });
        serde_json::from_value(json).expect("a message of rustc")
    }

    #[test]
    fn the_span_is_underlined_suggestions_are_whole_lines_and_only_the_code_is_folded() {
        let composed = composed("let é = 1;\nlet b = a;");
        let at = composed.text.find("a;").expect("is pasted");
        let message = message(at, "a.to_string()");
        let html = render(&message, &composed.map, "c.rs", Some("see `b`"));
        let source = format!("<pre style=\"{CODE}\">let b = <u style=\"{WRONG}\">a</u>;</pre>");
        assert!(html.starts_with(&source), "{html}");
        for part in [
            "<div><code>a</code>: is an <code>a&lt;b&gt;</code></div>".to_owned(),
            "<div><b>note</b>: expected <code>x</code></div>".to_owned(),
            "<div><b>help</b>: see <code>b</code></div>".to_owned(),
            format!("let b = <span style=\"{NEW}\">a.to_string()</span>;</pre>"),
        ] {
            assert!(html.contains(&part), "{part} is not in {html}");
        }
        assert!(!html.contains("<details"), "{html}");
        let folded = explanation(&message);
        assert!(
            folded.starts_with("<details><summary>What E0308 means</summary>")
                && folded.contains("<p>Types <code>differ</code>.</p>")
                && folded.contains("let x: &lt;T&gt;;"),
            "{folded}"
        );
        assert!(!folded.contains("hidden") && !folded.contains("<script"));
    }

    #[test]
    fn an_error_without_more_to_say_still_shows_its_place() {
        let composed = composed("a");
        let mut bare = message(7, "b");
        bare.children.clear();
        bare.code = None;
        bare.spans[0].label = None;
        let html = render(&bare, &composed.map, "c.rs", None);
        assert_eq!(html, format!("<pre style=\"{CODE}\"><u style=\"{WRONG}\">a</u></pre>"));
        assert_eq!(explanation(&bare), "");
        let elsewhere = message(0, "b");
        assert!(!render(&elsewhere, &composed.map, "c.rs", None).contains("<pre"));
    }

    #[test]
    fn spans_overlap_and_long_ones_are_cut() {
        let mark = |range, primary| Marked { range, primary };
        let html = excerpt("f(a, b)", &[mark(0..7, false), mark(2..3, true), mark(7..7, false)]);
        let (u, r) = (format!("<u style=\"{WRONG}\">"), format!("<u style=\"{RELATED}\">"));
        assert_eq!(html, format!("<pre style=\"{CODE}\">{r}f(</u>{u}a</u>{r}, b)</u></pre>"));
        let long = (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        let html = excerpt(&long, &[mark(0..long.len(), true)]);
        let lines: Vec<String> =
            html.lines().map(|line| line.replace(&u, "").replace("</u>", "")).collect();
        assert_eq!(lines[1..], ["1", "2", "3", "4", "…", "18", "19</pre>"]);
        // Nothing to underline, nothing to fall over.
        assert_eq!(excerpt("", &[mark(0..0, true)]), format!("<pre style=\"{CODE}\"></pre>"));
        assert!(excerpt("é\n", &[mark(2..2, true)]).contains(&format!("{u}é</u>")));
    }
}
