//! Where a loop can be interrupted: [`of_for`], [`of_while`], [`of_loop`].
//!
//! Reading the interrupt flag costs a quarter of a nanosecond, and what stood in registers. That is nothing
//! beside a call of a library and a third of a loop whose iteration takes two cycles. So a loop whose
//! iterations are quick, or walk over a slice, has safepoints: one in each iteration, and in those blocks of
//! its body that are not quick and do not always run. A `for` over a range or a slice runs in parts, with a
//! safepoint between them: LLVM makes more of such loops than of others. So does a `while` that counts.
//!
//! Loops of arithmetic that come to an end have none: a `for`, a `while` that counts or empties a collection
//! within a loop, which asks, what else can be seen to count, and a search that halves.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::arithmetic::{self, is_arithmetic};
use super::counted::{self, Count, Counted};
use super::edits::expressions;
use super::halving;
use super::walks::is_walk;

/// The polls of a loop.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Polls {
    /// None: the body is arithmetic.
    None,
    /// One in each iteration.
    Each(Each),
    /// A safepoint in each part of what it runs over.
    Parts(Over, Places),
    /// A safepoint before so many iterations of a `while`, and behind each `break` what leaves both loops.
    Count(Count, Vec<usize>),
}

/// A poll in each iteration.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Each {
    pub poll: Poll,
    /// The byte of the cell where it stands.
    pub at: usize,
    /// Where blocks begin that take longer than the loop's other iterations.
    pub slow: Vec<usize>,
}

/// What a loop reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// The interrupt flag.
    Flag,
    /// What is quicker, for loops that come by often.
    Safepoint,
}

/// What is told apart by its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// `a..b`.
    Range,
    /// `&v`, `v.iter()`: a slice, unless its type says otherwise.
    Slice,
}

/// Bytes of the cell where the body of a loop in parts is changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Where blocks begin that take longer: they ask for themselves.
    pub slow: Vec<usize>,
    /// Behind each `break` of the loop, which leaves its parts too.
    pub breaks: Vec<usize>,
}

pub(super) fn of_for(node: &syn::ExprForLoop) -> Polls {
    if is_arithmetic(&node.body) {
        return Polls::None;
    }
    let mut body = Body::default();
    body.visit_block(&node.body);
    match over(node) {
        Some(over) if body.pace == Pace::Quick && !body.hidden => Polls::Parts(over, body.places),
        _ => Polls::Each(body.each(start(&node.body))),
    }
}

pub(super) fn of_while(node: &syn::ExprWhile, in_loop: bool) -> Polls {
    let mut body = Body::default();
    body.visit_expr(&node.cond);
    body.visit_block(&node.body);
    let as_it_is = in_loop || body.hidden || node.label.is_some() || !node.attrs.is_empty();
    match counted::of_while(node) {
        Some(Counted::To(count)) if !as_it_is => Polls::Count(count, body.places.breaks),
        Some(Counted::Early | Counted::Emptied) if !in_loop => {
            Polls::Each(body.each(start(&node.body)))
        }
        Some(_) => Polls::None,
        None if halving::halves(node) => Polls::None,
        None => Polls::Each(body.each(start(&node.body))),
    }
}

pub(super) fn of_loop(node: &syn::ExprLoop) -> Polls {
    if counted::is_loop(node) {
        return Polls::None;
    }
    let mut body = Body::default();
    body.visit_block(&node.body);
    // Behind what may leave the loop: LLVM makes a condition of it, as that of a `while`, if nothing stands
    // before it.
    let leaving = node.body.stmts.iter().take_while(|statement| leaves(statement)).last();
    let at = leaving.map_or_else(|| start(&node.body), |last| last.span().byte_range().end);
    Polls::Each(body.each(at))
}

/// Where a block's first statement may stand.
fn start(block: &syn::Block) -> usize {
    block.brace_token.span.open().byte_range().end
}

/// Whether this is `if … { … break; }` or `let … else { … break };` with no way to the next iteration.
fn leaves(statement: &syn::Stmt) -> bool {
    let block = match statement {
        syn::Stmt::Expr(syn::Expr::If(node), _) if node.else_branch.is_none() => &node.then_branch,
        syn::Stmt::Local(local) => match local.init.as_ref().and_then(|init| init.diverge.as_ref())
        {
            Some((_, otherwise)) => match &**otherwise {
                syn::Expr::Block(block) => &block.block,
                _ => return false,
            },
            None => return false,
        },
        _ => return false,
    };
    let last = block.stmts.last();
    matches!(last, Some(syn::Stmt::Expr(syn::Expr::Break(_) | syn::Expr::Return(_), _)))
        && !Continues::anywhere(statement)
}

/// Whether some code may begin a loop's next iteration.
#[derive(Default)]
struct Continues(bool);

impl Continues {
    fn anywhere(statement: &syn::Stmt) -> bool {
        let mut found = Self::default();
        found.visit_stmt(statement);
        found.0
    }
}

impl<'ast> Visit<'ast> for Continues {
    fn visit_expr_continue(&mut self, _: &'ast syn::ExprContinue) {
        self.0 = true;
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        match expressions(node) {
            Some(inner) => inner.iter().for_each(|expr| self.visit_expr(expr)),
            None => self.0 = true,
        }
    }
}

/// What a `for` that can be cut runs over.
fn over(node: &syn::ExprForLoop) -> Option<Over> {
    let pattern = node.pat.span();
    let one_line = pattern.start().line == pattern.end().line;
    if !one_line || node.label.is_some() || !node.attrs.is_empty() {
        return None;
    }
    if is_half_open(&node.expr) {
        return Some(Over::Range);
    }
    may_be_a_slice(&node.expr).then_some(Over::Slice)
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

/// How long a block takes, at the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Pace {
    /// Some cycles: thousands of it are as nothing.
    #[default]
    Quick,
    /// As long as what it walks over: one at a time.
    Walks,
    /// It calls what nobody knows.
    Long,
}

/// Whether a body can be cut in parts, and what changes in it.
#[derive(Default)]
struct Body {
    /// That of the calls in this block.
    pace: Pace,
    /// There may be a `break` of the loop in a place that cannot be changed.
    hidden: bool,
    /// Loops around the place, within the body.
    loops: usize,
    places: Places,
}

impl Body {
    fn each(self, at: usize) -> Each {
        if self.pace == Pace::Long {
            return Each { poll: Poll::Flag, at, slow: Vec::new() };
        }
        Each { poll: Poll::Safepoint, at, slow: self.places.slow }
    }

    fn takes(&mut self, pace: Pace) {
        self.pace = self.pace.max(pace);
    }

    /// A block that does not always run: where it takes long, it asks for itself.
    fn sometimes(&mut self, block: &syn::Block) {
        let outer = std::mem::take(&mut self.pace);
        visit::visit_block(self, block);
        if std::mem::replace(&mut self.pace, outer) > Pace::Quick {
            self.places.slow.push(block.brace_token.span.open().byte_range().end);
        }
    }

    fn sometimes_of(&mut self, expr: &syn::Expr) {
        match expr {
            syn::Expr::Block(block) if block.label.is_none() => self.sometimes(&block.block),
            _ => self.visit_expr(expr),
        }
    }

    fn in_loop(&mut self, visit: impl FnOnce(&mut Self)) {
        self.takes(Pace::Long);
        self.loops += 1;
        visit(self);
        self.loops -= 1;
    }

    /// Code whose text stays as it is: its polls are those of the block around it.
    fn within(&mut self, visit: impl FnOnce(&mut Self)) {
        let mut inner = Body { loops: self.loops, ..Body::default() };
        visit(&mut inner);
        self.takes(inner.pace);
        self.hidden |= inner.hidden || !inner.places.breaks.is_empty();
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
        if node.label.is_none() && self.loops == 0 {
            self.places.breaks.push(node.break_token.span.byte_range().end);
        }
        visit::visit_expr_break(self, node);
    }

    fn visit_expr_block(&mut self, node: &'ast syn::ExprBlock) {
        match &node.label {
            // rustc says that a `break` in there needs the label.
            Some(_) => self.within(|body| visit::visit_expr_block(body, node)),
            None => visit::visit_expr_block(self, node),
        }
    }

    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {
        // What it does counts where it is called.
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_expr_await(&mut self, node: &'ast syn::ExprAwait) {
        self.takes(Pace::Long);
        visit::visit_expr_await(self, node);
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        let name = node.method.to_string();
        self.takes(match &name[..] {
            name if METHODS.contains(&name) || arithmetic::is_method(name) => Pace::Quick,
            _ if is_walk(node) => Pace::Walks,
            _ => Pace::Long,
        });
        visit::visit_expr_method_call(self, node);
    }

    fn visit_expr_call(&mut self, node: &'ast syn::ExprCall) {
        if !is_quick(&node.func) {
            self.takes(Pace::Long);
        }
        visit::visit_expr_call(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.takes(Pace::Long);
        match expressions(node) {
            Some(inner) => self.within(|body| inner.iter().for_each(|expr| body.visit_expr(expr))),
            None => self.hidden = true,
        }
    }
}

/// Constructors (`Some`, `Point`), `black_box`, `Vec::new`, functions of numbers.
fn is_quick(function: &syn::Expr) -> bool {
    const OF_STD: &[&str] = &["BTreeMap", "Box", "HashMap", "HashSet", "String", "Vec", "VecDeque"];
    if arithmetic::is_of_a_number(function) || arithmetic::is_constructor(function) {
        return true;
    }
    let syn::Expr::Path(path) = function else { return false };
    let names: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [.., owner, "new"] => OF_STD.contains(&owner),
        [.., "black_box"] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: &str) -> Polls {
        match syn::parse_str(code).expect("a loop") {
            syn::Expr::ForLoop(node) => of_for(&node),
            syn::Expr::While(node) => of_while(&node, false),
            syn::Expr::Loop(node) => of_loop(&node),
            other => panic!("{other:?}"),
        }
    }

    /// The loop without its marks, and where they stood.
    fn marked<const MARKS: usize>(
        code: &str,
        marks: [char; MARKS],
    ) -> (String, [Vec<usize>; MARKS]) {
        let mut places = [const { Vec::new() }; MARKS];
        let mut plain = String::new();
        for character in code.chars() {
            match marks.iter().position(|mark| *mark == character) {
                Some(mark) => places[mark].push(plain.len()),
                None => plain.push(character),
            }
        }
        (plain, places)
    }

    /// `§` marks blocks that ask for themselves, `¶` the loop's breaks.
    fn is_cut(code: &str) {
        let (plain, [slow, breaks]) = marked(code, ['§', '¶']);
        let Polls::Parts(_, places) = of(&plain) else { panic!("{code}") };
        assert_eq!(places, Places { slow, breaks }, "{code}");
    }

    /// `†` marks where it asks each time, `§` blocks that ask for themselves.
    fn asks(poll: Poll, code: &str) {
        let (plain, [at, slow]) = marked(code, ['†', '§']);
        assert_eq!(of(&plain), Polls::Each(Each { poll, at: at[0], slow }), "{code}");
    }

    #[test]
    fn quick_bodies_over_ranges_and_slices_run_in_parts() {
        for code in [
            "for i in 0..n { v.push(i); }",
            "for _ in (0..v.len()) { s = std::hint::black_box(s + 1); }",
            "for i in a..b { m.insert(i, Some(i)); if i == 3 { continue; } }",
            "for i in 0..n { *m.entry(i % 7).or_insert(0) += 1; }",
            "for x in &v { w.push(*x); }",
            "for &x in v.iter() { w.push(x); }",
            "for (key, value) in &mut m { w.push((key, *value)); }",
        ] {
            is_cut(code);
        }
    }

    #[test]
    fn arithmetic_that_comes_to_an_end_asks_nothing() {
        for code in [
            "for i in 0..n { s += i; }",
            "while i < j { s += x[i] ^ x[j]; i += 1; j -= 1; }",
            "'a: while i < n { s += x[i]; i += 1; }",
            "while i < n { 'a: { if s > 9 { break; } } i += 1; }",
            "loop { if i == n { break; } s += x[i]; i += 1; }",
            "while a < b { let m = (a + b) / 2; if x[m] < y { a = m + 1 } else { b = m } }",
        ] {
            assert_eq!(of(code), Polls::None, "{code}");
        }
    }

    #[test]
    fn a_while_that_counts_runs_in_parts_where_no_other_loop_asks() {
        let (plain, [breaks]) = marked("while i < n { if x[i] > 9 { break¶; } i += 1; }", ['¶']);
        let (variable, bound) = ("i".to_owned(), "n".to_owned());
        let count = Count { variable, bound, step: 1, up: true, through: false };
        assert_eq!(of(&plain), Polls::Count(count, breaks));
        let node = syn::parse_str(&plain).expect("a while");
        assert_eq!(of_while(&node, true), Polls::None);
        // What may end earlier cannot be cut, nor what is emptied.
        for code in [
            "while i < n && x[i] < 9 {† s += x[i]; i += 1; }",
            "while let Some(x) = v.pop() {† s += x; }",
        ] {
            asks(Poll::Safepoint, code);
            let node = syn::parse_str(&code.replace('†', "")).expect("a while");
            assert_eq!(of_while(&node, true), Polls::None);
        }
    }

    #[test]
    fn breaks_leave_all_parts() {
        is_cut("for i in 0..n { v.push(i); if i == 9 { break¶ } else { 'a: { break 'a; } } }");
        is_cut("for i in 0..n { let Some(x) = v.pop() else { break¶ }; w.push(x); }");
        is_cut("for i in 0..n { if v.pop().is_none() {§ f(); for x in w { break; } break¶; } }");
    }

    #[test]
    fn what_sometimes_takes_long_asks_there() {
        is_cut(
            "for i in 0..n { v.push(i); if v.len() == 9 {§ s += v.iter().sum::<u64>(); v.clear(); } }",
        );
        is_cut("for i in 0..n { v.push(i); if i == 9 {§ println!(\"{i}\"); } else { v.pop(); } }");
        is_cut("for i in 0..n { if i > 1 { if i > 2 {§ for x in &v { break; } } v.pop(); } }");
        asks(
            Poll::Safepoint,
            "while i < n {† match v.pop() { Some(1) => {§ f(); } _ => v.push(1) } }",
        );
    }

    #[test]
    fn other_quick_bodies_have_a_safepoint() {
        for code in [
            "for i in 0..n {† s += v[i..].iter().sum::<u64>(); }",
            "for x in &v {† w.push(x.chars().rev().collect::<String>()); }",
            "for i in 0..n {† v.push(i); if i == 2 {§ println!(\"{}\", { break; }); } }",
            "for i in 0..n {† v.push(i); if i == 2 {§ leave!(); } }",
            "'a: for i in 0..n {† v.push(i); }",
            "for i in 0..=n {† v.push(i); }",
            "for (i, j) in w {† v.push(i); }",
            "#[allow(unused)] for x in &v {† w.push(x); }",
            "while i < n {† v.push(i); i += 1; }",
            "while let Some(i) = v.pop() && i > 3 {† w.push(i); }",
            "while { break; } {† i += 1; }",
            "'a: loop {† i += 1; }",
            "loop {† 'a: { break; } }",
        ] {
            asks(Poll::Safepoint, code);
        }
    }

    #[test]
    fn a_loop_asks_behind_what_leaves_it() {
        for code in [
            "loop { if i == n { break; }† i = i * 3 % m; }",
            "loop { if i == n { w = v.pop(); return }† }",
            "loop { let Some(x) = v.pop() else { break s };† s += x; if s > 9 { break; } }",
            "loop { if i == n {§ println!(\"{i}\"); break 'a; } if i == m { break };† i += 1; }",
            "loop {† i += 1; if i == n { break; } }",
            "loop {† if i == n { break; } else { i += 1; } }",
            "loop {† if i == n { if j == n { continue; } break; } i += 1; }",
            "loop {† if i == n {§ leave!(); break; } i += 1; }",
            "loop {† let Some(x) = v.pop() else { continue }; s += x; }",
            "loop {† match v.pop() { None => break i, Some(_) => i += 1 } }",
        ] {
            asks(Poll::Safepoint, code);
        }
    }

    #[test]
    fn slow_bodies_ask_the_flag() {
        for code in [
            "for i in 0..n {† f(i); }",
            "for i in 0..n {† println!(\"{i}\"); }",
            "for x in v.iter().rev() {† w.extend(x); }",
            "for i in 0..n {† while v.len() > i { v.pop(); } }",
            "for i in 0..n {† match v.pop() { Some(1) => f(), _ => v.push(1) } }",
            "for i in 0..n {† v.push(Net::new()); }",
            "for i in 0..n {† v.push(x).await; }",
            "while f(i) {† i += 1; }",
            "loop {† rx.recv(); }",
            "loop { if i == n { break; }† rx.recv(); }",
        ] {
            asks(Poll::Flag, code);
        }
    }
}
