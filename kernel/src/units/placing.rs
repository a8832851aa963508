//! Where a new item goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Items, Piece, Unit, UnitId};
use crate::cell::{Edit, Item, ItemKind};

impl Items {
    /// The items with those of one more cell.
    #[must_use]
    pub fn with(&self, items: &[Item], label: &str, text: &Arc<str>) -> Self {
        let mut next = self.clone();
        let mut fresh = Fresh::default();
        let named = items.iter().filter(|item| !matches!(item.kind, ItemKind::Impl { .. }));
        let impls = items.iter().filter(|item| matches!(item.kind, ItemKind::Impl { .. }));
        // Types first: an impl of the same cell follows its type.
        for item in named.chain(impls) {
            next.next_sequence += 1;
            let piece = Piece {
                item: item.clone(),
                label: label.to_owned(),
                text: Arc::clone(text),
                sequence: next.next_sequence,
            };
            next.place(piece, &mut fresh);
        }
        next.units.retain(|_, unit| !unit.pieces.is_empty());
        next.merge_cycles();
        next
    }

    fn place(&mut self, piece: Piece, fresh: &mut Fresh) {
        match &piece.item.kind {
            ItemKind::Use { .. } | ItemKind::Macro => {
                let names = piece.item.names.clone();
                // The same declaration again, or a macro of the same name.
                self.pasted.retain(|known| known.item.names != names || names.is_empty());
                self.pasted.push(piece);
            }
            ItemKind::Impl { .. } => self.place_impl(piece, fresh),
            kind => {
                let is_static = *kind == ItemKind::Static;
                let home = self.remove(&piece.item.names);
                let unit = home.unwrap_or_else(|| {
                    if is_static { fresh.statics(self) } else { fresh.rest(self) }
                });
                self.push(unit, piece);
            }
        }
    }

    fn place_impl(&mut self, piece: Piece, fresh: &mut Fresh) {
        let ItemKind::Impl { of_trait, of_type, header, members } = &piece.item.kind else {
            return;
        };
        let names: BTreeSet<String> = members.iter().map(|member| member.name.clone()).collect();
        self.drop_impls(of_trait.as_deref(), of_type.as_deref(), header, &names);
        let home = match of_trait {
            None => of_type.as_ref().and_then(|name| self.definer(name)),
            // The latest of the units that the header names: one of them must be local.
            Some(_) => words(header).filter_map(|word| self.definer(word)).max(),
        };
        let unit = home.unwrap_or_else(|| fresh.rest(self));
        self.push(unit, piece);
    }

    /// A trait impl with the same header goes; of inherent impls the members that are defined again.
    fn drop_impls(
        &mut self,
        of_trait: Option<&str>,
        of_type: Option<&str>,
        header: &str,
        names: &BTreeSet<String>,
    ) {
        for unit in self.units.values_mut() {
            unit.pieces.retain_mut(|piece| {
                let ItemKind::Impl {
                    of_trait: known_trait,
                    of_type: known_type,
                    header: known_header,
                    members,
                } = &mut piece.item.kind
                else {
                    return true;
                };
                if of_trait.is_some() {
                    return known_header != header;
                }
                if known_trait.is_some() || known_type.as_deref() != of_type {
                    return true;
                }
                let (gone, kept): (Vec<_>, Vec<_>) =
                    members.drain(..).partition(|member| names.contains(&member.name));
                *members = kept;
                for member in &gone {
                    let range = member.range.clone();
                    piece.item.edits.retain(|edit| {
                        edit.range.start < range.start || edit.range.end > range.end
                    });
                    piece.item.edits.push(Edit::replace(range, String::new()));
                }
                piece.item.edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
                gone.is_empty() || !members.is_empty()
            });
        }
    }

    /// Removes the definitions of some names and says where the first of them stood.
    fn remove(&mut self, names: &BTreeSet<String>) -> Option<UnitId> {
        let mut home = None;
        for (id, unit) in &mut self.units {
            let before = unit.pieces.len();
            unit.pieces.retain(|piece| names.is_empty() || piece.item.names.is_disjoint(names));
            if unit.pieces.len() < before {
                home = home.or(Some(*id));
            }
        }
        home
    }

    fn definer(&self, name: &str) -> Option<UnitId> {
        self.units
            .iter()
            .find(|(_, unit)| unit.pieces.iter().any(|piece| piece.item.names.contains(name)))
            .map(|(id, _)| *id)
    }

    fn push(&mut self, id: UnitId, piece: Piece) {
        self.units.entry(id).or_default().pieces.push(piece);
    }

    fn new_unit(&mut self) -> UnitId {
        self.next_unit += 1;
        self.units.insert(self.next_unit, Unit::default());
        self.next_unit
    }
}

/// Units made for the new names of one cell.
#[derive(Default)]
struct Fresh {
    rest: Option<UnitId>,
    statics: Option<UnitId>,
}

impl Fresh {
    fn rest(&mut self, items: &mut Items) -> UnitId {
        *self.rest.get_or_insert_with(|| items.new_unit())
    }

    fn statics(&mut self, items: &mut Items) -> UnitId {
        *self.statics.get_or_insert_with(|| items.new_unit())
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell;

    fn add(items: &Items, code: &str) -> Items {
        let parsed = cell::parse(code).expect("parses");
        items.with(&parsed.items, "In [1]", &Arc::from(code))
    }

    #[test]
    fn a_body_edit_keeps_the_identity_and_a_field_does_not() {
        let first = add(
            &Items::default(),
            "struct Net { w: f32 } impl Net { fn f(&self) -> f32 { self.w } }",
        );
        let body = add(&first, "impl Net { fn f(&self) -> f32 { self.w * 2.0 } }");
        assert_eq!(first.identity(1), body.identity(1));
        assert_eq!(body.unit(1).map(|unit| unit.pieces.len()), Some(2));
        let field = add(&body, "struct Net { w: f32, b: f32 }");
        assert_ne!(first.identity(1), field.identity(1));
    }

    #[test]
    fn statics_stand_apart_from_functions() {
        let items = add(&Items::default(), "static N: u32 = 0; fn n() -> u32 { N }");
        assert_eq!(items.units().count(), 2);
    }

    #[test]
    fn a_foreign_trait_goes_to_the_type_and_an_own_trait_to_the_later_unit() {
        let items = add(&Items::default(), "struct Dog;");
        let items = add(&items, "trait Speak { fn speak(&self); }");
        let items = add(&items, "impl Speak for Dog { fn speak(&self) {} }");
        let items = add(&items, "impl std::fmt::Debug for Dog { }");
        assert_eq!(items.unit(1).map(|unit| unit.pieces.len()), Some(2));
        assert_eq!(items.unit(2).map(|unit| unit.pieces.len()), Some(2));
    }

    #[test]
    fn units_that_need_each_other_are_merged() {
        let items = add(&Items::default(), "struct Dog;");
        let items = add(&items, "struct Kennel { dogs: Vec<Dog> }");
        let items =
            add(&items, "impl Dog { fn home(self) -> Kennel { Kennel { dogs: vec![self] } } }");
        assert_eq!(items.units().count(), 1);
    }

    #[test]
    fn a_method_call_brings_its_trait() {
        let items = add(&Items::default(), "struct Dog;");
        let items = add(
            &items,
            "trait Speak { fn speak(&self); } impl Speak for Dog { fn speak(&self) {} }",
        );
        let identifiers = ["rex", "speak"].into_iter().map(ToOwned::to_owned).collect();
        let needs = items.needs(&identifiers, &["oxi_u1::Dog"]);
        assert_eq!(needs.units, [1, 2]);
        assert_eq!(needs.imports, "use ::oxi_u2::Speak as _;");
    }
}
