//! Fragments of rustdoc's HTML: their text, their attributes, what stands between two tags.
//!
//! No parser: rustdoc writes well-formed pages, so a scan over tags is enough, and pages are large.

use std::borrow::Cow;

/// How links to types are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// As on the page: `Vec<T>`.
    Short,
    /// With the path that the link leads to: `std::vec::Vec<T>`. The name is that of the crate whose
    /// pages these are; it is left out of paths.
    Full(&'static str),
}

/// A tag without its brackets: `a class="fn" href="…"`, `/div`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'a>(pub(super) &'a str);

impl<'a> Tag<'a> {
    /// Its name, with a slash in front of a closing one.
    pub(super) fn name(self) -> &'a str {
        self.0.split([' ', '\n']).next().unwrap_or_default().trim_end_matches('/')
    }

    /// The value of an attribute, entities as they are.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        let mut rest = self.0;
        loop {
            let at = rest.find(name)?;
            let before = rest[..at].chars().next_back();
            let after = &rest[at + name.len()..];
            if before.is_some_and(char::is_whitespace)
                && let Some(value) = after.strip_prefix('=')
            {
                let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
                return value[1..].split(quote).next();
            }
            rest = after;
        }
    }

    /// Whether a class is among its own.
    pub(super) fn has_class(self, class: &str) -> bool {
        self.attribute("class").is_some_and(|all| all.split_whitespace().any(|one| one == class))
    }
}

/// A piece of HTML.
pub(super) enum Piece<'a> {
    /// Text with its entities.
    Text(&'a str),
    /// A tag, and where the text behind it starts.
    Tag(Tag<'a>, usize),
}

/// The pieces of a fragment in order.
pub(super) fn pieces(fragment: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = fragment.get(at..).filter(|rest| !rest.is_empty())?;
        if let Some(inner) = rest.strip_prefix('<') {
            let end = inner.find('>').unwrap_or(inner.len());
            at = (at + end + 2).min(fragment.len());
            return Some(Piece::Tag(Tag(&inner[..end]), at));
        }
        let end = rest.find('<').unwrap_or(rest.len());
        at += end;
        Some(Piece::Text(&rest[..end]))
    })
}

/// The text of a fragment.
pub(super) fn text(fragment: &str, names: Names) -> String {
    let mut out = String::new();
    let mut skip_to: Option<&str> = None;
    for piece in pieces(fragment) {
        match piece {
            Piece::Tag(tag, _) => {
                if let Some(end) = skip_to {
                    if tag.name() == end {
                        skip_to = None;
                    }
                    continue;
                }
                match tag.name() {
                    "a" if is_ornament(tag) => skip_to = Some("/a"),
                    "a" => {
                        if let Some(path) = linked_path(tag, names) {
                            out.push_str(path);
                            skip_to = Some("/a");
                        }
                    }
                    "summary" => skip_to = Some("/summary"),
                    "div" if tag.has_class("where") && !out.ends_with('\n') => out.push('\n'),
                    "br" => out.push('\n'),
                    _ => {}
                }
            }
            Piece::Text(text) if skip_to.is_none() => out.push_str(&decode(text)),
            Piece::Text(_) => {}
        }
    }
    out.replace('\u{a0}', " ").trim().to_owned()
}

/// Links that are no part of the text: anchors, tooltips, links to sources.
fn is_ornament(tag: Tag<'_>) -> bool {
    ["anchor", "doc-anchor", "tooltip", "src"].iter().any(|class| tag.has_class(class))
}

fn linked_path(tag: Tag<'_>, names: Names) -> Option<&str> {
    let Names::Full(own) = names else { return None };
    if tag.attribute("href")?.contains('#') {
        return None;
    }
    let (kind, path) = tag.attribute("title")?.split_once(' ')?;
    if !matches!(kind, "struct" | "enum" | "union" | "trait" | "type") {
        return None;
    }
    Some(path.strip_prefix(own).and_then(|path| path.strip_prefix("::")).unwrap_or(path))
}

/// Text without entities.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let decoded = rest.find(';').filter(|end| *end < 12).and_then(|end| {
            let c = match &rest[1..end] {
                "lt" => '<',
                "gt" => '>',
                "amp" => '&',
                "quot" => '"',
                "apos" => '\'',
                "nbsp" => '\u{a0}',
                other => {
                    let digits = other.strip_prefix('#')?;
                    let code = match digits.strip_prefix('x') {
                        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
                        None => digits.parse().ok()?,
                    };
                    char::from_u32(code)?
                }
            };
            Some((c, end + 1))
        });
        let (c, length) = decoded.unwrap_or(('&', 1));
        out.push(c);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What stands behind `start` up to `end`, if both are there.
pub(super) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// The inside of the first `div` of class `docblock`, with the divs in it.
pub(super) fn docblock(text: &str) -> Option<&str> {
    let at = ["<div class=\"docblock\">", "<div class='docblock'>"]
        .iter()
        .filter_map(|mark| text.find(mark).map(|at| at + mark.len()))
        .min()?;
    let inner = &text[at..];
    let mut depth = 1;
    let mut start = 0;
    for piece in pieces(inner) {
        if let Piece::Tag(tag, behind) = piece {
            match tag.name() {
                "div" => depth += 1,
                "/div" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(&inner[..start]);
            }
            start = behind;
        } else if let Piece::Text(text) = piece {
            start += text.len();
        }
    }
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: &str = r##"pub fn <a href="#method.with" class="fn">with</a>(&amp;self, x: <a class="struct" href="../x/struct.Bag.html" title="struct pages::x::Bag">Bag</a>&lt;T&gt;) -&gt; <a class="struct" href="https://e.org/alloc/vec/struct.Vec.html" title="struct alloc::vec::Vec">Vec</a>&lt;T&gt; <a href="#" class="tooltip" data-notable-ty="x">ⓘ</a><div class="where">where
    T: <a class="trait" href="trait.Ord.html" title="trait pages::Ord">Ord</a>,</div>"##;

    #[test]
    fn text_has_short_or_full_names() {
        assert_eq!(
            text(METHOD, Names::Short),
            "pub fn with(&self, x: Bag<T>) -> Vec<T> \nwhere\n    T: Ord,"
        );
        assert_eq!(
            text(METHOD, Names::Full("pages")),
            "pub fn with(&self, x: x::Bag<T>) -> alloc::vec::Vec<T> \nwhere\n    T: Ord,"
        );
    }

    #[test]
    fn entities_are_decoded_and_what_is_none_stays() {
        assert_eq!(decode("a &lt; b &amp;&amp; &#39;c&#x27; & d;"), "a < b && 'c' & d;");
        assert_eq!(decode("&unknown; é"), "&unknown; é");
    }

    #[test]
    fn a_docblock_ends_with_its_own_div() {
        let page = "<h1/><div class=\"docblock\"><p>a</p><div><div>b</div></div>c</div><p>no</p>";
        assert_eq!(docblock(page), Some("<p>a</p><div><div>b</div></div>c"));
        assert_eq!(docblock("<p>none</p>"), None);
    }

    #[test]
    fn attributes_are_found_by_their_whole_name() {
        let tag = Tag("a data-class=\"x\" class=\"fn big\" title='t'");
        assert_eq!((tag.name(), tag.attribute("title")), ("a", Some("t")));
        assert!(tag.has_class("big") && !tag.has_class("x"));
        assert!(Tag("/div").attribute("class").is_none());
    }
}
