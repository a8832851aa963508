//! The statements of a cell: one rustc call, or more where the first shows what the text does not tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Preparation, PrepareError, Runnable, Source};
use crate::cell::{self, Cell, Hint};
use crate::compile::{CompileError, Job, Kind, file_name};
use crate::compose::cell::{Load, Ownership, Surroundings};
use crate::compose::{Mark, Origin, SourceMap};
use crate::diagnostics::{Message, ownership};
use crate::session::state::Variable;
use crate::units::UnitId;

/// Crate name of every cell.
const CELL_CRATE: &str = "oxi_cell";
/// Names by which a cell shows that frames are in it; the first three are types.
const FRAME_NAMES: &[&str] = &[
    "DataFrame",
    "LazyFrame",
    "Series",
    "LazyCsvReader",
    "CsvReadOptions",
    "df",
    "col",
    "lit",
    "lazy",
];
/// More amendments than this mean that composing does not converge.
const ATTEMPTS: usize = 4;

/// The first attempt, under which the lesson of the later ones is kept.
struct First {
    source: String,
    search: Vec<PathBuf>,
    externs: Vec<(String, PathBuf)>,
}

struct Around {
    code: Surroundings,
    units: Vec<UnitId>,
    /// Crates named by the types of loaded variables.
    named: Vec<(String, PathBuf)>,
}

impl Preparation<'_> {
    pub(super) async fn build_statements(
        &mut self,
        cell: &Cell,
        origin: &Origin,
        show: bool,
    ) -> Result<(), PrepareError> {
        let mut refused: BTreeSet<String> = BTreeSet::new();
        let mut ownership = self.predict(cell, &refused);
        let mut recalled = false;
        let mut first: Option<First> = None;
        for attempt in 0.. {
            let around = self.surroundings(cell, &refused).await?;
            let composed =
                crate::compose::cell::compose(cell, origin.clone(), &around.code, &ownership, show);
            let job = Job {
                crate_name: CELL_CRATE,
                source: &composed.text,
                kind: Kind::Cell,
                opt_level: self.opt_level(cell, &around.code),
                externs: self
                    .externs(&around.units)
                    .into_iter()
                    .chain(around.named.clone())
                    .collect(),
                search: self.search()?,
            };
            if attempt == 0
                && !recalled
                && let Some(lesson) = self.compiler.recall::<(Ownership, BTreeSet<String>)>(&job)
            {
                (ownership, refused) = lesson;
                recalled = true;
                first = None;
                continue;
            }
            if first.is_none() && !recalled {
                let source = job.source.to_owned();
                first = Some(First {
                    source,
                    search: job.search.clone(),
                    externs: job.externs.clone(),
                });
            }
            let file = file_name(CELL_CRATE);
            match self.compiler.compile(&job).await {
                Ok(built) => {
                    self.count(built.cached, built.millis);
                    if attempt > 0
                        && let Some(First { source, search, externs }) = first
                    {
                        let origin_job = Job { source: &source, search, externs, ..job.clone() };
                        self.compiler.remember(&origin_job, &(&ownership, &refused));
                    }
                    let libraries = self.library_paths(&around.units);
                    self.prepared.run = Some(Runnable { library: built.library, libraries });
                    self.conclude(
                        cell,
                        &ownership,
                        &around.code,
                        &built.messages,
                        &composed,
                        &file,
                    );
                    self.prepared.maps.push(Source { file, composed: Arc::new(composed) });
                    return Ok(());
                }
                Err(CompileError::Rejected { messages, millis }) => {
                    self.count(false, millis);
                    let errors = messages.iter().filter(|message| message.is_error());
                    let errors: Vec<&str> = errors.map(|error| error.message.as_str()).collect();
                    tracing::debug!(
                        attempt,
                        ?errors,
                        source = composed.text,
                        "a cell was rejected"
                    );
                    let unloadable = unloadable(&messages, &composed.map, &file);
                    if !unloadable.is_empty()
                        && attempt < ATTEMPTS
                        && !unloadable.is_subset(&refused)
                    {
                        refused.extend(unloadable);
                        continue;
                    }
                    let map = &composed.map;
                    if attempt < ATTEMPTS
                        && let Some(amended) =
                            ownership::amended(&messages, map, &file, cell, &ownership)
                    {
                        ownership = amended;
                        continue;
                    }
                    return Err(PrepareError::Code(self.reports(&messages, &composed.map, &file)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// By-value uses that are surely moves: the value is known not to be `Copy`.
    fn predict(&self, cell: &Cell, refused: &BTreeSet<String>) -> Ownership {
        let mut ownership = Ownership::default();
        let mut hints: BTreeMap<&str, Hint> = self
            .state
            .variables
            .iter()
            .filter(|(name, _)| !refused.contains(*name))
            .map(|(name, variable)| (name.as_str(), known_hint(variable)))
            .filter(|(_, hint)| *hint != Hint::Unknown)
            .collect();
        for (at, statement) in cell.statements.iter().enumerate() {
            let called = statement.calls.iter().filter(|(name, method)| {
                hints.get(name.as_str()).is_some_and(|hint| hint.moves_at(method))
            });
            let moved: BTreeSet<String> = statement
                .consumes
                .iter()
                .filter(|name| hints.contains_key(name.as_str()))
                .chain(called.map(|(name, _)| name))
                .cloned()
                .collect();
            let bound: Vec<(&str, Hint)> = statement
                .bindings
                .iter()
                .map(|binding| (binding.name.as_str(), resolve(&binding.hint, &hints)))
                .collect();
            hints.retain(|name, _| !moved.contains(*name) || statement.assigns.contains(*name));
            for (name, hint) in bound {
                hints.remove(name);
                if hint != Hint::Unknown {
                    hints.insert(name, hint);
                }
            }
            if !moved.is_empty() {
                ownership.consumed.insert(at, moved);
            }
        }
        for statement in &cell.statements {
            if statement.kind == cell::StatementKind::OpenLet && statement.identifiers.len() > 1 {
                let text = &cell.text[statement.range.clone()];
                if text.contains('&') {
                    ownership
                        .borrowing
                        .extend(statement.bindings.iter().map(|binding| binding.name.clone()));
                }
            }
        }
        ownership
    }

    async fn surroundings(
        &mut self,
        cell: &Cell,
        refused: &BTreeSet<String>,
    ) -> Result<Around, PrepareError> {
        let mut loads = Vec::new();
        let mut bound: BTreeSet<&str> = BTreeSet::new();
        let mut mentioned: BTreeSet<&str> = BTreeSet::new();
        for statement in &cell.statements {
            mentioned.extend(
                statement.values.iter().map(String::as_str).filter(|name| !bound.contains(name)),
            );
            bound.extend(statement.bindings.iter().map(|binding| binding.name.as_str()));
        }
        for name in mentioned {
            let Some(variable) = self.state.variables.get(name) else { continue };
            if refused.contains(name) || !variable.is_current(&self.prepared.items) {
                continue;
            }
            loads.push(Load {
                name: name.to_owned(),
                type_text: variable.type_text.clone(),
                mutable: variable.mutable,
            });
        }
        let recalls = cell.statements.iter().any(|statement| statement.identifiers.contains("out"));
        let results = self.state.results.values().filter(|_| recalls);
        let types: Vec<&str> =
            loads.iter().map(|load| &load.type_text).chain(results).map(String::as_str).collect();
        let identifiers = cell.mentioned();
        let needs = self.prepared.items.needs(&identifiers, &types);
        let named = self.compiler.crates_named(&types);
        self.build_units(needs.units.clone()).await?;
        let added = self.added_crates(&identifiers.iter().map(String::as_str).collect());
        let macros = needs.macros + &self.results(cell);
        let code = Surroundings { imports: added + &needs.imports, macros, loads };
        Ok(Around { code, units: needs.units, named })
    }

    /// Optimised where it pays: loops and closures of the user's own. What polars instantiates in a
    /// cell costs much to optimise and runs inside the library anyway.
    fn opt_level(&self, cell: &Cell, around: &Surroundings) -> u8 {
        if let Some(level) = self.state.opt_level {
            return level;
        }
        let frames = around.loads.iter().any(|load| {
            FRAME_NAMES[..3].iter().any(|name| load.type_text.contains(name))
                || load.type_text.contains("ChunkedArray")
        }) || cell
            .statements
            .iter()
            .any(|s| FRAME_NAMES.iter().any(|name| s.identifiers.contains(*name)));
        let loops = cell.statements.iter().any(|statement| statement.loops);
        let generic = around.imports.contains("::oxi_u");
        match (loops || generic, frames) {
            (true, false) => 2,
            _ => 0,
        }
    }

    /// `out!(n)` for the results that the cell mentions.
    fn results(&self, cell: &Cell) -> String {
        if !cell.statements.iter().any(|statement| statement.identifiers.contains("out")) {
            return String::new();
        }
        let arms: String = self
            .state
            .results
            .iter()
            .map(|(count, found)| {
                format!("({count})=>{{::oxilab::__rt::recall::<{found}>({count})}};")
            })
            .collect();
        let unknown =
            "($n:expr)=>{::core::compile_error!(\"there is no result of that number to recall\")};";
        format!("macro_rules! out{{{arms}{unknown}}}")
    }
}

/// What the type of an earlier cell's variable tells; one with a destructor is at least not `Copy`.
/// A cell that is compiled ahead knows of no destructors yet.
fn known_hint(variable: &Variable) -> Hint {
    match Hint::of_type(&variable.type_text) {
        Hint::Unknown if variable.needs_drop == Some(true) => Hint::Owned,
        known => known,
    }
}

fn resolve(hint: &Hint, hints: &BTreeMap<&str, Hint>) -> Hint {
    match hint {
        Hint::Like(name) => hints.get(name.as_str()).cloned().unwrap_or_default(),
        known => known.clone(),
    }
}

/// Variables whose type could not be written down after all.
fn unloadable(messages: &[Message], map: &SourceMap, file: &str) -> BTreeSet<String> {
    messages
        .iter()
        .filter(|message| message.is_error())
        .flat_map(|message| &message.spans)
        .filter_map(|span| match map.mark(span.in_file(file)?.start) {
            Some(Mark::Load(name)) => Some(name.clone()),
            _ => None,
        })
        .collect()
}
