//! Which names a piece of code mentions.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// All identifiers of some tokens, those captured in format strings included.
pub(super) fn identifiers(tokens: TokenStream) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(tokens, &mut names);
    names
}

fn collect(tokens: TokenStream, names: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                names.insert(plain(&ident));
            }
            TokenTree::Group(group) => collect(group.stream(), names),
            TokenTree::Literal(literal) => captures(&literal.to_string(), names),
            TokenTree::Punct(_) => {}
        }
    }
}

/// Names that an expression may take from variables: single-segment paths, macro arguments, captures
/// in format strings. Scopes inside the expression are not followed, so a closure's own parameter
/// counts too; loading a variable too many costs little.
pub(super) fn values(statement: &syn::Stmt) -> BTreeSet<String> {
    struct Values(BTreeSet<String>);
    impl<'ast> Visit<'ast> for Values {
        fn visit_expr_path(&mut self, node: &'ast syn::ExprPath) {
            if let Some(ident) = node.path.get_ident() {
                self.0.insert(plain(ident));
            }
            visit::visit_expr_path(self, node);
        }

        fn visit_macro(&mut self, node: &'ast syn::Macro) {
            collect(node.tokens.clone(), &mut self.0);
        }
    }
    let mut values = Values(BTreeSet::new());
    values.visit_stmt(statement);
    values.0
}

/// An identifier without `r#`.
pub(super) fn plain(ident: &proc_macro2::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), ToOwned::to_owned)
}

/// Names captured in a format string: `{name}`, `{name:?}`, `{:width$}`, `{name.field}` is none of Rust's.
fn captures(literal: &str, names: &mut BTreeSet<String>) {
    if !literal.contains('{') {
        return;
    }
    for piece in literal.split('{').skip(1) {
        let Some((inside, _)) = piece.split_once('}') else { continue };
        for word in inside.split(|c: char| !(c.is_alphanumeric() || c == '_')) {
            if word.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                names.insert(word.to_owned());
            }
        }
    }
}
