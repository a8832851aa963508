//! Completion: what can stand at the cursor.

use std::collections::BTreeSet;
use std::time::Duration;

use super::context::{Context, HOLE, at_end, whole_for_names};
use super::lex::{Kind, Tokens};
use super::magic::{self, Argument, Before};
use super::members::{self, Reached};
use super::ty::Ty;
use super::world::World;
use super::{Desk, before_cursor, infer, locate, text};
use crate::diagnostics::paths::shorten;
use crate::server::handler::{Completion, Completions};

/// JupyterLab gives up on a completion after a second.
const ORACLE_LIMIT: Duration = Duration::from_millis(900);
/// Signatures are looked up for so many proposals at most.
const WITH_SIGNATURE: usize = 80;

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "else", "enum", "false", "fn", "for",
    "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
    "self", "static", "struct", "trait", "true", "type", "unsafe", "use", "where", "while",
];
const PRIMITIVES: &[&str] = &[
    "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16",
    "u32", "u64", "u8", "usize",
];
const DERIVES: &[&str] = &[
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "Eq",
    "Hash",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Serialize",
];

/// Completions at a cursor in code points.
pub(crate) async fn complete(desk: &Desk, code: &str, cursor: usize) -> Completions {
    let text = before_cursor(code, cursor);
    let end = text.chars().count();
    let at = |typed: usize, items| Completions { start: end - typed.min(end), end, items };
    let rust = match magic::before(text) {
        Before::Rust(rust) => rust,
        Before::Name(typed) => {
            let typed_name = typed.trim_start_matches(['/', '%', ':']).chars().count();
            let names = magic::names(&typed).into_iter();
            return at(
                typed_name,
                names.map(|(name, what)| proposal(name, "magic", what)).collect(),
            );
        }
        Before::Arguments(magic) => {
            let typed = magic.arguments.rsplit(' ').next().unwrap_or_default();
            return match magic::argument(&magic) {
                Argument::Path(folders) => {
                    let (length, found) = text::paths(&desk.live.directory(), typed, folders);
                    at(length, of_text(found))
                }
                Argument::Words(words) => {
                    let words = words.iter().filter(|begun| begun.starts_with(typed));
                    at(
                        typed.chars().count(),
                        words.map(|begun| proposal(begun, "argument", "")).collect(),
                    )
                }
                Argument::Variable => {
                    let names =
                        desk.world.variables.iter().filter(|(name, _)| name.starts_with(typed));
                    let items = names.map(|(name, ty)| proposal(name, "variable", &shorten(ty)));
                    at(typed.chars().count(), items.collect())
                }
            };
        }
        Before::Body(magic) => {
            if !matches!(magic.name.as_str(), "bash" | "sh") {
                return at(0, Vec::new());
            }
            let typed = text.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
            let (length, found) = text::paths(&desk.live.directory(), typed, false);
            return at(length, of_text(found));
        }
    };
    let (begun, context) = at_end(&rust);
    let typed = begun.chars().count();
    let world = with_cell(&desk.world, code, &rust);
    let items = match context {
        Context::Nothing => Vec::new(),
        Context::Member { whole } => {
            let found = receiver(desk, &world, &whole).await;
            found.map(|ty| of_members(&world, &ty, &begun)).unwrap_or_default()
        }
        Context::Path { segments, import } => of_path(&world, &segments, &begun, import),
        Context::Import => of_import(&world, &begun),
        Context::Derive => {
            let names = DERIVES.iter().filter(|name| name.starts_with(&begun));
            names.map(|name| proposal(name, "derive", "")).collect()
        }
        Context::Field { path, present } => {
            let mut items = of_fields(&world, &path, &present, &begun);
            if items.is_empty() {
                items = of_names(&world, &rust, &begun);
            }
            items
        }
        Context::Text { content, callees, names } => {
            let (length, found) = text::proposals(desk, &content, &callees, &names).await;
            return at(length, of_text(found));
        }
        Context::Name => of_names(&world, &rust, &begun),
    };
    at(typed, items)
}

fn proposal(text: &str, kind: &str, signature: &str) -> Completion {
    Completion { text: text.to_owned(), kind: kind.to_owned(), signature: signature.to_owned() }
}

fn of_text(found: Vec<text::Proposal>) -> Vec<Completion> {
    found.into_iter().map(|(text, kind)| proposal(&text, kind, "")).collect()
}

/// The world with the items of the cell that is being written. Where the cell does not parse, with
/// those of its part before the cursor, made whole.
pub(super) fn with_cell(world: &World, code: &str, before: &str) -> World {
    let mut world = world.clone();
    let mut broken = false;
    for segment in crate::magics::split(code) {
        if let crate::magics::Segment::Rust(text) = segment {
            broken |= !add_items(&mut world, &text);
        }
    }
    if broken {
        let (begun, context) = at_end(before);
        let whole = match context {
            Context::Member { whole } => Some(whole),
            _ => whole_for_names(before.strip_suffix(&begun).unwrap_or(before)),
        };
        if let Some(whole) = whole {
            add_items(&mut world, &whole);
        }
    }
    world
}

/// Adds the items of a text; false if it does not parse.
fn add_items(world: &mut World, text: &str) -> bool {
    let Some(block) = locate::block(text) else { return false };
    // Spans count from the brace that the block was given.
    let text = format!("{{{text}");
    for statement in &block.stmts {
        if let syn::Stmt::Item(item) = statement {
            world.own.add_parsed(item, &text);
        }
    }
    true
}

/// The type before the dot: from signatures, else from the compiler.
pub(super) async fn receiver(desk: &Desk, world: &World, whole: &str) -> Option<Ty> {
    let here = locate::find(whole).or_else(|| locate::find(last_statement(whole)));
    if let Some(found) = here.and_then(|place| infer::receiver(world, &place)) {
        return Some(found);
    }
    let asked = tokio::time::timeout(ORACLE_LIMIT, desk.oracle.receiver_type(whole)).await;
    Ty::parse(&asked.ok()??)
}

/// What stands behind the last end of a statement before the hole: code above it may be broken.
fn last_statement(whole: &str) -> &str {
    let hole = whole.find(HOLE).unwrap_or(whole.len());
    let start = whole[..hole].rfind([';', '{', '}', '\n']).map_or(0, |at| at + 1);
    let end = whole[hole..].find(['}', ')', ']', ';']).map_or(whole.len(), |at| hole + at);
    whole[start..end].trim_start_matches("let ").split(" = ").last().unwrap_or_default()
}

fn of_members(world: &World, ty: &Ty, begun: &str) -> Vec<Completion> {
    let reached = members::of_value(world, ty);
    let mut found: Vec<&Reached> = reached
        .iter()
        .filter(|one| one.member.name.starts_with(begun) && !one.member.unstable)
        .collect();
    if found.is_empty() {
        let lower = begun.to_lowercase();
        let matches = |one: &&Reached| one.member.name.to_lowercase().contains(&lower);
        found = reached.iter().filter(matches).filter(|one| !one.member.unstable).collect();
    }
    // Fields, then the type's own methods, then those of traits; the unsafe and the half-hidden last.
    found.sort_by_key(|one| {
        let rank = match (one.member.kind.as_str(), one.of_trait.is_empty()) {
            ("field", _) => 0,
            (_, true) => 1,
            (_, false) => 2,
        };
        let last = one.member.signature.contains("unsafe fn") || one.member.name.starts_with('_');
        (last, rank, one.member.name.clone())
    });
    let mut items: Vec<Completion> = found
        .into_iter()
        .map(|one| {
            let kind = if one.member.kind == "field" { "field" } else { "method" };
            proposal(&one.member.name, kind, &one_line(&one.member.signature))
        })
        .collect();
    if let Ty::Tuple(parts) = ty.unreferenced() {
        let numbers = (0..parts.len()).map(|at| at.to_string()).filter(|at| at.starts_with(begun));
        items.splice(0..0, numbers.map(|at| proposal(&at, "field", "")));
    }
    items
}

/// A signature on one line, without its where clause.
pub(super) fn one_line(signature: &str) -> String {
    let head = signature.split("\nwhere").next().unwrap_or_default();
    let text = head.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace("( ", "(").replace(", )", ")").trim_start_matches("pub ").to_owned()
}

fn of_path(world: &World, segments: &[String], begun: &str, import: bool) -> Vec<Completion> {
    if segments.is_empty() {
        return of_import(world, begun);
    }
    let path = segments.join("::");
    let mut items = Vec::new();
    for (name, one) in world.own.children(&path).filter(|(name, _)| name.starts_with(begun)) {
        items.push(proposal(name, kind_of(&one.item.kind), &one_line(&one.item.declaration)));
    }
    let module = world.spelled(&path);
    let children = world.library.children(&module);
    let mut children: Vec<_> = children
        .into_iter()
        .filter(|(name, _)| name.starts_with(begun) && !name.contains('!'))
        .collect();
    children.sort_by_key(|(name, kind)| (kind != "mod", name.clone()));
    let signatures = children.len() <= WITH_SIGNATURE;
    for (name, kind) in children {
        let found = signatures.then(|| world.library.get(&format!("{module}::{name}"))).flatten();
        if found.as_ref().is_some_and(|found| found.item.unstable) {
            continue;
        }
        let signature = found.filter(|found| found.item.kind == "fn");
        let signature =
            signature.map(|found| one_line(&found.item.declaration)).unwrap_or_default();
        let text = if kind == "macro" && !import { format!("{name}!") } else { name };
        items.push(proposal(&text, kind_of(&kind), &signature));
    }
    let owner = Ty::Path { path, arguments: Vec::new() };
    for one in members::of_path(world, &owner) {
        let member = &one.member;
        if !member.name.starts_with(begun)
            || member.unstable
            || (import && member.kind != "variant")
        {
            continue;
        }
        let kind = match member.kind.as_str() {
            "variant" => "enum member",
            "const" => "constant",
            "type" => continue,
            _ => "function",
        };
        items.push(proposal(&member.name, kind, &one_line(&member.signature)));
    }
    let mut seen = BTreeSet::new();
    items.retain(|item| seen.insert(item.text.clone()));
    items
}

/// Jupyter's word for rustdoc's.
fn kind_of(kind: &str) -> &str {
    match kind {
        "mod" => "module",
        "fn" => "function",
        "trait" | "traitalias" => "interface",
        "constant" | "static" => "constant",
        "enum" | "union" | "type" | "struct" | "macro" => kind,
        "primitive" => "type",
        other => other,
    }
}

/// Where a `use` starts: crates and modules.
fn of_import(world: &World, begun: &str) -> Vec<Completion> {
    let mut names: BTreeSet<&str> = world.crates.iter().map(String::as_str).collect();
    names.insert("std");
    for (name, one) in &world.own.items {
        if one.item.kind == "mod" {
            names.insert(name);
        }
    }
    let names = names.into_iter().filter(|name| name.starts_with(begun));
    names.map(|name| proposal(name, "module", "")).collect()
}

fn of_fields(world: &World, path: &[String], present: &[String], begun: &str) -> Vec<Completion> {
    let owner = Ty::Path { path: path.join("::"), arguments: Vec::new() };
    let key = owner.key().unwrap_or_default().to_owned();
    let Some(item) = members::Types::find_type(world, &key) else { return Vec::new() };
    item.members
        .iter()
        .filter(|member| member.kind == "field" && member.name.starts_with(begun))
        .filter(|member| !present.contains(&member.name))
        .map(|member| proposal(&member.name, "field", &member.signature))
        .collect()
}

/// Names by themselves: bindings, variables, items, what the prelude brings, macros, keywords.
fn of_names(world: &World, rust: &str, begun: &str) -> Vec<Completion> {
    let before = rust.strip_suffix(begun).unwrap_or(rust);
    let mut found: Vec<Completion> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut add = |item: Completion| {
        if item.text.starts_with(begun) && seen.insert(item.text.clone()) {
            found.push(item);
        }
    };
    for (name, ty) in locals(world, before) {
        add(proposal(&name, "variable", &ty));
    }
    for (name, ty) in &world.variables {
        add(proposal(name, "variable", &shorten(ty)));
    }
    for (name, one) in world.own.items.iter().filter(|(name, _)| !name.contains("::")) {
        let text = if one.item.kind == "macro" { format!("{name}!") } else { name.clone() };
        let signature =
            if one.item.kind == "fn" { one_line(&one.item.declaration) } else { String::new() };
        add(proposal(&text, kind_of(&one.item.kind), &signature));
    }
    // Nothing typed yet: only what is the user's own.
    if begun.is_empty() {
        return found;
    }
    for name in world.own.uses.keys() {
        add(named(world, name));
    }
    let in_scope: BTreeSet<&String> =
        world.library.facts().flat_map(|facts| facts.in_scope.keys()).collect();
    for name in in_scope.into_iter().filter(|name| name.starts_with(begun)) {
        add(named(world, name));
    }
    for module in &world.own.globs {
        for (name, _) in world.library.children(&world.spelled(module)) {
            if name.starts_with(begun) && !name.contains('!') {
                add(named(world, &name));
            }
        }
    }
    for (module, only_macros) in [("std::prelude::v1", false), ("std", true)] {
        for (name, kind) in world.library.children(module) {
            let wanted =
                name.starts_with(begun) && !name.contains('!') && (!only_macros || kind == "macro");
            if wanted && kind != "attr" && kind != "derive" {
                add(named(world, &name));
            }
        }
    }
    for name in &world.crates {
        add(proposal(name, "module", ""));
    }
    add(proposal("std", "module", ""));
    for name in PRIMITIVES {
        add(proposal(name, "type", ""));
    }
    for keyword in KEYWORDS {
        add(proposal(keyword, "keyword", ""));
    }
    found
}

/// A name in scope, with what it is.
fn named(world: &World, name: &str) -> Completion {
    let Some(item) = world.item(name) else {
        let module = world.crates.iter().any(|known| known == name);
        return proposal(name, if module { "module" } else { "" }, "");
    };
    if item.unstable {
        return Completion::default();
    }
    let signature = if item.kind == "fn" { one_line(&item.declaration) } else { String::new() };
    let text = if item.kind == "macro" { format!("{name}!") } else { name.to_owned() };
    proposal(&text, kind_of(&item.kind), &signature)
}

/// Bindings in scope at the end of unfinished code, the newest first, with their types where known.
fn locals(world: &World, before: &str) -> Vec<(String, String)> {
    if let Some(place) = whole_for_names(before).and_then(|whole| locate::find(&whole)) {
        let mut names: Vec<&String> = place.locals.iter().map(|local| &local.name).collect();
        names.reverse();
        return names
            .into_iter()
            .map(|name| {
                let ty = infer::local(world, &place, name);
                (name.clone(), ty.map(|ty| ty.to_string()).unwrap_or_default())
            })
            .collect();
    }
    // The code above is broken: whatever was bound by `let` is better than nothing.
    let tokens = Tokens::read(before);
    let mut found = Vec::new();
    for index in 1..tokens.all.len() {
        let mark =
            if tokens.is(index - 1, "mut") { index.checked_sub(2) } else { index.checked_sub(1) };
        if tokens.kind(index) == Some(Kind::Word)
            && mark.is_some_and(|at| tokens.is(at, "let"))
            && !tokens.is(index, "mut")
        {
            found.insert(0, (tokens.word(index).to_owned(), String::new()));
        }
    }
    found
}
