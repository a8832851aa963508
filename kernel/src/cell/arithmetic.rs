//! Which loops are too small for a poll: [`is_arithmetic`].
//!
//! A poll costs a fraction of a nanosecond, and the loop its vectorisation: nothing beside a call of a
//! library, several times the work where an iteration takes one cycle. So bodies of nothing but
//! arithmetic, the methods of numbers included, have none.

use syn::visit::{self, Visit};

/// Methods of the integer and floating-point types that compile to a few instructions. Other types may
/// have methods of these names; theirs mostly return a `Result`, and a body with `?` keeps its poll.
const METHODS: &[&str] = &[
    "abs",
    "abs_diff",
    "acos",
    "asin",
    "atan",
    "atan2",
    "cbrt",
    "ceil",
    "clamp",
    "cmp",
    "copysign",
    "cos",
    "cosh",
    "count_ones",
    "count_zeros",
    "div_ceil",
    "div_euclid",
    "exp",
    "exp2",
    "exp_m1",
    "floor",
    "fract",
    "from_bits",
    "hypot",
    "ilog2",
    "is_finite",
    "is_infinite",
    "is_nan",
    "is_negative",
    "is_positive",
    "is_power_of_two",
    "is_sign_negative",
    "is_sign_positive",
    "isqrt",
    "leading_ones",
    "leading_zeros",
    "len",
    "ln",
    "ln_1p",
    "log",
    "log10",
    "log2",
    "max",
    "midpoint",
    "min",
    "mul_add",
    "overflowing_add",
    "overflowing_mul",
    "overflowing_sub",
    "partial_cmp",
    "pow",
    "powf",
    "powi",
    "recip",
    "rem_euclid",
    "reverse_bits",
    "rotate_left",
    "rotate_right",
    "round",
    "saturating_add",
    "saturating_mul",
    "saturating_pow",
    "saturating_sub",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "swap_bytes",
    "tan",
    "tanh",
    "to_bits",
    "to_degrees",
    "to_radians",
    "total_cmp",
    "trailing_ones",
    "trailing_zeros",
    "trunc",
    "unsigned_abs",
    "wrapping_add",
    "wrapping_div",
    "wrapping_mul",
    "wrapping_neg",
    "wrapping_pow",
    "wrapping_rem",
    "wrapping_shl",
    "wrapping_shr",
    "wrapping_sub",
];

const NUMBERS: &[&str] = &[
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32",
    "u64", "u128", "usize",
];

/// Whether a loop's body is arithmetic on numbers and their places alone: no loop, macro, `.await` or `?`
/// in it, and no call but of a number's method or of a constructor.
pub(super) fn is_arithmetic(body: &syn::Block) -> bool {
    let mut search = Search { only: true };
    search.visit_block(body);
    search.only
}

struct Search {
    only: bool,
}

impl<'ast> Visit<'ast> for Search {
    fn visit_expr(&mut self, node: &'ast syn::Expr) {
        use syn::Expr::{Await, Call, ForLoop, Loop, Macro, MethodCall, Try, While};
        let small = match node {
            Await(_) | ForLoop(_) | Loop(_) | Macro(_) | Try(_) | While(_) => false,
            MethodCall(call) => is_method(&call.method.to_string()),
            Call(call) => is_of_a_number(&call.func) || is_constructor(&call.func),
            _ => true,
        };
        if small {
            visit::visit_expr(self, node);
        } else {
            self.only = false;
        }
    }

    fn visit_stmt_macro(&mut self, _: &'ast syn::StmtMacro) {
        self.only = false;
    }
}

/// A method of numbers.
pub(super) fn is_method(name: &str) -> bool {
    METHODS.contains(&name)
}

/// `f64::from`, `f64::sqrt`, `u32::max`.
pub(super) fn is_of_a_number(function: &syn::Expr) -> bool {
    let syn::Expr::Path(path) = function else { return false };
    let names: Vec<String> = path.path.segments.iter().map(|part| part.ident.to_string()).collect();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [number, "from"] => NUMBERS.contains(&number),
        [number, method] => NUMBERS.contains(&number) && METHODS.contains(&method),
        _ => false,
    }
}

/// `Some`, `Point`.
pub(super) fn is_constructor(function: &syn::Expr) -> bool {
    let syn::Expr::Path(path) = function else { return false };
    let name = path.path.segments.last().map(|last| last.ident.to_string());
    name.is_some_and(|name| name.starts_with(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use super::is_arithmetic;

    #[test]
    fn numbers_and_their_methods_are_arithmetic() {
        for body in [
            "{ s += x[i] * 2.0; }",
            "{ s += (x[i] - mean).powi(2).sqrt().min(1.0); }",
            "{ s = s.wrapping_add(i.rotate_left(3)); }",
            "{ y[i] = f64::from(x[i]).mul_add(a, b); if y[i].is_nan() { break; } }",
            "{ s += u64::pow(i, 2) as f64; }",
            "{ if x[i].cmp(&y) == Equal { found = Some(i); } }",
        ] {
            assert!(is_arithmetic(&syn::parse_str(body).expect("a block")), "{body}");
        }
    }

    #[test]
    fn what_may_take_long_is_not() {
        for body in [
            "{ s += f(i); }",
            "{ s = s.wrapping_add(std::hint::black_box(i)); }",
            "{ v.push(i); }",
            "{ println!(\"{i}\"); }",
            "{ t = t.sqrt()?; }",
            "{ s += model.predict(i).abs(); }",
            "{ while s < i { s += 1; } }",
            "{ s += tokio::time::now().await; }",
            "{ s += Net::from(i); }",
        ] {
            assert!(!is_arithmetic(&syn::parse_str(body).expect("a block")), "{body}");
        }
    }
}
