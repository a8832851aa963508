//! Items that a notebook defines, read from their source, in the form that the indices have.

use std::collections::BTreeMap;
use std::sync::Arc;

use syn::spanned::Spanned;

use super::docs;
use super::index::last;
use super::page::{Impl, Item, Member};

/// Items of a notebook.
#[derive(Clone, Debug, Default)]
pub(crate) struct Own {
    /// By name; items of a module under its path.
    pub(crate) items: BTreeMap<String, Own1>,
    /// `impl`s, by the last segment of their type.
    impls: BTreeMap<String, Vec<Impl>>,
    /// What `use` declarations name: name → path.
    pub(crate) uses: BTreeMap<String, String>,
    /// Modules of which everything is in scope.
    pub(crate) globs: Vec<String>,
}

/// An item and its source.
#[derive(Clone, Debug)]
pub(crate) struct Own1 {
    /// The item.
    pub(crate) item: Arc<Item>,
    /// Its source as the user wrote it.
    pub(crate) source: String,
}

impl Own {
    /// Adds what a piece of source defines; what does not parse is passed over.
    pub(crate) fn add(&mut self, source: &str) {
        proc_macro2::extra::invalidate_current_thread_spans();
        if let Ok(item) = syn::parse_str::<syn::Item>(source) {
            self.add_item(&item, source, "");
        }
    }

    /// Adds items of a text that is being written; `items` were cut out of it.
    pub(crate) fn add_parsed(&mut self, item: &syn::Item, text: &str) {
        self.add_item(item, text, "");
    }

    /// The item at a path, its `impl`s included.
    pub(crate) fn get(&self, path: &str) -> Option<Arc<Item>> {
        let found = self.items.get(path)?;
        let blocks = self.impls.get(last(path)).filter(|_| found.item.kind != "trait");
        let Some(blocks) = blocks else { return Some(Arc::clone(&found.item)) };
        let mut item = (*found.item).clone();
        item.impls.extend(blocks.iter().cloned());
        Some(Arc::new(item))
    }

    /// `impl`s that the notebook has for a type of another crate.
    pub(crate) fn impls_for(&self, path: &str) -> &[Impl] {
        self.impls.get(last(path)).map_or(&[], Vec::as_slice)
    }

    /// What stands directly in a module of the notebook.
    pub(crate) fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Own1)> {
        let prefix = format!("{path}::");
        self.items.iter().filter_map(move |(known, item)| {
            let rest = known.strip_prefix(&prefix)?;
            (!rest.contains("::")).then_some((rest, item))
        })
    }

    fn add_item(&mut self, item: &syn::Item, text: &str, module: &str) {
        let slice = |span: proc_macro2::Span| text.get(span.byte_range()).unwrap_or_default();
        let whole = slice(item.span());
        let mut made = Item::default();
        let name = match item {
            syn::Item::Struct(found) => {
                "struct".clone_into(&mut made.kind);
                made.docs = doc_comments(&found.attrs);
                made.members =
                    found.fields.iter().enumerate().map(|(at, f)| field(at, f, &slice)).collect();
                made.impls = derived(&found.attrs, &found.ident, &found.generics);
                &found.ident
            }
            syn::Item::Union(found) => {
                "union".clone_into(&mut made.kind);
                made.docs = doc_comments(&found.attrs);
                &found.ident
            }
            syn::Item::Enum(found) => {
                "enum".clone_into(&mut made.kind);
                made.docs = doc_comments(&found.attrs);
                made.members = found
                    .variants
                    .iter()
                    .map(|variant| Member {
                        name: variant.ident.to_string(),
                        kind: "variant".to_owned(),
                        signature: tidy(slice(variant.span())),
                        docs: doc_comments(&variant.attrs),
                        ..Member::default()
                    })
                    .collect();
                made.impls = derived(&found.attrs, &found.ident, &found.generics);
                &found.ident
            }
            syn::Item::Fn(found) => {
                "fn".clone_into(&mut made.kind);
                made.docs = doc_comments(&found.attrs);
                slice(found.sig.span()).clone_into(&mut made.declaration);
                made.yields = returned(&found.sig.output, &slice);
                &found.sig.ident
            }
            syn::Item::Trait(found) => {
                "trait".clone_into(&mut made.kind);
                made.docs = doc_comments(&found.attrs);
                made.members =
                    found.items.iter().filter_map(|one| trait_member(one, &slice)).collect();
                &found.ident
            }
            syn::Item::Type(found) => {
                "type".clone_into(&mut made.kind);
                slice(found.ty.span()).clone_into(&mut made.yields);
                &found.ident
            }
            syn::Item::Const(found) => {
                "constant".clone_into(&mut made.kind);
                slice(found.ty.span()).clone_into(&mut made.yields);
                &found.ident
            }
            syn::Item::Static(found) => {
                "static".clone_into(&mut made.kind);
                slice(found.ty.span()).clone_into(&mut made.yields);
                &found.ident
            }
            syn::Item::Mod(found) => {
                "mod".clone_into(&mut made.kind);
                made.docs = doc_comments(&found.attrs);
                let path = join(module, &found.ident.to_string());
                for inner in found.content.iter().flat_map(|(_, items)| items) {
                    self.add_item(inner, text, &path);
                }
                &found.ident
            }
            syn::Item::Macro(found) => {
                "macro".clone_into(&mut made.kind);
                let Some(name) = &found.ident else { return };
                name
            }
            syn::Item::Impl(block) => return self.add_impl(block, &slice),
            syn::Item::Use(found) if module.is_empty() => {
                return self.add_use(&found.tree, &mut Vec::new());
            }
            _ => return,
        };
        if made.declaration.is_empty() {
            made.declaration = shown(whole);
        }
        let path = join(module, &name.to_string());
        self.items.insert(path, Own1 { item: Arc::new(made), source: whole.to_owned() });
    }

    fn add_impl<'a>(
        &mut self,
        block: &syn::ItemImpl,
        slice: &impl Fn(proc_macro2::Span) -> &'a str,
    ) {
        let syn::Type::Path(path) = &*block.self_ty else { return };
        let Some(name) = path.path.segments.last() else { return };
        let of_trait = block.trait_.as_ref().map(|(path, _)| path_text(path)).unwrap_or_default();
        let generics = slice(block.generics.span());
        let target = slice(block.self_ty.span());
        let header = match of_trait.as_str() {
            "" => format!("impl{generics} {target}"),
            of_trait => format!("impl{generics} {of_trait} for {target}"),
        };
        let mut made = Impl { of_trait, header, ..Impl::default() };
        for one in &block.items {
            match one {
                syn::ImplItem::Fn(function) => made.members.push(Member {
                    name: function.sig.ident.to_string(),
                    kind: "method".to_owned(),
                    signature: slice(function.sig.span()).to_owned(),
                    yields: returned(&function.sig.output, slice),
                    docs: doc_comments(&function.attrs),
                    unstable: false,
                    source: dedented(slice(function.span())),
                }),
                syn::ImplItem::Const(constant) => made.members.push(Member {
                    name: constant.ident.to_string(),
                    kind: "const".to_owned(),
                    signature: format!("const {}: {}", constant.ident, slice(constant.ty.span())),
                    yields: slice(constant.ty.span()).to_owned(),
                    docs: doc_comments(&constant.attrs),
                    unstable: false,
                    source: dedented(slice(constant.span())),
                }),
                syn::ImplItem::Type(alias) => {
                    made.types.push((alias.ident.to_string(), slice(alias.ty.span()).to_owned()));
                }
                _ => {}
            }
        }
        let blocks = self.impls.entry(name.ident.to_string()).or_default();
        // Defined again, it replaces what was there.
        blocks.retain(|known| known.header != made.header || made.of_trait.is_empty());
        for known in blocks.iter_mut().filter(|known| known.header == made.header) {
            known.members.retain(|old| !made.members.iter().any(|new| new.name == old.name));
        }
        blocks.push(made);
    }

    fn add_use(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(&path.tree, prefix);
                prefix.pop();
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                if let Some(name) = prefix.last() {
                    self.uses.insert(name.clone(), prefix.join("::"));
                }
            }
            syn::UseTree::Name(name) => {
                let path = join(&prefix.join("::"), &name.ident.to_string());
                self.uses.insert(name.ident.to_string(), path);
            }
            syn::UseTree::Rename(rename) => {
                let path = join(&prefix.join("::"), &rename.ident.to_string());
                let name = if rename.rename == "_" { &rename.ident } else { &rename.rename };
                self.uses.insert(name.to_string(), path);
            }
            syn::UseTree::Glob(_) => self.globs.push(prefix.join("::")),
            syn::UseTree::Group(group) => {
                for inner in &group.items {
                    self.add_use(inner, prefix);
                }
            }
        }
    }
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn path_text(path: &syn::Path) -> String {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>().join("::")
}

fn field<'a>(
    at: usize,
    field: &syn::Field,
    slice: &impl Fn(proc_macro2::Span) -> &'a str,
) -> Member {
    let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
    let found = slice(field.ty.span());
    Member {
        signature: format!("{name}: {found}"),
        name,
        kind: "field".to_owned(),
        yields: found.to_owned(),
        docs: doc_comments(&field.attrs),
        ..Member::default()
    }
}

fn trait_member<'a>(
    member: &syn::TraitItem,
    slice: &impl Fn(proc_macro2::Span) -> &'a str,
) -> Option<Member> {
    match member {
        syn::TraitItem::Fn(function) => Some(Member {
            name: function.sig.ident.to_string(),
            kind: "method".to_owned(),
            signature: slice(function.sig.span()).to_owned(),
            yields: returned(&function.sig.output, slice),
            docs: doc_comments(&function.attrs),
            unstable: false,
            source: dedented(slice(function.span())),
        }),
        syn::TraitItem::Const(constant) => Some(Member {
            name: constant.ident.to_string(),
            kind: "const".to_owned(),
            signature: format!("const {}: {}", constant.ident, slice(constant.ty.span())),
            yields: slice(constant.ty.span()).to_owned(),
            docs: doc_comments(&constant.attrs),
            unstable: false,
            source: dedented(slice(constant.span())),
        }),
        _ => None,
    }
}

fn returned<'a>(output: &syn::ReturnType, slice: &impl Fn(proc_macro2::Span) -> &'a str) -> String {
    match output {
        syn::ReturnType::Type(_, ty) => slice(ty.span()).to_owned(),
        syn::ReturnType::Default => String::new(),
    }
}

/// `impl`s that `#[derive(…)]` makes, as far as they have methods that a person calls.
fn derived(
    attributes: &[syn::Attribute],
    name: &syn::Ident,
    generics: &syn::Generics,
) -> Vec<Impl> {
    let mut found = Vec::new();
    let parameters: Vec<String> = generics.type_params().map(|one| one.ident.to_string()).collect();
    let list =
        if parameters.is_empty() { String::new() } else { format!("<{}>", parameters.join(", ")) };
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        let parser = syn::punctuated::Punctuated::<syn::Path, syn::Token![,]>::parse_terminated;
        let Ok(paths) = attribute.parse_args_with(parser) else { continue };
        for path in paths {
            let of_trait = path_text(&path);
            let header = format!("impl{list} {of_trait} for {name}{list}");
            found.push(Impl { of_trait, header, ..Impl::default() });
        }
    }
    found
}

/// Doc comments as HTML: paragraphs and code blocks.
fn doc_comments(attributes: &[syn::Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let syn::Meta::NameValue(pair) = &attribute.meta
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) = &pair.value
        {
            // An empty comment line is a line as well.
            lines.extend(
                text.value()
                    .split('\n')
                    .map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()),
            );
        }
    }
    let mut out = String::new();
    let mut code = false;
    for paragraph in lines.join("\n").split("\n\n").filter(|part| !part.trim().is_empty()) {
        if paragraph.starts_with("```") || code {
            let inside = paragraph.trim_start_matches("```rust").trim_start_matches("```");
            out.push_str(if code { "\n\n" } else { "<pre><code>" });
            code = !inside.trim_end().ends_with("```");
            let text = inside.trim_end().trim_end_matches("```").trim_start_matches('\n');
            out.push_str(&docs::escape(text.trim_end()));
            if !code {
                out.push_str("</code></pre>");
            }
        } else {
            out.push_str(&format!("<p>{}</p>", with_code(&docs::escape(paragraph))));
        }
    }
    if code {
        out.push_str("</code></pre>");
    }
    out
}

/// `` `code` `` as HTML.
fn with_code(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split('`').enumerate() {
        out.push_str(&if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() });
    }
    out
}

/// An item's declaration: without doc comments, and of what has a body only the head if it is long.
fn shown(source: &str) -> String {
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("///"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The source of a member of a block: its further lines stand as its first.
fn dedented(source: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let further = source.lines().skip(1).filter(|line| !line.trim().is_empty());
    let common = further.map(indent).min().unwrap_or_default();
    let mut lines = source.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |text, line| text + "\n" + line.get(common..).unwrap_or_default())
}

/// On one line, without doc comments.
fn tidy(source: &str) -> String {
    shown(source).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_with_fields_derives_and_impls() {
        let mut own = Own::default();
        own.add("/// A point.\n///\n/// Has `x`.\n#[derive(Clone, Debug)]\nstruct Point<T> {\n    /// right\n    x: T,\n    y: f64,\n}");
        own.add("impl<T> Point<T> { /// long\n fn norm(&self) -> f64 { 0.0 } }");
        own.add("impl<T> std::ops::Deref for Point<T> { type Target = T; fn deref(&self) -> &T { &self.x } }");
        let item = own.get("Point").expect("is there");
        assert_eq!(item.docs, "<p>A point.</p><p>Has <code>x</code>.</p>");
        assert_eq!(item.members[0].signature, "x: T");
        assert_eq!(item.members[0].docs, "<p>right</p>");
        let traits: Vec<&str> = item.impls.iter().map(|one| one.of_trait.as_str()).collect();
        assert_eq!(traits, ["Clone", "Debug", "", "std::ops::Deref"]);
        assert_eq!(item.impls[2].members[0].yields, "f64");
        assert_eq!(item.impls[3].types, [("Target".to_owned(), "T".to_owned())]);
        assert!(
            item.declaration.starts_with("#[derive(Clone, Debug)]\nstruct Point<T> {\n    x: T,")
        );
    }

    #[test]
    fn uses_modules_and_functions() {
        let mut own = Own::default();
        own.add("use std::{fmt::{self, Write as _}, io::*, collections::HashMap as Map};");
        assert_eq!(own.uses["fmt"], "std::fmt");
        assert_eq!(own.uses["Write"], "std::fmt::Write");
        assert_eq!(own.uses["Map"], "std::collections::HashMap");
        assert_eq!(own.globs, ["std::io"]);
        own.add("mod m { pub fn f(x: u8) -> u8 { x } pub mod n { pub struct S; } }");
        assert_eq!(own.get("m::f").expect("function").declaration, "fn f(x: u8) -> u8");
        let children: Vec<&str> = own.children("m").map(|(name, _)| name).collect();
        assert_eq!(children, ["f", "n"]);
        own.add("this is no Rust");
    }
}
