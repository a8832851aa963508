//! Cell text → a library ready to run, and what running it will leave behind.
//!
//! One rustc call for an ordinary cell. A second one when the first shows that a variable is moved or
//! borrowed in a way the text does not tell; what it taught is remembered beside the cache, so that
//! the same cell costs none the next time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::state::{State, Variable};
use crate::cell::{self, Cell};
use crate::compile::{CompileError, Compiler, Job, Kind, file_name};
use crate::compose::cell::{Load, Ownership, Surroundings};
use crate::compose::{Composed, Mark, Origin, SourceMap, Writer};
use crate::diagnostics::{self, Message, Report, ownership, types};
use crate::units::{self, Items, UnitId};

/// A cell that compiled.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// `In [5]`.
    pub label: String,
    /// The items after this cell.
    pub items: Items,
    /// What to run; `None` when the cell holds items only.
    pub run: Option<Runnable>,
    /// Variables it binds, with their types.
    pub variables: BTreeMap<String, Variable>,
    /// Bindings whose type has no name, with what to tell about each.
    pub unnameable: BTreeMap<String, String>,
    /// Bindings that borrow from others and are not kept.
    pub borrowing: BTreeSet<String>,
    /// Names in the store behind it if all goes well.
    pub expected: Vec<String>,
    /// Variables of earlier cells that it moves.
    pub consumed: Vec<String>,
    /// The type of its tail expression.
    pub result: Option<String>,
    /// Items of earlier cells that no longer fit what this cell defines, each with the reason.
    pub gave_way: Vec<String>,
    /// Warnings to show.
    pub warnings: Vec<Report>,
    /// Maps of the sources that may be named in a panic, by file name.
    pub maps: Vec<Source>,
    /// What it cost.
    pub figures: Figures,
}

/// A library and what it needs loaded before it.
#[derive(Clone, Debug)]
pub struct Runnable {
    /// The cell's library.
    pub library: PathBuf,
    /// Libraries loaded before it.
    pub libraries: Vec<PathBuf>,
}

/// A composed source, kept to place panics.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file name rustc was given.
    pub file: String,
    /// The composed text and its map.
    pub composed: Arc<Composed>,
}

/// What preparing a cell cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// rustc calls.
    pub compiles: u32,
    /// Milliseconds in rustc.
    pub compile_millis: f64,
}

/// Why a cell cannot run.
#[derive(Debug)]
pub enum PrepareError {
    /// The code is wrong; the reports say where.
    Code(Vec<Report>),
    /// The installation or the machine failed.
    System(CompileError),
}

impl From<CompileError> for PrepareError {
    fn from(error: CompileError) -> Self {
        Self::System(error)
    }
}

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

/// Prepares the Rust text of a cell.
///
/// # Errors
/// When the code does not compile, or rustc cannot be run.
pub async fn prepare(
    compiler: &Compiler,
    state: &State,
    code: &str,
    label: &str,
    show: bool,
) -> Result<Prepared, PrepareError> {
    let text: Arc<str> = Arc::from(code);
    let origin = Origin { label: label.to_owned(), text: Arc::clone(&text) };
    let cell = match cell::parse(code) {
        Ok(cell) => cell,
        Err(error) => return Err(explain_syntax(compiler, state, origin, &error).await),
    };
    let items = if cell.items.is_empty() {
        state.items.clone()
    } else {
        state.items.with(&cell.items, label, &text)
    };
    let mut preparation = Preparation {
        compiler,
        state,
        prepared: Prepared { label: label.to_owned(), items, ..Prepared::default() },
        libraries: BTreeMap::new(),
        folder: None,
    };
    if !cell.items.is_empty() {
        preparation.build_fitting_items(label).await?;
    }
    if !cell.statements.is_empty() {
        preparation.build_statements(&cell, &origin, show).await?;
    }
    Ok(preparation.prepared)
}

/// What code that is compiled beside a cell's finds, and where.
pub(super) struct Outside {
    /// Imports and macros, one line of code.
    pub(super) code: String,
    /// Crates usable by name.
    pub(super) externs: Vec<(String, PathBuf)>,
    /// Folders in which crates of crates are found.
    pub(super) search: Vec<PathBuf>,
    /// One of those folders; it goes with this value.
    _folder: Option<tempfile::TempDir>,
}

/// What code with these identifiers and types needs of the session; units come out of the cache.
pub(super) async fn outside(
    compiler: &Compiler,
    state: &State,
    identifiers: &BTreeSet<String>,
    types: &[&str],
) -> Result<Outside, PrepareError> {
    let mut preparation = Preparation {
        compiler,
        state,
        prepared: Prepared { items: state.items.clone(), ..Prepared::default() },
        libraries: BTreeMap::new(),
        folder: None,
    };
    let needs = state.items.needs(identifiers, types);
    preparation.build_units(needs.units.clone()).await?;
    let added = preparation.added_crates(&identifiers.iter().map(String::as_str).collect());
    let mut externs = preparation.externs(&needs.units);
    externs.extend(compiler.crates_named(types));
    let search = preparation.search()?;
    let code = added + &needs.imports + &needs.macros;
    Ok(Outside { code, externs, search, _folder: preparation.folder })
}

struct Preparation<'a> {
    compiler: &'a Compiler,
    state: &'a State,
    prepared: Prepared,
    /// Units built so far: library and key.
    libraries: BTreeMap<UnitId, (PathBuf, String)>,
    /// Where rustc finds the units that units need.
    folder: Option<tempfile::TempDir>,
}

impl Preparation<'_> {
    /// The new items, and those of earlier cells that stand in the same units and still fit: an `impl`
    /// that uses a field which is no longer there gives way to the new definition, and is named.
    async fn build_fitting_items(&mut self, label: &str) -> Result<(), PrepareError> {
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

    async fn build_units(
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

    async fn build_statements(
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
                    let unloadable = unloadable(&messages, &composed.map, &file);
                    if !unloadable.is_empty()
                        && attempt < ATTEMPTS
                        && !unloadable.is_subset(&refused)
                    {
                        refused.extend(unloadable);
                        continue;
                    }
                    if attempt < ATTEMPTS && ownership::may_be_ours(&messages) {
                        if let Some(amended) =
                            ownership::amend(&messages, &composed.map, &file, cell, &ownership)
                        {
                            ownership = amended;
                            continue;
                        }
                        if ownership.merged_from != Some(0) {
                            ownership.merged_from = Some(0);
                            continue;
                        }
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
        let mut bound: BTreeSet<&str> = BTreeSet::new();
        for (at, statement) in cell.statements.iter().enumerate() {
            for name in &statement.consumes {
                let known = self.state.variables.get(name).filter(|_| !refused.contains(name));
                if !bound.contains(name.as_str())
                    && known.is_some_and(|variable| variable.needs_drop == Some(true))
                {
                    ownership.consumed.entry(at).or_default().insert(name.clone());
                    if !statement.assigns.contains(name) {
                        bound.insert(name);
                    }
                }
            }
            bound.extend(statement.bindings.iter().map(|binding| binding.name.as_str()));
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
        let needs = self.prepared.items.needs(&cell.statement_identifiers(), &types);
        let named = self.compiler.crates_named(&types);
        self.build_units(needs.units.clone()).await?;
        let identifiers = cell.statement_identifiers();
        let added = self.added_crates(&identifiers.iter().map(String::as_str).collect());
        let macros = needs.macros + &self.results(cell);
        let code = Surroundings { imports: added + &needs.imports, macros, loads };
        Ok(Around { code, units: needs.units, named })
    }

    fn conclude(
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
            .flat_map(|(at, names)| {
                names.iter().filter(|name| !cell.statements[*at].assigns.contains(*name))
            })
            .collect();
        let names =
            around.loads.iter().map(|load| &load.name).chain(self.prepared.variables.keys());
        self.prepared.expected = names
            .filter(|name| !moved.contains(name))
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        self.prepared.consumed = around
            .loads
            .iter()
            .map(|load| &load.name)
            .filter(|name| moved.contains(name))
            .cloned()
            .collect();
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

    fn externs(&self, units: &[UnitId]) -> Vec<(String, PathBuf)> {
        let own = units
            .iter()
            .filter_map(|id| Some((units::crate_name(*id), self.libraries.get(id)?.0.clone())));
        let added = self.state.dependencies.iter().flat_map(|library| {
            let itself = (library.crate_name.clone(), library.library.clone());
            library.externs.clone().into_iter().chain([itself])
        });
        added.chain(own).collect()
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

    /// Links the libraries of `%dep` whose crates are mentioned.
    fn added_crates(&self, identifiers: &BTreeSet<&str>) -> String {
        let mentioned = self.state.dependencies.iter().filter(|library| {
            library.externs.keys().any(|name| identifiers.contains(name.as_str()))
        });
        mentioned.map(|library| format!("extern crate {} as _;", library.crate_name)).collect()
    }

    fn library_paths(&self, units: &[UnitId]) -> Vec<PathBuf> {
        let added = self.state.dependencies.iter().map(|library| library.library.clone());
        added.chain(units.iter().filter_map(|id| Some(self.libraries.get(id)?.0.clone()))).collect()
    }

    fn search(&mut self) -> Result<Vec<PathBuf>, CompileError> {
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
    fn link_for_rustc(&mut self, library: &std::path::Path) -> Result<(), CompileError> {
        let Some(name) = library.file_name() else { return Ok(()) };
        let link = self.folder()?.join(name);
        std::os::unix::fs::symlink(library, &link).map_err(|source| CompileError::File {
            action: "link",
            path: link,
            source,
        })
    }

    fn count(&mut self, cached: bool, millis: f64) {
        if !cached {
            self.prepared.figures.compiles += 1;
            self.prepared.figures.compile_millis += millis;
        }
    }

    /// What the session knows of a name that an error is about.
    fn note(&self, code: &str, name: &str) -> Option<String> {
        let variable = self.state.variables.get(name);
        match code {
            "E0425" | "E0423" | "E0433" | "E0424" => {
                if variable.is_some_and(|variable| !variable.is_current(&self.prepared.items)) {
                    let reason = "its type was defined again since, and the old value cannot be used as the new type";
                    return Some(format!("there was a variable `{name}`: {reason}"));
                }
                self.state
                    .gone
                    .get(name)
                    .map(|reason| format!("there was a variable `{name}`: {reason}"))
            }
            "E0384" | "E0594" | "E0596" if variable.is_some_and(|variable| !variable.mutable) => {
                Some(format!(
                    "`{name}` was declared in an earlier cell: declare it `let mut {name}` there"
                ))
            }
            _ => None,
        }
    }

    /// Errors only, and what is known of a name that was not found.
    fn reports(&self, messages: &[Message], map: &SourceMap, file: &str) -> Vec<Report> {
        let mut reports: Vec<Report> = diagnostics::render(messages, map, file)
            .into_iter()
            .filter(|report| report.error)
            .collect();
        for report in &mut reports {
            let Some(name) = report.title.split('`').nth(1) else { continue };
            if let Some(note) = self.note(&report.code, name) {
                report.ansi.push_str(&format!("\n  \u{1b}[1mnote\u{1b}[0m: {note}"));
            }
        }
        reports
    }
}

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

/// The cell cannot be cut into statements: rustc says why, in its own words.
async fn explain_syntax(
    compiler: &Compiler,
    state: &State,
    origin: Origin,
    error: &cell::ParseError,
) -> PrepareError {
    let mut writer = Writer::default();
    let label = origin.label.clone();
    let text = Arc::clone(&origin.text);
    let origin = writer.origin(origin);
    writer.generated("#![allow(unused)]use ::oxilab::prelude::*;fn cell(){");
    writer.paste(origin, 0..text.len(), &[]);
    writer.line_break();
    writer.generated("}");
    let composed = writer.finish();
    let job = Job {
        crate_name: "oxi_syntax",
        source: &composed.text,
        kind: Kind::Cell,
        opt_level: 0,
        externs: state.dependencies.iter().flat_map(|library| library.externs.clone()).collect(),
        search: Vec::new(),
    };
    match compiler.compile(&job).await {
        Err(CompileError::Rejected { messages, .. }) => {
            let reports = diagnostics::render(&messages, &composed.map, &file_name("oxi_syntax"));
            let errors: Vec<Report> = reports.into_iter().filter(|report| report.error).collect();
            PrepareError::Code(errors)
        }
        Err(other) => other.into(),
        Ok(_) => PrepareError::Code(vec![Report {
            error: true,
            code: String::new(),
            title: error.message.clone(),
            ansi: format!("\u{1b}[1;91merror\u{1b}[0m: {} ({label})", error.message),
            html: String::new(),
            place: Some((label, error.range.clone())),
        }]),
    }
}
