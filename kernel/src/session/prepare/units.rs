//! The units that hold a cell's items, and where rustc finds them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Preparation, PrepareError, Source};
use crate::compile::{CompileError, Job, Kind, file_name};
use crate::diagnostics::{self, Report};
use crate::units::{self, UnitId};

impl Preparation<'_> {
    /// The new items, and those of earlier cells that stand in the same units and still fit: an `impl`
    /// that uses a field which is no longer there gives way to the new definition, and is named.
    pub(super) async fn build_fitting_items(&mut self, label: &str) -> Result<(), PrepareError> {
        loop {
            match self.build_new_items(label).await {
                Err(PrepareError::Code(reports)) if self.give_way(&reports) => {}
                built => return built,
            }
        }
    }

    /// Takes out the earlier items that the errors stand in; false when an error is the cell's own.
    fn give_way(&mut self, reports: &[Report]) -> bool {
        let mut items = self.prepared.items.clone();
        let mut gave_way = Vec::new();
        for report in reports {
            let Some((label, range)) = &report.place else { return false };
            if *label == self.prepared.label {
                return false;
            }
            let Some(removed) = items.take(label, range) else { continue };
            gave_way.push(format!("{} of {label} ({})", removed.headline(), report.title));
        }
        if gave_way.is_empty() {
            return false;
        }
        self.prepared.items = items;
        self.prepared.gave_way.append(&mut gave_way);
        self.libraries.clear();
        self.folder = None;
        true
    }

    /// Units that hold items of this cell.
    async fn build_new_items(&mut self, label: &str) -> Result<(), PrepareError> {
        let touched: Vec<UnitId> = self
            .prepared
            .items
            .units()
            .filter(|(_, unit)| unit.pieces.iter().any(|piece| piece.label == label))
            .map(|(id, _)| id)
            .collect();
        for id in touched {
            let needed = self.prepared.items.needs_of_unit(id).units;
            self.build_units(needed.into_iter().chain([id])).await?;
        }
        Ok(())
    }

    pub(super) async fn build_units(
        &mut self,
        ids: impl IntoIterator<Item = UnitId>,
    ) -> Result<(), PrepareError> {
        for id in ids {
            if !self.libraries.contains_key(&id) {
                self.build_unit(id).await?;
            }
        }
        Ok(())
    }

    async fn build_unit(&mut self, id: UnitId) -> Result<(), PrepareError> {
        let Some(unit) = self.prepared.items.unit(id).cloned() else { return Ok(()) };
        let mut needs = self.prepared.items.needs_of_unit(id);
        let identifiers = unit.pieces.iter().flat_map(|piece| piece.item.identifiers.iter());
        needs.imports.push_str(&self.added_crates(&identifiers.map(String::as_str).collect()));
        let composed = crate::compose::unit::compose(&unit, &needs);
        let name = units::crate_name(id);
        let job = Job {
            crate_name: &name,
            source: &composed.text,
            kind: Kind::Items { metadata: self.prepared.items.identity(id) },
            opt_level: self.state.opt_level.unwrap_or(3),
            externs: self.externs(&needs.units),
            search: self.search()?,
        };
        let file = file_name(&name);
        match self.compiler.compile(&job).await {
            Ok(built) => {
                self.count(built.cached, built.millis);
                if unit.pieces.iter().any(|piece| piece.label == self.prepared.label)
                    && !built.cached
                {
                    let reports = diagnostics::render(&built.messages, &composed.map, &file);
                    let label = &self.prepared.label;
                    let own = reports
                        .into_iter()
                        .filter(|r| r.place.as_ref().is_some_and(|(place, _)| place == label));
                    self.prepared.warnings.extend(own.collect::<Vec<_>>());
                }
                self.link_for_rustc(&built.library)?;
                self.libraries.insert(id, (built.library, built.key));
                self.prepared.maps.push(Source { file, composed: Arc::new(composed) });
                Ok(())
            }
            Err(CompileError::Rejected { messages, millis }) => {
                self.count(false, millis);
                Err(PrepareError::Code(self.reports(&messages, &composed.map, &file)))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn externs(&self, units: &[UnitId]) -> Vec<(String, PathBuf)> {
        let own = units
            .iter()
            .filter_map(|id| Some((units::crate_name(*id), self.libraries.get(id)?.0.clone())));
        let added = self.state.dependencies.iter().flat_map(|library| {
            let itself = (library.crate_name.clone(), library.library.clone());
            library.externs.clone().into_iter().chain([itself])
        });
        added.chain(own).collect()
    }

    /// Links the libraries of `%dep` whose crates are mentioned.
    pub(super) fn added_crates(&self, identifiers: &BTreeSet<&str>) -> String {
        let mentioned = self.state.dependencies.iter().filter(|library| {
            library.externs.keys().any(|name| identifiers.contains(name.as_str()))
        });
        mentioned.map(|library| format!("extern crate {} as _;", library.crate_name)).collect()
    }

    pub(super) fn library_paths(&self, units: &[UnitId]) -> Vec<PathBuf> {
        let added = self.state.dependencies.iter().map(|library| library.library.clone());
        added.chain(units.iter().filter_map(|id| Some(self.libraries.get(id)?.0.clone()))).collect()
    }

    pub(super) fn search(&mut self) -> Result<Vec<PathBuf>, CompileError> {
        let mut folders: Vec<PathBuf> =
            self.state.dependencies.iter().map(|library| library.search.clone()).collect();
        if !self.libraries.is_empty() {
            folders.push(self.folder()?);
        }
        Ok(folders)
    }

    fn folder(&mut self) -> Result<PathBuf, CompileError> {
        if let Some(folder) = &self.folder {
            return Ok(folder.path().to_owned());
        }
        let folder =
            tempfile::Builder::new().prefix("oxilab-units-").tempdir().map_err(|source| {
                CompileError::File {
                    action: "make a temporary folder in",
                    path: std::env::temp_dir(),
                    source,
                }
            })?;
        Ok(self.folder.insert(folder).path().to_owned())
    }

    /// rustc finds the crates of crates by name in a folder that holds nothing stale.
    fn link_for_rustc(&mut self, library: &Path) -> Result<(), CompileError> {
        let Some(name) = library.file_name() else { return Ok(()) };
        let link = self.folder()?.join(name);
        std::os::unix::fs::symlink(library, &link).map_err(|source| CompileError::File {
            action: "link",
            path: link,
            source,
        })
    }
}
