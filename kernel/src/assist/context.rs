//! What stands at the cursor of unfinished code.

use super::lex::{End, Kind, Tokens};

/// The name that stands for what is being typed where code must be whole.
pub(super) const HOLE: &str = "oxilab_hole";

/// What is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Context {
    /// Nothing that could be completed: a comment, a number.
    Nothing,
    /// Behind a dot. The code before the cursor, made whole, with [`HOLE`] as the member.
    Member {
        /// Whole code.
        whole: String,
    },
    /// Behind `::`: the segments before it, in a `use` those of the groups around it included.
    Path {
        /// Names of the segments.
        segments: Vec<String>,
        /// Whether it is in a `use` declaration.
        import: bool,
    },
    /// At the start of a path in a `use` declaration.
    Import,
    /// In `#[derive(…)]`.
    Derive,
    /// Where a field of this struct can stand.
    Field {
        /// The path in front of the brace.
        path: Vec<String>,
        /// Fields that are there already.
        present: Vec<String>,
    },
    /// In a string.
    Text {
        /// What is in it before the cursor.
        content: String,
        /// What it is an argument of, nearest first: `col`, `select`; `[` for an index.
        callees: Vec<String>,
        /// Names in the statement around it, in order.
        names: Vec<String>,
    },
    /// A name by itself.
    Name,
}

/// The word before the cursor and what is around it. The cursor stands at the end of `before`.
pub(super) fn at_end(before: &str) -> (String, Context) {
    let tokens = Tokens::read(before);
    match tokens.end {
        End::Comment | End::LineComment => return (String::new(), Context::Nothing),
        End::Text(start) => return (String::new(), in_text(&tokens, start)),
        End::Code => {}
    }
    let last = tokens.all.last();
    let touches = last.is_some_and(|token| token.range.end == before.len());
    let word = match last {
        Some(token) if touches && token.kind == Kind::Word => {
            before[token.range.clone()].to_owned()
        }
        Some(token) if touches && matches!(token.kind, Kind::Number | Kind::Lifetime) => {
            return (String::new(), Context::Nothing);
        }
        _ => String::new(),
    };
    // Index of the token behind the one before the word.
    let end = tokens.all.len() - usize::from(!word.is_empty());
    let context = behind(&tokens, end);
    (word, context)
}

fn behind(tokens: &Tokens<'_>, end: usize) -> Context {
    let is = |back: usize, mark: &str| end >= back && tokens.is(end - back, mark);
    if is(1, ".") && !is(2, ".") {
        return match whole(tokens, end) {
            Some(whole) => Context::Member { whole },
            None => Context::Nothing,
        };
    }
    if is(1, ":") && is(2, ":") {
        let mut segments = segments_before(tokens, end - 2);
        let import = in_use(tokens, end);
        if import {
            segments =
                with_groups(tokens, end - 2 - 3 * segments.len().saturating_sub(1), segments);
        }
        return Context::Path { segments, import };
    }
    if in_use(tokens, end) {
        let prefix = with_groups(tokens, end, Vec::new());
        return if prefix.is_empty() {
            Context::Import
        } else {
            Context::Path { segments: prefix, import: true }
        };
    }
    let open = Tokens { all: tokens.all[..end].to_vec(), ..tokens.clone() }.open();
    if let Some(&bracket) = open.last() {
        if tokens.is(bracket, "(") && bracket >= 1 && tokens.is(bracket - 1, "derive") {
            return Context::Derive;
        }
        if tokens.is(bracket, "{")
            && (is(1, "{") || is(1, ","))
            && let Some(found) = struct_literal(tokens, bracket, end)
        {
            return found;
        }
    }
    Context::Name
}

/// `Point { x: 1, ` → the fields of `Point`; only where a type's name stands before the brace.
fn struct_literal(tokens: &Tokens<'_>, bracket: usize, end: usize) -> Option<Context> {
    let path = segments_before(tokens, bracket);
    let first = path.last()?.chars().next()?;
    if !first.is_uppercase() {
        return None;
    }
    let start = bracket + 1 - (path.len() * 3 - 2) - 1;
    if start > 0 {
        let before = tokens.word(start - 1);
        if matches!(
            before,
            "struct" | "enum" | "impl" | "for" | "trait" | "union" | "match" | "if" | ">"
        ) {
            return None;
        }
    }
    let mut present = Vec::new();
    let mut depth = 0;
    for index in bracket + 1..end {
        match tokens.all[index].kind {
            Kind::Open => depth += 1,
            Kind::Close => depth -= 1,
            Kind::Word
                if depth == 0 && (tokens.is(index - 1, "{") || tokens.is(index - 1, ",")) =>
            {
                present.push(tokens.word(index).to_owned());
            }
            _ => {}
        }
    }
    Some(Context::Field { path, present })
}

/// The segments of the path that ends before a token: `std::vec` before `::Vec`. Arguments of types
/// are passed over.
pub(super) fn segments_before(tokens: &Tokens<'_>, end: usize) -> Vec<String> {
    let mut segments = Vec::new();
    let mut at = end;
    loop {
        if at == 0 {
            break;
        }
        if tokens.is(at - 1, ">") {
            let Some(start) = angle_start(tokens, at - 1) else { break };
            at = start;
            if at >= 2 && tokens.is(at - 1, ":") && tokens.is(at - 2, ":") {
                at -= 2;
            }
        }
        if at == 0 || tokens.kind(at - 1) != Some(Kind::Word) {
            break;
        }
        segments.insert(0, tokens.word(at - 1).to_owned());
        at -= 1;
        if at >= 2 && tokens.is(at - 1, ":") && tokens.is(at - 2, ":") {
            at -= 2;
        } else {
            break;
        }
    }
    segments
}

/// The index of the `<` that a `>` belongs to.
fn angle_start(tokens: &Tokens<'_>, close: usize) -> Option<usize> {
    let mut depth = 0;
    for index in (0..=close).rev() {
        match tokens.word(index) {
            ">" if index == 0 || !tokens.is(index - 1, "-") => depth += 1,
            "<" => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            ";" | "{" | "}" => return None,
            _ => {}
        }
    }
    None
}

/// Whether a token is in a `use` declaration: nothing but paths and groups since the word `use`.
fn in_use(tokens: &Tokens<'_>, end: usize) -> bool {
    for index in (0..end).rev() {
        match tokens.word(index) {
            "use" => return true,
            ":" | "," | "{" | "}" | "*" | "as" => {}
            _ if tokens.kind(index) == Some(Kind::Word) => {}
            _ => return false,
        }
    }
    false
}

/// In a `use` declaration: the segments in front of the groups that are open before a token.
fn with_groups(tokens: &Tokens<'_>, end: usize, inner: Vec<String>) -> Vec<String> {
    let before = Tokens { all: tokens.all[..end.min(tokens.all.len())].to_vec(), ..tokens.clone() };
    let mut all = Vec::new();
    for bracket in before.open() {
        // `a::b::{`: the segments end before the last `::`.
        if before.is(bracket, "{") && bracket >= 2 && before.is(bracket - 1, ":") {
            all.extend(segments_before(&before, bracket - 2));
        }
    }
    all.extend(inner);
    all
}

fn in_text(tokens: &Tokens<'_>, start: usize) -> Context {
    let content = tokens.text[start..].to_owned();
    let mut callees = Vec::new();
    for bracket in tokens.open().into_iter().rev() {
        let before = bracket.checked_sub(1).map_or("", |index| tokens.word(index));
        match tokens.word(bracket) {
            "{" => break,
            "(" if before == "!" && bracket >= 2 => {
                callees.push(format!("{}!", tokens.word(bracket - 2)));
            }
            "(" => callees.push(before.to_owned()),
            "[" if is_value_end(tokens, bracket) => callees.push("[".to_owned()),
            _ => {}
        }
    }
    let first = tokens.all.iter().rposition(|token| tokens.text[token.range.clone()] == *";");
    let names = (first.map_or(0, |index| index + 1)..tokens.all.len())
        .filter(|index| tokens.all[*index].kind == Kind::Word)
        .map(|index| tokens.word(index).to_owned())
        .collect();
    Context::Text { content, callees, names }
}

/// Whether a value ends before a bracket, so that the bracket indexes it.
fn is_value_end(tokens: &Tokens<'_>, bracket: usize) -> bool {
    let Some(before) = bracket.checked_sub(1) else { return false };
    match tokens.kind(before) {
        Some(Kind::Word) => {
            !matches!(tokens.word(before), "in" | "return" | "let" | "mut" | "else")
        }
        Some(Kind::Close) => true,
        _ => false,
    }
}

/// Code that ends where a name can stand, as whole code in which a hole stands behind a hole, so that
/// [`super::locate`] finds what is in scope.
pub(super) fn whole_for_names(before: &str) -> Option<String> {
    let text = format!("{before}{HOLE}.");
    let tokens = Tokens::read(&text);
    (tokens.end == End::Code).then(|| whole(&tokens, tokens.all.len()))?
}

/// The code before token `end`, whose last token is the dot, as whole code with [`HOLE`] behind it.
fn whole(tokens: &Tokens<'_>, end: usize) -> Option<String> {
    let dot = tokens.all.get(end.checked_sub(1)?)?;
    let mut code = format!("{}{HOLE}", &tokens.text[..dot.range.end]);
    let before = Tokens { all: tokens.all[..end].to_vec(), ..tokens.clone() };
    let mut level_end = end;
    let mut openers: Vec<Option<usize>> = before.open().into_iter().map(Some).collect();
    openers.insert(0, None);
    while let Some(opener) = openers.pop() {
        let start = opener.map_or(0, |index| index + 1);
        let behind_block = before.is(level_end, "{");
        let (pending, lets) = statement(&before, start, level_end, behind_block);
        if pending {
            code.push_str(" {}");
        }
        if lets && (opener.is_none_or(|index| before.is(index, "{"))) {
            code.push(';');
        }
        let Some(opener) = opener else { break };
        code.push_str(match before.word(opener) {
            "(" => ")",
            "[" => "]",
            _ => "}",
        });
        level_end = opener;
    }
    Some(code)
}

/// Of the statement that ends before `end`, at its own depth: whether a block is still to come
/// (`if x.`), and whether it starts with `let`. `block_seen`: its block is what was just closed.
fn statement(tokens: &Tokens<'_>, start: usize, end: usize, block_seen: bool) -> (bool, bool) {
    let mut at = end;
    let mut block_seen = block_seen;
    let mut pending = false;
    while at > start {
        at -= 1;
        match tokens.all[at].kind {
            Kind::Close => {
                let Some(opener) = tokens.opener(at) else { break };
                block_seen |= tokens.is(opener, "{");
                at = opener;
            }
            Kind::Mark if tokens.is(at, ";") => return (pending, false),
            Kind::Word => match tokens.word(at) {
                "if" | "while" | "match" | "for" if !block_seen => pending = true,
                "let" if at == start || !matches!(tokens.word(at - 1), "if" | "while") => {
                    return (pending, true);
                }
                _ => {}
            },
            _ => {}
        }
    }
    (pending, false)
}

#[cfg(test)]
#[path = "context_tests.rs"]
mod tests;
