//! Where the interrupt flag is read in a loop: [`of_for`].
//!
//! A poll costs a quarter of a nanosecond. That is nothing beside a call of a library and a quarter of a
//! loop whose iteration takes one cycle. So polls stand where the time goes: a `for` over a range or a
//! slice whose iterations are quick runs in parts and is asked between them, and the blocks of its body
//! that are not quick and do not always run have a poll of their own.

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::arithmetic::{self, is_arithmetic};
use super::edits::expressions;

/// The polls of a `for`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Polls {
    /// None: the body is arithmetic.
    None,
    /// One in each iteration.
    Each,
    /// One in each part of what it runs over, and one at these places of the body.
    Parts {
        /// Where it begins.
        start: usize,
        /// The pattern's bytes.
        pattern: Range<usize>,
        /// The bytes of what it runs over.
        over: Range<usize>,
        /// What that is.
        kind: Over,
        /// Where blocks begin that take longer.
        slow: Vec<usize>,
    },
}

/// What is told apart by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// `a..b`.
    Range,
    /// `&v`, `v.iter()`: a slice, unless its type says otherwise.
    Slice,
}

pub(super) fn of_for(node: &syn::ExprForLoop) -> Polls {
    if is_arithmetic(&node.body) {
        return Polls::None;
    }
    parts(node).unwrap_or(Polls::Each)
}

fn parts(node: &syn::ExprForLoop) -> Option<Polls> {
    let kind = if is_half_open(&node.expr) {
        Over::Range
    } else if may_be_a_slice(&node.expr) {
        Over::Slice
    } else {
        return None;
    };
    let pattern = node.pat.span();
    let plain =
        node.label.is_none() && node.attrs.is_empty() && pattern.start().line == pattern.end().line;
    let mut body = Body { quick: true, whole: true, loops: 0, slow: Vec::new() };
    body.visit_block(&node.body);
    (plain && body.quick && body.whole).then(|| Polls::Parts {
        start: node.for_token.span.byte_range().start,
        pattern: pattern.byte_range(),
        over: node.expr.span().byte_range(),
        kind,
        slow: body.slow,
    })
}

/// `a..b`, with or without parentheses.
fn is_half_open(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Paren(inner) => is_half_open(&inner.expr),
        syn::Expr::Range(range) => {
            let ends = range.start.is_some() && range.end.is_some();
            ends && matches!(range.limits, syn::RangeLimits::HalfOpen(_))
        }
        _ => false,
    }
}

/// `&v`, `&mut v`, `v.iter()`, `v.iter_mut()`.
fn may_be_a_slice(expr: &syn::Expr) -> bool {
    match expr {
        syn::Expr::Reference(_) => true,
        syn::Expr::MethodCall(call) => {
            call.args.is_empty() && (call.method == "iter" || call.method == "iter_mut")
        }
        _ => false,
    }
}

/// Methods of std's collections, options and results that take about as long as an addition.
const METHODS: &[&str] = &[
    "as_mut",
    "as_ref",
    "as_slice",
    "as_str",
    "clear",
    "contains_key",
    "copied",
    "entry",
    "expect",
    "first",
    "get",
    "get_mut",
    "insert",
    "is_empty",
    "is_err",
    "is_none",
    "is_ok",
    "is_some",
    "last",
    "or_default",
    "or_insert",
    "pop",
    "pop_back",
    "pop_front",
    "push",
    "push_back",
    "push_front",
    "push_str",
    "swap",
    "unwrap",
    "unwrap_or",
    "unwrap_or_default",
];

/// Whether a body can be cut in parts, and where polls stand in it.
struct Body {
    /// No call of this block takes long.
    quick: bool,
    /// No `break` leaves the loop, no macro may hold one.
    whole: bool,
    /// Loops around the place, within the body.
    loops: usize,
    slow: Vec<usize>,
}

impl Body {
    /// A block that does not always run: where it takes long, it asks for itself.
    fn sometimes(&mut self, block: &syn::Block) {
        let outer = std::mem::replace(&mut self.quick, true);
        visit::visit_block(self, block);
        if !std::mem::replace(&mut self.quick, outer) {
            self.slow.push(block.brace_token.span.open().byte_range().end);
        }
    }

    fn sometimes_of(&mut self, expr: &syn::Expr) {
        match expr {
            syn::Expr::Block(block) if block.label.is_none() => self.sometimes(&block.block),
            _ => self.visit_expr(expr),
        }
    }

    fn in_loop(&mut self, visit: impl FnOnce(&mut Self)) {
        self.quick = false;
        self.loops += 1;
        visit(self);
        self.loops -= 1;
    }
}

impl<'ast> Visit<'ast> for Body {
    fn visit_expr_if(&mut self, node: &'ast syn::ExprIf) {
        self.visit_expr(&node.cond);
        self.sometimes(&node.then_branch);
        if let Some((_, otherwise)) = &node.else_branch {
            self.sometimes_of(otherwise);
        }
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        // With the guard.
        self.visit_pat(&node.pat);
        self.sometimes_of(&node.body);
    }

    fn visit_expr_for_loop(&mut self, node: &'ast syn::ExprForLoop) {
        self.in_loop(|body| visit::visit_expr_for_loop(body, node));
    }

    fn visit_expr_while(&mut self, node: &'ast syn::ExprWhile) {
        self.in_loop(|body| visit::visit_expr_while(body, node));
    }

    fn visit_expr_loop(&mut self, node: &'ast syn::ExprLoop) {
        self.in_loop(|body| visit::visit_expr_loop(body, node));
    }

    fn visit_expr_break(&mut self, node: &'ast syn::ExprBreak) {
        self.whole &= node.label.is_some() || self.loops > 0;
        visit::visit_expr_break(self, node);
    }

    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {
        // What it does counts where it is called.
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_expr_await(&mut self, node: &'ast syn::ExprAwait) {
        self.quick = false;
        visit::visit_expr_await(self, node);
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        let name = node.method.to_string();
        self.quick &= METHODS.contains(&name.as_str()) || arithmetic::is_method(&name);
        visit::visit_expr_method_call(self, node);
    }

    fn visit_expr_call(&mut self, node: &'ast syn::ExprCall) {
        self.quick &= is_quick(&node.func);
        visit::visit_expr_call(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.quick = false;
        match expressions(node) {
            Some(inner) => inner.iter().for_each(|expr| {
                // Polls cannot stand in there, and are not needed: the macro's block has one.
                let mut within = Body { quick: true, whole: true, loops: self.loops, slow: vec![] };
                within.visit_expr(expr);
                self.whole &= within.whole;
            }),
            None => self.whole = false,
        }
    }
}

/// Constructors (`Some`, `Point`), `black_box`, `Vec::new`, functions of numbers.
fn is_quick(function: &syn::Expr) -> bool {
    const OF_STD: &[&str] = &["BTreeMap", "Box", "HashMap", "HashSet", "String", "Vec", "VecDeque"];
    if arithmetic::is_of_a_number(function) {
        return true;
    }
    let syn::Expr::Path(path) = function else { return false };
    let names: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [.., owner, "new"] => OF_STD.contains(&owner),
        [.., "black_box"] => true,
        [.., name] => name.starts_with(char::is_uppercase),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn polls(code: &str) -> Polls {
        of_for(&syn::parse_str(code).expect("a loop"))
    }

    fn slow(code: &str) -> Option<Vec<usize>> {
        match polls(code) {
            Polls::Parts { slow, .. } => Some(slow),
            Polls::None | Polls::Each => None,
        }
    }

    #[test]
    fn quick_bodies_over_ranges_run_in_parts() {
        for code in [
            "for i in 0..n { v.push(i); }",
            "for _ in (0..v.len()) { s = std::hint::black_box(s + 1); }",
            "for i in a..b { m.insert(i, Some(i)); if i == 3 { continue; } }",
            "for i in 0..n { *m.entry(i % 7).or_insert(0) += 1; }",
            "for x in &v { w.push(*x); }",
            "for &x in v.iter() { w.push(x); }",
            "for (key, value) in &mut m { w.push((key, *value)); }",
        ] {
            assert_eq!(slow(code), Some(vec![]), "{code}");
        }
        assert_eq!(polls("for i in 0..n { s += i; }"), Polls::None);
    }

    #[test]
    fn what_sometimes_takes_long_asks_there() {
        let places = |code: &str| {
            let marked = code.replace('§', "");
            let wanted: Vec<usize> =
                code.match_indices('§').enumerate().map(|(n, (at, _))| at - 2 * n).collect();
            assert_eq!(slow(&marked), Some(wanted), "{code}");
        };
        places(
            "for i in 0..n { v.push(i); if v.len() == 9 {§ s += v.iter().sum::<u64>(); v.clear(); } }",
        );
        places("for i in 0..n { v.push(i); if i == 9 {§ println!(\"{i}\"); } else { v.pop(); } }");
        places("for i in 0..n { match v.pop() { Some(1) => {§ f(); } _ => v.push(1) } }");
        places("for i in 0..n { if i > 1 { if i > 2 {§ for x in &v { break; } } v.pop(); } }");
    }

    #[test]
    fn other_loops_ask_each_time() {
        for code in [
            "for i in 0..n { f(i); }",
            "for i in 0..n { println!(\"{i}\"); }",
            "for i in 0..n { if v.pop().is_none() { break; } }",
            "for i in 0..n { v.push(i); if i == 2 { println!(\"{}\", { break; }); } }",
            "for i in 0..n { v.push(i); if i == 2 { leave!(); } }",
            "'a: for i in 0..n { v.push(i); }",
            "for i in 0..=n { v.push(i); }",
            "for i in w { v.push(i); }",
            "for (i, j) in w { v.push(i); }",
            "for x in v.iter().rev() { w.push(x); }",
            "#[allow(unused)] for x in &v { w.push(x); }",
            "for i in 0..n { while v.len() > i { v.pop(); } }",
            "for i in 0..n { match v.pop() { Some(1) => f(), _ => v.push(1) } }",
            "for i in 0..n { v.push(Net::new()); }",
            "for i in 0..n { v.push(x).await; }",
        ] {
            assert_eq!(polls(code), Polls::Each, "{code}");
        }
    }
}
