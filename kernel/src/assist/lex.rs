//! Tokens of unfinished code. Rust's own lexers refuse text that stops in the middle of a string;
//! this one says where it stopped.

use std::ops::Range;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// A whole string, raw and byte strings included.
    Text,
    /// A character or byte.
    Character,
    /// `'a`.
    Lifetime,
    /// `(`, `[`, `{`.
    Open,
    /// `)`, `]`, `}`.
    Close,
    /// Any other character.
    Mark,
}

/// A token and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) range: Range<usize>,
}

/// Where the text ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Between tokens or at the end of one.
    Code,
    /// In a string whose content starts at this byte.
    Text(usize),
    /// In a comment that is not closed.
    Comment,
    /// In a comment that ends with its line.
    LineComment,
}

/// Tokens of a text, and where it ends.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) text: &'a str,
    pub(crate) all: Vec<Token>,
    pub(crate) end: End,
}

impl<'a> Tokens<'a> {
    /// Reads a text.
    pub(crate) fn read(text: &'a str) -> Self {
        let mut tokens = Self { text, all: Vec::new(), end: End::Code };
        let mut at = 0;
        while at < text.len() {
            match tokens.next(at) {
                Some(next) => at = next,
                None => break,
            }
        }
        tokens
    }

    /// The text of a token.
    pub(crate) fn word(&self, index: usize) -> &'a str {
        self.all.get(index).map_or("", |token| &self.text[token.range.clone()])
    }

    /// Whether the token is this mark or bracket.
    pub(crate) fn is(&self, index: usize, mark: &str) -> bool {
        self.word(index) == mark
    }

    /// Whether a bracket or mark stands at an index and is this one, for an index that may be before
    /// the first token.
    pub(crate) fn kind(&self, index: usize) -> Option<Kind> {
        self.all.get(index).map(|token| token.kind)
    }

    /// Indices of brackets that are open at the end, outermost first.
    pub(crate) fn open(&self) -> Vec<usize> {
        let mut stack = Vec::new();
        for (index, token) in self.all.iter().enumerate() {
            match token.kind {
                Kind::Open => stack.push(index),
                Kind::Close => {
                    stack.pop();
                }
                _ => {}
            }
        }
        stack
    }

    /// The index of the bracket that a closing one belongs to.
    pub(crate) fn opener(&self, close: usize) -> Option<usize> {
        let mut depth = 0;
        for index in (0..=close).rev() {
            match self.all[index].kind {
                Kind::Close => depth += 1,
                Kind::Open => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(index);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Reads one token or stretch of space; returns where the next starts, `None` at the end.
    fn next(&mut self, at: usize) -> Option<usize> {
        let rest = &self.text[at..];
        let first = rest.chars().next()?;
        if first.is_whitespace() {
            return Some(at + first.len_utf8());
        }
        if rest.starts_with("//") {
            let Some(length) = rest.find('\n') else {
                self.end = End::LineComment;
                return None;
            };
            return Some(at + length + 1);
        }
        if rest.starts_with("/*") {
            return self.comment(at);
        }
        if let Some((quotes, marks)) = raw_start(rest) {
            let end = format!("\"{}", "#".repeat(marks));
            return self
                .string(at, quotes, |inside| inside.find(&end).map(|found| found + end.len()));
        }
        let prefix = usize::from(rest.starts_with("b\"") || rest.starts_with("c\""));
        if rest[prefix..].starts_with('"') {
            return self.string(at, prefix + 1, closing_quote);
        }
        if first == '\'' || rest.starts_with("b'") {
            let (kind, length) = quoted(&rest[usize::from(first == 'b')..]);
            let end = at + length + usize::from(first == 'b');
            self.push(kind, at..end);
            return Some(end);
        }
        if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            self.push(Kind::Word, at..at + end);
            return Some(at + end);
        }
        if first.is_ascii_digit() {
            let end = at + number(rest);
            self.push(Kind::Number, at..end);
            return Some(end);
        }
        let kind = match first {
            '(' | '[' | '{' => Kind::Open,
            ')' | ']' | '}' => Kind::Close,
            _ => Kind::Mark,
        };
        let end = at + first.len_utf8();
        self.push(kind, at..end);
        Some(end)
    }

    fn push(&mut self, kind: Kind, range: Range<usize>) {
        self.all.push(Token { kind, range });
    }

    fn comment(&mut self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut depth = 0;
        let mut here = at;
        while here + 1 < bytes.len() {
            match &bytes[here..here + 2] {
                b"/*" => {
                    depth += 1;
                    here += 2;
                }
                b"*/" => {
                    depth -= 1;
                    here += 2;
                    if depth == 0 {
                        return Some(here);
                    }
                }
                _ => here += 1,
            }
        }
        self.end = End::Comment;
        None
    }

    /// A string whose content starts `skip` bytes behind `at`; `close` finds the end in the content.
    fn string(
        &mut self,
        at: usize,
        skip: usize,
        close: impl Fn(&str) -> Option<usize>,
    ) -> Option<usize> {
        let start = at + skip;
        let Some(length) = close(&self.text[start..]) else {
            self.end = End::Text(start);
            return None;
        };
        self.push(Kind::Text, at..start + length);
        Some(start + length)
    }
}

/// Length of `r##"` and the like, and the number of marks.
fn raw_start(text: &str) -> Option<(usize, usize)> {
    let rest = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let marks = rest.len() - rest.trim_start_matches('#').len();
    rest[marks..].starts_with('"').then(|| (text.len() - rest.len() + marks + 1, marks))
}

fn closing_quote(content: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in content.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A character literal or a lifetime, and its length.
fn quoted(text: &str) -> (Kind, usize) {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            let end = chars.skip(1).find(|(_, c)| *c == '\'').map_or(text.len(), |(at, _)| at + 1);
            (Kind::Character, end)
        }
        Some((at, first)) if text[at + first.len_utf8()..].starts_with('\'') => {
            (Kind::Character, at + first.len_utf8() + 1)
        }
        Some((at, _)) => {
            let name = &text[at..];
            let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'));
            (Kind::Lifetime, at + end.unwrap_or(name.len()))
        }
        None => (Kind::Lifetime, 1),
    }
}

/// Length of a number: a point belongs to it if no name and no second point follows.
fn number(text: &str) -> usize {
    let part = |text: &str| {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
    };
    let whole = part(text);
    let Some(rest) = text[whole..].strip_prefix('.') else { return whole };
    if rest.starts_with(|c: char| c.is_ascii_digit()) { whole + 1 + part(rest) } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let tokens = Tokens::read(text);
        (0..tokens.all.len()).map(|index| tokens.word(index)).collect()
    }

    #[test]
    fn tokens_of_whole_code() {
        assert_eq!(
            words("let é = x.f(1.5, 0..n);"),
            ["let", "é", "=", "x", ".", "f", "(", "1.5", ",", "0", ".", ".", "n", ")", ";"]
        );
        assert_eq!(
            words("'a' 'b: '\\'' b'x' r#\"a\"b\"# b\"c\""),
            ["'a'", "'b", ":", "'\\''", "b'x'", "r#\"a\"b\"#", "b\"c\""]
        );
        assert_eq!(words("a /* b /* c */ */ d // e\nf"), ["a", "d", "f"]);
        assert_eq!(
            words("1.max(2) t.0.x"),
            ["1", ".", "max", "(", "2", ")", "t", ".", "0", ".", "x"]
        );
    }

    #[test]
    fn the_end_is_known() {
        for (text, end) in [
            ("f(\"abc", End::Text(3)),
            ("f(\"a\\\"b", End::Text(3)),
            ("r##\"a\"#", End::Text(4)),
            ("x // y", End::LineComment),
            ("/* x", End::Comment),
            ("f(\"a\")", End::Code),
            ("'", End::Code),
            ("🦀", End::Code),
        ] {
            assert_eq!(Tokens::read(text).end, end, "{text}");
        }
        let tokens = Tokens::read("f(a[1], {x(");
        let open: Vec<&str> = tokens.open().into_iter().map(|index| tokens.word(index)).collect();
        assert_eq!(open, ["(", "{", "("]);
    }
}
