//! Several indices as one: the workbench's own crates, those of `%dep`, the prelude's crates and std.

use std::sync::Arc;

use super::index::{Facts, Index, last};
use super::page::Item;

/// An item and the path under which it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its path.
    pub(crate) path: String,
    /// The item.
    pub(crate) item: Arc<Item>,
}

/// All that is known of crates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Library {
    /// Most specific first: a page made with more crates in view lists more trait implementations.
    layers: Vec<Arc<Index>>,
}

impl Library {
    /// A library of these indices, most specific first.
    pub(crate) fn new(layers: Vec<Arc<Index>>) -> Self {
        Self { layers }
    }

    /// What the indices know besides items.
    pub(crate) fn facts(&self) -> impl Iterator<Item = &Facts> {
        self.layers.iter().map(|layer| layer.facts())
    }

    /// The item at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<Found> {
        let path = &in_std(path);
        let layer = self.layers.iter().find(|layer| layer.kind(path).is_some())?;
        Some(Found { path: path.clone(), item: layer.get(path)? })
    }

    /// rustdoc's word for what stands at a path.
    pub(crate) fn kind(&self, path: &str) -> Option<&str> {
        let path = &in_std(path);
        self.layers.iter().find_map(|layer| layer.kind(path))
    }

    /// The type or trait that a path means, as rustc or a page spells it: the same crate and modules
    /// count most, but a re-export under another path is found as well.
    pub(crate) fn find_type(&self, path: &str) -> Option<Found> {
        self.find(path, &["struct", "enum", "union", "type", "primitive", "trait", "traitalias"])
    }

    /// The trait that a path means.
    pub(crate) fn find_trait(&self, path: &str) -> Option<Found> {
        self.find(path, &["trait"])
    }

    fn find(&self, path: &str, kinds: &[&str]) -> Option<Found> {
        let path = in_std(path);
        let mut best: Option<(i32, usize, String)> = None;
        for (depth, layer) in self.layers.iter().enumerate() {
            for (candidate, kind) in layer.named(last(&path)) {
                if !kinds.contains(&kind) {
                    continue;
                }
                let score = likeness(&path, candidate);
                if best.as_ref().is_none_or(|(most, ..)| score > *most) {
                    best = Some((score, depth, candidate.to_owned()));
                }
            }
        }
        let (_, depth, candidate) = best?;
        let item = self.layers[depth].get(&candidate)?;
        // The same type in a more specific layer, which knows more of its traits.
        for layer in &self.layers[..depth] {
            for (path, kind) in layer.named(last(&candidate)) {
                if kind == item.kind
                    && let Some(other) = layer.get(path)
                    && other.declaration == item.declaration
                    && other.docs == item.docs
                {
                    return Some(Found { path: path.to_owned(), item: other });
                }
            }
        }
        Some(Found { path: candidate, item })
    }

    /// What stands directly in a module, by name and kind; each once.
    pub(crate) fn children(&self, path: &str) -> Vec<(String, String)> {
        let path = in_std(path);
        let mut found: Vec<(String, String)> = self
            .layers
            .iter()
            .flat_map(|layer| layer.children(&path))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Paths of `core` and `alloc` as `std` has them.
fn in_std(path: &str) -> String {
    for facade in ["core::", "alloc::"] {
        if let Some(rest) = path.strip_prefix(facade) {
            return format!("std::{rest}");
        }
    }
    path.to_owned()
}

/// How much a path in the index looks like the one that is wanted.
fn likeness(wanted: &str, found: &str) -> i32 {
    if wanted == found {
        return 1000;
    }
    let wanted: Vec<&str> = wanted.split("::").collect();
    let found: Vec<&str> = found.split("::").collect();
    let mut score = 0;
    if wanted.len() > 1 {
        let (ours, theirs) = (wanted[0], found[0]);
        if ours == theirs {
            score += 40;
        } else if ours.starts_with(theirs) || theirs.starts_with(ours) {
            // `polars_core::frame::DataFrame` is `polars::frame::DataFrame`.
            score += 20;
        }
        let inner = &wanted[1..wanted.len() - 1];
        let shared = inner.iter().filter(|segment| found.contains(segment)).count();
        score += 10 * i32::try_from(shared).unwrap_or(0);
    } else if found[0] == "oxilab" {
        // A name alone is what a cell has in scope, if it has one.
        score += 30;
    } else if found[0] == "std" {
        score += 20;
    }
    score - i32::try_from(found.len()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_crate_and_modules_look_most_alike() {
        let wanted = "polars_core::frame::DataFrame";
        let other = likeness(wanted, "datafusion::frame::DataFrame");
        assert!(likeness(wanted, "polars::frame::DataFrame") > other);
        assert!(likeness("Vec", "std::vec::Vec") > likeness("Vec", "image::Vec"));
        assert!(
            likeness("std::slice::Iter", "std::slice::Iter")
                > likeness("std::slice::Iter", "std::vec::Iter")
        );
        assert_eq!(in_std("core::ops::deref::Deref"), "std::ops::deref::Deref");
    }
}
