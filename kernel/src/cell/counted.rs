//! Loops over arithmetic that count to their end: [`of_while`], [`is_loop`].
//!
//! `while i < n { …; i += 1; }` is what `for i in 0..n { … }` is, and LLVM makes vector instructions of the
//! one as of the other, unless there is a poll in it: it would take three times as long, or ten times. So
//! it has none in its iterations either. It runs in parts where it is known how far it may go until it
//! asks.

use syn::visit::{self, Visit};

use super::arithmetic::{is_arithmetic, is_method};
use super::changes::{Changes, variable};

/// A loop that ends by itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// `while i < n`: whatever `n` is, it stays the same.
    To(Count),
    /// Two variables that meet, one that passes a field or a sum, a `!=`.
    Otherwise,
    /// `while i < n && x[i] < 9`: what else has to hold can only end it earlier.
    Early,
    /// `while let Some(x) = v.pop()`: when there are no more.
    Emptied,
}

/// How a variable counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// The variable.
    pub variable: String,
    /// What it is compared with, as it may be written again: a name, its length or a number.
    pub bound: String,
    /// By how much it moves each time.
    pub step: u32,
    /// Whether it goes up.
    pub up: bool,
    /// Whether the loop still runs where the two are equal.
    pub through: bool,
}

/// `while i < n { …; i += 1; }`: its body is arithmetic, and each time brings the two sides nearer.
pub(super) fn of_while(node: &syn::ExprWhile) -> Option<Counted> {
    if empties(node) {
        return Some(Counted::Emptied);
    }
    let conditions = conditions(&node.cond);
    if let [only] = conditions[..] {
        return counts(only, Going::On, &node.body);
    }
    let one_counts = conditions.iter().any(|one| counts(one, Going::On, &node.body).is_some());
    (one_counts && conditions.iter().all(|one| is_plain(one))).then_some(Counted::Early)
}

/// `while let Some(x) = v.pop() { s += x; }`: arithmetic puts nothing into `v`.
fn empties(node: &syn::ExprWhile) -> bool {
    let syn::Expr::Let(taken) = &*node.cond else { return false };
    let syn::Expr::MethodCall(call) = &*taken.expr else { return false };
    let takes_one = ["pop", "pop_back", "pop_front"].iter().any(|name| call.method == name);
    let Some(collection) = variable(&call.receiver) else { return false };
    let changes = Changes::of(&node.body);
    let stays = !changes.unclear && changes.times(&collection.to_string()) == 0;
    takes_one && call.args.is_empty() && is_arithmetic(&node.body) && stays
}

/// What all has to hold: the parts between `&&`.
fn conditions(whole: &syn::Expr) -> Vec<&syn::Expr> {
    match whole {
        syn::Expr::Binary(both) if matches!(both.op, syn::BinOp::And(_)) => {
            [conditions(&both.left), conditions(&both.right)].concat()
        }
        other => vec![other],
    }
}

/// Whether this is arithmetic that changes nothing.
fn is_plain(expr: &syn::Expr) -> bool {
    use syn::BinOp::{Add, BitAnd, BitOr, BitXor, Div, Eq, Ge, Gt, Le, Lt, Mul, Ne, Rem, Sub};
    use syn::Expr::{Binary, Cast, Field, Index, Lit, MethodCall, Paren, Path, Unary};
    match expr {
        Lit(_) | Path(_) => true,
        Binary(both) => {
            let changes_nothing = matches!(
                both.op,
                Add(_)
                    | BitAnd(_)
                    | BitOr(_)
                    | BitXor(_)
                    | Div(_)
                    | Eq(_)
                    | Ge(_)
                    | Gt(_)
                    | Le(_)
                    | Lt(_)
                    | Mul(_)
                    | Ne(_)
                    | Rem(_)
                    | Sub(_)
            );
            changes_nothing && is_plain(&both.left) && is_plain(&both.right)
        }
        Cast(inner) => is_plain(&inner.expr),
        Field(inner) => is_plain(&inner.base),
        Index(inner) => is_plain(&inner.expr) && is_plain(&inner.index),
        MethodCall(call) => {
            is_method(&call.method.to_string())
                && is_plain(&call.receiver)
                && call.args.iter().all(is_plain)
        }
        Paren(inner) => is_plain(&inner.expr),
        Unary(inner) => is_plain(&inner.expr),
        _ => false,
    }
}

/// `loop { if i == n { break; } …; i += 1; }`, likewise.
pub(super) fn is_loop(node: &syn::ExprLoop) -> bool {
    let Some(syn::Stmt::Expr(syn::Expr::If(first), _)) = node.body.stmts.first() else {
        return false;
    };
    let leaves = match &first.then_branch.stmts[..] {
        [syn::Stmt::Expr(syn::Expr::Break(leave), _)] => leave.label.is_none(),
        _ => false,
    };
    let leaves = leaves && first.else_branch.is_none();
    leaves && counts(&first.cond, Going::Out, &node.body).is_some()
}

/// What a comparison that holds means for the loop.
#[derive(Clone, Copy)]
enum Going {
    On,
    Out,
}

/// Which way a side has to move.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Up,
    Down,
    Either,
}

fn counts(condition: &syn::Expr, going: Going, body: &syn::Block) -> Option<Counted> {
    use syn::BinOp::{Eq, Ge, Gt, Le, Lt, Ne};
    let syn::Expr::Binary(comparison) = condition else { return None };
    let (left, right) = match (going, comparison.op) {
        (Going::On, Lt(_) | Le(_)) | (Going::Out, Gt(_) | Ge(_)) => (Way::Up, Way::Down),
        (Going::On, Gt(_) | Ge(_)) | (Going::Out, Lt(_) | Le(_)) => (Way::Down, Way::Up),
        (Going::On, Ne(_)) | (Going::Out, Eq(_)) => (Way::Either, Way::Either),
        _ => return None,
    };
    if !is_arithmetic(body) {
        return None;
    }
    let changes = Changes::of(body);
    let side = |expr, way| side(expr, way, body, &changes);
    let through = matches!(comparison.op, Le(_) | Ge(_));
    let to = |name: &syn::Ident, step, way, bound| match (way, again(bound)) {
        (Way::Up | Way::Down, Some(bound)) => {
            let (variable, up) = (name.to_string(), way == Way::Up);
            Counted::To(Count { variable, bound, step, up, through })
        }
        _ => Counted::Otherwise,
    };
    match (side(&comparison.left, left), side(&comparison.right, right)) {
        // Two that run after one another never meet.
        (Side::Moves(..), Side::Moves(..)) => (left != Way::Either).then_some(Counted::Otherwise),
        (Side::Moves(name, step), Side::Stays) => Some(to(name, step, left, &comparison.right)),
        (Side::Stays, Side::Moves(name, step)) => Some(to(name, step, right, &comparison.left)),
        _ => None,
    }
}

/// A bound that costs nothing to be written a second time.
fn again(bound: &syn::Expr) -> Option<String> {
    match bound {
        syn::Expr::Path(_) => variable(bound).map(ToString::to_string),
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. }) => Some(number.to_string()),
        syn::Expr::MethodCall(call) if call.method == "len" && call.args.is_empty() => {
            variable(&call.receiver).map(|name| format!("{name}.len()"))
        }
        _ => None,
    }
}

/// What a side of the comparison does from one iteration to the next.
enum Side<'a> {
    Stays,
    /// A variable goes its way by so much.
    Moves(&'a syn::Ident, u32),
    Unknown,
}

fn side<'a>(expr: &'a syn::Expr, way: Way, body: &syn::Block, changes: &Changes) -> Side<'a> {
    let mut names = Names::default();
    names.visit_expr(expr);
    if names.unclear || changes.unclear {
        return Side::Unknown;
    }
    let times: usize = names.found.iter().map(|name| changes.times(name)).sum();
    let moves = || variable(expr).and_then(|name| Some((name, step(name, way, body)?)));
    match times {
        0 => Side::Stays,
        1 => moves().map_or(Side::Unknown, |(name, step)| Side::Moves(name, step)),
        _ => Side::Unknown,
    }
}

/// By what constant each iteration moves a variable that way: a statement of the body itself does.
fn step(name: &syn::Ident, way: Way, body: &syn::Block) -> Option<u32> {
    body.stmts.iter().find_map(|statement| {
        let syn::Stmt::Expr(syn::Expr::Binary(step), _) = statement else { return None };
        let its = match step.op {
            syn::BinOp::AddAssign(_) => Way::Up,
            syn::BinOp::SubAssign(_) => Way::Down,
            _ => return None,
        };
        let goes = variable(&step.left) == Some(name) && (way == its || way == Way::Either);
        goes.then(|| positive(&step.right)).flatten()
    })
}

/// A whole number, not 0. (Adding a small fraction to a large one may change nothing.)
fn positive(expr: &syn::Expr) -> Option<u32> {
    match expr {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. }) => {
            number.base10_parse().ok().filter(|number| *number > 0)
        }
        _ => None,
    }
}

/// The variables of a comparison's side.
#[derive(Default)]
struct Names {
    found: Vec<String>,
    /// It may have another value though none of them is assigned to.
    unclear: bool,
}

impl<'ast> Visit<'ast> for Names {
    fn visit_expr(&mut self, node: &'ast syn::Expr) {
        use syn::Expr::{Binary, Cast, Field, Lit, MethodCall, Paren, Path};
        match node {
            Path(path) => match path.path.get_ident() {
                Some(name) => self.found.push(name.to_string()),
                // A constant, or a static that this code does not change by name.
                None => self.unclear = true,
            },
            MethodCall(call) if call.method == "len" => visit::visit_expr(self, node),
            Binary(_) | Cast(_) | Field(_) | Lit(_) | Paren(_) => visit::visit_expr(self, node),
            _ => self.unclear = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(code: &str) -> bool {
        match syn::parse_str(code).expect("a loop") {
            syn::Expr::While(node) => of_while(&node).is_some(),
            syn::Expr::Loop(node) => is_loop(&node),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_comes_nearer_each_time_counts() {
        for code in [
            "while i < n { s += x[i]; i += 1; }",
            "while i < x.len() { x[i] = x[i].max(y[i]); i += 2; }",
            "while i <= self.n - 1 { s ^= i; y.s[i] = s; i += 1; }",
            "while i <= n as usize { if x[i] > 9 { break; } i += 1; }",
            "while i > 0 { i -= 1; s += x[i]; }",
            "while n >= i { s += x[i]; i += 1 }",
            "while i < j { j -= 1; (x[i], x[j]) = (x[j], x[i]); i += 1; }",
            "while i != n { let t = x[i]; s += t * t; i += 1; }",
            "loop { if i == n { break; } s ^= x[i]; i += 1; }",
            "loop { if i >= n { break s; } s ^= x[i]; i += 1; }",
            "loop { if 0 == i { break } i -= 1; s ^= x[i]; }",
        ] {
            assert!(is(code), "{code}");
        }
    }

    #[test]
    fn it_is_known_how_a_variable_counts_to_a_plain_bound() {
        let to = |code: &str| match of_while(&syn::parse_str(code).expect("a while")) {
            Some(Counted::To(count)) => Some(count),
            Some(Counted::Otherwise | Counted::Early | Counted::Emptied) => None,
            None => panic!("{code}"),
        };
        let count = |bound: &str, step, up, through| {
            Some(Count { variable: "i".into(), bound: bound.into(), step, up, through })
        };
        assert_eq!(to("while i < n { s += x[i]; i += 1; }"), count("n", 1, true, false));
        assert_eq!(to("while x.len() > i { s += i; i += 3 }"), count("x.len()", 3, true, false));
        assert_eq!(to("while i <= 9_u8 { s += i; i += 1; }"), count("9_u8", 1, true, true));
        assert_eq!(to("while i > 0 { i -= 2; s += x[i]; }"), count("0", 2, false, false));
        assert_eq!(to("while 3 <= i { s += i; i -= 1; }"), count("3", 1, false, true));
        for code in [
            "while i < self.n { s += x[i]; i += 1; }",
            "while i < n - 1 { s += x[i]; i += 1; }",
            "while i < j { j -= 1; s += x[i] * x[j]; i += 1; }",
            "while i != n { s += x[i]; i += 1; }",
        ] {
            assert_eq!(to(code), None, "{code}");
        }
    }

    #[test]
    fn what_else_has_to_hold_only_ends_it_earlier() {
        for code in [
            "while i < n && s < 9 { s += x[i]; i += 1; }",
            "while x[i] != key && i > 0 { i -= 1; }",
            "while i < n && x[i].abs() < 9.0 && !(y[i] & 1 == 0) { s += x[i]; i += 1; }",
        ] {
            let node = syn::parse_str(code).expect("a while");
            assert_eq!(of_while(&node), Some(Counted::Early), "{code}");
        }
    }

    #[test]
    fn a_collection_that_only_gives_is_emptied() {
        for code in [
            "while let Some(x) = v.pop() { s = s.wrapping_add(x); }",
            "while let Some(Reverse((d, n))) = heap.pop() { if d < best[n] { best[n] = d; } }",
            "while let Some(x) = queue.pop_front() { if x == 9 { break; } s ^= x; }",
        ] {
            let node = syn::parse_str(code).expect("a while");
            assert_eq!(of_while(&node), Some(Counted::Emptied), "{code}");
        }
    }

    #[test]
    fn what_may_go_on_for_ever_does_not() {
        for code in [
            "while i < n { s += x[i]; }",
            "while i < n { s += x[i]; if s > 9 { i += 1; } }",
            "while i < n { if x[i] == 0 { continue; } i += 1; }",
            "while i < n { i += 1; n += 1; }",
            "while i < n { i += 1; i -= 1; }",
            "while i < n { i -= 1; }",
            "while i < n { i += 0; }",
            "while i < n { i += c; }",
            "while i + 1 < n { n = i + 2; i += 1; }",
            "while i < self.n { self.n += 1; i += 1; }",
            "while x < 1.0 { x += 0.1; }",
            "while i < n { let mut i = 0; i += 1; }",
            "while i < n { { let n = 3; s += n; } i += 1; n = s; }",
            "while i < x[0] { x[0] += 1; i += 1; }",
            "while i < N.load() { i += 1; }",
            "while i != j { i += 1; j += 1; }",
            "while n != 1 { if n % 2 == 0 { n /= 2 } else { n = 3 * n + 1 } }",
            "while b != 0 { (a, b) = (b, a % b); }",
            "while i < n || s < 9 { s += x[i]; i += 1; }",
            "while i < n && f(i) { s += x[i]; i += 1; }",
            "while i < n && { n += 1; true } { s += x[i]; i += 1; }",
            "while s < 9 && x[i] < 9 { s += x[i]; i += 1; }",
            "while i < n { *p += 1; i += 1; }",
            "while i < n { let q = &mut n; i += 1; }",
            "while let Some(i) = y { i += 1; }",
            "while let Some(x) = v.pop() { v.push(x / 2); }",
            "while let Some(x) = v.pop() { v = w; s += x; }",
            "while let Some(x) = v.pop() { let w = &mut v; s += x; }",
            "while let Some(x) = self.v.pop() { s += x; }",
            "while let Some(x) = v.pop(1) { s += x; }",
            "while let Some(x) = v.next() { s += x; }",
            "while i < n { v.push(i); i += 1; }",
            "while i < n { s += f(i); i += 1; }",
            "while true { i += 1; }",
            "loop { s += 1; if i == n { break; } i += 1; }",
            "loop { if i == n { s = 1; } i += 1; }",
            "loop { if i < n { break; } i += 1; }",
            "loop { if i == n { break 'a; } i += 1; }",
            "loop { i += 1; }",
        ] {
            assert!(!is(code), "{code}");
        }
    }
}
