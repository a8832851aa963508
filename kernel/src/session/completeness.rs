//! Whether a cell is whole, for consoles: `is_complete_request`.

use crate::assist::lex::{End, Kind, Tokens};
use crate::cell;
use crate::magics::{self, Segment};
use crate::server::handler::Completeness;

/// Columns of one step of indentation.
const STEP: usize = 4;

/// Judges a cell. Magics are whole by themselves; Rust is whole when it parses and nothing at its end
/// asks for more.
#[must_use]
pub(crate) fn judge(code: &str) -> Completeness {
    for segment in magics::split(code) {
        let Segment::Rust(text) = segment else { continue };
        let tokens = Tokens::read(&text);
        if matches!(tokens.end, End::Text(_) | End::Comment) {
            // White space counts in a string.
            return incomplete(0);
        }
        let Some(depth) = open(&tokens) else { return Completeness::Invalid };
        if depth > 0 {
            return incomplete(depth);
        }
        match cell::parse(&text) {
            Err(error) if error.message.contains("unexpected end of input") => {
                return incomplete(1);
            }
            _ if trails(&tokens) => return incomplete(1),
            Err(_) if is_open_let(&text) => return incomplete(1),
            Err(_) => return Completeness::Invalid,
            Ok(_) => {}
        }
    }
    Completeness::Complete
}

fn incomplete(steps: usize) -> Completeness {
    Completeness::Incomplete { indent: " ".repeat(STEP * steps) }
}

/// How many brackets are open; `None` when one closes what was not opened.
fn open(tokens: &Tokens<'_>) -> Option<usize> {
    let mut stack = Vec::new();
    for (index, token) in tokens.all.iter().enumerate() {
        match token.kind {
            Kind::Open => stack.push(tokens.word(index)),
            Kind::Close => {
                let wanted = match tokens.word(index) {
                    ")" => "(",
                    "]" => "[",
                    _ => "{",
                };
                if stack.pop() != Some(wanted) {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(stack.len())
}

/// An operator or comma at the end asks for more; `?` and `;` do not.
fn trails(tokens: &Tokens<'_>) -> bool {
    let Some(last) = tokens.all.len().checked_sub(1) else { return false };
    tokens.kind(last) == Some(Kind::Mark) && "+-*/%=&|^<,.:!@".contains(tokens.word(last))
        || (tokens.is(last, ">") && last > 0 && matches!(tokens.word(last - 1), "-" | "="))
}

/// A `let` at the end that lacks its value, its `;` or the end of its type.
fn is_open_let(text: &str) -> bool {
    [";", "= ();", "> = ();"].iter().any(|rest| cell::parse(&format!("{text}\n{rest}")).is_ok())
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
            "let v: Vec<Vec<i32>> = Vec::new();",
            "// only a comment {",
            "/* a { */ 1",
            "r#\"a \" { b\"#.len()",
            "f()?",
            "%%bash\necho (",
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
        for code in [
            "a +",
            "a &&",
            "a ||",
            "let f = |x|",
            "fn f() ->",
            "fn f<T>(x: T) where T: Clone,",
            "let v: Vec<Vec<i32>",
            "#[derive(Debug)]",
            "if a {} else",
            "match x",
            "let x = 1",
            "0..n .",
            "x // more\n    .max(",
            "struct A<T>",
        ] {
            assert!(indent(code).is_some_and(|columns| columns >= 4), "{code}");
        }
        assert_eq!(indent("let s = br##\"a\"#"), Some(0));
        assert_eq!(indent("/* a /* b */"), Some(0));
    }

    #[test]
    fn crossed_brackets_are_invalid() {
        assert_eq!(judge("let x = (1];"), Completeness::Invalid);
        assert_eq!(judge("let if = 2;"), Completeness::Invalid);
        assert_eq!(judge("fn f() }"), Completeness::Invalid);
        assert_eq!(judge("let x = );"), Completeness::Invalid);
    }
}
