//! What a cell that compiled will leave behind.

use std::collections::{BTreeMap, BTreeSet};

use super::Preparation;
use crate::cell::Cell;
use crate::compose::Composed;
use crate::compose::cell::{Ownership, Surroundings};
use crate::diagnostics::{self, Message, types};
use crate::session::state::Variable;
use crate::units::{self, UnitId};

impl Preparation<'_> {
    pub(super) fn conclude(
        &mut self,
        cell: &Cell,
        ownership: &Ownership,
        around: &Surroundings,
        messages: &[Message],
        composed: &Composed,
        file: &str,
    ) {
        let mutable: BTreeMap<&str, bool> = cell
            .statements
            .iter()
            .flat_map(|statement| &statement.bindings)
            .map(|binding| (binding.name.as_str(), binding.mutable))
            .collect();
        for (name, found) in types::read(messages, &composed.map, file) {
            let stored = self.compiler.writable(&types::storable(&found));
            if types::nameable(&stored) {
                let identities = self.identities(&stored);
                let variable = Variable {
                    type_text: stored,
                    mutable: mutable.get(name.as_str()).copied().unwrap_or(false),
                    needs_drop: None,
                    identities,
                };
                self.prepared.variables.insert(name, variable);
            } else {
                let reason = format!(
                    "{} has no name that a later cell could write; {}",
                    described(&found),
                    advice(&found)
                );
                self.prepared.unnameable.insert(name, reason);
            }
        }
        self.prepared.result = types::of_result(messages, &composed.map, file)
            .filter(|text| types::nameable(text))
            .map(|text| self.compiler.writable(&text));
        self.prepared.borrowing.clone_from(&ownership.borrowing);
        let moved: BTreeSet<&String> = ownership
            .consumed
            .iter()
            .flat_map(|(at, names)| names.iter().map(|name| (*at, name)))
            .filter(|(at, name)| !comes_back(cell, *at, name))
            .map(|(_, name)| name)
            .collect();
        let names =
            around.loads.iter().map(|load| &load.name).chain(self.prepared.variables.keys());
        self.prepared.expected = names
            .filter(|name| !moved.contains(name))
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        (self.prepared.consumed, self.prepared.moved) = moved
            .into_iter()
            .cloned()
            .partition(|name| around.loads.iter().any(|load| load.name == *name));
        self.prepared.warnings.extend(diagnostics::render(messages, &composed.map, file));
    }

    fn identities(&self, type_text: &str) -> BTreeMap<UnitId, String> {
        let items = &self.prepared.items;
        items
            .units()
            .filter(|(id, _)| type_text.contains(&format!("{}::", units::crate_name(*id))))
            .map(|(id, _)| (id, items.identity(id)))
            .collect()
    }
}

/// Whether a variable that the statement consumes has a value behind the cell all the same.
fn comes_back(cell: &Cell, at: usize, name: &str) -> bool {
    cell.statements[at].assigns.contains(name)
        || cell.statements[at..]
            .iter()
            .flat_map(|statement| &statement.bindings)
            .any(|binding| binding.name == name)
}

fn described(type_text: &str) -> String {
    if type_text.starts_with("{closure") {
        return "the type of a closure".to_owned();
    }
    format!("its type `{}`", diagnostics::paths::shorten(type_text))
}

fn advice(type_text: &str) -> &'static str {
    if type_text.contains("closure") {
        "give it one to keep it: `let f: Box<dyn Fn(i32) -> i32> = Box::new(|x| x + 1);`"
    } else {
        "collect it or put it into a `Box<dyn Trait>` to keep it"
    }
}
