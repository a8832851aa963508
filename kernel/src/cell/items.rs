//! What lives on: functions, types, traits, impls, constants, statics, modules, macros, `use`s.

use std::collections::BTreeSet;
use std::ops::Range;

use quote::ToTokens;
use syn::spanned::Spanned;

use super::edits::{self, Edit};
use super::mentions::{self, plain};

/// An item of a cell.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its bytes in the cell, attributes and doc comments included.
    pub range: Range<usize>,
    /// What it is.
    pub kind: ItemKind,
    /// Names it defines.
    pub names: BTreeSet<String>,
    /// All its identifiers.
    pub identifiers: BTreeSet<String>,
    /// `pub` where a later cell must see it, and polls in loops.
    pub edits: Vec<Edit>,
    /// The tokens that fix layout and dispatch; empty where an edit of the item leaves both alone.
    pub layout: String,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A function.
    Function,
    /// A struct, enum, union or type alias.
    Type,
    /// A trait and the names of its methods, by which its use is noticed.
    Trait {
        /// Methods and associated functions.
        methods: BTreeSet<String>,
    },
    /// An impl block.
    Impl {
        /// The last segment of the trait's path; `None` for an inherent impl.
        of_trait: Option<String>,
        /// The name of the type, where it has one.
        of_type: Option<String>,
        /// Everything before the brace, as tokens: two impls with the same header are one.
        header: String,
        /// What stands in the block.
        members: Vec<Member>,
    },
    /// A constant.
    Constant,
    /// A `static`, or a macro that makes statics (`thread_local!`, `lazy_static!`).
    Static,
    /// A module.
    Module,
    /// `macro_rules!`.
    Macro,
    /// A `use` declaration (or `extern crate`), pasted wherever a name of it is mentioned.
    Use {
        /// Whether it ends in `*`: then it is pasted everywhere.
        glob: bool,
    },
    /// A macro call that makes items of unknown names.
    Made,
}

/// A member of an impl block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its bytes in the cell.
    pub range: Range<usize>,
}

/// Macros that stand for items when called at the top level of a cell.
const ITEM_MACROS: &[&str] =
    &["macro_rules", "thread_local", "lazy_static", "bitflags", "static_assertions"];

pub(super) fn defines_items(invocation: &syn::Macro) -> bool {
    invocation
        .path
        .segments
        .last()
        .is_some_and(|segment| ITEM_MACROS.contains(&segment.ident.to_string().as_str()))
}

pub(super) fn read_macro(statement: &syn::StmtMacro, text: &str) -> Item {
    let item = syn::Item::Macro(syn::ItemMacro {
        attrs: statement.attrs.clone(),
        ident: None,
        mac: statement.mac.clone(),
        semi_token: statement.semi_token,
    });
    read(&item, text)
}

pub(super) fn read(item: &syn::Item, text: &str) -> Item {
    let mut names = BTreeSet::new();
    let tokens = item.to_token_stream();
    let mut layout = String::new();
    let kind = match item {
        syn::Item::Fn(function) => {
            names.insert(plain(&function.sig.ident));
            if function.sig.constness.is_some() {
                layout = tokens.to_string();
            }
            ItemKind::Function
        }
        syn::Item::Struct(syn::ItemStruct { ident, .. })
        | syn::Item::Enum(syn::ItemEnum { ident, .. })
        | syn::Item::Union(syn::ItemUnion { ident, .. })
        | syn::Item::Type(syn::ItemType { ident, .. }) => {
            names.insert(plain(ident));
            layout = tokens.to_string();
            ItemKind::Type
        }
        syn::Item::Trait(definition) => {
            names.insert(plain(&definition.ident));
            layout = tokens.to_string();
            let methods = definition.items.iter().filter_map(|member| match member {
                syn::TraitItem::Fn(function) => Some(plain(&function.sig.ident)),
                _ => None,
            });
            ItemKind::Trait { methods: methods.collect() }
        }
        syn::Item::Impl(block) => {
            layout = impl_layout(block);
            impl_kind(block, text)
        }
        syn::Item::Const(syn::ItemConst { ident, .. }) => {
            names.insert(plain(ident));
            layout = tokens.to_string();
            ItemKind::Constant
        }
        syn::Item::Static(syn::ItemStatic { ident, .. }) => {
            names.insert(plain(ident));
            ItemKind::Static
        }
        syn::Item::Mod(module) => {
            names.insert(plain(&module.ident));
            layout = tokens.to_string();
            ItemKind::Module
        }
        syn::Item::Use(declaration) => {
            let mut glob = false;
            used_names(&declaration.tree, &mut names, &mut glob);
            ItemKind::Use { glob }
        }
        syn::Item::ExternCrate(declaration) => {
            let name = declaration.rename.as_ref().map_or(&declaration.ident, |(_, name)| name);
            names.insert(plain(name));
            ItemKind::Use { glob: false }
        }
        syn::Item::ForeignMod(block) => {
            names.extend(block.items.iter().filter_map(foreign_name));
            ItemKind::Function
        }
        syn::Item::Macro(definition) => {
            if let Some(name) = &definition.ident {
                names.insert(plain(name));
                ItemKind::Macro
            } else {
                names = static_names(&definition.mac);
                if names.is_empty() {
                    layout = tokens.to_string();
                    ItemKind::Made
                } else {
                    ItemKind::Static
                }
            }
        }
        _ => {
            layout = tokens.to_string();
            ItemKind::Made
        }
    };
    let mut edits = edits::of_item(item);
    edits.append(&mut publish(item));
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    Item {
        range: item.span().byte_range(),
        kind,
        names,
        identifiers: mentions::identifiers(tokens),
        edits,
        layout,
    }
}

fn impl_kind(block: &syn::ItemImpl, text: &str) -> ItemKind {
    let of_trait = block
        .trait_
        .as_ref()
        .and_then(|(path, _)| path.segments.last())
        .map(|segment| plain(&segment.ident));
    let start = block.impl_token.span.byte_range().start;
    let end = block.brace_token.span.open().byte_range().start;
    let header = text.get(start..end).unwrap_or_default();
    let members = block.items.iter().filter_map(|member| {
        let name = match member {
            syn::ImplItem::Const(constant) => plain(&constant.ident),
            syn::ImplItem::Fn(function) => plain(&function.sig.ident),
            syn::ImplItem::Type(alias) => plain(&alias.ident),
            _ => return None,
        };
        Some(Member { name, range: member.span().byte_range() })
    });
    ItemKind::Impl {
        of_trait,
        of_type: type_name(&block.self_ty),
        header: header.split_whitespace().collect::<Vec<_>>().join(" "),
        members: members.collect(),
    }
}

/// The name of what an `extern` block declares.
fn foreign_name(item: &syn::ForeignItem) -> Option<String> {
    match item {
        syn::ForeignItem::Fn(function) => Some(plain(&function.sig.ident)),
        syn::ForeignItem::Static(variable) => Some(plain(&variable.ident)),
        syn::ForeignItem::Type(ty) => Some(plain(&ty.ident)),
        _ => None,
    }
}

fn type_name(ty: &syn::Type) -> Option<String> {
    match ty {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| plain(&segment.ident)),
        syn::Type::Reference(reference) => type_name(&reference.elem),
        syn::Type::Paren(inner) => type_name(&inner.elem),
        _ => None,
    }
}

/// Associated types, constants and `const fn`s fix layouts; methods do not.
fn impl_layout(block: &syn::ItemImpl) -> String {
    let fixing = block.items.iter().filter(|member| match member {
        syn::ImplItem::Fn(function) => function.sig.constness.is_some(),
        _ => true,
    });
    fixing.map(|member| member.to_token_stream().to_string()).collect::<Vec<_>>().join("\n")
}

fn used_names(tree: &syn::UseTree, names: &mut BTreeSet<String>, glob: &mut bool) {
    match tree {
        syn::UseTree::Path(path) => {
            // `use a::b::{self}` names `b`.
            if let syn::UseTree::Group(group) = &*path.tree
                && group
                    .items
                    .iter()
                    .any(|item| matches!(item, syn::UseTree::Name(name) if name.ident == "self"))
            {
                names.insert(plain(&path.ident));
            }
            used_names(&path.tree, names, glob);
        }
        syn::UseTree::Name(name) if name.ident != "self" => {
            names.insert(plain(&name.ident));
        }
        syn::UseTree::Rename(rename) if rename.rename == "_" => *glob = true,
        syn::UseTree::Rename(rename) => {
            names.insert(plain(&rename.rename));
        }
        syn::UseTree::Glob(_) => *glob = true,
        syn::UseTree::Group(group) => {
            for item in &group.items {
                used_names(item, names, glob);
            }
        }
        syn::UseTree::Name(_) => {}
    }
}

/// Names of the statics that `thread_local!` or `lazy_static!` makes.
fn static_names(invocation: &syn::Macro) -> BTreeSet<String> {
    static_tokens(invocation).into_iter().map(|(_, name)| name).collect()
}

/// Where `static NAME` or `static ref NAME` stands in a macro's tokens: (offset of `static`, NAME,
/// unless it is `pub` already).
fn static_tokens(invocation: &syn::Macro) -> Vec<(Option<usize>, String)> {
    let mut found = Vec::new();
    let mut public = false;
    let mut at = None;
    for token in invocation.tokens.clone() {
        match token {
            proc_macro2::TokenTree::Ident(word) if word == "pub" => public = true,
            proc_macro2::TokenTree::Ident(word) if word == "static" => {
                at = Some((!public).then(|| word.span().byte_range().start));
                public = false;
            }
            proc_macro2::TokenTree::Ident(word) if word == "ref" => {}
            proc_macro2::TokenTree::Ident(word) => {
                if let Some(start) = at.take() {
                    found.push((start, plain(&word)));
                }
            }
            _ => {}
        }
    }
    found
}

/// `pub ` wherever a later cell, which is another crate, must see what stood in the same file.
fn publish(item: &syn::Item) -> Vec<Edit> {
    #[derive(Default)]
    struct Publisher(Vec<Edit>);

    impl Publisher {
        fn make(&mut self, visibility: &syn::Visibility, before: usize) {
            match visibility {
                syn::Visibility::Inherited => self.0.push(Edit::insert(before, "pub ")),
                syn::Visibility::Restricted(restricted) => {
                    self.0.push(Edit::replace(restricted.span().byte_range(), "pub"));
                }
                syn::Visibility::Public(_) => {}
            }
        }

        /// For items whose first token behind attributes and visibility is not at hand by name.
        fn make_item(
            &mut self,
            attributes: &[syn::Attribute],
            visibility: &syn::Visibility,
            item: &dyn ToTokensDyn,
        ) {
            let skip = attributes.last().map_or(0, |attribute| attribute.span().byte_range().end);
            let start = item.first_token_after(skip);
            if let Some(start) = start {
                self.make(visibility, start);
            }
        }

        fn fields(&mut self, fields: &syn::Fields) {
            for field in fields {
                let start = field.ident.as_ref().map_or_else(
                    || field.ty.span().byte_range().start,
                    |name| name.span().byte_range().start,
                );
                self.make(&field.vis, start);
            }
        }

        fn item(&mut self, item: &syn::Item) {
            match item {
                syn::Item::Fn(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Struct(i) => {
                    self.make_item(&i.attrs, &i.vis, i);
                    self.fields(&i.fields);
                }
                syn::Item::Enum(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Union(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Type(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Trait(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Const(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Static(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Mod(i) => {
                    self.make_item(&i.attrs, &i.vis, i);
                    for inner in i.content.iter().flat_map(|(_, items)| items) {
                        self.item(inner);
                    }
                }
                syn::Item::Use(i) => self.make_item(&i.attrs, &i.vis, i),
                syn::Item::Impl(i) if i.trait_.is_none() => {
                    for member in &i.items {
                        match member {
                            syn::ImplItem::Fn(m) => self.make_item(&m.attrs, &m.vis, m),
                            syn::ImplItem::Const(m) => self.make_item(&m.attrs, &m.vis, m),
                            _ => {}
                        }
                    }
                }
                syn::Item::ForeignMod(i) => {
                    for member in &i.items {
                        match member {
                            syn::ForeignItem::Fn(m) => self.make_item(&m.attrs, &m.vis, m),
                            syn::ForeignItem::Static(m) => self.make_item(&m.attrs, &m.vis, m),
                            syn::ForeignItem::Type(m) => self.make_item(&m.attrs, &m.vis, m),
                            _ => {}
                        }
                    }
                }
                syn::Item::Macro(i) if i.ident.is_none() => {
                    let statics = static_tokens(&i.mac);
                    self.0.extend(
                        statics
                            .into_iter()
                            .filter_map(|(at, _)| at)
                            .map(|at| Edit::insert(at, "pub ")),
                    );
                }
                _ => {}
            }
        }
    }

    let mut publisher = Publisher::default();
    publisher.item(item);
    publisher.0
}

/// The byte offset of the first token at or behind an offset.
trait ToTokensDyn {
    fn first_token_after(&self, offset: usize) -> Option<usize>;
}

impl<T: ToTokens> ToTokensDyn for T {
    fn first_token_after(&self, offset: usize) -> Option<usize> {
        self.to_token_stream()
            .into_iter()
            .map(|token| token.span().byte_range().start)
            .find(|start| *start >= offset)
    }
}
