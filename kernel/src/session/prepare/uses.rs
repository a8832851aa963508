//! A cell of nothing but `use`s: what they name must be there now, not when a later cell needs it.

use super::{Preparation, PrepareError};
use crate::cell::Cell;
use crate::compile::{CompileError, Job, Kind, file_name};
use crate::compose::{Composed, Origin, Writer};

/// Crate name of the check.
const USES_CRATE: &str = "oxi_uses";

impl Preparation<'_> {
    /// Compiles the `use`s of a cell that has nothing else.
    pub(super) async fn check_uses(
        &mut self,
        cell: &Cell,
        origin: &Origin,
    ) -> Result<(), PrepareError> {
        // Beside statements they are compiled with them.
        if !cell.statements.is_empty() || cell.uses().count() < cell.items.len() {
            return Ok(());
        }
        let identifiers = cell.mentioned();
        // Those of earlier cells: this cell's own stand in the text itself.
        let needs = self.state.items.needs(&identifiers, &[]);
        self.build_units(needs.units.clone()).await?;
        let added = self.added_crates(&identifiers.iter().map(String::as_str).collect());
        let composed = compose(cell, origin, &(added + &needs.imports + &needs.macros));
        let job = Job {
            crate_name: USES_CRATE,
            source: &composed.text,
            kind: Kind::Cell,
            opt_level: 0,
            externs: self.externs(&needs.units),
            search: self.search()?,
        };
        match self.compiler.compile(&job).await {
            Ok(built) => {
                self.count(built.cached, built.millis);
                Ok(())
            }
            Err(CompileError::Rejected { messages, millis }) => {
                self.count(false, millis);
                let file = file_name(USES_CRATE);
                Err(PrepareError::Code(self.reports(&messages, &composed.map, &file)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn compose(cell: &Cell, origin: &Origin, around: &str) -> Composed {
    let mut writer = Writer::default();
    let pasted = writer.origin(origin.clone());
    writer.generated("#![allow(unused)]use ::oxilab::prelude::*;");
    writer.generated(around);
    writer.uses(pasted, cell);
    writer.finish()
}
