//! Where the cursor stands in whole code: the receiver before its dot and the bindings in scope.

use syn::visit::{self, Visit};

use super::context::HOLE;

/// A binding, with what its type follows from.
#[derive(Clone, Debug)]
pub(super) struct Local {
    /// Its name.
    pub(super) name: String,
    /// The pattern that it stands in.
    pub(super) pattern: syn::Pat,
    /// What the pattern is matched with.
    pub(super) source: Source,
}

/// What a pattern is matched with.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A value of this type.
    Type(syn::Type),
    /// The value of an expression.
    Value(syn::Expr),
    /// An element of what an expression iterates over.
    Element(syn::Expr),
    /// Something that the code around does not tell.
    Unknown,
}

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The expression before the dot.
    pub(super) receiver: syn::Expr,
    /// Bindings in scope, the newest last.
    pub(super) locals: Vec<Local>,
}

/// Finds the hole in whole code.
pub(super) fn find(whole: &str) -> Option<Place> {
    proc_macro2::extra::invalidate_current_thread_spans();
    let block = block(whole)?;
    let mut finder = Finder::default();
    finder.visit_block(&block);
    finder.found
}

/// All names bound before the end of the text, in whole code; for names without a receiver the hole is
/// a name by itself.
pub(super) fn block(whole: &str) -> Option<syn::Block> {
    syn::parse_str(&format!("{{{whole}\n}}")).ok()
}

#[derive(Default)]
struct Finder {
    locals: Vec<Local>,
    found: Option<Place>,
}

impl Finder {
    fn bind(&mut self, pattern: &syn::Pat, source: &Source) {
        let mut names = Names::default();
        names.visit_pat(pattern);
        for name in names.0 {
            self.locals.push(Local { name, pattern: pattern.clone(), source: source.clone() });
        }
    }

    fn scoped(&mut self, visit: impl FnOnce(&mut Self)) {
        let before = self.locals.len();
        visit(self);
        self.locals.truncate(before);
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.scoped(|finder| visit::visit_block(finder, block));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        let source = match (&local.pat, &local.init) {
            (syn::Pat::Type(typed), _) => Source::Type((*typed.ty).clone()),
            (_, Some(init)) => Source::Value((*init.expr).clone()),
            (_, None) => Source::Unknown,
        };
        self.bind(&local.pat, &source);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.scoped(|finder| {
            for input in &closure.inputs {
                let source = match input {
                    syn::Pat::Type(typed) => Source::Type((*typed.ty).clone()),
                    _ => Source::Unknown,
                };
                finder.bind(input, &source);
            }
            finder.visit_expr(&closure.body);
        });
    }

    fn visit_expr_for_loop(&mut self, one: &'ast syn::ExprForLoop) {
        self.visit_expr(&one.expr);
        self.scoped(|finder| {
            finder.bind(&one.pat, &Source::Element((*one.expr).clone()));
            finder.visit_block(&one.body);
        });
    }

    fn visit_expr_if(&mut self, one: &'ast syn::ExprIf) {
        self.scoped(|finder| {
            finder.visit_expr(&one.cond);
            finder.visit_block(&one.then_branch);
        });
        if let Some((_, other)) = &one.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_expr_while(&mut self, one: &'ast syn::ExprWhile) {
        self.scoped(|finder| visit::visit_expr_while(finder, one));
    }

    fn visit_expr_let(&mut self, one: &'ast syn::ExprLet) {
        visit::visit_expr_let(self, one);
        self.bind(&one.pat, &Source::Value((*one.expr).clone()));
    }

    fn visit_expr_match(&mut self, one: &'ast syn::ExprMatch) {
        self.visit_expr(&one.expr);
        for arm in &one.arms {
            self.scoped(|finder| {
                finder.bind(&arm.pat, &Source::Value((*one.expr).clone()));
                visit::visit_arm(finder, arm);
            });
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        let outer = std::mem::take(&mut self.locals);
        self.parameters(&function.sig);
        self.visit_block(&function.block);
        self.locals = outer;
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        for one in &block.items {
            let syn::ImplItem::Fn(function) = one else { continue };
            let outer = std::mem::take(&mut self.locals);
            if function.sig.inputs.iter().any(|input| matches!(input, syn::FnArg::Receiver(_))) {
                self.bind(&own_self(), &Source::Type((*block.self_ty).clone()));
            }
            self.parameters(&function.sig);
            self.visit_block(&function.block);
            self.locals = outer;
        }
    }

    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        if matches!(&field.member, syn::Member::Named(name) if name == HOLE) {
            let receiver = (*field.base).clone();
            self.found = Some(Place { receiver, locals: self.locals.clone() });
        }
        visit::visit_expr_field(self, field);
    }

    /// Arguments of macros are code more often than not.
    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        type Arguments = syn::punctuated::Punctuated<syn::Expr, syn::Token![,]>;
        if self.found.is_some() || !invocation.tokens.to_string().contains(HOLE) {
            return;
        }
        if let Ok(arguments) = invocation.parse_body_with(Arguments::parse_terminated) {
            for argument in &arguments {
                // The parsed copy lives only here; what is found is cloned out of it.
                let mut inner = Finder { locals: self.locals.clone(), found: None };
                inner.visit_expr(argument);
                if inner.found.is_some() {
                    self.found = inner.found;
                }
            }
        }
    }
}

impl Finder {
    fn parameters(&mut self, signature: &syn::Signature) {
        for input in &signature.inputs {
            if let syn::FnArg::Typed(typed) = input {
                self.bind(&typed.pat, &Source::Type((*typed.ty).clone()));
            }
        }
    }
}

/// `self` as a pattern.
fn own_self() -> syn::Pat {
    let ident = syn::Ident::new("self", proc_macro2::Span::call_site());
    syn::Pat::Ident(syn::PatIdent {
        attrs: Vec::new(),
        by_ref: None,
        mutability: None,
        ident,
        subpat: None,
    })
}

/// Names that a pattern binds.
#[derive(Default)]
struct Names(Vec<String>);

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.0.push(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locals(whole: &str) -> Vec<String> {
        find(whole).expect(whole).locals.into_iter().map(|local| local.name).collect()
    }

    #[test]
    fn bindings_in_scope_are_found() {
        assert_eq!(locals("let a = 1; { let b = 2; } let c = a.oxilab_hole;"), ["a"]);
        assert_eq!(locals("v.iter().map(|(i, r)| { let z = 1; r.oxilab_hole})"), ["i", "r", "z"]);
        assert_eq!(locals("for x in v { if let Some(y) = x { y.oxilab_hole } }"), ["x", "y"]);
        assert_eq!(locals("let a = 1; fn f(b: u8) { b.oxilab_hole }"), ["b"]);
        assert_eq!(locals("impl P { fn f(&self, b: u8) { self.oxilab_hole } }"), ["self", "b"]);
        assert_eq!(locals("let s = 1; println!(\"{}\", s.oxilab_hole)"), ["s"]);
    }

    #[test]
    fn code_without_a_hole_or_that_is_broken_has_no_place() {
        assert!(find("let a = 1;").is_none());
        assert!(find("let = ;").is_none());
    }
}
