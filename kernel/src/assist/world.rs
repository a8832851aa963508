//! What a name means in a notebook: its variables and items, what it imports, what is in scope anyway.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::last;
use super::library::Library;
use super::members::Types;
use super::own::Own;
use super::page::Item;
use super::ty::Ty;

/// Traits of std's prelude that have methods.
const STD_TRAITS: &[&str] = &[
    "AsMut",
    "AsRef",
    "Clone",
    "Default",
    "DoubleEndedIterator",
    "Eq",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
];

/// Names in a notebook at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Crates.
    pub(crate) library: Arc<Library>,
    /// Items of earlier cells and of the one that is being written.
    pub(crate) own: Own,
    /// Variables: name → type as rustc printed it.
    pub(crate) variables: BTreeMap<String, String>,
    /// Names of crates that a cell can write.
    pub(crate) crates: Vec<String>,
}

impl Types for World {
    fn find_type(&self, path: &str) -> Option<Arc<Item>> {
        if let Some(found) = self.own_item(path) {
            return Some(found);
        }
        let found = self.library.find_type(&self.spelled(path))?;
        let more = self.own.impls_for(&found.path);
        if more.is_empty() || found.item.kind == "trait" {
            return Some(found.item);
        }
        let mut item = (*found.item).clone();
        item.impls.extend(more.iter().cloned());
        Some(Arc::new(item))
    }

    fn find_trait(&self, path: &str) -> Option<Arc<Item>> {
        if let Some(found) = self.own_item(path).filter(|item| item.kind == "trait") {
            return Some(found);
        }
        Some(self.library.find_trait(&self.spelled(path))?.item)
    }

    fn in_scope(&self, name: &str) -> bool {
        STD_TRAITS.contains(&name)
            || self.own.items.get(name).is_some_and(|one| one.item.kind == "trait")
            || self.own.uses.contains_key(name)
            || self.library.facts().any(|facts| facts.traits.iter().any(|known| known == name))
            || self.own.globs.iter().any(|module| {
                self.library.kind(&format!("{}::{name}", self.spelled(module))) == Some("trait")
            })
    }
}

impl World {
    /// The type of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<Ty> {
        Ty::parse(self.variables.get(name)?)
    }

    /// An item of the notebook by a path as a cell or rustc writes it (`oxi_u3::Dog`).
    pub(crate) fn own_item(&self, path: &str) -> Option<Arc<Item>> {
        let path =
            path.strip_prefix("self::").or_else(|| path.strip_prefix("crate::")).unwrap_or(path);
        let path = match path.split_once("::") {
            Some((unit, rest)) if unit.starts_with("oxi_u") => rest,
            _ => path,
        };
        self.own.get(path)
    }

    /// A path as it stands in the indices: its first segment may be a name that is in scope.
    pub(crate) fn spelled(&self, path: &str) -> String {
        let (first, rest) = match path.split_once("::") {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let known = self.named(first);
        match (known, rest) {
            (Some(full), None) => full,
            (Some(full), Some(rest)) => format!("{full}::{rest}"),
            (None, _) => path.to_owned(),
        }
    }

    /// What a single name means, as a path of the indices.
    pub(crate) fn named(&self, name: &str) -> Option<String> {
        if let Some(path) = self.own.uses.get(name) {
            // `use polars::prelude::*` and then `use`d by a name that is itself imported: once is enough.
            return Some(path.clone());
        }
        for module in &self.own.globs {
            let path = format!("{module}::{name}");
            if self.library.kind(&path).is_some() {
                return Some(path);
            }
        }
        if let Some(path) = self.library.facts().find_map(|facts| facts.in_scope.get(name)) {
            return Some(path.clone());
        }
        if self.crates.iter().any(|known| known == name) {
            return Some(name.to_owned());
        }
        ["std::prelude::v1", "std::prelude::rust_2024", "std"].iter().find_map(|module| {
            let path = format!("{module}::{name}");
            // Of std itself only macros are in scope everywhere.
            let kind = self.library.kind(&path)?;
            (*module != "std" || kind == "macro").then_some(path)
        })
    }

    /// The item that a path means: the notebook's, or one of the indices.
    pub(crate) fn item(&self, path: &str) -> Option<Arc<Item>> {
        if let Some(found) = self.own_item(path) {
            return Some(found);
        }
        let spelled = self.spelled(path);
        if let Some(found) = self.library.get(&spelled) {
            return Some(found.item);
        }
        let unique = spelled.contains("::") || spelled.starts_with(char::is_uppercase);
        let found = self.library.find_type(&spelled).filter(|_| unique)?;
        (last(&found.path) == last(&spelled)).then_some(found.item)
    }
}
