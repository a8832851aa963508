//! Whether a cell is whole, for consoles: `is_complete_request`.

use crate::cell;
use crate::magics::{self, Segment};
use crate::server::handler::Completeness;

/// Judges a cell. Magics are whole by themselves; Rust is whole when it parses.
#[must_use]
pub(crate) fn judge(code: &str) -> Completeness {
    if code.trim().is_empty() {
        return Completeness::Complete;
    }
    for segment in magics::split(code) {
        let Segment::Rust(text) = segment else { continue };
        let Err(error) = cell::parse(&text) else { continue };
        let open = open_brackets(&text);
        return match open {
            Open::Inside(depth) => Completeness::Incomplete { indent: " ".repeat(4 * depth) },
            Open::Closed if error.message.contains("unexpected end of input") || trails(&text) => {
                Completeness::Incomplete { indent: "    ".to_owned() }
            }
            Open::Closed | Open::Crossed => Completeness::Invalid,
        };
    }
    if trails(code) {
        return Completeness::Incomplete { indent: "    ".to_owned() };
    }
    Completeness::Complete
}

enum Open {
    /// So many brackets are open, or a string or comment is.
    Inside(usize),
    Closed,
    /// A bracket closes what was not opened.
    Crossed,
}

/// An operator or comma at the end asks for more.
fn trails(text: &str) -> bool {
    let line = text.trim_end();
    let end = line.rsplit('\n').next().unwrap_or_default();
    let end = end.split("//").next().unwrap_or_default().trim_end();
    ["+", "-", "*", "=", "&&", "||", ",", ".", "->", "=>", "::", "<"]
        .iter()
        .any(|operator| end.ends_with(operator))
}

fn open_brackets(text: &str) -> Open {
    let mut stack = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else { break };
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if rest.starts_with("/*") {
            match block_comment(rest) {
                Some(length) => at += length,
                None => return Open::Inside(stack.len()),
            }
            continue;
        }
        match raw_string(rest, at, text) {
            Some(RawString::Ends(length)) => {
                at += length;
                continue;
            }
            Some(RawString::Open) => return Open::Inside(stack.len()),
            None => {}
        }
        match first {
            '"' => match string(rest) {
                Some(length) => {
                    at += length;
                    continue;
                }
                None => return Open::Inside(stack.len()),
            },
            '\'' => {
                at += character(rest);
                continue;
            }
            '(' | '[' | '{' => stack.push(first),
            ')' | ']' | '}' => {
                let opener = match first {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if stack.pop() != Some(opener) {
                    return Open::Crossed;
                }
            }
            _ => {}
        }
        at += first.len_utf8();
    }
    if stack.is_empty() { Open::Closed } else { Open::Inside(stack.len()) }
}

fn block_comment(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

enum RawString {
    /// It ends after so many bytes.
    Ends(usize),
    Open,
}

/// The raw string that starts here, if one does.
fn raw_string(rest: &str, at: usize, text: &str) -> Option<RawString> {
    let before = text[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let body = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix("cr"))
        .or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inner = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let skipped = rest.len() - inner.len();
    let length = inner.find(&end).map(|found| skipped + found + end.len());
    Some(length.map_or(RawString::Open, RawString::Ends))
}

fn string(rest: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A character literal, or the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            rest[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 3)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indent(code: &str) -> Option<usize> {
        match judge(code) {
            Completeness::Incomplete { indent } => Some(indent.len()),
            _ => None,
        }
    }

    #[test]
    fn whole_cells() {
        for code in [
            "1 + 1",
            "let x = 1;",
            "fn f() {}",
            "",
            "%who",
            "\"a { b\".len()",
            "'('",
            "fn f<'a>(x: &'a str) {}",
        ] {
            assert_eq!(judge(code), Completeness::Complete, "{code}");
        }
    }

    #[test]
    fn open_cells_get_an_indent() {
        assert_eq!(indent("fn f() {"), Some(4));
        assert_eq!(indent("fn f() { if x {"), Some(8));
        assert_eq!(indent("let x = vec![1,"), Some(4));
        assert_eq!(indent("let s = \"abc"), Some(0));
        assert_eq!(indent("let s = r#\"abc\""), Some(0));
        assert_eq!(indent("/* comment"), Some(0));
        assert_eq!(indent("let x ="), Some(4));
        assert_eq!(indent("df.lazy()\n    ."), Some(4));
    }

    #[test]
    fn crossed_brackets_are_invalid() {
        assert_eq!(judge("let x = (1];"), Completeness::Invalid);
        assert_eq!(judge("let if = 2;"), Completeness::Invalid);
    }
}
