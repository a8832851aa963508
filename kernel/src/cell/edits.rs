//! The changes that composing makes to the user's text.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::counted::Count;
use super::polls::{self, Each, Over, Places, Poll, Polls};
use super::sleeps::{self, Around};

/// Replaces a range of the cell's text; an empty range inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes replaced.
    pub range: Range<usize>,
    /// What stands there instead.
    pub text: String,
    /// Bytes of the cell that follow the text: what stood elsewhere.
    pub moved: Option<Range<usize>>,
}

impl Edit {
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::replace(at..at, text)
    }

    pub(crate) fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { range, text: text.into(), moved: None }
    }
}

pub(super) const POLL: &str = "::oxilab::__rt::poll();";
const SAFEPOINT: &str = "::oxilab::__rt::safepoint();";
const PART: &str = "__part";
/// The traits are for what turns out to be no slice, and no whole number.
const PARTS_IN_SCOPE: &str = "{ #[allow(unused_imports)] use ::oxilab::__rt::PartsOfOthers as _; ";
const COUNTS_IN_SCOPE: &str =
    "{ #[allow(unused_imports)] use ::oxilab::__rt::CountsOfOthers as _; ";
/// What stands for the `?` behind a dot.
const QUESTION: &str = "__q()?";
const STOP: &str = " ::core::result::Result::Err(::oxilab::__rt::CellError::stop())";

/// Macros whose arguments are expressions, so that a `?`, an `.await` or a loop in them can be edited.
const EXPRESSION_MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "debug_assert",
    "eprint",
    "eprintln",
    "format",
    "format_args",
    "panic",
    "print",
    "println",
    "todo",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// Edits of code at the top level of a cell: `?`, `.await`, `return`, loops and sleeps. Behind the `last`
/// statement the cell ends, and sees by itself that it was interrupted.
pub(super) fn of_statement(statement: &syn::Stmt, last: bool) -> Vec<Edit> {
    let mut finder = Finder { top_level: true, ..Finder::default() };
    finder.visit_stmt(statement);
    if !last {
        finder.edits.extend(sleeps::behind(statement));
    }
    finder.sorted()
}

/// Edits inside an item: polls in the loops of its functions and behind their sleeps.
pub(super) fn of_item(item: &syn::Item) -> Vec<Edit> {
    let mut finder = Finder::default();
    finder.visit_item(item);
    finder.sorted()
}

/// The arguments of a macro whose arguments are expressions.
pub(super) fn expressions(invocation: &syn::Macro) -> Option<Vec<syn::Expr>> {
    let name = invocation.path.segments.last()?.ident.to_string();
    if !EXPRESSION_MACROS.contains(&name.as_str()) {
        return None;
    }
    let parse = syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated;
    if let Ok(list) = invocation.parse_body_with(parse) {
        return Some(list.into_iter().collect());
    }
    // `vec![value; count]`
    let repeat = |input: syn::parse::ParseStream| {
        let value: syn::Expr = input.parse()?;
        input.parse::<syn::Token![;]>()?;
        Ok(vec![value, input.parse()?])
    };
    invocation.parse_body_with(repeat).ok()
}

/// Of the loop that begins there: no two of a cell have the same.
fn label(start: usize) -> String {
    format!("'{PART}{start}")
}

fn end(body: &syn::Block) -> usize {
    body.brace_token.span.close().byte_range().end
}

#[derive(Default)]
struct Finder {
    edits: Vec<Edit>,
    /// Not inside a closure, an async block or a function: `?`, `.await` and `return` belong to the cell.
    top_level: bool,
    /// Inside a `const fn` or an initialiser, where no poll may stand.
    constant: bool,
    /// Inside a loop of the same function: that one asks.
    in_loop: bool,
}

impl Finder {
    fn sorted(mut self) -> Vec<Edit> {
        self.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        self.edits
    }

    fn each(&mut self, each: Each) {
        if self.constant {
            return;
        }
        let poll = match each.poll {
            Poll::Flag => POLL,
            Poll::Safepoint => SAFEPOINT,
        };
        self.edits.push(Edit::insert(each.at, poll));
        self.slow(each.slow);
    }

    fn slow(&mut self, blocks: Vec<usize>) {
        self.edits.extend(blocks.into_iter().map(|at| Edit::insert(at, SAFEPOINT)));
    }

    /// `for i in 0..n {…}` becomes `for __part in parts(0..n) { for i in __part {…} }`.
    fn for_in_parts(&mut self, node: &syn::ExprForLoop, over: Over, places: Places) {
        if self.constant {
            return;
        }
        let (before, parts, of, after) = match over {
            Over::Range => ("", "::oxilab::__rt::parts(", ") { for ", " }"),
            Over::Slice => (PARTS_IN_SCOPE, "::oxilab::__rt::whole(", ").parts() { for ", " } }"),
        };
        let token = node.for_token.span.byte_range();
        let label = label(token.start);
        let labelled = if places.breaks.is_empty() { "" } else { &format!("{label}: ") };
        let pattern = node.pat.span().byte_range();
        let over = node.expr.span().byte_range();
        self.edits.push(Edit::replace(token, format!("{before}{labelled}for")));
        self.edits.push(Edit::replace(pattern.clone(), PART));
        self.edits.push(Edit::insert(over.start, parts));
        self.edits.push(Edit { moved: Some(pattern), ..Edit::insert(over.end, of) });
        self.edits.push(Edit::insert(over.end, format!(" in {PART}")));
        self.edits.push(Edit::insert(end(&node.body), after));
        self.slow(places.slow);
        self.leave(&label, places.breaks);
    }

    /// `while i < n {…}` becomes `while i < n { let __part = ahead(&i, &n).up(…); while __part.more(&i) {…} }`.
    fn while_in_parts(&mut self, node: &syn::ExprWhile, count: &Count, breaks: Vec<usize>) {
        if self.constant {
            return;
        }
        let token = node.while_token.span.byte_range();
        let label = label(token.start);
        let labelled = if breaks.is_empty() { "" } else { &format!("{label}: ") };
        let Count { variable, bound, step, up, through } = count;
        let way = if *up { "up" } else { "down" };
        let goes = if *through { "through" } else { "more" };
        let part = format!(
            "{COUNTS_IN_SCOPE}\
             let {PART} = ::oxilab::__rt::ahead(&{variable}, &{bound}).{way}({step}); \
             while {PART}.{goes}(&{variable}) "
        );
        self.edits.push(Edit::replace(token, format!("{labelled}while")));
        self.edits.push(Edit::insert(node.body.brace_token.span.open().byte_range().start, part));
        self.edits.push(Edit::insert(end(&node.body), " }"));
        self.leave(&label, breaks);
    }

    fn leave(&mut self, label: &str, breaks: Vec<usize>) {
        let leave = |at| Edit::insert(at, format!(" {label}"));
        self.edits.extend(breaks.into_iter().map(leave));
    }

    /// The body of a loop.
    fn repeated(&mut self, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.in_loop, true);
        visit(self);
        self.in_loop = outer;
    }

    fn nested(&mut self, visit: impl FnOnce(&mut Self)) {
        let outer = (self.top_level, self.in_loop);
        (self.top_level, self.in_loop) = (false, false);
        visit(self);
        (self.top_level, self.in_loop) = outer;
    }

    fn in_constant(&mut self, visit: impl FnOnce(&mut Self)) {
        let outer = std::mem::replace(&mut self.constant, true);
        visit(self);
        self.constant = outer;
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_block(&mut self, node: &'ast syn::Block) {
        let last = node.stmts.len().saturating_sub(1);
        for (at, statement) in node.stmts.iter().enumerate() {
            let poll = if self.constant { None } else { sleeps::around(statement, at == last) };
            let Around { before, behind } = poll.unwrap_or_default();
            // Edits at one byte stay in the order in which they were found.
            self.edits.extend(before);
            self.visit_stmt(statement);
            self.edits.extend(behind);
        }
    }

    fn visit_expr_loop(&mut self, node: &'ast syn::ExprLoop) {
        if let Polls::Each(each) = polls::of_loop(node) {
            self.each(each);
        }
        self.repeated(|finder| visit::visit_expr_loop(finder, node));
    }

    fn visit_expr_while(&mut self, node: &'ast syn::ExprWhile) {
        match polls::of_while(node, self.in_loop) {
            Polls::Each(each) => self.each(each),
            Polls::Count(count, breaks) => self.while_in_parts(node, &count, breaks),
            Polls::None | Polls::Parts(..) => {}
        }
        self.repeated(|finder| visit::visit_expr_while(finder, node));
    }

    fn visit_expr_for_loop(&mut self, node: &'ast syn::ExprForLoop) {
        match polls::of_for(node) {
            Polls::Each(each) => self.each(each),
            Polls::Parts(over, places) => self.for_in_parts(node, over, places),
            Polls::None | Polls::Count(..) => {}
        }
        self.repeated(|finder| visit::visit_expr_for_loop(finder, node));
    }

    fn visit_expr_try(&mut self, node: &'ast syn::ExprTry) {
        if self.top_level {
            let at = node.question_token.span.byte_range().start;
            self.edits.push(Edit::insert(at, "."));
            self.edits.push(Edit::replace(at..at + 1, QUESTION));
        }
        visit::visit_expr_try(self, node);
    }

    fn visit_expr_await(&mut self, node: &'ast syn::ExprAwait) {
        if self.top_level {
            let base = node.base.span().byte_range();
            let end = node.await_token.span.byte_range().end;
            self.edits.push(Edit::insert(base.start, "::oxilab::__rt::block_on("));
            self.edits.push(Edit::replace(base.end..end, ")"));
        }
        visit::visit_expr_await(self, node);
    }

    fn visit_expr_return(&mut self, node: &'ast syn::ExprReturn) {
        if self.top_level && node.expr.is_none() {
            self.edits.push(Edit::insert(node.return_token.span.byte_range().end, STOP));
        }
        visit::visit_expr_return(self, node);
    }

    fn visit_expr_closure(&mut self, node: &'ast syn::ExprClosure) {
        self.nested(|finder| visit::visit_expr_closure(finder, node));
    }

    fn visit_expr_async(&mut self, node: &'ast syn::ExprAsync) {
        self.nested(|finder| visit::visit_expr_async(finder, node));
    }

    fn visit_expr_try_block(&mut self, node: &'ast syn::ExprTryBlock) {
        self.nested(|finder| visit::visit_expr_try_block(finder, node));
    }

    fn visit_item(&mut self, node: &'ast syn::Item) {
        self.nested(|finder| visit::visit_item(finder, node));
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        if node.sig.constness.is_none() {
            visit::visit_item_fn(self, node);
        }
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        if node.sig.constness.is_none() {
            visit::visit_impl_item_fn(self, node);
        }
    }

    fn visit_item_const(&mut self, node: &'ast syn::ItemConst) {
        self.in_constant(|finder| visit::visit_item_const(finder, node));
    }

    fn visit_item_static(&mut self, node: &'ast syn::ItemStatic) {
        self.in_constant(|finder| visit::visit_item_static(finder, node));
    }

    fn visit_expr_const(&mut self, node: &'ast syn::ExprConst) {
        self.in_constant(|finder| visit::visit_expr_const(finder, node));
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        for expression in expressions(node).unwrap_or_default() {
            // The expressions are parsed from the macro's own tokens, so their spans are the cell's.
            let mut inner = Finder { edits: Vec::new(), ..*self };
            inner.visit_expr(&expression);
            self.edits.append(&mut inner.edits);
        }
    }
}
