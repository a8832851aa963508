//! What the text tells of a value's type before rustc has seen it: enough to know that a use by
//! value moves it. Silence is always right; it costs a second compile where the value did move.

use super::mentions;

/// What is known of a variable's type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Nothing: it may be `Copy`.
    #[default]
    Unknown,
    /// Surely not `Copy`.
    Owned,
    /// A polars query or its grouping.
    Lazy,
    /// A polars expression.
    Expr,
    /// Of the same type as another variable.
    Like(String),
}

/// Methods of a query that take it by value.
const OF_LAZY: &[&str] = &[
    "agg",
    "cache",
    "collect",
    "collect_with_engine",
    "cross_join",
    "drop",
    "drop_nans",
    "drop_nulls",
    "explode",
    "fill_nan",
    "fill_null",
    "filter",
    "first",
    "full_join",
    "group_by",
    "inner_join",
    "join",
    "last",
    "left_join",
    "limit",
    "max",
    "mean",
    "median",
    "min",
    "quantile",
    "rename",
    "reverse",
    "select",
    "shift",
    "slice",
    "sort",
    "sort_by_exprs",
    "std",
    "sum",
    "tail",
    "unique",
    "unpivot",
    "var",
    "with_column",
    "with_columns",
    "with_row_index",
];

/// Methods of an expression that take it by value.
const OF_EXPR: &[&str] = &[
    "abs",
    "alias",
    "and",
    "arr",
    "cast",
    "ceil",
    "clip",
    "count",
    "cum_sum",
    "diff",
    "dt",
    "eq",
    "exp",
    "explode",
    "fill_nan",
    "fill_null",
    "filter",
    "first",
    "floor",
    "gt",
    "gt_eq",
    "head",
    "implode",
    "is_between",
    "is_in",
    "is_not_null",
    "is_null",
    "last",
    "list",
    "log",
    "lt",
    "lt_eq",
    "max",
    "mean",
    "median",
    "min",
    "n_unique",
    "name",
    "neq",
    "not",
    "or",
    "over",
    "pow",
    "quantile",
    "rank",
    "reverse",
    "rolling_mean",
    "round",
    "shift",
    "sort",
    "sort_by",
    "sqrt",
    "std",
    "str",
    "sum",
    "tail",
    "unique",
    "var",
];

/// Types that are not `Copy` whatever they hold.
const OWNED_TYPES: &[&str] = &[
    "Arc",
    "BTreeMap",
    "BTreeSet",
    "Box",
    "DataFrame",
    "HashMap",
    "HashSet",
    "Rc",
    "Series",
    "String",
    "Tensor",
    "Vec",
    "VecDeque",
];

/// Functions of such types that return one, or a `Result` of one.
const CONSTRUCTORS: &[&str] = &[
    "default",
    "empty",
    "from",
    "from_iter",
    "new",
    "ones",
    "rand",
    "randn",
    "with_capacity",
    "zeros",
];

impl Hint {
    /// What a type that rustc printed tells.
    #[must_use]
    pub fn of_type(text: &str) -> Self {
        let path = text.split('<').next().unwrap_or_default();
        Self::of_type_name(path.rsplit("::").next().unwrap_or_default().trim())
    }

    fn of_type_name(name: &str) -> Self {
        match name {
            "LazyFrame" | "LazyGroupBy" => Self::Lazy,
            "Expr" => Self::Expr,
            name if OWNED_TYPES.contains(&name) => Self::Owned,
            _ => Self::Unknown,
        }
    }

    /// Whether a call of this method moves a variable of such a type.
    #[must_use]
    pub fn moves_at(&self, method: &str) -> bool {
        match self {
            Self::Lazy => OF_LAZY.contains(&method),
            Self::Expr => OF_EXPR.contains(&method),
            Self::Unknown | Self::Owned | Self::Like(_) => false,
        }
    }
}

/// What a `let` tells of the one variable it binds.
pub(super) fn of_let(local: &syn::Local) -> Hint {
    match &local.pat {
        syn::Pat::Ident(_) => {
            local.init.as_ref().map_or(Hint::Unknown, |init| of_expression(&init.expr))
        }
        syn::Pat::Type(typed) if matches!(*typed.pat, syn::Pat::Ident(_)) => match &*typed.ty {
            syn::Type::Path(path) => of_path_end(&path.path),
            _ => Hint::Unknown,
        },
        _ => Hint::Unknown,
    }
}

fn of_path_end(path: &syn::Path) -> Hint {
    let last = path.segments.last().map(|segment| segment.ident.to_string());
    Hint::of_type_name(last.as_deref().unwrap_or_default())
}

/// The hint holds for the value and for a `Result` of it, so `?` changes nothing.
fn of_expression(expression: &syn::Expr) -> Hint {
    match expression {
        syn::Expr::Paren(inner) => of_expression(&inner.expr),
        syn::Expr::Try(inner) => of_expression(&inner.expr),
        syn::Expr::Unary(inner) => of_operand(&inner.expr),
        syn::Expr::Binary(binary) if super::statements::arithmetic(&binary.op) => {
            match of_operand(&binary.left) {
                Hint::Unknown => of_operand(&binary.right),
                known => known,
            }
        }
        syn::Expr::Path(path) => match path.path.get_ident() {
            Some(ident) => Hint::Like(mentions::plain(ident)),
            None => Hint::Unknown,
        },
        syn::Expr::MethodCall(call) => of_method(call),
        syn::Expr::Call(call) => match &*call.func {
            syn::Expr::Path(function) => of_function(&function.path),
            _ => Hint::Unknown,
        },
        syn::Expr::Macro(invocation) => {
            let owned = ["df", "format", "json", "vec"];
            let name = invocation.mac.path.segments.last().map(|segment| segment.ident.to_string());
            if name.is_some_and(|name| owned.contains(&name.as_str())) {
                Hint::Owned
            } else {
                Hint::Unknown
            }
        }
        _ => Hint::Unknown,
    }
}

/// Arithmetic on expressions gives expressions; on anything else it may give anything.
fn of_operand(expression: &syn::Expr) -> Hint {
    match of_expression(expression) {
        Hint::Expr => Hint::Expr,
        _ => Hint::Unknown,
    }
}

fn of_method(call: &syn::ExprMethodCall) -> Hint {
    let method = call.method.to_string();
    match (of_expression(&call.receiver), method.as_str()) {
        (_, "collect" | "to_string" | "to_vec") => Hint::Owned,
        (_, "lazy") => Hint::Lazy,
        (known, "clone") => known,
        (known @ (Hint::Lazy | Hint::Expr), method) if known.moves_at(method) => known,
        _ => Hint::Unknown,
    }
}

fn of_function(path: &syn::Path) -> Hint {
    let mut segments = path.segments.iter().rev().map(|segment| segment.ident.to_string());
    let name = segments.next().unwrap_or_default();
    match segments.next() {
        None if matches!(name.as_str(), "col" | "lit") => Hint::Expr,
        Some(owner) if CONSTRUCTORS.contains(&name.as_str()) => Hint::of_type_name(&owner),
        _ => Hint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(code: &str) -> Hint {
        let parser = syn::Block::parse_within;
        let statements = syn::parse::Parser::parse_str(parser, code).expect("the code parses");
        match &statements[0] {
            syn::Stmt::Local(local) => of_let(local),
            _ => panic!("{code} is no `let`"),
        }
    }

    #[test]
    fn a_chain_of_polars_tells_its_type() {
        assert_eq!(hint(r#"let a = (col("row") % lit(5)).eq(lit(0));"#), Hint::Expr);
        assert_eq!(hint(r#"let a = -col("x").mean();"#), Hint::Expr);
        assert_eq!(hint("let a = df.clone().lazy().filter(p);"), Hint::Lazy);
        assert_eq!(hint("let a = df.lazy().filter(p).collect()?;"), Hint::Owned);
        assert_eq!(hint(r#"let a = df.lazy().group_by([col("a")]);"#), Hint::Lazy);
    }

    #[test]
    fn containers_are_owned_and_copies_like_their_source() {
        assert_eq!(hint("let a = vec![1];"), Hint::Owned);
        assert_eq!(hint("let a: Vec<u8> = read();"), Hint::Owned);
        assert_eq!(hint("let a = std::collections::HashMap::new();"), Hint::Owned);
        assert_eq!(hint("let a = Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?;"), Hint::Owned);
        assert_eq!(hint("let a = b.clone();"), Hint::Like("b".to_owned()));
        assert_eq!(hint("let a = b;"), Hint::Like("b".to_owned()));
    }

    #[test]
    fn what_may_be_copied_is_not_known() {
        for code in [
            "let a = 1 + 2;",
            "let a = Point::new(1, 2);",
            "let a = Vec::len(&v);",
            "let a = b.eq(c);",
            "let a = v.iter().sum();",
            "let (a, b) = (vec![1], 2);",
            r#"let a = col("x") == col("y");"#,
            "let a: u8 = vec![1][0];",
            "let a = b + c;",
        ] {
            assert_eq!(hint(code), Hint::Unknown, "{code}");
        }
    }

    #[test]
    fn printed_types_are_read() {
        assert_eq!(Hint::of_type("polars::prelude::LazyFrame"), Hint::Lazy);
        assert_eq!(Hint::of_type("polars_plan::dsl::Expr"), Hint::Expr);
        assert_eq!(Hint::of_type("Vec<polars::prelude::Expr>"), Hint::Owned);
        assert_eq!(Hint::of_type("(u8, Vec<u8>)"), Hint::Unknown);
    }
}
