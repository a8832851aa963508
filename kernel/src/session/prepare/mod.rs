//! Cell text → a library ready to run, and what running it will leave behind.
//!
//! One rustc call for an ordinary cell. A second one when the first shows that a variable is moved or
//! borrowed in a way the text does not tell; what it taught is remembered beside the cache, so that
//! the same cell costs none the next time.

mod conclude;
mod reports;
mod statements;
mod units;
mod uses;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::state::{State, Variable};
use crate::cell;
use crate::compile::{CompileError, Compiler};
use crate::compose::{Composed, Origin};
use crate::diagnostics::Report;
use crate::units::{Items, UnitId};

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
    /// Variables of its own that it moves again.
    pub moved: Vec<String>,
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
        Err(error) => return Err(reports::explain_syntax(compiler, state, origin, &error).await),
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
        preparation.check_uses(&cell, &origin).await?;
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
    fn count(&mut self, cached: bool, millis: f64) {
        if !cached {
            self.prepared.figures.compiles += 1;
            self.prepared.figures.compile_millis += millis;
        }
    }
}
