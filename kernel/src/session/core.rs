//! Running a cell: its magics and its Rust, in order.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxilab_protocol::{Outcome, Request};

use super::context::Context;
use super::interrupts::Interrupts;
use super::link::{CellEnd, Link};
use super::prepare::{self, PrepareError, Prepared, Source};
use super::state::State;
use super::{Config, ahead::Ahead, errors};
use crate::child::{Exit, WorkerConfig};
use crate::compile::Compiler;
use crate::dep::Dependency;
use crate::install::InUse;
use crate::magics::{self, Segment, Surroundings, Timings};
use crate::server::handler::{CellError, CellFigures, ExecuteCell, OutputSender, StreamName};

/// What runs cells, one at a time.
pub struct Core {
    /// The compiler, or why there is none.
    pub compiler: Result<Arc<Compiler>, String>,
    /// What is known between cells.
    pub state: State,
    /// Working directory and environment.
    pub surroundings: Surroundings,
    /// Dependencies added by `%dep`.
    pub dependencies: Vec<Dependency>,
    /// The user's cache folder.
    pub cache: PathBuf,
    /// Whether compile and run time are written after each cell.
    pub timing: bool,
    /// The button.
    pub interrupts: Interrupts,
    /// Cells compiled ahead.
    pub ahead: Ahead,
    link: Option<Arc<Link>>,
    /// Shared with the session, which interrupts and answers input past the running cell.
    current: super::CurrentLink,
    /// Composed texts of the cells and items of this session, to place failures in.
    pub(super) sources: Sources,
    /// What the running cell has cost so far.
    spent: CellFigures,
    _in_use: Option<InUse>,
}

impl Core {
    /// A core with a worker that starts now.
    #[must_use]
    pub fn new(config: &Config, interrupts: Interrupts, current: super::CurrentLink) -> Self {
        let surroundings =
            Surroundings { directory: config.directory.clone(), ..Surroundings::default() };
        let (compiler, in_use) = match super::open_compiler(config) {
            Ok((compiler, in_use)) => (Ok(Arc::new(compiler)), in_use),
            Err(reason) => (Err(reason), None),
        };
        let mut core = Self {
            ahead: Ahead::default(),
            compiler,
            state: State::default(),
            surroundings,
            dependencies: Vec::new(),
            cache: config.cache.clone(),
            timing: false,
            interrupts,
            link: None,
            current,
            sources: Sources::default(),
            spent: CellFigures::default(),
            _in_use: in_use,
        };
        // A worker that cannot start is reported by the first cell.
        let _ = core.link();
        core
    }

    /// Runs a cell.
    ///
    /// # Errors
    /// How it failed.
    pub async fn execute(
        &mut self,
        cell: &ExecuteCell,
        output: &OutputSender,
    ) -> Result<(Vec<serde_json::Value>, CellFigures), CellError> {
        let mut payload = Vec::new();
        self.spent = CellFigures::default();
        let started = Instant::now();
        let interrupts = self.interrupts.clone();
        tokio::select! {
            () = interrupts.pressed() => return Err(errors::interrupted_compile()),
            () = self.ahead.turn_of(&cell.code) => {}
        }
        for segment in magics::split(&cell.code) {
            match segment {
                Segment::Rust(text) => {
                    let run = Run { text: &text, opt_level: None, show: !cell.silent, cell };
                    self.run(&run, output).await?;
                }
                Segment::Magic(invocation) => {
                    let (begun, before) = (Instant::now(), self.spent);
                    let mut context = Context { core: self, cell, output };
                    let done = magics::run(&invocation, &mut context).await;
                    payload.extend(done.map_err(magics::MagicError::into_cell_error)?.payload);
                    // What a magic does is the user's time, but for the compiles in it.
                    self.spent.run_ms = before.run_ms + millis_since(begun)
                        - (self.spent.compile_ms - before.compile_ms);
                }
            }
        }
        let mut figures = self.spent;
        let known = figures.compile_ms + figures.run_ms;
        figures.overhead_ms = (millis_since(started) - known).max(0.0);
        if self.timing {
            let CellFigures { compile_ms, run_ms, .. } = figures;
            let line = format!("compile {compile_ms:.0} ms, run {run_ms:.1} ms\n");
            output.stream(StreamName::Stderr, line).await;
        }
        Ok((payload, figures))
    }

    /// Compiles and runs Rust.
    ///
    /// # Errors
    /// How it failed.
    pub async fn run(
        &mut self,
        run: &Run<'_>,
        output: &OutputSender,
    ) -> Result<Timings, CellError> {
        if run.text.trim().is_empty() {
            return Ok(Timings::default());
        }
        let prepared = self.prepare(run).await?;
        self.keep_sources(&prepared);
        let notes = notes(&prepared);
        for report in prepared.warnings.iter().filter(|report| !report.error) {
            output.stream(StreamName::Stderr, format!("{}\n", report.ansi)).await;
        }
        let mut timings = Timings {
            compile: Duration::from_secs_f64(prepared.figures.compile_millis / 1e3),
            run: Duration::ZERO,
        };
        self.spent.compiles += prepared.figures.compiles;
        self.spent.compile_ms += prepared.figures.compile_millis;
        if prepared.run.is_some() {
            timings.run = self.run_prepared(run, &prepared, output).await?;
            self.spent.run_ms += timings.run.as_secs_f64() * 1e3;
        } else {
            self.state.commit(&prepared, &[], &[]);
        }
        if !notes.is_empty() {
            output.stream(StreamName::Stderr, notes).await;
        }
        Ok(timings)
    }

    async fn prepare(&mut self, run: &Run<'_>) -> Result<Prepared, CellError> {
        let compiler = match &self.compiler {
            Ok(compiler) => Arc::clone(compiler),
            Err(reason) => return Err(errors::plain("NotInstalled", reason)),
        };
        let mut state = self.state.clone();
        state.opt_level = run.opt_level.or(state.opt_level);
        let label = format!("In [{}]", run.cell.count);
        let interrupts = self.interrupts.clone();
        let preparing = prepare::prepare(&compiler, &state, run.text, &label, run.show);
        tokio::select! {
            // Dropping the other branch kills rustc.
            () = interrupts.pressed() => Err(errors::interrupted_compile()),
            prepared = preparing => prepared.map_err(|error: PrepareError| errors::of_prepare(&error)),
        }
    }

    async fn run_prepared(
        &mut self,
        run: &Run<'_>,
        prepared: &Prepared,
        output: &OutputSender,
    ) -> Result<Duration, CellError> {
        let Some(runnable) = &prepared.run else { return Ok(Duration::ZERO) };
        let link = self.link_or_tell(output).await?;
        link.direct(output.clone());
        if let Ok(compiler) = &self.compiler {
            self.ahead.start(Arc::clone(compiler), self.state.expected(prepared), run.cell.count);
        }
        let ended = link
            .run(|cell| Request::Run {
                cell,
                library: runnable.library.clone(),
                libraries: runnable.libraries.clone(),
                show: run.show,
                allow_stdin: run.cell.allow_stdin,
                count: run.cell.count,
            })
            .await;
        match ended {
            Ok(CellEnd { outcome, stored, lost, micros }) => {
                self.state.commit(prepared, &stored, &lost);
                match outcome {
                    Outcome::Ok => {
                        self.state.keep_result(run.cell.count, prepared);
                        Ok(Duration::from_micros(micros))
                    }
                    Outcome::Failed(failure) => {
                        let mut error = errors::of_failure(&failure, &self.sources.get());
                        let gone: Vec<&str> = lost
                            .iter()
                            .filter(|name| !stored.iter().any(|s| s.name == **name))
                            .map(String::as_str)
                            .collect();
                        if !gone.is_empty() {
                            error.traceback.push(format!(
                                "variables lost with this cell: {}",
                                gone.join(", ")
                            ));
                        }
                        Err(error)
                    }
                }
            }
            Err(exit) => {
                // Items that this cell defined are there; values are not.
                self.state.items = prepared.items.clone();
                Err(self.worker_ended(exit))
            }
        }
    }

    /// The worker is gone: says how, names what is lost, and starts another.
    fn worker_ended(&mut self, exit: Option<Exit>) -> CellError {
        let reason = exit.map_or_else(|| "it is gone".to_owned(), |exit| exit.to_string());
        let mut lost =
            self.state.forget_values(&format!("the process that held it ended ({reason})"));
        lost.sort();
        self.link = None;
        let interrupted = self.interrupts.is_pressed();
        let ename = if interrupted { "KeyboardInterrupt" } else { "WorkerCrashed" };
        let mut error =
            errors::plain(ename, &format!("the process that runs cells ended: {reason}"));
        error.traceback.push(match lost.as_slice() {
            [] => "No variables were lost.".to_owned(),
            names => format!("Variables lost: {}.", names.join(", ")),
        });
        error.traceback.push(
            "Functions, types and `use`s are still there; the next cell runs in a new process."
                .to_owned(),
        );
        // Started now, so that the next cell does not wait for it.
        if let Err(problem) = self.link() {
            error.traceback.push(problem);
        }
        error
    }

    async fn link_or_tell(&mut self, output: &OutputSender) -> Result<Arc<Link>, CellError> {
        if let Some(link) = &self.link
            && let Some(exit) = link.exit()
        {
            // It ended between two cells, in a thread of the user's.
            let error = self.worker_ended(Some(exit));
            output.stream(StreamName::Stderr, format!("{}\n", error.traceback.join("\n"))).await;
        }
        self.link().map_err(|problem| errors::plain("WorkerError", &problem))
    }

    /// The worker, started if need be.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub fn link(&mut self) -> Result<Arc<Link>, String> {
        if let Some(link) = &self.link {
            return Ok(Arc::clone(link));
        }
        let prelude = self.compiler.as_ref().map_err(Clone::clone)?.prelude();
        let environment = self.surroundings.environment.iter();
        let config = WorkerConfig {
            executable: prelude.worker.clone(),
            standard_library: prelude.std_library.clone(),
            prelude: prelude.library.clone(),
            directory: self.surroundings.directory.clone(),
            environment: environment
                .map(|(name, value)| (name.into(), value.clone().map(Into::into)))
                .collect(),
        };
        let link = Arc::new(Link::start(config).map_err(|error| error.to_string())?);
        self.current.set(Some(Arc::clone(&link)));
        self.link = Some(Arc::clone(&link));
        Ok(link)
    }

    /// Forgets everything but the dependencies, the directory and the environment.
    ///
    /// # Errors
    /// When no new worker can be started.
    pub fn reset(&mut self) -> Result<(), String> {
        self.end_worker();
        self.state = State {
            opt_level: self.state.opt_level,
            dependencies: self.state.dependencies.clone(),
            ..State::default()
        };
        self.sources.get().clear();
        self.link().map(|_| ())
    }

    /// Ends the worker.
    pub fn end_worker(&mut self) {
        self.ahead.stop();
        if let Some(link) = self.link.take() {
            self.current.set(None);
            link.shut_down();
        }
    }

    fn keep_sources(&mut self, prepared: &Prepared) {
        let mut sources = self.sources.get();
        for source in &prepared.maps {
            sources.retain(|known| known.file != source.file);
            sources.push(source.clone());
        }
    }
}

/// Composed texts, shared with the session, which reports failures of callbacks while no cell runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources(Arc<Mutex<Vec<Source>>>);

impl Sources {
    pub(super) fn get(&self) -> MutexGuard<'_, Vec<Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rust to run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The text; its lines are the cell's.
    pub text: &'a str,
    /// Optimisation for this piece alone.
    pub opt_level: Option<u8>,
    /// Whether the tail is shown.
    pub show: bool,
    /// The cell it is part of.
    pub cell: &'a ExecuteCell,
}

/// What the user should know of items and bindings that are not kept.
fn notes(prepared: &Prepared) -> String {
    let mut notes = String::new();
    let mut note = |text: String| notes.push_str(&format!("\u{1b}[1mnote\u{1b}[0m: {text}\n"));
    for item in &prepared.gave_way {
        note(format!("{item} does not fit the new definition and is gone: run its cell again"));
    }
    let unnameable = prepared.unnameable.iter();
    for (name, reason) in unnameable.filter(|(name, _)| !prepared.borrowing.contains(*name)) {
        note(format!("`{name}` cannot be used in later cells: {reason}"));
    }
    for name in &prepared.borrowing {
        note(format!(
            "`{name}` borrows from another variable, so it ends with this cell: clone what it points to, to keep it"
        ));
    }
    notes
}

fn millis_since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}
