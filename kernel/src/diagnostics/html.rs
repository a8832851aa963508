//! What stands beside an error in a browser: the source with the failing span underlined, suggestions
//! ready to copy, and the explanation of the error code, folded, without scripts.
//!
//! Colours are inherited or plain ones that both themes show, given in place, so that the block looks
//! the same in a notebook opened from disk, where style sheets are stripped.

use std::fmt::Write as _;
use std::ops::Range;

use super::paths::shorten;
use super::render::locate;
use super::rustc::Message;
use crate::compose::{Origin, SourceMap};

const CODE: &str = "margin:4px 0;padding:4px 8px;border-left:3px solid #888;overflow:auto";
const WRONG: &str = "text-decoration:underline wavy #d9534f";
const NEW: &str = "background-color:rgba(40,167,69,0.25)";

/// A folded block; empty where there is nothing beyond the text of the error.
#[must_use]
pub(super) fn render(message: &Message, map: &SourceMap, file: &str) -> String {
    let mut body = String::new();
    let primary = message.primary().and_then(|span| locate(span, map, file));
    if let Some((origin, range)) = &primary {
        body.push_str(&excerpt(origin, range, WRONG));
    }
    let suggestions: Vec<String> =
        message.children.iter().filter_map(|child| suggestion(child, map, file)).collect();
    let explanation = message.code.as_ref().and_then(|code| code.explanation.as_deref());
    if suggestions.is_empty() && explanation.is_none() {
        return String::new();
    }
    body.extend(suggestions);
    if let Some(text) = explanation {
        let _ = write!(
            body,
            "<details><summary>What {} means</summary>{}</details>",
            escape(message.code()),
            markdown(text)
        );
    }
    let place = primary.map_or_else(String::new, |(origin, range)| {
        format!(" ({}:{})", escape(&origin.label), line_number(&origin.text, range.start))
    });
    format!(
        "<details class=\"oxilab-error\"><summary>{}{place}: source, suggestions, explanation</summary>{body}</details>",
        inline_code(&escape(&shorten(&message.message)))
    )
}

/// The lines of a span, with the span itself marked.
fn excerpt(origin: &Origin, range: &Range<usize>, style: &str) -> String {
    let text = &*origin.text;
    let (start, end) = (boundary(text, range.start), boundary(text, range.end));
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let to = text[end..].find('\n').map_or(text.len(), |at| end + at);
    format!(
        "<pre style=\"{CODE}\">{}<span style=\"{style}\">{}</span>{}</pre>",
        escape(&text[from..start]),
        escape(&text[start..end]),
        escape(&text[end..to])
    )
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
    Some(format!("<div>{title}:</div><pre style=\"{CODE}\">{code}</pre>"))
}

fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn line_number(text: &str, at: usize) -> usize {
    text[..boundary(text, at)].matches('\n').count() + 1
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
        let span = |replacement: Option<&str>| {
            serde_json::json!({
                "file_name": "c.rs", "byte_start": start, "byte_end": start + 1,
                "is_primary": true, "label": null, "suggested_replacement": replacement,
            })
        };
        let json = serde_json::json!({
            "message": "expected `std::string::String`, found `a<b>`", "level": "error",
            "code": {"code": "E0308", "explanation": "Types `differ`.\n\n```\n# hidden\nlet x: <T>;\n```\nMore."},
            "spans": [span(None)],
            "children": [{"message": "try `b`", "code": null, "level": "help",
                          "spans": [span(Some(suggestion))], "children": []}],
        });
        serde_json::from_value(json).expect("a message of rustc")
    }

    #[test]
    fn the_span_is_underlined_suggestions_are_whole_lines_and_the_code_is_explained() {
        let composed = composed("let é = 1;\nlet b = a;");
        let at = composed.text.find("a;").expect("is pasted");
        let html = render(&message(at, "a.to_string()"), &composed.map, "c.rs");
        assert!(
            html.contains("expected <code>String</code>, found <code>a&lt;b&gt;</code> (In [7]:2)"),
            "{html}"
        );
        assert!(
            html.contains(&format!("let b = <span style=\"{WRONG}\">a</span>;</pre>")),
            "{html}"
        );
        assert!(
            html.contains(&format!("let b = <span style=\"{NEW}\">a.to_string()</span>;</pre>"))
        );
        assert!(
            html.contains("<p>Types <code>differ</code>.</p>")
                && html.contains("let x: &lt;T&gt;;")
        );
        assert!(!html.contains("hidden") && !html.contains("<script"));
    }

    #[test]
    fn an_error_without_more_to_say_has_no_block() {
        let composed = composed("a");
        let mut bare = message(8, "b");
        bare.children.clear();
        bare.code = None;
        assert_eq!(render(&bare, &composed.map, "c.rs"), "");
    }
}
