//! Follows Rust text far enough to know whether a place stands outside strings, comments and brackets.
//!
//! [`Scanner`] is fed line by line. It is forgiving: text that is not Rust only makes it unsure, and
//! what is unsure counts as inside.

/// Where the text so far has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scanner {
    state: State,
    depth: i32,
    last: Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Code,
    /// `/* */`, nested.
    Comment(u32),
    /// `"…"`.
    Text,
    /// `r##"…"##` with so many marks.
    Raw(usize),
}

/// What the code so far ends with, comments and white space aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    /// `;` or `}`.
    End,
    Other,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { state: State::Code, depth: 0, last: Last::Nothing }
    }

    /// Outside strings, comments and brackets, and after a whole statement (or before any).
    pub(super) fn is_between_statements(&self) -> bool {
        self.state == State::Code && self.depth == 0 && self.last != Last::Other
    }

    /// Inside a string, where white space counts.
    pub(super) fn is_in_string(&self) -> bool {
        matches!(self.state, State::Text | State::Raw(_))
    }

    /// Reads a line, given without its line break.
    pub(super) fn line(&mut self, line: &str) {
        let bytes = line.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            at = match self.state {
                State::Code => self.code(line, at),
                State::Comment(depth) => self.comment(bytes, at, depth),
                State::Text => self.text(bytes, at),
                State::Raw(marks) => self.raw(bytes, at, marks),
            };
        }
    }

    fn code(&mut self, line: &str, at: usize) -> usize {
        let bytes = line.as_bytes();
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            return bytes.len();
        }
        if rest.starts_with(b"/*") {
            self.state = State::Comment(1);
            return at + 2;
        }
        let byte = bytes[at];
        match byte {
            b'"' => self.state = State::Text,
            b'\'' => {
                self.last = Last::Other;
                return at + quoted(&line[at..]);
            }
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => self.depth -= 1,
            _ if is_word(byte) => {
                let word = rest.iter().take_while(|byte| is_word(**byte)).count();
                self.last = Last::Other;
                return self.prefixed(bytes, at, word);
            }
            _ => {}
        }
        match byte {
            b';' | b'}' => self.last = Last::End,
            _ if byte.is_ascii_whitespace() => {}
            _ => self.last = Last::Other,
        }
        // The next character's start: multi-byte characters are of no interest.
        at + line[at..].chars().next().map_or(1, char::len_utf8)
    }

    /// After a word, which may be the `r`, `br` or `cr` of a raw string.
    fn prefixed(&mut self, bytes: &[u8], at: usize, word: usize) -> usize {
        let after = at + word;
        if matches!(&bytes[at..after], b"r" | b"br" | b"cr") {
            let marks = bytes[after..].iter().take_while(|byte| **byte == b'#').count();
            if bytes.get(after + marks) == Some(&b'"') {
                self.state = State::Raw(marks);
                return after + marks + 1;
            }
        }
        after
    }

    fn comment(&mut self, bytes: &[u8], at: usize, depth: u32) -> usize {
        if bytes[at..].starts_with(b"/*") {
            self.state = State::Comment(depth + 1);
            at + 2
        } else if bytes[at..].starts_with(b"*/") {
            self.state = if depth == 1 { State::Code } else { State::Comment(depth - 1) };
            at + 2
        } else {
            at + 1
        }
    }

    fn text(&mut self, bytes: &[u8], at: usize) -> usize {
        match bytes[at] {
            b'\\' => at + 2,
            b'"' => {
                self.state = State::Code;
                self.last = Last::Other;
                at + 1
            }
            _ => at + 1,
        }
    }

    fn raw(&mut self, bytes: &[u8], at: usize, marks: usize) -> usize {
        let closing = bytes[at] == b'"'
            && bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count() >= marks;
        if closing {
            self.state = State::Code;
            self.last = Last::Other;
            at + 1 + marks
        } else {
            at + 1
        }
    }
}

/// Length of the character literal at the start of `text`, or of the `'` of a lifetime.
fn quoted(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match characters.next() {
        Some((_, '\\')) => {
            // The escaped character is skipped, so that `'\''` ends at its last quote.
            let end = characters.skip(1).find(|(_, character)| *character == '\'');
            end.map_or(text.len(), |(index, _)| index + 1)
        }
        Some(_) => match characters.next() {
            Some((index, '\'')) => index + 1,
            _ => 1,
        },
        None => 1,
    }
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(text: &str) -> bool {
        let mut scanner = Scanner::new();
        text.lines().for_each(|line| scanner.line(line));
        scanner.is_between_statements()
    }

    #[test]
    fn whole_statements_are_left_behind() {
        for text in [
            "",
            "// note",
            "let x = 1;",
            "fn f() {}",
            "let c = '{';",
            "let c = '\\'';",
            "let c = '\"';",
            "let s = \"{ \\\" (\";",
            "let s = r#\"{ \" \"#;",
            "let s = br##\"\"# \"##;",
            "/* { /* ( */ \" */ let x = 1;",
            "fn f<'a>(x: &'a str) -> &'a str { x }",
            "let x = 1; // (",
            "let ü = 'ü';",
            "loop { 'outer: loop { break 'outer; } }",
        ] {
            assert!(between(text), "{text}");
        }
    }

    #[test]
    fn what_is_open_is_not_left() {
        for text in [
            "let x = (1,",
            "let s = \"open",
            "let s = \"open \\",
            "let s = r#\"open\" ",
            "/* open",
            "/* /* */",
            "fn f() {",
            "let x = a",
            "#[derive(Debug)]",
            "x",
            "\"text\"",
            "'c'",
        ] {
            assert!(!between(text), "{text}");
        }
    }
}
