//! Documentation text: rustdoc's HTML without its ornaments, and the same as Markdown and plain text.

use super::html::{Piece, Tag, decode, pieces};

/// Tags that are kept, without attributes.
const KEPT: &[&str] = &[
    "p",
    "pre",
    "code",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "em",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "blockquote",
    "br",
    "hr",
    "del",
    "sup",
    "sub",
];

/// HTML that stands on its own: no scripts, classes, anchors or links into pages that are not there.
pub(super) fn clean(fragment: &str) -> String {
    let mut out = String::with_capacity(fragment.len() / 2);
    let mut skip_anchor = false;
    let mut links = Vec::new();
    for piece in pieces(fragment) {
        match piece {
            Piece::Text(text) if !skip_anchor => out.push_str(text),
            Piece::Text(_) => {}
            Piece::Tag(tag, _) => {
                let name = tag.name();
                if skip_anchor {
                    skip_anchor = name != "/a";
                } else if name == "a" {
                    skip_anchor =
                        ["doc-anchor", "anchor", "tooltip"].iter().any(|one| tag.has_class(one));
                    if !skip_anchor {
                        let target = tag.attribute("href").filter(|url| url.starts_with("http"));
                        links.push(target.is_some());
                        if let Some(url) = target {
                            out.push_str(&format!("<a href=\"{url}\">"));
                        }
                    }
                } else if name == "/a" {
                    if links.pop() == Some(true) {
                        out.push_str("</a>");
                    }
                } else if name == "pre" {
                    out.push_str(if tag.has_class("rust") {
                        "<pre>"
                    } else {
                        "<pre class=\"text\">"
                    });
                } else if KEPT.contains(&name.trim_start_matches('/')) {
                    out.push_str(&format!("<{name}>"));
                }
            }
        }
    }
    out.trim().to_owned()
}

/// Cleaned documentation as Markdown.
#[must_use]
pub(super) fn markdown(html: &str) -> String {
    Converter { marks: true, ..Converter::default() }.convert(html)
}

/// Cleaned documentation as plain text.
#[must_use]
pub(super) fn plain(html: &str) -> String {
    Converter::default().convert(html)
}

/// The first paragraph as plain text, for lists.
#[must_use]
pub(super) fn summary(html: &str) -> String {
    let first = html.split("</p>").next().unwrap_or_default();
    plain(first).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text as HTML.
#[must_use]
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[derive(Default)]
struct Converter {
    marks: bool,
    out: String,
    code_block: bool,
    /// One entry per open list: the number of its next item, 0 in lists without numbers.
    lists: Vec<usize>,
    cells: usize,
    heading_row: bool,
    link: Option<String>,
}

impl Converter {
    fn convert(mut self, html: &str) -> String {
        for piece in pieces(html) {
            match piece {
                Piece::Text(text) if self.code_block => self.out.push_str(&decode(text)),
                Piece::Text(text) => self.words(&decode(text)),
                Piece::Tag(tag, _) => self.tag(tag),
            }
        }
        let mut text = self.out;
        while text.contains("\n\n\n") {
            text = text.replace("\n\n\n", "\n\n");
        }
        text.trim().to_owned()
    }

    /// Text of a paragraph: a line break in it is a space.
    fn words(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_whitespace() {
                if !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
                    self.out.push(' ');
                }
            } else {
                self.out.push(c);
            }
        }
    }

    fn mark(&mut self, text: &str) {
        if self.marks {
            self.out.push_str(text);
        }
    }

    fn paragraph(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push_str("\n\n");
        }
    }

    fn line(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn tag(&mut self, tag: Tag<'_>) {
        match tag.name() {
            "p" | "/p" | "blockquote" | "/blockquote" if self.lists.is_empty() => self.paragraph(),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.paragraph();
                self.mark("#### ");
            }
            "/h1" | "/h2" | "/h3" | "/h4" | "/h5" | "/h6" | "table" | "/table" => self.paragraph(),
            "pre" => {
                self.paragraph();
                self.mark(if tag.has_class("text") { "```text\n" } else { "```rust\n" });
                self.code_block = true;
            }
            "/pre" => {
                self.code_block = false;
                self.line();
                self.mark("```");
                self.out.push_str("\n\n");
            }
            "code" | "/code" if !self.code_block => self.mark("`"),
            "em" | "/em" => self.mark("*"),
            "strong" | "/strong" => self.mark("**"),
            "a" => {
                self.link = tag.attribute("href").map(str::to_owned);
                self.mark("[");
            }
            "/a" => {
                let url = self.link.take().unwrap_or_default();
                self.mark(&format!("]({url})"));
            }
            "ul" | "ol" => {
                if self.lists.is_empty() {
                    self.paragraph();
                }
                self.lists.push(usize::from(tag.name() == "ol"));
            }
            "/ul" | "/ol" => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.paragraph();
                }
            }
            "li" => self.item(),
            "br" => self.out.push('\n'),
            "hr" => {
                self.paragraph();
                self.mark("---\n\n");
            }
            "thead" => self.heading_row = true,
            "tr" => {
                self.line();
                self.cells = 0;
                self.mark("| ");
            }
            "/td" | "/th" => {
                self.cells += 1;
                self.out.push_str(if self.marks { " | " } else { "  " });
            }
            "/tr" => {
                self.line();
                if std::mem::take(&mut self.heading_row) {
                    let line = format!("|{}\n", ":--|".repeat(self.cells));
                    self.mark(&line);
                }
            }
            _ => {}
        }
    }

    fn item(&mut self) {
        self.line();
        let depth = self.lists.len().saturating_sub(1);
        self.out.push_str(&"  ".repeat(depth));
        match self.lists.last_mut() {
            Some(number) if *number > 0 => {
                let mark = format!("{number}. ");
                *number += 1;
                self.out.push_str(&mark);
            }
            _ => self.out.push_str("- "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &str = r##"<p>Puts a <a href="../x.html" title="struct a::X"><code>T</code></a> in,
see <a href="https://e.org/x">there</a>.</p>
<h5 id="panics"><a class="doc-anchor" href="#panics">§</a>Panics</h5>
<ul><li>if <em>full</em></li><li>never else</li></ul>
<div class="example-wrap"><a href="#" class="tooltip">ⓘ</a><pre class="rust rust-example-rendered"><code><span class="kw">let </span>a = <span class="macro">vec!</span>[<span class="number">1</span>];
a.len() &lt; 2;</code></pre></div>"##;

    #[test]
    fn ornaments_go_and_outer_links_stay() {
        let html = clean(BLOCK);
        assert!(html.starts_with("<p>Puts a <code>T</code> in,\nsee <a href=\"https://e.org/x\">"));
        assert!(html.contains("<h5>Panics</h5>"), "{html}");
        assert!(
            html.contains("<pre><code>let a = vec![1];\na.len() &lt; 2;</code></pre>"),
            "{html}"
        );
        assert!(!html.contains("class") && !html.contains(['§', 'ⓘ']), "{html}");
    }

    #[test]
    fn the_same_as_markdown_and_as_text() {
        let html = clean(BLOCK);
        assert_eq!(
            markdown(&html),
            "Puts a `T` in, see [there](https://e.org/x).\n\n#### Panics\n\n- if *full*\n- never else\n\n\
             ```rust\nlet a = vec![1];\na.len() < 2;\n```"
        );
        assert_eq!(
            plain(&html),
            "Puts a T in, see there.\n\nPanics\n\n- if full\n- never else\n\nlet a = vec![1];\na.len() < 2;"
        );
        assert_eq!(summary(&html), "Puts a T in, see there.");
    }

    #[test]
    fn tables_become_markdown_tables() {
        let html = "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td>2</td></tr></tbody></table>";
        assert_eq!(markdown(html), "| a | b |\n|:--|:--|\n| 1 | 2 |");
    }
}
