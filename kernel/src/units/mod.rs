//! Items of earlier cells, as crates that later cells link.
//!
//! A [`Unit`] is one dylib crate: the items that a cell defined together. [`Items`] is the whole of a
//! notebook's items; it is a value, and [`Items::with`] returns the next one without touching the
//! present, so a cell that does not compile leaves nothing behind.
//!
//! - A name that is defined again is replaced where it stood, so its unit keeps its crate name, and
//!   with an unchanged layout its identity ([`Items::identity`]): values made before stay usable.
//! - An `impl` goes to the unit of its type, or of its trait where that came later: coherence wants
//!   one of them local, and the unit is rebuilt with the `impl` added.
//! - Statics go to a unit apart, so that an edit of a function does not start them afresh.
//! - Units that come to need each other are merged.

mod graph;
mod placing;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::cell::{Item, ItemKind};

/// A unit's number; its crate is [`crate_name`].
pub type UnitId = u32;

/// One item and the cell it came from.
#[derive(Clone, Debug)]
pub struct Piece {
    /// The item; its ranges are those of `text`.
    pub item: Item,
    /// The cell's label, `In [5]`.
    pub label: String,
    /// The cell's text.
    pub text: Arc<str>,
    /// Later definitions win over earlier ones.
    pub sequence: u64,
}

impl Piece {
    /// `impl Net`, `fn area`: how a note names it.
    #[must_use]
    pub fn headline(&self) -> String {
        let name = self.item.names.iter().next().map_or("", String::as_str);
        match &self.item.kind {
            ItemKind::Impl { header, .. } => format!("`{header}`"),
            ItemKind::Function => format!("`fn {name}`"),
            ItemKind::Trait { .. } => format!("`trait {name}`"),
            _ => format!("`{name}`"),
        }
    }
}

/// Items that are one crate.
#[derive(Clone, Debug, Default)]
pub struct Unit {
    /// In the order they were defined.
    pub pieces: Vec<Piece>,
}

/// All items of a notebook.
#[derive(Clone, Debug, Default)]
pub struct Items {
    units: BTreeMap<UnitId, Unit>,
    /// `use` declarations and `macro_rules!`: source that is pasted where it is mentioned.
    pasted: Vec<Piece>,
    next_unit: UnitId,
    next_sequence: u64,
}

/// What a piece of code needs of the items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Units linked, those they need included, dependencies first.
    pub units: Vec<UnitId>,
    /// `use` lines, without a line break.
    pub imports: String,
    /// `macro_rules!` definitions, without a line break.
    pub macros: String,
}

/// Name of a unit's crate.
#[must_use]
pub fn crate_name(unit: UnitId) -> String {
    format!("oxi_u{unit}")
}

impl Items {
    /// A unit.
    #[must_use]
    pub fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.units.get(&id)
    }

    /// All units.
    pub fn units(&self) -> impl Iterator<Item = (UnitId, &Unit)> {
        self.units.iter().map(|(id, unit)| (*id, unit))
    }

    /// Every piece, for listing and for showing the source of a name.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.units.values().flat_map(|unit| &unit.pieces).chain(&self.pasted)
    }

    /// Takes out the item of a unit in which a place of a cell's text stands.
    pub fn take(&mut self, label: &str, place: &Range<usize>) -> Option<Piece> {
        let stands = |piece: &Piece| {
            let range = &piece.item.range;
            piece.label == label && range.start <= place.start && place.end <= range.end
        };
        let mut pieces = self.units.values_mut().map(|unit| &mut unit.pieces);
        let found = pieces.find_map(|pieces| Some(pieces.remove(pieces.iter().position(stands)?)));
        self.units.retain(|_, unit| !unit.pieces.is_empty());
        found
    }

    /// A number that grows with every definition.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty() && self.pasted.is_empty()
    }

    /// What code with these identifiers needs. `types` are texts that may name units' crates.
    #[must_use]
    pub fn needs(&self, identifiers: &BTreeSet<String>, types: &[&str]) -> Needs {
        let reach = self.reach(identifiers, None);
        let mut linked: BTreeSet<UnitId> = reach.names.iter().map(|(_, unit)| *unit).collect();
        linked.extend(reach.traits.iter().map(|(_, unit)| *unit));
        linked.extend(self.units.keys().filter(|id| {
            let name = format!("{}::", crate_name(**id));
            types.iter().any(|text| text.contains(&name))
        }));
        Needs { units: self.closure(&linked), imports: reach.imports(), macros: reach.macros }
    }

    /// What a unit's own source needs in front of it.
    #[must_use]
    pub fn needs_of_unit(&self, id: UnitId) -> Needs {
        let Some(unit) = self.units.get(&id) else { return Needs::default() };
        let identifiers =
            unit.pieces.iter().flat_map(|piece| piece.item.identifiers.iter().cloned()).collect();
        let reach = self.reach(&identifiers, Some(id));
        let linked = self.dependencies(id);
        Needs {
            units: self.closure(&linked).into_iter().filter(|unit| *unit != id).collect(),
            imports: reach.imports(),
            macros: reach.macros,
        }
    }

    /// Hash of what fixes layout and dispatch of a unit's types: equal identities mean that a value
    /// made before may be read as the type of now.
    #[must_use]
    pub fn identity(&self, id: UnitId) -> String {
        let mut seen = BTreeSet::new();
        let mut hash = Sha256::new();
        self.add_identity(id, &mut hash, &mut seen);
        hex::encode(&hash.finalize()[..8])
    }

    fn add_identity(&self, id: UnitId, hash: &mut Sha256, seen: &mut BTreeSet<UnitId>) {
        let Some(unit) = self.units.get(&id) else { return };
        if !seen.insert(id) {
            return;
        }
        hash.update(id.to_le_bytes());
        // In the order of their text: replacing a definition by itself moves it but changes nothing.
        let mut layouts: Vec<&str> = unit
            .pieces
            .iter()
            .map(|piece| piece.item.layout.as_str())
            .filter(|text| !text.is_empty())
            .collect();
        layouts.sort_unstable();
        for layout in &layouts {
            hash.update(layout.as_bytes());
            hash.update([0]);
        }
        let mentioned: BTreeSet<String> = layouts
            .iter()
            .flat_map(|text| text.split(|c: char| !(c.is_alphanumeric() || c == '_')))
            .filter(|word| !word.is_empty())
            .map(ToOwned::to_owned)
            .collect();
        for (_, dependency) in self.reach(&mentioned, Some(id)).names {
            self.add_identity(dependency, hash, seen);
        }
    }

    fn reach(&self, identifiers: &BTreeSet<String>, inside: Option<UnitId>) -> Reach {
        let mut identifiers = identifiers.clone();
        let mut reach = Reach::default();
        let mut pasted: BTreeSet<usize> = BTreeSet::new();
        // A pasted macro mentions names of its own.
        loop {
            let more: Vec<usize> = (0..self.pasted.len())
                .filter(|index| !pasted.contains(index))
                .filter(|index| self.is_wanted(*index, &identifiers, inside))
                .collect();
            if more.is_empty() {
                break;
            }
            for index in more {
                pasted.insert(index);
                identifiers.extend(self.pasted[index].item.identifiers.iter().cloned());
            }
        }
        for index in pasted {
            let piece = &self.pasted[index];
            let code = one_line(&piece.text[piece.item.range.clone()]);
            match piece.item.kind {
                ItemKind::Macro => reach.macros.push_str(&code),
                _ => reach.uses.push_str(&code),
            }
        }
        for (id, unit) in &self.units {
            if inside == Some(*id) {
                continue;
            }
            for piece in &unit.pieces {
                for name in piece.item.names.intersection(&identifiers) {
                    if self.newest(name) == Some(piece.sequence) && !self.defines(inside, name) {
                        reach.names.insert((name.clone(), *id));
                    }
                }
                // A method call needs its trait in scope. A unit looks only at those before it, so
                // that two units never need each other for a name that may mean something else.
                let ItemKind::Trait { methods } = &piece.item.kind else { continue };
                if inside.is_none_or(|own| *id < own) && !methods.is_disjoint(&identifiers) {
                    reach.traits.extend(piece.item.names.iter().map(|name| (name.clone(), *id)));
                }
            }
        }
        reach
    }

    fn is_wanted(
        &self,
        index: usize,
        identifiers: &BTreeSet<String>,
        inside: Option<UnitId>,
    ) -> bool {
        let piece = &self.pasted[index];
        if matches!(piece.item.kind, ItemKind::Use { glob: true }) {
            return self.was_there_for(piece, inside);
        }
        piece
            .item
            .names
            .intersection(identifiers)
            .any(|name| self.newest(name) == Some(piece.sequence) && !self.defines(inside, name))
    }

    /// Whether a `use` of everything stood in front of a unit, or in a cell of it: one that came later
    /// gives the unit nothing, and must not have it compiled again.
    fn was_there_for(&self, glob: &Piece, unit: Option<UnitId>) -> bool {
        unit.and_then(|id| self.units.get(&id)).is_none_or(|unit| {
            let mut pieces = unit.pieces.iter();
            pieces.any(|piece| piece.sequence > glob.sequence || piece.label == glob.label)
        })
    }

    fn defines(&self, unit: Option<UnitId>, name: &str) -> bool {
        unit.and_then(|id| self.units.get(&id))
            .is_some_and(|unit| unit.pieces.iter().any(|piece| piece.item.names.contains(name)))
    }

    /// The sequence of the newest definition of a name.
    fn newest(&self, name: &str) -> Option<u64> {
        self.pieces()
            .filter(|piece| piece.item.names.contains(name))
            .map(|piece| piece.sequence)
            .max()
    }
}

#[derive(Default)]
struct Reach {
    names: BTreeSet<(String, UnitId)>,
    traits: BTreeSet<(String, UnitId)>,
    uses: String,
    macros: String,
}

impl Reach {
    fn imports(&self) -> String {
        let mut imports = self.uses.clone();
        for (name, unit) in &self.names {
            imports.push_str(&format!("use ::{}::{name};", crate_name(*unit)));
        }
        for (name, unit) in &self.traits {
            imports.push_str(&format!("use ::{}::{name} as _;", crate_name(*unit)));
        }
        imports
    }
}

/// Source without comments and line breaks.
fn one_line(code: &str) -> String {
    match code.parse::<proc_macro2::TokenStream>() {
        Ok(tokens) => tokens.to_string().replace('\n', " "),
        Err(_) => code.replace('\n', " "),
    }
}
