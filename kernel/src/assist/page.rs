//! One page of rustdoc → what completion and inspection want of an item.

use serde::{Deserialize, Serialize};

use super::docs;
use super::html::{Names, between, docblock, text};

/// Crate name of the pages that [`super::build`] makes.
pub(super) const PAGES: &str = "oxilab_pages";

/// An item: a type, trait, function, macro, constant or module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Item {
    /// rustdoc's word for it: `struct`, `enum`, `trait`, `fn`, `macro`, `mod`, `type`, `primitive`, …
    pub(crate) kind: String,
    /// Its declaration as a person reads it.
    pub(crate) declaration: String,
    /// What a function returns, what an alias stands for: with full paths.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) yields: String,
    /// Documentation as clean HTML.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) docs: String,
    /// Fields, variants, a trait's methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<Member>,
    /// `impl` blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) impls: Vec<Impl>,
    /// Not usable in stable Rust.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unstable: bool,
}

/// A field, variant, method, or associated constant or type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// `field`, `variant`, `method`, `const`, `type`.
    pub(crate) kind: String,
    /// As a person reads it: `pub fn push(&mut self, value: T)`, `a: i32`.
    pub(crate) signature: String,
    /// The type of a field, the return type of a method, with full paths.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) yields: String,
    /// Documentation as clean HTML.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) docs: String,
    /// Not usable in stable Rust.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) unstable: bool,
    /// Its source as the user wrote it; empty for those of crates.
    #[serde(skip)]
    pub(crate) source: String,
}

/// An `impl` block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Impl {
    /// The trait's path; empty in an inherent block.
    #[serde(default, rename = "trait", skip_serializing_if = "String::is_empty")]
    pub(crate) of_trait: String,
    /// `impl<T> Deref for std::vec::Vec<T>`, with full paths and without a where clause.
    pub(crate) header: String,
    /// Associated types: (name, type with full paths).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) types: Vec<(String, String)>,
    /// Members of an inherent block, and of a block whose trait has no page of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) members: Vec<Member>,
}

/// Reads a page. `kind` comes from the file's name.
#[must_use]
pub(super) fn read(kind: &str, page: &str) -> Item {
    let main = page.split_once("<main>").map_or(page, |(_, main)| main);
    // The top ends where the first section of members does.
    let top_end = main.find("<h2 id=\"").unwrap_or(main.len());
    let top = &main[..top_end];
    let code = between(top, "<pre class=\"rust item-decl\"><code>", "</code></pre>");
    let declaration = code.map(|code| text(code, Names::Short)).unwrap_or_default();
    let full = code.map(|code| text(code, Names::Full(PAGES))).unwrap_or_default();
    let mut item = Item {
        kind: kind.to_owned(),
        declaration,
        yields: match kind {
            "fn" => return_type(&full),
            "type" => aliased(&full),
            "constant" | "static" => type_of_constant(&full),
            _ => String::new(),
        },
        docs: docs_of(main),
        unstable: top.contains("class=\"stab unstable\""),
        ..Item::default()
    };
    for section in sections(main) {
        add(&mut item, &section);
    }
    item
}

/// The address that a page without content leads to.
pub(super) fn leads_to(page: &str) -> Option<&str> {
    between(page, "http-equiv=\"refresh\" content=\"0;URL=", "\"")
}

/// The item's own documentation: the docblock under "Expand description".
fn docs_of(main: &str) -> String {
    let Some(at) = main.find("<details class=\"toggle top-doc\"") else { return String::new() };
    docblock(&main[at..]).map(docs::clean).unwrap_or_default()
}

/// A stretch of the page that starts with an element with an id.
struct Section<'a> {
    id: &'a str,
    class: &'a str,
    body: &'a str,
}

/// Everything from the first member on, cut at ids of members and `impl`s. What lists other types'
/// implementations of a trait, and methods of the type that this one dereferences to, is left out.
fn sections(main: &str) -> Vec<Section<'_>> {
    const MARKS: [&str; 3] = ["<section id=\"", "<span id=\"", "<h2 id=\""];
    let mut starts = Vec::new();
    for mark in MARKS {
        starts.extend(main.match_indices(mark).map(|(at, _)| (at, mark.len())));
    }
    starts.sort_unstable();
    let mut found = Vec::new();
    let mut skipping = false;
    for (index, (at, mark)) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(main.len(), |(next, _)| *next);
        let body = &main[*at..end];
        let id = body[*mark..].split('"').next().unwrap_or_default();
        if body.starts_with("<h2") {
            if id == "implementors" || id == "foreign-impls" || id == "dyn-compatibility" {
                break;
            }
            skipping = id.starts_with("deref-methods");
            continue;
        }
        if skipping || id == "main-content" || id == "rustdoc-toc" {
            continue;
        }
        let class = between(&body[*mark..], "class=\"", "\"").unwrap_or_default();
        found.push(Section { id, class, body });
    }
    found
}

fn add(item: &mut Item, section: &Section<'_>) {
    let Section { id, class, body } = section;
    if *class == "impl" {
        let Some(header) = between(body, "<h3 class=\"code-header\">", "</h3>") else { return };
        let header = header.split("<div class=\"where\">").next().unwrap_or_default();
        let full = text(header, Names::Full(PAGES));
        // Auto traits have no members.
        if item.kind != "trait" {
            item.impls.push(Impl { of_trait: trait_of(&full), header: full, ..Impl::default() });
        }
        return;
    }
    if let Some(name) = id.strip_prefix("structfield.") {
        let code = between(body, "<code>", "</code>").unwrap_or_default();
        item.members.push(member(name, "field", code, body));
        return;
    }
    if let Some(name) = id.strip_prefix("variant.") {
        if let Some(code) = between(body, "<h3 class=\"code-header\">", "</h3>") {
            let mut made = member(name, "variant", code, body);
            made.yields = String::new();
            item.members.push(made);
        } else if let Some((variant, field)) = name.split_once(".field.") {
            let code = between(body, "<code>", "</code>").map(|code| text(code, Names::Short));
            let variant = item.members.iter_mut().find(|member| member.name == variant);
            if let (Some(variant), Some(code)) = (variant, code) {
                // A tuple variant shows its fields already.
                if !field.starts_with(|c: char| c.is_ascii_digit()) {
                    add_field(&mut variant.signature, &code);
                }
            }
        }
        return;
    }
    let kind = match id.split('.').next() {
        Some("method" | "tymethod") => "method",
        Some("associatedconstant") => "const",
        Some("associatedtype") => "type",
        _ => return,
    };
    let Some(code) = between(body, "<h4 class=\"code-header\">", "</h4>") else { return };
    let id_name = id.split_once('.').map_or("", |(_, name)| name);
    let name = name_of(code).unwrap_or(id_name);
    if !class.contains("trait-impl") {
        let made = member(name, kind, code, body);
        match item.impls.last_mut() {
            Some(block) => block.members.push(made),
            None => item.members.push(made),
        }
        return;
    }
    let Some(block) = item.impls.last_mut() else { return };
    if kind == "type" {
        let full = text(code, Names::Full(PAGES));
        if let Some((_, found)) = full.split_once(" = ") {
            block.types.push((name.to_owned(), found.to_owned()));
        }
    } else if !block.of_trait.contains("::") {
        // The trait has no page: its members are known from here only.
        block.members.push(member(name, kind, code, body));
    }
}

fn member(name: &str, kind: &str, code: &str, body: &str) -> Member {
    let full = text(code, Names::Full(PAGES));
    let head = body.split("docblock").next().unwrap_or_default();
    Member {
        name: name.to_owned(),
        kind: kind.to_owned(),
        signature: text(code, Names::Short),
        yields: match kind {
            "method" => return_type(&full),
            "field" => full.split_once(": ").map_or("", |(_, found)| found).to_owned(),
            "const" => type_of_constant(&full),
            _ => String::new(),
        },
        docs: docblock(body).map(docs::clean).unwrap_or_default(),
        unstable: head.contains("class=\"stab unstable\""),
        source: String::new(),
    }
}

/// `C` and `x: u8` → `C { x: u8 }`.
fn add_field(signature: &mut String, field: &str) {
    match signature.strip_suffix(" }") {
        Some(open) => *signature = format!("{open}, {field} }}"),
        None => *signature = format!("{signature} {{ {field} }}"),
    }
}

/// The name in a header: the text of its link to itself.
fn name_of(code: &str) -> Option<&str> {
    const CLASSES: [&str; 3] =
        ["class=\"fn\">", "class=\"constant\">", "class=\"associatedtype\">"];
    let at =
        CLASSES.iter().filter_map(|class| code.find(class).map(|at| at + class.len())).min()?;
    code[at..].split('<').next()
}

/// What stands behind the arrow of a function's declaration; empty if nothing does.
fn return_type(declaration: &str) -> String {
    let Some(end) = end_of_parameters(declaration) else { return String::new() };
    let rest = declaration[end..].split("\nwhere").next().unwrap_or_default().trim();
    let found = rest.strip_prefix("->").map(str::trim).unwrap_or_default();
    found.trim_end_matches(['{', ';', ' ']).to_owned()
}

/// Where the parameter list ends: behind the bracket that closes the first one outside of `<…>`.
fn end_of_parameters(declaration: &str) -> Option<usize> {
    let mut angle = 0_i32;
    let mut round = 0_i32;
    let mut before = ' ';
    for (at, c) in declaration.char_indices() {
        match c {
            '<' => angle += 1,
            '>' if before != '-' && before != '=' => angle -= 1,
            '(' => round += 1,
            ')' => {
                round -= 1;
                if round == 0 && angle <= 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        before = c;
    }
    None
}

/// `pub type A<T> = B<T>;` → `B<T>`.
fn aliased(declaration: &str) -> String {
    let found = declaration.split_once(" = ").map_or("", |(_, found)| found);
    found.trim_end_matches(';').to_owned()
}

/// `pub const A: T = 1;` → `T`.
fn type_of_constant(declaration: &str) -> String {
    let found = declaration.split_once(": ").map_or("", |(_, found)| found);
    found.split(" = ").next().unwrap_or_default().trim_end_matches(';').to_owned()
}

/// The trait's path in `impl<…> Trait<…> for Type`; empty in an inherent block.
fn trait_of(header: &str) -> String {
    let rest = header.strip_prefix("unsafe ").unwrap_or(header);
    let Some(mut rest) = rest.strip_prefix("impl") else { return String::new() };
    if rest.starts_with('<') {
        let mut depth = 0;
        let mut before = ' ';
        let end = rest.char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '<') - i32::from(c == '>' && before != '-');
            before = c;
            (depth == 0).then_some(at + 1)
        });
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    if !rest.contains(" for ") {
        return String::new();
    }
    let rest = rest.trim_start().trim_start_matches(['!', '?']);
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    rest.split(['<', ' ']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
