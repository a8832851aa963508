//! Small renderings to HTML: escaping, ANSI colours, Rust code, the common part of Markdown.
//!
//! Everything that comes in is escaped; nothing but this module's own tags comes out. Results of
//! `write!` are dropped: writing to a `String` cannot fail.

use std::fmt::Write as _;

/// Escapes text for HTML, in content and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Text with ANSI colours as spans of the classes `ansi-1` to `ansi-7` and `ansi-bold`; other escape
/// sequences are left out.
pub(crate) fn ansi(text: &str) -> String {
    let mut html = String::new();
    let (mut bold, mut colour) = (false, None);
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        span(&mut html, &rest[..start], bold, colour);
        rest = &rest[start + 1..];
        let Some(sequence) = rest.strip_prefix('[') else { continue };
        let end = sequence.find(|c: char| ('@'..='~').contains(&c));
        let Some(end) = end else { return html };
        if sequence[end..].starts_with('m') {
            style(&sequence[..end], &mut bold, &mut colour);
        }
        // The final character of a sequence is one byte.
        rest = &sequence[end + 1..];
    }
    span(&mut html, rest, bold, colour);
    html
}

fn style(codes: &str, bold: &mut bool, colour: &mut Option<u8>) {
    let mut codes = codes.split(';').map(|code| code.parse::<u8>().unwrap_or(0));
    while let Some(code) = codes.next() {
        match code {
            0 => (*bold, *colour) = (false, None),
            1 => *bold = true,
            22 => *bold = false,
            30..=37 => *colour = Some(code - 30),
            90..=97 => *colour = Some(code - 90),
            39 => *colour = None,
            // 38;5;n: of the 256 colours the first 16 are the same again.
            38 if codes.next() == Some(5) => {
                *colour = codes.next().filter(|code| *code < 16).map(|code| code % 8);
            }
            _ => {}
        }
    }
}

fn span(html: &mut String, text: &str, bold: bool, colour: Option<u8>) {
    if text.is_empty() {
        return;
    }
    let mut classes = Vec::new();
    if bold {
        classes.push("ansi-bold".to_owned());
    }
    classes.extend(colour.map(|colour| format!("ansi-{colour}")));
    if classes.is_empty() {
        html.push_str(&escape(text));
    } else {
        let _ = write!(html, "<span class=\"{}\">{}</span>", classes.join(" "), escape(text));
    }
}

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "crate", "dyn", "else", "enum", "extern",
    "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub",
    "ref", "return", "self", "Self", "static", "struct", "super", "trait", "true", "type",
    "unsafe", "use", "where", "while",
];

/// Rust code as spans of the classes `c` comment, `s` text, `n` number, `k` keyword, `t` type,
/// `m` macro and magic.
pub(crate) fn rust(code: &str) -> String {
    let mut html = String::new();
    let mut rest = code;
    let mut line_start = true;
    while let Some(first) = rest.chars().next() {
        let (length, class) = token(rest, first, line_start);
        let (text, after) = rest.split_at(length);
        let _ = match class {
            Some(class) => write!(html, "<span class=\"{class}\">{}</span>", escape(text)),
            None => write!(html, "{}", escape(text)),
        };
        line_start = text.ends_with('\n') || (line_start && text.trim().is_empty());
        rest = after;
    }
    html
}

/// Length in bytes and class of the token at the start of `rest`.
fn token(rest: &str, first: char, line_start: bool) -> (usize, Option<char>) {
    let until = |end: fn(char) -> bool| rest.find(end).unwrap_or(rest.len());
    if rest.starts_with("//") || (line_start && matches!(first, '%' | '!')) {
        let class = if rest.starts_with("//") { 'c' } else { 'm' };
        return (until(|c| c == '\n'), Some(class));
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), Some('c'));
    }
    if let Some(length) = raw_string(rest) {
        return (length, Some('s'));
    }
    if first == '"' {
        return (quoted(rest, '"'), Some('s'));
    }
    if first == '\'' {
        let mut inner = rest.chars().skip(1);
        let is_char = inner.next() == Some('\\') || inner.next() == Some('\'');
        return if is_char { (quoted(rest, '\''), Some('s')) } else { (1, None) };
    }
    if first.is_ascii_digit() {
        let length = until(|c| !(c.is_alphanumeric() || c == '_' || c == '.'));
        let range = rest.find("..").unwrap_or(length);
        return (length.min(range), Some('n'));
    }
    if first.is_alphabetic() || first == '_' {
        let length = until(|c| !(c.is_alphanumeric() || c == '_'));
        let word = &rest[..length];
        let after = &rest[length..];
        let class = if KEYWORDS.contains(&word) {
            Some('k')
        } else if after.starts_with('!') && !after.starts_with("!=") {
            return (length + 1, Some('m'));
        } else if first.is_uppercase() {
            Some('t')
        } else {
            None
        };
        return (length, class);
    }
    (first.len_utf8(), None)
}

fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - inside.len();
    Some(inside.find(&close).map_or(rest.len(), |end| start + end + close.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Headings, lists, fenced code, paragraphs; code, emphasis and links inside a line.
pub(crate) fn markdown(text: &str) -> String {
    let mut html = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let trimmed = line.trim_start();
        if let Some(language) = trimmed.strip_prefix("```") {
            let code: Vec<&str> =
                lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")).collect();
            let code = code.join("\n");
            let is_rust = matches!(language.trim(), "rust" | "rs" | "");
            let code = if is_rust { rust(&code) } else { escape(&code) };
            let _ = writeln!(html, "<pre>{code}</pre>");
        } else if let Some((level, title)) = heading(trimmed) {
            let _ = writeln!(html, "<h{level}>{}</h{level}>", inline(title));
        } else if let Some(item) = list_item(trimmed) {
            let mut items = vec![inline(item)];
            while let Some(item) = lines.peek().and_then(|line| list_item(line.trim_start())) {
                items.push(inline(item));
                lines.next();
            }
            let _ = writeln!(html, "<ul><li>{}</li></ul>", items.join("</li><li>"));
        } else if !trimmed.is_empty() {
            let mut paragraph = vec![line];
            while let Some(next) = lines.peek().filter(|next| {
                let next = next.trim_start();
                let block = next.starts_with("```") || heading(next).is_some();
                !(next.is_empty() || block || list_item(next).is_some())
            }) {
                paragraph.push(next);
                lines.next();
            }
            let _ = writeln!(html, "<p>{}</p>", inline(&paragraph.join("\n")));
        }
    }
    html
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.len() - line.trim_start_matches('#').len();
    let title = line[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then_some((level, title))
}

fn list_item(line: &str) -> Option<&str> {
    line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).or_else(|| {
        let (number, item) = line.split_once(". ")?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(item)
    })
}

/// Marks inside a line. Escaped first, so marks are looked for in text that is already safe.
fn inline(text: &str) -> String {
    let text = escape(text);
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(html, "<code>{part}</code>");
        } else {
            html.push_str(&links(&between(&between(part, "**", "strong"), "*", "em")));
        }
    }
    html
}

/// Wraps what stands between two marks into a tag.
fn between(text: &str, mark: &str, tag: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(mark) {
        let Some((inside, remaining)) = after.split_once(mark).filter(|(inside, _)| {
            !inside.is_empty() && !inside.starts_with(' ') && !inside.ends_with(' ')
        }) else {
            html.push_str(before);
            html.push_str(mark);
            rest = after;
            continue;
        };
        let _ = write!(html, "{before}<{tag}>{inside}</{tag}>");
        rest = remaining;
    }
    html.push_str(rest);
    html
}

/// `[text](url)` for web addresses; others stay text.
fn links(text: &str) -> String {
    let mut html = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        html.push_str(before);
        let link = after.split_once("](").and_then(|(label, tail)| {
            let (url, remaining) = tail.split_once(')')?;
            let web = url.starts_with("https://") || url.starts_with("http://");
            (web && !label.contains('[')).then_some((label, url, remaining))
        });
        if let Some((label, url, remaining)) = link {
            let _ = write!(html, "<a href=\"{url}\">{label}</a>");
            rest = remaining;
        } else {
            html.push('[');
            rest = after;
        }
    }
    html.push_str(rest);
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans() {
        assert_eq!(
            ansi("a\u{1b}[1;31m<b>\u{1b}[0mc"),
            "a<span class=\"ansi-bold ansi-1\">&lt;b&gt;</span>c"
        );
        assert_eq!(
            ansi("\u{1b}[38;5;9mx\u{1b}[2Ky"),
            "<span class=\"ansi-1\">x</span><span class=\"ansi-1\">y</span>"
        );
        assert_eq!(ansi("cut \u{1b}[3"), "cut ");
    }

    #[test]
    fn code_keeps_its_text() {
        let code = "%time\nlet s = r#\"a\"b\"#; // \"c\nfor i in 0..10 { println!(\"{i} \\\" <\", 'x', '\\''); let l: &'a str = Vec::<u8>::new(); } \"open";
        let html = rust(code);
        let mut text = String::new();
        let mut inside = false;
        for character in html.chars() {
            match character {
                '<' => inside = true,
                '>' => inside = false,
                _ if !inside => text.push(character),
                _ => {}
            }
        }
        let text = text
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&");
        assert_eq!(text, code);
        assert!(html.contains("<span class=\"k\">let</span>"));
        assert!(html.contains("<span class=\"m\">println!</span>"));
        assert!(html.contains("<span class=\"s\">r#&quot;a&quot;b&quot;#</span>"));
        assert!(html.contains("<span class=\"n\">0</span>..<span class=\"n\">10</span>"));
    }

    #[test]
    fn markdown_is_escaped_and_marked() {
        let html = markdown(
            "# A <b>\n\ntext **bold** `x < y` [d](https://e.org) [j](javascript:1)\n- one\n- two\n\n```rust\nlet a = 1;\n```",
        );
        assert!(html.contains("<h1>A &lt;b&gt;</h1>"), "{html}");
        assert!(
            html.contains(
                "<strong>bold</strong> <code>x &lt; y</code> <a href=\"https://e.org\">d</a>"
            ),
            "{html}"
        );
        assert!(html.contains("[j](javascript:1)"), "{html}");
        assert!(html.contains("<ul><li>one</li><li>two</li></ul>"), "{html}");
        assert!(html.contains("<span class=\"k\">let</span>"), "{html}");
    }
}
