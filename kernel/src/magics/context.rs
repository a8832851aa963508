//! What magics know of the session: [`MagicContext`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use oxilab_protocol::{MimeBundle, VariableInfo};

use super::MagicError;
use crate::dep::Dependency;
use crate::server::handler::{Output, OutputSender, StreamName};

/// What every step of a magic ends with.
pub type MagicResult<T> = Result<T, MagicError>;

/// The session, as magics see it.
pub trait MagicContext: Send {
    /// Where output of the cell goes.
    fn output(&self) -> OutputSender;

    /// Working directory and environment that cells and commands have.
    fn surroundings(&self) -> &Surroundings;

    /// All variables.
    fn variables(&mut self) -> BoxFuture<'_, MagicResult<Vec<VariableInfo>>>;

    /// Runs Rust as a part of the cell: what it defines stays, what it shows goes to its output.
    fn run(&mut self, code: RustCode) -> BoxFuture<'_, MagicResult<Timings>>;

    /// Forgets variables, items, imports: as after a restart, but for the dependencies.
    fn reset(&mut self) -> BoxFuture<'_, MagicResult<()>>;

    /// The optimisation level of cells; `None` is chosen by what is in the cell.
    fn optimisation(&self) -> Option<u8>;

    /// Sets it, for later cells.
    fn set_optimisation(&mut self, level: Option<u8>);

    /// Whether compile and run time are written after each cell.
    fn timing(&self) -> bool;

    /// Sets that.
    fn set_timing(&mut self, on: bool);

    /// Dependencies added so far.
    fn dependencies(&self) -> Vec<Dependency>;

    /// Adds dependencies; on an error the session is as it was.
    fn add_dependencies(&mut self, dependencies: Vec<Dependency>)
    -> BoxFuture<'_, MagicResult<()>>;

    /// Sets (with `None` unsets) an environment variable for cells and commands.
    fn set_env(&mut self, name: String, value: Option<String>) -> BoxFuture<'_, MagicResult<()>>;

    /// Changes the working directory of cells and commands. `path` is absolute and a folder.
    fn set_directory(&mut self, path: PathBuf) -> BoxFuture<'_, MagicResult<()>>;

    /// Ends when the user interrupts this cell.
    fn interrupted(&self) -> BoxFuture<'static, ()>;

    /// After an interrupt: what the magic has to do all the same can run.
    fn forget_interrupt(&mut self);

    /// The notebook's identifier of the cell; empty where the front end does not say it.
    fn cell_id(&self) -> String;

    /// What this kernel is, for `%version`: label and value.
    fn about(&self) -> Vec<(String, String)>;
}

/// Rust to run on behalf of a magic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RustCode {
    /// The text; its lines and columns are the cell's.
    pub text: String,
    /// Optimisation for this piece alone.
    pub opt_level: Option<u8>,
    /// Where its output goes instead of the cell's.
    pub capture: Option<Capture>,
    /// The line of the cell (from 0) that the text stands for, where nobody wrote the text: an error
    /// names that line and shows none of the text.
    pub stands_for: Option<usize>,
}

/// A place for output that is kept instead of shown.
#[derive(Clone, Debug)]
pub struct Capture(pub OutputSender);

impl PartialEq for Capture {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl RustCode {
    /// Rust whose first line is the cell's line `line` (from 0).
    #[must_use]
    pub fn at_line(line: usize, text: &str) -> Self {
        Self { text: "\n".repeat(line) + text, ..Self::default() }
    }

    /// Rust that a magic on the cell's line `line` (from 0) made up.
    #[must_use]
    pub fn standing_for(line: usize, text: &str) -> Self {
        Self { stands_for: Some(line), ..Self::at_line(line, text) }
    }

    /// The same with an optimisation level of its own.
    #[must_use]
    pub fn with_opt_level(mut self, level: Option<u8>) -> Self {
        self.opt_level = level;
        self
    }

    /// The same with its output sent elsewhere.
    #[must_use]
    pub fn with_capture(mut self, output: OutputSender) -> Self {
        self.capture = Some(Capture(output));
        self
    }
}

/// How long a piece of Rust took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// In the compiler, all calls together; zero when the cache had it.
    pub compile: Duration,
    /// From entering the code to leaving it.
    pub run: Duration,
}

/// Working directory and environment of cells and commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The working directory.
    pub directory: PathBuf,
    /// What differs from the kernel's own environment; `None` is unset.
    pub environment: BTreeMap<String, Option<String>>,
}

impl Surroundings {
    /// Those of the kernel's own process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            environment: BTreeMap::new(),
        }
    }

    /// A variable as cells see it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        match self.environment.get(name) {
            Some(value) => value.clone(),
            None => std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()),
        }
    }

    /// All variables as cells see them.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, String> {
        let mut all: BTreeMap<String, String> = std::env::vars_os()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect();
        for (name, value) in &self.environment {
            match value {
                Some(value) => all.insert(name.clone(), value.clone()),
                None => all.remove(name),
            };
        }
        all
    }

    /// A path as the user wrote it, made absolute: `~` is the home folder.
    #[must_use]
    pub fn absolute(&self, path: &str) -> PathBuf {
        let home =
            || self.get("HOME").map(PathBuf::from).or_else(dirs::home_dir).unwrap_or_default();
        match path.strip_prefix('~') {
            Some("") => home(),
            Some(rest) if rest.starts_with('/') => home().join(rest.trim_start_matches('/')),
            _ => self.directory.join(Path::new(path)),
        }
    }
}

/// Ways to show something that several magics use.
pub(super) async fn show(output: OutputSender, bundle: MimeBundle) {
    output.send(Output::Display { bundle, display_id: None, update: false }).await;
}

/// Writes a line to standard output.
pub(super) async fn say(output: OutputSender, line: &str) {
    output.stream(StreamName::Stdout, format!("{line}\n")).await;
}
