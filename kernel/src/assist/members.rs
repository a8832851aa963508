//! What can stand behind the dot: fields and methods of a type and of what it dereferences to.

use super::index::last;
use super::page::{Impl, Item, Member};
use super::ty::{Bound, Filled, Head, Ty};

/// Where items are found: the indices and the notebook's own items.
pub(crate) trait Types: Send + Sync {
    /// The type or trait that a path means.
    fn find_type(&self, path: &str) -> Option<std::sync::Arc<Item>>;
    /// The trait that a path means.
    fn find_trait(&self, path: &str) -> Option<std::sync::Arc<Item>>;
    /// Whether the methods of a trait with this last segment can be called without a further `use`.
    fn in_scope(&self, name: &str) -> bool;
}

/// A member of a type.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// The member.
    pub(crate) member: Member,
    /// The trait that it comes from; empty for the type's own.
    pub(crate) of_trait: String,
    /// The type that has it, references and dereferencing aside.
    pub(crate) owner: Ty,
    /// What the parameters of its `impl` stand for.
    pub(crate) filled: Filled,
}

impl Reached {
    /// The type of the field or of what the method returns, as far as the text tells it.
    pub(crate) fn yields(&self) -> Option<Ty> {
        if self.member.yields.is_empty() {
            return (self.member.kind == "method").then(|| Ty::Tuple(Vec::new()));
        }
        Some(Ty::parse(&self.member.yields)?.fill(&self.filled))
    }
}

/// How often a type is dereferenced at most.
const DEREFS: usize = 8;

/// Everything reachable from a value, in the order in which the compiler looks; of a name only the
/// first.
pub(crate) fn of_value(types: &dyn Types, ty: &Ty) -> Vec<Reached> {
    let mut found: Vec<Reached> = Vec::new();
    walk(types, ty, &mut |reached| {
        if is_of_values(&reached.member)
            && !found.iter().any(|known| known.member.name == reached.member.name)
        {
            found.push(reached);
        }
        true
    });
    found
}

/// The member of that name.
pub(crate) fn named(types: &dyn Types, ty: &Ty, name: &str) -> Option<Reached> {
    let mut found = None;
    walk(types, ty, &mut |reached| {
        if reached.member.name == name && is_of_values(&reached.member) {
            found = Some(reached);
        }
        found.is_none()
    });
    found
}

/// Associated functions, constants and variants: what stands behind `Type::`.
pub(crate) fn of_path(types: &dyn Types, ty: &Ty) -> Vec<Reached> {
    let mut found: Vec<Reached> = Vec::new();
    one(types, ty, &mut |reached| {
        if reached.member.kind != "field"
            && !found.iter().any(|known| known.member.name == reached.member.name)
        {
            found.push(reached);
        }
        true
    });
    found
}

/// Whether a member is used behind a dot.
fn is_of_values(member: &Member) -> bool {
    match member.kind.as_str() {
        "field" => true,
        "method" => takes_self(&member.signature),
        _ => false,
    }
}

/// Whether a function is a method.
pub(crate) fn takes_self(signature: &str) -> bool {
    let Some(mut parameters) = after_parameters_start(signature) else { return false };
    loop {
        parameters = parameters.trim_start();
        if let Some(rest) = parameters.strip_prefix('&') {
            parameters = rest;
        } else if let Some(rest) = parameters.strip_prefix('\'') {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            parameters = &rest[end..];
        } else if let Some(rest) = parameters.strip_prefix("mut ") {
            parameters = rest;
        } else {
            break;
        }
    }
    parameters
        .strip_prefix("self")
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// What stands behind the bracket that opens the parameters.
fn after_parameters_start(signature: &str) -> Option<&str> {
    let at = signature.find("fn ")? + 3;
    let mut depth = 0;
    let mut before = ' ';
    for (index, c) in signature[at..].char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            '(' if depth == 0 => return Some(&signature[at + index + 1..]),
            _ => {}
        }
        before = c;
    }
    None
}

/// Visits members of a type, then of what it dereferences to, until the visitor has enough.
fn walk(types: &dyn Types, ty: &Ty, visit: &mut dyn FnMut(Reached) -> bool) {
    let mut current = ty.unreferenced().clone();
    for _ in 0..DEREFS {
        let (more, next) = one(types, &current, visit);
        if !more {
            return;
        }
        let Some(next) = next else { return };
        let next = next.unreferenced().clone();
        if next == current {
            return;
        }
        current = next;
    }
}

/// Visits the members of one type; returns whether the visitor wants more, and what the type
/// dereferences to.
fn one(types: &dyn Types, ty: &Ty, visit: &mut dyn FnMut(Reached) -> bool) -> (bool, Option<Ty>) {
    if let Ty::Bounds(bounds) = ty {
        return (bounds.iter().all(|bound| of_bound(types, ty, bound, visit)), None);
    }
    let Some(key) = ty.key() else { return (true, None) };
    let Some(item) = types.find_type(key) else { return (true, unsized_of(ty)) };
    if item.kind == "type" {
        return (true, expand(&item, ty));
    }
    if item.kind == "trait" {
        let bound = Bound { path: key.to_owned(), types: Vec::new() };
        return (of_bound(types, ty, &bound, visit), None);
    }
    for member in &item.members {
        let filled = fields_filled(&item, ty);
        let reached =
            Reached { member: member.clone(), of_trait: String::new(), owner: ty.clone(), filled };
        if !visit(reached) {
            return (false, None);
        }
    }
    let mut target = None;
    // Inherent members come before those of traits.
    for inherent in [true, false] {
        for block in item.impls.iter().filter(|block| block.of_trait.is_empty() == inherent) {
            if last(&block.of_trait) == "Deref" {
                target = target.or_else(|| associated(block, ty, "Target"));
                continue;
            }
            if !of_block(types, ty, block, visit) {
                return (false, None);
            }
        }
    }
    (true, target.or_else(|| unsized_of(ty)))
}

/// An associated type of an `impl` that fits the type.
fn associated(block: &Impl, ty: &Ty, name: &str) -> Option<Ty> {
    let filled = fit(block, ty)?;
    let (_, text) = block.types.iter().find(|(known, _)| known == name)?;
    Some(Ty::parse(text)?.fill(&filled))
}

/// An associated type of a trait's `impl` for a type: `Output` of `Index`, `Item` of `Iterator`.
pub(crate) fn associated_of(types: &dyn Types, ty: &Ty, of_trait: &str, name: &str) -> Option<Ty> {
    let mut current = ty.unreferenced().clone();
    for _ in 0..DEREFS {
        if let Ty::Bounds(bounds) = &current {
            let mut all = bounds.iter().flat_map(|bound| &bound.types);
            return all.find(|(known, _)| known == name).map(|(_, found)| found.clone());
        }
        let item = types.find_type(current.key()?)?;
        if item.kind == "type" {
            current = expand(&item, &current)?;
            continue;
        }
        let mut blocks = item.impls.iter().filter(|block| last(&block.of_trait) == of_trait);
        if let Some(found) = blocks.find_map(|block| associated(block, &current, name)) {
            return Some(found);
        }
        let mut derefs = item.impls.iter().filter(|block| last(&block.of_trait) == "Deref");
        current = derefs
            .find_map(|block| associated(block, &current, "Target"))
            .or_else(|| unsized_of(&current))?;
    }
    None
}

/// What the parameters of an `impl` stand for if it is for this type.
fn fit(block: &Impl, ty: &Ty) -> Option<Filled> {
    let head = Head::parse(&block.header)?;
    let mut filled = Filled::new();
    if !head.target.fits(ty, &head.parameters, &mut filled) {
        return None;
    }
    filled.insert("Self".to_owned(), ty.clone());
    for (name, text) in &block.types {
        if let Some(found) = Ty::parse(text) {
            let found = found.fill(&filled);
            filled.insert(format!("Self::{name}"), found);
        }
    }
    // What is not known stands for anything; left as it is, it would pass for a type of that name.
    for parameter in head.parameters {
        filled.entry(parameter).or_insert(Ty::Other);
    }
    Some(filled)
}

fn of_block(
    types: &dyn Types,
    ty: &Ty,
    block: &Impl,
    visit: &mut dyn FnMut(Reached) -> bool,
) -> bool {
    if !block.of_trait.is_empty() && !types.in_scope(last(&block.of_trait)) {
        return true;
    }
    let from_trait = if block.of_trait.is_empty() || !block.members.is_empty() {
        None
    } else {
        let Some(item) = types.find_trait(&block.of_trait) else { return true };
        Some(item)
    };
    let Some(filled) = fit(block, ty) else { return true };
    let members = from_trait.as_ref().map_or(&block.members, |item| &item.members);
    members.iter().all(|member| {
        visit(Reached {
            member: member.clone(),
            of_trait: block.of_trait.clone(),
            owner: ty.clone(),
            filled: filled.clone(),
        })
    })
}

fn of_bound(
    types: &dyn Types,
    ty: &Ty,
    bound: &Bound,
    visit: &mut dyn FnMut(Reached) -> bool,
) -> bool {
    let Some(item) = types.find_trait(&bound.path) else { return true };
    let mut filled: Filled =
        bound.types.iter().map(|(name, ty)| (format!("Self::{name}"), ty.clone())).collect();
    filled.insert("Self".to_owned(), ty.clone());
    item.members.iter().all(|member| {
        visit(Reached {
            member: member.clone(),
            of_trait: bound.path.clone(),
            owner: ty.clone(),
            filled: filled.clone(),
        })
    })
}

/// What an alias stands for, its parameters filled in.
pub(crate) fn expand(alias: &Item, ty: &Ty) -> Option<Ty> {
    let target = Ty::parse(&alias.yields)?;
    Some(target.fill(&fields_filled(alias, ty)))
}

/// The parameters in an item's declaration and the arguments of a type.
fn fields_filled(item: &Item, ty: &Ty) -> Filled {
    let declared = declared_parameters(&item.declaration);
    let known = ty.arguments().iter().cloned().chain(std::iter::repeat(Ty::Other));
    declared.into_iter().zip(known).collect()
}

/// `pub struct Vec<T, A = Global>` → `T`, `A`.
fn declared_parameters(declaration: &str) -> Vec<String> {
    let head = declaration.split(['{', '(', ';']).next().unwrap_or_default();
    let Some(open) = head.find('<') else { return Vec::new() };
    if head[..open].contains('=') {
        return Vec::new();
    }
    let mut depth = 0;
    let end = head[open..].char_indices().find_map(|(index, c)| {
        depth += i32::from(c == '<') - i32::from(c == '>');
        (depth == 0).then_some(open + index + 1)
    });
    let Some(end) = end else { return Vec::new() };
    match syn::parse_str::<syn::Generics>(&head[open..end]) {
        Ok(generics) => generics.type_params().map(|one| one.ident.to_string()).collect(),
        Err(_) => Vec::new(),
    }
}

/// An array has the methods of a slice.
fn unsized_of(ty: &Ty) -> Option<Ty> {
    match ty {
        Ty::Array(inner) => Some(Ty::Slice(inner.clone())),
        _ => None,
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
