//! Where a cell goes on after an interrupted sleep: [`around`], [`behind`].
//!
//! The interrupt ends a sleep early, as if its time were over. Nothing else of the statement's block is to
//! run then, so a poll stands behind each statement that calls a function called `sleep`.

use proc_macro2::TokenTree;
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::edits::{Edit, POLL, expressions};

const VALUE: &str = "__slept";

/// Edits of a statement that sleeps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Around {
    /// They come before what else begins there.
    pub before: Vec<Edit>,
    /// They come behind what else ends there.
    pub behind: Vec<Edit>,
}

/// Edits of a statement in a block: a poll behind it. The value of a block's last expression goes past
/// the poll.
pub(super) fn around(statement: &syn::Stmt, last: bool) -> Option<Around> {
    match statement {
        syn::Stmt::Expr(expression, None) if last => {
            sleeps(statement).then(|| past_the_poll(expression))
        }
        _ => Some(Around { before: Vec::new(), behind: vec![behind(statement)?] }),
    }
}

/// The poll behind a statement that sleeps and that others follow.
pub(super) fn behind(statement: &syn::Stmt) -> Option<Edit> {
    let end = statement.span().byte_range().end;
    let poll = match statement {
        // It may have a value, and it may be a block.
        syn::Stmt::Expr(_, None) => format!(";{POLL}"),
        _ => POLL.to_owned(),
    };
    sleeps(statement).then(|| Edit::insert(end, poll))
}

/// `sleep(time)` becomes `{let __slept=sleep(time);poll();__slept}`.
fn past_the_poll(expression: &syn::Expr) -> Around {
    let range = expression.span().byte_range();
    let before = vec![Edit::insert(range.start, format!("{{let {VALUE}="))];
    let last = expression.to_token_stream().into_iter().last();
    let behind = match last {
        // What is said of the value is said of the call: its last bracket stands for it.
        Some(TokenTree::Group(group))
            if group.delimiter() == proc_macro2::Delimiter::Parenthesis =>
        {
            let bracket = group.span_close().byte_range();
            vec![
                Edit::insert(bracket.start, format!(");{POLL}")),
                Edit::replace(bracket, VALUE),
                Edit::insert(range.end, "}"),
            ]
        }
        _ => vec![Edit::insert(range.end, format!(";{POLL}{VALUE}}}"))],
    };
    Around { before, behind }
}

/// Whether the statement itself sleeps, and goes on afterwards: statements of blocks in it have polls of
/// their own.
fn sleeps(statement: &syn::Stmt) -> bool {
    use syn::Expr::{Break, Continue, Return};
    if matches!(statement, syn::Stmt::Expr(Return(_) | Break(_) | Continue(_), _)) {
        return false;
    }
    let mut search = Search::default();
    search.visit_stmt(statement);
    search.found
}

#[derive(Default)]
struct Search {
    found: bool,
}

impl<'ast> Visit<'ast> for Search {
    fn visit_expr_call(&mut self, node: &'ast syn::ExprCall) {
        self.found |= is_sleep(&node.func);
        visit::visit_expr_call(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        expressions(node).iter().flatten().for_each(|expression| self.visit_expr(expression));
    }

    fn visit_block(&mut self, _: &'ast syn::Block) {}

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// `std::thread::sleep`, `tokio::time::sleep`, `sleep`.
fn is_sleep(function: &syn::Expr) -> bool {
    match function {
        syn::Expr::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident == "sleep")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, parse};

    /// The code of a cell as it is compiled.
    fn composed(code: &str) -> String {
        let cell: Cell = parse(code).expect("parses");
        let mut out = code.to_owned();
        let items = cell.items.iter().flat_map(|item| &item.edits);
        let statements = cell.statements.iter().flat_map(|statement| &statement.edits);
        for edit in items.chain(statements).collect::<Vec<_>>().into_iter().rev() {
            out.replace_range(edit.range.clone(), &edit.text);
        }
        out.replace("::oxilab::__rt::poll();", "†").replace("pub(crate) ", "").replace("pub ", "")
    }

    #[test]
    fn a_poll_stands_behind_each_statement_that_sleeps() {
        for code in [
            "std::thread::sleep(d);† f();",
            "thread::sleep(d);† let x = 1;",
            "let x = (sleep(d), 1).1;† x",
            "if a { sleep(d);† f(); } g();",
            "for x in v {† sleep(d);† post(x); }",
            "let f = || { sleep(d);† 1 }; f();",
            "dbg!(sleep(d));† f();",
            "fn nap() { sleep(d);† f() }",
            "impl A { fn nap(&self) { sleep(d);† f() } }",
            "async fn nap() { tokio::time::sleep(d).await;† f() }",
            "let n = tokio::spawn(async { tokio::time::sleep(d).await;† 7 }); n",
            "fn f() { run(|| sleep(d));† }",
        ] {
            assert_eq!(composed(&code.replace('†', "")), code);
        }
    }

    #[test]
    fn the_value_of_a_block_goes_past_the_poll() {
        for (code, expected) in [
            ("fn nap() { sleep(d) }", "fn nap() { {let __slept=sleep(d);†__slept} }"),
            (
                "if a { thread::sleep(d) }; f();",
                "if a { {let __slept=thread::sleep(d);†__slept} }; f();",
            ),
            (
                "async fn f() { sleep(d).await }",
                "async fn f() { {let __slept=sleep(d).await;†__slept} }",
            ),
            ("match sleep(d) { () => 1 }\nf();", "match sleep(d) { () => 1 };†\nf();"),
        ] {
            assert_eq!(composed(code), expected);
        }
    }

    #[test]
    fn nothing_is_added_where_nothing_follows_or_no_poll_may_stand() {
        for code in [
            "std::thread::sleep(d)",
            "f(); std::thread::sleep(d);",
            "fn f() { return sleep(d); }",
            "const fn f() { sleep(d); g(); }",
            "static S: L = L::new(|| { sleep(d); 1 });",
            "my_macro! { sleep(d); f(); }",
            "x.sleep(d); f();",
            "sleepy(d); f();",
        ] {
            assert_eq!(composed(code), code);
        }
    }
}
