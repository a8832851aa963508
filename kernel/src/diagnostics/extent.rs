//! How far the expression reaches that failed: a panic tells only where it begins, and of a `?` only
//! where its value ends is known.

use std::ops::Range;

use syn::spanned::Spanned;

use crate::assist::lex::{Kind, Tokens};

/// What panicked with this message at a byte: the macro, the call, the index or the arithmetic that
/// begins there.
#[must_use]
pub(crate) fn of_panic(text: &str, at: usize, message: &str) -> Range<usize> {
    let at = boundary(text, at);
    if let Some(range) = of_index(text, at) {
        return range;
    }
    proc_macro2::extra::invalidate_current_thread_spans();
    let begins = |input: syn::parse::ParseStream| {
        let found: syn::Expr = input.parse()?;
        let _rest: proc_macro2::TokenStream = input.parse()?;
        Ok(found)
    };
    let parsed = syn::parse::Parser::parse_str(begins, rest_of_statement(&text[at..]));
    let Ok(mut expression) = parsed else { return word(text, at) };
    let arithmetic = message.starts_with("attempt to ");
    // What begins at the same byte, from the outside in: the first that can panic like this.
    loop {
        let fits = match &expression {
            syn::Expr::Binary(_) | syn::Expr::Unary(_) => arithmetic,
            syn::Expr::Index(_) | syn::Expr::Macro(_) | syn::Expr::Call(_) => !arithmetic,
            _ => false,
        };
        if fits {
            return at..at + expression.span().byte_range().end;
        }
        expression = match expression {
            syn::Expr::Binary(one) => *one.left,
            syn::Expr::Assign(one) => *one.left,
            syn::Expr::Index(one) => *one.expr,
            syn::Expr::Call(one) => *one.func,
            syn::Expr::MethodCall(one) => *one.receiver,
            syn::Expr::Field(one) => *one.base,
            syn::Expr::Try(one) => *one.expr,
            syn::Expr::Await(one) => *one.base,
            syn::Expr::Cast(one) => *one.expr,
            _ => return word(text, at),
        };
    }
}

/// What is indexed by the bracket at a byte, where one is: a vector's index begins there for rustc.
fn of_index(text: &str, at: usize) -> Option<Range<usize>> {
    let tokens = Tokens::read(text);
    let open = tokens.all.iter().position(|token| token.range.start == at)?;
    let mut before = open.checked_sub(1).filter(|_| tokens.is(open, "["))?;
    while tokens.is(before, "?") {
        before = before.checked_sub(1)?;
    }
    if !(is_name(&tokens, before) || matches!(tokens.word(before), ")" | "]")) {
        return None;
    }
    let close = (open..tokens.all.len()).find(|close| {
        tokens.kind(*close) == Some(Kind::Close) && tokens.opener(*close) == Some(open)
    })?;
    Some(tokens.all[step(&tokens, before)].range.start..tokens.all[close].range.end)
}

/// A text up to the first `;`, or the first bracket that closes what stands around it.
fn rest_of_statement(text: &str) -> &str {
    let mut depth = 0;
    for token in Tokens::read(text).all {
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close if depth == 0 => return &text[..token.range.start],
            Kind::Close => depth -= 1,
            _ if depth == 0 && &text[token.range.clone()] == ";" => {
                return &text[..token.range.start];
            }
            _ => {}
        }
    }
    text
}

/// The last step of what `?` was asked of, whose last byte is known, with the `?`.
#[must_use]
pub(crate) fn of_question(text: &str, at: usize) -> Range<usize> {
    let tokens = Tokens::read(text);
    let at = boundary(text, at);
    let Some(last) = tokens.all.iter().position(|token| token.range.contains(&at)) else {
        return word(text, at);
    };
    let start = tokens.all[step(&tokens, last)].range.start;
    let asked = tokens.is(last + 1, "?");
    start..tokens.all[if asked { last + 1 } else { last }].range.end
}

/// The first token of the step that ends with a token: `name`, `name(..)`, `name::<..>(..)`, `name!(..)`.
fn step(tokens: &Tokens<'_>, last: usize) -> usize {
    if tokens.is(last, ">") {
        return arguments(tokens, last).unwrap_or(last);
    }
    if tokens.kind(last) != Some(Kind::Close) {
        return last;
    }
    let Some(open) = tokens.opener(last) else { return last };
    let Some(before) = open.checked_sub(1).filter(|_| !tokens.is(open, "{")) else { return open };
    match tokens.word(before) {
        "!" if before > 0 && is_name(tokens, before - 1) => before - 1,
        ">" => arguments(tokens, before).unwrap_or(open),
        _ if is_name(tokens, before) => before,
        _ => open,
    }
}

fn is_name(tokens: &Tokens<'_>, index: usize) -> bool {
    syn::parse_str::<syn::Ident>(tokens.word(index)).is_ok()
}

/// The name in front of `::<..>` that ends with a token.
fn arguments(tokens: &Tokens<'_>, close: usize) -> Option<usize> {
    let mut depth = 0;
    for index in (0..=close).rev() {
        if tokens.is(index, ">") && !(index > 0 && tokens.is(index - 1, "-")) {
            depth += 1;
        } else if tokens.is(index, "<") {
            depth -= 1;
            if depth == 0 {
                let name = index.checked_sub(3)?;
                let is_path = tokens.is(index - 1, ":") && tokens.is(index - 2, ":");
                return (is_path && is_name(tokens, name)).then_some(name);
            }
        }
    }
    None
}

/// The name at a byte, or the character.
fn word(text: &str, at: usize) -> Range<usize> {
    let rest = &text[at..];
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let least = rest.chars().next().map_or(0, char::len_utf8);
    at..at + end.max(least)
}

/// The last place before a byte where a character begins.
pub(super) fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panicked_is_found_from_where_it_begins() {
        for (text, at, message, expected) in [
            ("panic!(\"on {}\", 1);\nlet b = 2;", "panic", "on 1", "panic!(\"on {}\", 1)"),
            ("let y = v[10] + 1;", "v[", "index out of bounds", "v[10]"),
            ("let y = v[10] + 1;", "[", "index out of bounds", "v[10]"),
            ("self.rows(2)[f(1)[0]].a", "[f", "index out of bounds", "rows(2)[f(1)[0]]"),
            ("rows()?[n]", "[n", "index out of bounds", "rows()?[n]"),
            ("let y = [1, 2][n];", "[1", "index out of bounds", "[1, 2][n]"),
            ("let y = v[", "[", "index out of bounds", "["),
            ("let y = v[0][10].max(2);", "v[", "index out of bounds", "v[0][10]"),
            ("let y = (a / b).abs();", "a /", "attempt to divide by zero", "a / b"),
            ("let y = -x;", "-", "attempt to negate with overflow", "-x"),
            ("total += x;", "total", "attempt to add with overflow", "total += x"),
            ("let n = text.parse::<i32>().unwrap();", "unwrap", "called `..`", "unwrap()"),
            ("foo(1)?.expect(\"é\")\n%who", "expect", "é", "expect(\"é\")"),
            ("name", "name", "anything", "name"),
            ("é \"", "é", "anything", "é"),
        ] {
            let at = text.find(at).expect("is there");
            assert_eq!(&text[of_panic(text, at, message)], expected, "{text}");
        }
        for at in [0, 1, 2, 3, 9] {
            assert!(of_panic("é\"", at, "").end <= 3 && of_question("é\"", at).end <= 3);
        }
    }

    #[test]
    fn what_was_asked_is_found_from_its_end() {
        for (text, expected) in [
            ("\"x\".parse()?", "parse()?"),
            ("\"x\".parse::<Vec<i32>>()?;", "parse::<Vec<i32>>()?"),
            ("None::<i32>?", "None::<i32>?"),
            ("maybe?", "maybe?"),
            ("check!(a, (b))?;", "check!(a, (b))?"),
            ("later.await?", "await?"),
            ("(a)?", "(a)?"),
            ("return (a)?", "(a)?"),
            ("match a { _ => b }?", "{ _ => b }?"),
        ] {
            let end = text.find('?').expect("asks") - 1;
            assert_eq!(&text[of_question(text, end)], expected, "{text}");
        }
    }
}
