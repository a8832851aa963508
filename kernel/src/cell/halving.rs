//! Loops that halve an interval until nothing is left of it: [`halves`].
//!
//! ```text
//! while low < high {
//!     let middle = (low + high) / 2;
//!     if v[middle] < key { low = middle + 1 } else { high = middle }
//! }
//! ```
//!
//! Such a search ends after as many iterations as its numbers have bits, and a safepoint costs it a tenth of
//! its time: the next element cannot be loaded before the safepoint is passed.

use super::arithmetic::is_arithmetic;
use super::changes::{Changes, variable};

/// Whether each iteration leaves less than about half of an interval of whole numbers to the next.
pub(super) fn halves(node: &syn::ExprWhile) -> bool {
    let Some(interval) = Interval::of(&node.cond) else { return false };
    let changes = Changes::of(&node.body);
    if changes.unclear || !is_arithmetic(&node.body) {
        return false;
    }
    let mut statements = node.body.stmts.iter();
    let Some(middle) = statements.find_map(|statement| interval.middle(statement)) else {
        return false;
    };
    let assignments = interval.assignments(&middle);
    let narrows = |statement| narrowings(statement, &assignments);
    let Some(narrowings) = statements.find_map(narrows) else { return false };
    let of_ends = changes.times(&interval.low) + changes.times(&interval.high);
    changes.times(&middle) == 1 && of_ends == narrowings
}

/// What is searched.
struct Interval {
    low: String,
    high: String,
    ends: Ends,
}

/// Which of its ends may still be what is searched for.
#[derive(Clone, Copy)]
enum Ends {
    /// The lower one: `low < high`.
    Low,
    /// Both: `low <= high`.
    Both,
    /// None: `low + 1 < high`.
    None,
}

impl Interval {
    fn of(condition: &syn::Expr) -> Option<Self> {
        let syn::Expr::Binary(comparison) = condition else { return None };
        let (low, high, ends) = match comparison.op {
            syn::BinOp::Lt(_) => (&comparison.left, &comparison.right, Ends::Low),
            syn::BinOp::Le(_) => (&comparison.left, &comparison.right, Ends::Both),
            syn::BinOp::Gt(_) => (&comparison.right, &comparison.left, Ends::Low),
            syn::BinOp::Ge(_) => (&comparison.right, &comparison.left, Ends::Both),
            _ => return None,
        };
        let named = |low: &syn::Expr, high: &syn::Expr, ends| {
            let (low, high) = (variable(low)?.to_string(), variable(high)?.to_string());
            Some(Self { low, high, ends })
        };
        if !matches!(ends, Ends::Low) {
            return named(low, high, ends);
        }
        // `low + 1 < high`, `1 < high - low`.
        match (&**low, &**high) {
            (syn::Expr::Binary(sum), high) if is(low, &[format!("{} + 1", text(&sum.left)?)]) => {
                named(&sum.left, high, Ends::None)
            }
            (low, syn::Expr::Binary(rest)) if is(low, &["1".to_owned()]) => {
                let subtracts = matches!(rest.op, syn::BinOp::Sub(_));
                subtracts.then(|| named(&rest.right, &rest.left, Ends::None)).flatten()
            }
            (low, high) => named(low, high, ends),
        }
    }

    /// The variable that a `let` gives the interval's middle.
    fn middle(&self, statement: &syn::Stmt) -> Option<String> {
        let Self { low, high, .. } = self;
        let syn::Stmt::Local(local) = statement else { return None };
        let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init) else { return None };
        let mut forms = Vec::new();
        for half in ["/ 2", ">> 1"] {
            forms.push(format!("({low} + {high}) {half}"));
            forms.push(format!("({high} + {low}) {half}"));
            forms.push(format!("{low} + ({high} - {low}) {half}"));
            forms.push(format!("{low} + (({high} - {low}) {half})"));
        }
        forms.push(format!("{low}.midpoint({high})"));
        for number in ["usize", "u64", "u32"] {
            forms.push(format!("{number}::midpoint({low}, {high})"));
        }
        is(&init.expr, &forms).then(|| name.ident.to_string())
    }

    /// What makes the interval smaller.
    fn assignments(&self, middle: &str) -> Vec<syn::Expr> {
        let Self { low, high, ends } = self;
        let mut texts = vec![format!("{low} = {middle} + 1"), format!("{high} = {middle} - 1")];
        if matches!(ends, Ends::Low | Ends::None) {
            texts.push(format!("{high} = {middle}"));
        }
        if matches!(ends, Ends::None) {
            texts.push(format!("{low} = {middle}"));
        }
        texts.iter().filter_map(|text| syn::parse_str(text).ok()).collect()
    }
}

/// How many of the assignments there are in a statement, one of which is made whichever way it takes unless
/// it leaves the loop; `None` where it may do neither.
fn narrowings(statement: &syn::Stmt, assignments: &[syn::Expr]) -> Option<usize> {
    match statement {
        syn::Stmt::Expr(expr, _) => narrowings_of(expr, assignments),
        _ => None,
    }
}

fn narrowings_of(expr: &syn::Expr, assignments: &[syn::Expr]) -> Option<usize> {
    let of_block = |block: &syn::Block| {
        block.stmts.iter().find_map(|statement| narrowings(statement, assignments))
    };
    match expr {
        syn::Expr::Return(_) | syn::Expr::Break(_) => Some(0),
        syn::Expr::Block(block) => of_block(&block.block),
        syn::Expr::If(node) => {
            let (_, otherwise) = node.else_branch.as_ref()?;
            Some(of_block(&node.then_branch)? + narrowings_of(otherwise, assignments)?)
        }
        syn::Expr::Match(node) => {
            node.arms.iter().map(|arm| narrowings_of(&arm.body, assignments)).sum()
        }
        syn::Expr::Assign(_) => assignments.contains(expr).then_some(1),
        _ => None,
    }
}

fn is(expr: &syn::Expr, forms: &[String]) -> bool {
    forms.iter().any(|form| syn::parse_str::<syn::Expr>(form).is_ok_and(|form| form == *expr))
}

fn text(expr: &syn::Expr) -> Option<String> {
    variable(expr).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_halving(code: &str) -> bool {
        halves(&syn::parse_str(code).expect("a while"))
    }

    #[test]
    fn a_search_in_sorted_values_halves() {
        for code in [
            "while low < high { let mid = (low + high) / 2; if v[mid] < key { low = mid + 1; } else { high = mid; } }",
            "while low < high { let m = low + (high - low) / 2; if v[m] < key { low = m + 1 } else { high = m } }",
            "while b > a { let mid = (a + b) >> 1; steps += 1; if v[mid] <= key { a = mid + 1 } else { b = mid } }",
            "while low <= high { let mid = usize::midpoint(low, high); if v[mid] == key { return Some(mid); } else if v[mid] < key { low = mid + 1; } else { high = mid - 1; } }",
            "while low <= high { let mid = low + ((high - low) >> 1); match v[mid].cmp(&key) { Less => low = mid + 1, Greater => { high = mid - 1; } Equal => { found = Some(mid); break } } }",
            "while low + 1 < high { let mid = (low + high) / 2; if mid * mid <= n { low = mid; } else { high = mid; } }",
            "while high - low > 1 { let mid = low.midpoint(high); if mid * mid <= n { low = mid; } else { high = mid; } }",
        ] {
            assert!(is_halving(code), "{code}");
        }
    }

    #[test]
    fn what_may_stay_as_wide_does_not() {
        for code in [
            // The lower end stays where two neighbours are left.
            "while low < high { let mid = (low + high) / 2; if v[mid] < key { low = mid; } else { high = mid; } }",
            "while low <= high { let mid = (low + high) / 2; if v[mid] < key { low = mid + 1; } else { high = mid; } }",
            // Fractions have no neighbours.
            "while high - low > 1e-9 { let mid = (low + high) / 2.0; if mid * mid < n { low = mid } else { high = mid } }",
            "while low < high { let mid = (low + high) / 2; if v[mid] < key { low = mid + 1; } }",
            "while low < high { let mid = (low + high) / 2; if v[mid] < key { low = mid + 1; } else if v[mid] > key { high = mid; } else { steps += 1; } }",
            "while low < high { let mid = (low + high) / 2; if v[mid] < key { low = mid + 1; } else { high = mid; } high += 1; }",
            "while low < high { let mut mid = (low + high) / 2; mid = high; if v[mid] < key { low = mid + 1; } else { high = mid; } }",
            "while low < high { let mid = (low + n) / 2; if v[mid] < key { low = mid + 1; } else { high = mid; } }",
            "while low < high { let mid = (low + high) / 2; if slow(mid) { low = mid + 1; } else { high = mid; } }",
            "while low < high { let mid = (low + high) / 2; if v[mid] < key { continue; } else { high = mid; } }",
        ] {
            assert!(!is_halving(code), "{code}");
        }
    }
}
