//! Which variables a loop's body changes: [`Changes`].

use syn::visit::{self, Visit};

/// The variables that a body gives other values, as often as it says so.
#[derive(Default)]
pub(super) struct Changes {
    names: Vec<String>,
    /// It may change more, or leave out what stands behind.
    pub unclear: bool,
}

impl Changes {
    pub(super) fn of(body: &syn::Block) -> Self {
        let mut changes = Self::default();
        changes.visit_block(body);
        changes
    }

    pub(super) fn times(&self, name: &str) -> usize {
        self.names.iter().filter(|changed| *changed == name).count()
    }

    /// `place = …`
    fn assigned(&mut self, place: &syn::Expr) {
        match place {
            syn::Expr::Path(path) => match path.path.get_ident() {
                Some(name) => self.names.push(name.to_string()),
                None => self.unclear = true,
            },
            // An element is not what the comparison looks at, nor does its collection change in length.
            syn::Expr::Index(_) => {}
            syn::Expr::Field(field) => self.assigned(&field.base),
            syn::Expr::Paren(inner) => self.assigned(&inner.expr),
            syn::Expr::Tuple(places) => places.elems.iter().for_each(|place| self.assigned(place)),
            _ => self.unclear = true,
        }
    }
}

impl<'ast> Visit<'ast> for Changes {
    fn visit_expr_assign(&mut self, node: &'ast syn::ExprAssign) {
        self.assigned(&node.left);
        visit::visit_expr_assign(self, node);
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        use syn::BinOp::{
            AddAssign, BitAndAssign, BitOrAssign, BitXorAssign, DivAssign, MulAssign, RemAssign,
            ShlAssign, ShrAssign, SubAssign,
        };
        if matches!(
            node.op,
            AddAssign(_)
                | BitAndAssign(_)
                | BitOrAssign(_)
                | BitXorAssign(_)
                | DivAssign(_)
                | MulAssign(_)
                | RemAssign(_)
                | ShlAssign(_)
                | ShrAssign(_)
                | SubAssign(_)
        ) {
            self.assigned(&node.left);
        }
        visit::visit_expr_binary(self, node);
    }

    fn visit_pat_ident(&mut self, node: &'ast syn::PatIdent) {
        // Another variable of the name, or one that is borrowed.
        self.names.push(node.ident.to_string());
        visit::visit_pat_ident(self, node);
    }

    fn visit_expr_reference(&mut self, node: &'ast syn::ExprReference) {
        self.unclear |= node.mutability.is_some();
        visit::visit_expr_reference(self, node);
    }

    fn visit_expr_continue(&mut self, _: &'ast syn::ExprContinue) {
        self.unclear = true;
    }

    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {
        self.unclear = true;
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {
        self.unclear = true;
    }
}

/// A variable by its name alone.
pub(super) fn variable(expr: &syn::Expr) -> Option<&syn::Ident> {
    match expr {
        syn::Expr::Path(path) => path.path.get_ident(),
        _ => None,
    }
}
