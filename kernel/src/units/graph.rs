//! Which unit needs which.

use std::collections::{BTreeMap, BTreeSet};

use super::{Items, UnitId};

impl Items {
    /// Units that a unit names directly, or whose traits it may call.
    pub(super) fn dependencies(&self, id: UnitId) -> BTreeSet<UnitId> {
        let Some(unit) = self.units.get(&id) else { return BTreeSet::new() };
        let identifiers =
            unit.pieces.iter().flat_map(|piece| piece.item.identifiers.iter().cloned()).collect();
        let reach = self.reach(&identifiers, Some(id));
        reach
            .names
            .iter()
            .chain(&reach.traits)
            .map(|(_, unit)| *unit)
            .filter(|unit| *unit != id)
            .collect()
    }

    /// The units and all they need, dependencies first.
    pub(super) fn closure(&self, wanted: &BTreeSet<UnitId>) -> Vec<UnitId> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for id in wanted {
            self.visit(*id, &mut seen, &mut order);
        }
        order
    }

    fn visit(&self, id: UnitId, seen: &mut BTreeSet<UnitId>, order: &mut Vec<UnitId>) {
        if !seen.insert(id) {
            return;
        }
        for dependency in self.dependencies(id) {
            self.visit(dependency, seen, order);
        }
        order.push(id);
    }

    /// Merges units that need each other, each group into its oldest.
    pub(super) fn merge_cycles(&mut self) {
        let edges: BTreeMap<UnitId, BTreeSet<UnitId>> =
            self.units.keys().map(|id| (*id, self.dependencies(*id))).collect();
        let ids: Vec<UnitId> = self.units.keys().copied().collect();
        let mut merged = false;
        for id in ids {
            let Some(group) = cycle(id, &edges) else { continue };
            for other in group.into_iter().filter(|other| *other > id) {
                if let Some(unit) = self.units.remove(&other) {
                    self.units.entry(id).or_default().pieces.extend(unit.pieces);
                    merged = true;
                }
            }
            if let Some(unit) = self.units.get_mut(&id) {
                unit.pieces.sort_by_key(|piece| piece.sequence);
            }
        }
        if merged {
            self.merge_cycles();
        }
    }
}

/// The units that reach `id` and are reached by it.
fn cycle(id: UnitId, edges: &BTreeMap<UnitId, BTreeSet<UnitId>>) -> Option<BTreeSet<UnitId>> {
    let reached = |from: UnitId| {
        let mut seen = BTreeSet::new();
        let mut stack = vec![from];
        while let Some(at) = stack.pop() {
            for next in edges.get(&at).into_iter().flatten() {
                if seen.insert(*next) {
                    stack.push(*next);
                }
            }
        }
        seen
    };
    let forward = reached(id);
    if !forward.contains(&id) {
        return None;
    }
    Some(forward.into_iter().filter(|other| reached(*other).contains(&id)).collect())
}
