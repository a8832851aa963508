//! What a session knows between cells: items, variables and settings. A value: preparing a cell makes
//! a candidate, and only what happened is committed.

use std::collections::BTreeMap;

use oxilab_protocol::StoredVariable;

use super::prepare::Prepared;
use crate::dep::SessionLibrary;
use crate::units::{Items, UnitId};

/// The state between two cells.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Items of earlier cells.
    pub items: Items,
    /// Variables in the worker's store.
    pub variables: BTreeMap<String, Variable>,
    /// Types of the results of earlier cells, for `out!(n)`.
    pub results: BTreeMap<u32, String>,
    /// Names that are no longer there, each with the reason, for the error of a cell that asks.
    pub gone: BTreeMap<String, String>,
    /// Optimisation chosen by `%opt`; `None` chooses by what is in the cell.
    pub opt_level: Option<u8>,
    /// Crates added by `%dep`, each library building on those before it.
    pub dependencies: Vec<SessionLibrary>,
}

/// A variable in the worker's store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its type as rustc printed it.
    pub type_text: String,
    /// Whether it was declared `mut`.
    pub mutable: bool,
    /// Whether dropping it does something; unknown before it was stored.
    pub needs_drop: Option<bool>,
    /// Units its type names, with their identity when it was made.
    pub identities: BTreeMap<UnitId, String>,
}

impl Variable {
    /// Whether the types it names are still the ones it was made of.
    #[must_use]
    pub fn is_current(&self, items: &Items) -> bool {
        self.identities.iter().all(|(unit, identity)| items.identity(*unit) == *identity)
    }
}

impl State {
    /// The state behind a prepared cell if all goes well, for compiling ahead.
    #[must_use]
    pub fn expected(&self, prepared: &Prepared) -> Self {
        let stored: Vec<StoredVariable> = prepared
            .expected
            .iter()
            .map(|name| StoredVariable {
                name: name.clone(),
                type_name: String::new(),
                needs_drop: false,
            })
            .collect();
        let mut next = self.clone();
        next.commit(prepared, &stored, &prepared.consumed);
        for name in prepared.variables.keys() {
            if let Some(variable) = next.variables.get_mut(name) {
                variable.needs_drop = None;
            }
        }
        next
    }

    /// Takes over what a cell did.
    pub fn commit(&mut self, prepared: &Prepared, stored: &[StoredVariable], lost: &[String]) {
        self.items = prepared.items.clone();
        for name in lost {
            if !stored.iter().any(|variable| variable.name == *name)
                && self.variables.remove(name).is_some()
            {
                self.gone
                    .insert(name.clone(), format!("it was moved or lost in {}", prepared.label));
            }
        }
        for StoredVariable { name, needs_drop, .. } in stored {
            self.gone.remove(name);
            if let Some(found) = prepared.variables.get(name) {
                self.variables.insert(
                    name.clone(),
                    Variable { needs_drop: Some(*needs_drop), ..found.clone() },
                );
            } else if let Some(reason) = prepared.unnameable.get(name) {
                self.variables.remove(name);
                self.gone.insert(name.clone(), reason.clone());
            }
        }
        for name in &prepared.moved {
            if !self.variables.contains_key(name) {
                let reason = format!("{}, which made it, moved it", prepared.label);
                self.gone.insert(name.clone(), reason);
            }
        }
        for name in &prepared.borrowing {
            self.variables.remove(name);
            let reason = format!(
                "it borrows from another variable of {}, so it ended with that cell",
                prepared.label
            );
            self.gone.insert(name.clone(), reason);
        }
    }

    /// The cell of this number has shown a result.
    pub fn keep_result(&mut self, count: u32, prepared: &Prepared) {
        const KEPT: usize = 100;
        if let Some(found) = &prepared.result {
            self.results.insert(count, found.clone());
            if self.results.len() > KEPT {
                self.results.pop_first();
            }
        }
    }

    /// After the worker was restarted: items and settings stay, values are gone.
    pub fn forget_values(&mut self, reason: &str) -> Vec<String> {
        self.results.clear();
        let names: Vec<String> = std::mem::take(&mut self.variables).into_keys().collect();
        for name in &names {
            self.gone.insert(name.clone(), reason.to_owned());
        }
        names
    }
}
