//! What runs: statements, their bindings, what they mention, what they move.

use std::collections::BTreeSet;
use std::ops::Range;

use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::edits::{self, Edit};
use super::hints::{self, Hint};
use super::mentions;

/// A statement of a cell.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its bytes in the cell, the semicolon included.
    pub range: Range<usize>,
    /// What it is.
    pub kind: StatementKind,
    /// Variables it binds at the top level.
    pub bindings: Vec<Binding>,
    /// Names it may take from variables.
    pub values: BTreeSet<String>,
    /// All its identifiers.
    pub identifiers: BTreeSet<String>,
    /// Variables it assigns to as a whole (`x = ..`), at any depth.
    pub assigns: BTreeSet<String>,
    /// Variables it surely uses by value where the type is not `Copy`: bare arguments, operands,
    /// receivers of methods that consume by convention.
    pub consumes: BTreeSet<String>,
    /// Methods it calls on variables: the variable and the method's name.
    pub calls: BTreeSet<(String, String)>,
    /// Changes to its text.
    pub edits: Vec<Edit>,
    /// It holds a loop or a closure: worth optimising.
    pub loops: bool,
}

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// `let` with an initialiser.
    Let,
    /// `let x;` or `let x = &..`: what follows must stand in the same scope.
    OpenLet,
    /// Any other statement; the flag says that it needs a semicolon when pasted before others.
    Other {
        /// No semicolon of its own and an expression that may have a value.
        open: bool,
    },
    /// The expression whose value is shown.
    Tail,
}

/// A variable bound by a `let`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its name, without `r#`.
    pub name: String,
    /// Whether it was declared `mut`.
    pub mutable: bool,
    /// What the text tells of its type.
    pub hint: Hint,
}

pub(super) fn read(statement: &syn::Stmt, last: bool) -> Option<Statement> {
    let mut bindings = Vec::new();
    let kind = match statement {
        syn::Stmt::Local(local) => {
            collect_bindings(&local.pat, &mut bindings);
            if let [binding] = bindings.as_mut_slice() {
                binding.hint = hints::of_let(local);
            }
            match &local.init {
                None => StatementKind::OpenLet,
                Some(init) if borrows(&init.expr) => StatementKind::OpenLet,
                Some(_) => StatementKind::Let,
            }
        }
        // A stray semicolon.
        syn::Stmt::Expr(syn::Expr::Verbatim(tokens), Some(_)) if tokens.is_empty() => return None,
        syn::Stmt::Expr(expression, None) => match expression {
            syn::Expr::ForLoop(_) | syn::Expr::While(_) => StatementKind::Other { open: false },
            _ if last => StatementKind::Tail,
            _ => StatementKind::Other { open: true },
        },
        syn::Stmt::Macro(invocation) if invocation.semi_token.is_none() => {
            let braces = matches!(invocation.mac.delimiter, syn::MacroDelimiter::Brace(_));
            match (last, braces) {
                (true, false) => StatementKind::Tail,
                (true, true) if known_expression(&invocation.mac) => StatementKind::Tail,
                _ => StatementKind::Other { open: false },
            }
        }
        _ => StatementKind::Other { open: false },
    };
    let mut uses = Uses::default();
    uses.visit_stmt(statement);
    // A closure's parameter or a pattern inside may share a variable's name: then nothing is sure.
    let shadowed = inner_bindings(statement);
    uses.consumes.retain(|name| !shadowed.contains(name));
    uses.assigns.retain(|name| !shadowed.contains(name));
    uses.calls.retain(|(name, _)| !shadowed.contains(name));
    Some(Statement {
        range: statement.span().byte_range(),
        kind,
        bindings,
        values: mentions::values(statement),
        identifiers: mentions::identifiers(statement.to_token_stream()),
        assigns: uses.assigns,
        consumes: uses.consumes,
        calls: uses.calls,
        edits: edits::of_statement(statement, last),
        loops: uses.loops,
    })
}

fn known_expression(invocation: &syn::Macro) -> bool {
    let name = invocation.path.segments.last().map(|segment| segment.ident.to_string());
    matches!(name.as_deref(), Some("json" | "vec" | "format" | "df" | "matches" | "html"))
}

/// `&x` and friends: the value lives no longer than the scope it was made in.
fn borrows(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Reference(reference) => !matches!(*reference.expr, syn::Expr::Lit(_)),
        syn::Expr::Paren(inner) => borrows(&inner.expr),
        _ => false,
    }
}

fn collect_bindings(pattern: &syn::Pat, into: &mut Vec<Binding>) {
    struct Bindings<'a>(&'a mut Vec<Binding>);
    impl<'ast> Visit<'ast> for Bindings<'_> {
        fn visit_pat_ident(&mut self, node: &'ast syn::PatIdent) {
            let name = mentions::plain(&node.ident);
            // `None` and other upper-case names in a pattern are constants or variants.
            let constant = node.by_ref.is_none()
                && node.subpat.is_none()
                && name.chars().next().is_some_and(char::is_uppercase);
            if !constant && !self.0.iter().any(|known| known.name == name) {
                let mutable = node.mutability.is_some();
                self.0.push(Binding { name, mutable, hint: Hint::Unknown });
            }
            visit::visit_pat_ident(self, node);
        }

        fn visit_expr(&mut self, _: &'ast syn::Expr) {}
    }
    Bindings(into).visit_pat(pattern);
}

/// Names bound inside a statement, below its own `let` pattern.
fn inner_bindings(statement: &syn::Stmt) -> BTreeSet<String> {
    #[derive(Default)]
    struct Inner(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Inner {
        fn visit_pat_ident(&mut self, node: &'ast syn::PatIdent) {
            self.0.insert(mentions::plain(&node.ident));
            visit::visit_pat_ident(self, node);
        }
    }
    let mut inner = Inner::default();
    if let syn::Stmt::Local(local) = statement {
        if let Some(init) = &local.init {
            inner.visit_expr(&init.expr);
            if let Some((_, diverge)) = &init.diverge {
                inner.visit_expr(diverge);
            }
        }
    } else {
        inner.visit_stmt(statement);
    }
    inner.0
}

/// Methods that take `self` by value wherever they are found, and that people call in cells.
const CONSUMING: &[&str] = &[
    "lazy",
    "into_iter",
    "into_boxed_slice",
    "into_bytes",
    "into_string",
    "into_series",
    "into_column",
    "into_keys",
    "into_values",
    "into_inner",
    "into_par_iter",
    "unwrap",
    "expect",
    "unwrap_or",
    "unwrap_or_default",
    "unwrap_or_else",
    "ok_or",
    "ok_or_else",
];

#[derive(Default)]
struct Uses {
    assigns: BTreeSet<String>,
    consumes: BTreeSet<String>,
    calls: BTreeSet<(String, String)>,
    loops: bool,
}

impl Uses {
    fn consume(&mut self, expression: &syn::Expr) {
        if let Some(name) = variable(expression) {
            self.consumes.insert(name);
        }
    }
}

impl Uses {
    /// A `move` closure takes everything it mentions.
    fn consume_all(&mut self, body: &syn::Expr) {
        let statement = syn::Stmt::Expr(body.clone(), None);
        self.consumes.extend(mentions::values(&statement));
    }
}

fn variable(expression: &syn::Expr) -> Option<String> {
    match expression {
        syn::Expr::Path(path) if path.qself.is_none() => path.path.get_ident().map(mentions::plain),
        syn::Expr::Paren(inner) => variable(&inner.expr),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_expr(&mut self, node: &'ast syn::Expr) {
        match node {
            syn::Expr::Assign(assign) => {
                if let Some(name) = variable(&assign.left) {
                    self.assigns.insert(name);
                }
                self.consume(&assign.right);
            }
            syn::Expr::Call(call) => call.args.iter().for_each(|argument| self.consume(argument)),
            syn::Expr::MethodCall(call) => {
                call.args.iter().for_each(|argument| self.consume(argument));
                let method = call.method.to_string();
                if CONSUMING.contains(&method.as_str()) {
                    self.consume(&call.receiver);
                }
                if let Some(name) = variable(&call.receiver) {
                    self.calls.insert((name, method));
                }
            }
            syn::Expr::ForLoop(each) => {
                self.loops = true;
                self.consume(&each.expr);
            }
            syn::Expr::Closure(closure) => {
                self.loops = true;
                if closure.capture.is_some() {
                    self.consume_all(&closure.body);
                }
            }
            syn::Expr::Async(block) if block.capture.is_some() => {
                let body = syn::Expr::Block(syn::ExprBlock {
                    attrs: Vec::new(),
                    label: None,
                    block: block.block.clone(),
                });
                self.consume_all(&body);
            }
            syn::Expr::While(_) | syn::Expr::Loop(_) => self.loops = true,
            syn::Expr::Binary(binary) if arithmetic(&binary.op) => {
                self.consume(&binary.left);
                self.consume(&binary.right);
            }
            syn::Expr::Struct(literal) => {
                literal.fields.iter().for_each(|field| self.consume(&field.expr));
            }
            syn::Expr::Tuple(tuple) => tuple.elems.iter().for_each(|element| self.consume(element)),
            syn::Expr::Array(array) => array.elems.iter().for_each(|element| self.consume(element)),
            _ => {}
        }
        visit::visit_expr(self, node);
    }

    fn visit_local(&mut self, node: &'ast syn::Local) {
        if let Some(init) = &node.init
            && !matches!(node.pat, syn::Pat::Wild(_))
        {
            self.consume(&init.expr);
        }
        visit::visit_local(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        let by_value =
            node.path.segments.last().is_some_and(|s| s.ident == "vec" || s.ident == "dbg");
        for expression in edits::expressions(node).unwrap_or_default() {
            if by_value {
                self.consume(&expression);
            }
            let mut inner = Uses::default();
            inner.visit_expr(&expression);
            self.assigns.append(&mut inner.assigns);
            self.consumes.append(&mut inner.consumes);
            self.calls.append(&mut inner.calls);
            self.loops |= inner.loops;
        }
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

pub(super) fn arithmetic(operator: &syn::BinOp) -> bool {
    use syn::BinOp::{Add, BitAnd, BitOr, BitXor, Div, Mul, Rem, Shl, Shr, Sub};
    matches!(
        operator,
        Add(_)
            | Sub(_)
            | Mul(_)
            | Div(_)
            | Rem(_)
            | BitXor(_)
            | BitAnd(_)
            | BitOr(_)
            | Shl(_)
            | Shr(_)
    )
}
