//! Completion and inspection as of the end of the last cell: what the session hands to
//! [`crate::assist`], and how it is kept up to date without standing in a cell's way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::{MimeBundle, Query, VariableInfo};

use super::CurrentLink;
use super::core::Core;
use super::probe::{Answers, Probe};
use super::state::State;
use crate::assist::build::{self, Plan};
use crate::assist::index::Index;
use crate::assist::library::Library;
use crate::assist::own::Own;
use crate::assist::world::World;
use crate::assist::{self, Desk, Help, Live, layers};
use crate::compile::Compiler;
use crate::diagnostics::paths::shorten;
use crate::server::handler::Completions;

/// A pause between cells after which variables are looked at: running all cells has none.
const QUIET: Duration = Duration::from_millis(300);
/// How long an answer waits for the worker, which may be about to start a cell.
const WORKER_LIMIT: Duration = Duration::from_millis(400);

/// What can be completed and inspected.
#[derive(Debug, Default)]
pub(crate) struct Assist {
    seen: Mutex<Arc<Seen>>,
    answers: Arc<Answers>,
    indices: Arc<Indices>,
    worker: Arc<Worker>,
}

/// The session at the end of a cell.
#[derive(Debug, Default)]
struct Seen {
    compiler: Option<Arc<Compiler>>,
    state: Arc<State>,
    cache: PathBuf,
    /// Read when somebody asks.
    own: OnceLock<Own>,
}

impl Assist {
    /// For a session whose worker is behind `link`.
    pub(crate) fn new(core: &Core, link: CurrentLink) -> Self {
        let worker = Worker { link, ..Worker::default() };
        let assist = Self { worker: Arc::new(worker), ..Self::default() };
        *lock(&assist.seen) = Arc::new(Seen::of(core));
        lock(&assist.worker.directory).clone_from(&core.surroundings.directory);
        assist
    }

    /// Takes over what a cell has changed. Columns and sizes are asked for now, because the worker
    /// does not answer while a cell runs.
    pub(crate) fn update(&self, core: &Core) {
        let seen = Arc::new(Seen::of(core));
        *lock(&self.seen) = Arc::clone(&seen);
        lock(&self.worker.directory).clone_from(&core.surroundings.directory);
        let worker = Arc::clone(&self.worker);
        if seen.state.variables.is_empty() {
            return;
        }
        tokio::spawn(async move { worker.refresh(&seen.state).await });
    }

    /// Completions at a cursor in code points.
    pub(crate) async fn complete(&self, code: &str, cursor: usize) -> Completions {
        let desk = self.desk().await;
        assist::complete(&desk, code, cursor).await
    }

    /// What is known of the name at a cursor.
    pub(crate) async fn inspect(
        &self,
        code: &str,
        cursor: usize,
        detail: u8,
    ) -> Option<MimeBundle> {
        let desk = self.desk().await;
        assist::inspect(&desk, code, cursor, detail).await
    }

    /// The question for help that a cell ends with. Running a cell must not wait for an index: the text
    /// and the notebook's own names tell, but for a field of a variable whose type is a crate's
    /// (`answer.body?`).
    pub(crate) async fn help(&self, code: &str) -> Option<Help> {
        let help = assist::help_request(code)?;
        let seen = Arc::clone(&lock(&self.seen));
        let names = seen.world(Arc::default());
        if help.is_rust(&names) {
            return None;
        }
        if help.names_a_field(&names) && help.is_rust(&self.desk().await.world) {
            return None;
        }
        Some(help)
    }

    async fn desk(&self) -> Desk {
        let seen = Arc::clone(&lock(&self.seen));
        let indices = Arc::clone(&self.indices);
        let compiler = seen.compiler.clone();
        let (for_library, cache) = (Arc::clone(&seen), seen.cache.clone());
        let library = tokio::task::spawn_blocking(move || match &for_library.compiler {
            Some(compiler) => indices.library(compiler, &for_library.state, &cache),
            None => Arc::default(),
        });
        // A panic in there was logged; what the session itself knows is still an answer.
        let world = seen.world(library.await.unwrap_or_default());
        let oracle =
            Probe { compiler, state: Arc::clone(&seen.state), answers: Arc::clone(&self.answers) };
        let worker: Arc<Worker> = Arc::clone(&self.worker);
        Desk { world: Arc::new(world), oracle: Arc::new(oracle), live: worker }
    }
}

impl Seen {
    fn of(core: &Core) -> Self {
        Self {
            compiler: core.compiler.as_ref().ok().cloned(),
            state: Arc::new(core.state.clone()),
            cache: core.cache.clone(),
            own: OnceLock::new(),
        }
    }

    /// What names mean in the session, and in these crates.
    fn world(&self, library: Arc<Library>) -> World {
        World {
            library,
            own: self.own.get_or_init(|| own(&self.state)).clone(),
            variables: self
                .state
                .variables
                .iter()
                .map(|(name, variable)| (name.clone(), variable.type_text.clone()))
                .collect(),
            crates: crates(self.compiler.as_deref(), &self.state),
        }
    }
}

fn own(state: &State) -> Own {
    let mut pieces: Vec<_> = state.items.pieces().collect();
    // A later definition wins.
    pieces.sort_by_key(|piece| piece.sequence);
    let mut own = Own::default();
    for piece in pieces {
        if let Some(source) = piece.text.get(piece.item.range.clone()) {
            own.add(source);
        }
    }
    own
}

fn crates(compiler: Option<&Compiler>, state: &State) -> Vec<String> {
    let prelude = compiler.into_iter().flat_map(|compiler| compiler.prelude().externs.keys());
    let added = state.dependencies.iter().flat_map(|library| library.externs.keys());
    let names: BTreeSet<&String> = prelude.chain(added).collect();
    names.into_iter().filter(|name| *name != "oxilab_dylib").cloned().collect()
}

/// Indices that are open, and those that are being made.
#[derive(Debug, Default)]
struct Indices {
    open: Mutex<BTreeMap<String, Arc<Index>>>,
    making: Mutex<BTreeSet<String>>,
    /// Plans by what they were made for, because making one reads files.
    plans: Mutex<(String, Vec<Plan>)>,
}

impl Indices {
    /// What there is now; what is missing is being made when this returns.
    fn library(
        self: &Arc<Self>,
        compiler: &Compiler,
        state: &State,
        cache: &std::path::Path,
    ) -> Arc<Library> {
        let folder = layers::folder(cache);
        let mut found = Vec::new();
        for plan in self.plans(compiler, state) {
            let path = build::file(&folder, &plan.name);
            let known = lock(&self.open).get(&plan.name).cloned();
            match known.map_or_else(|| Index::open(&path).map(Arc::new), Ok) {
                Ok(index) => {
                    lock(&self.open).insert(plan.name, Arc::clone(&index));
                    found.push(index);
                }
                Err(error) => {
                    tracing::debug!(%error, index = plan.name, "not there yet");
                    self.make(plan, folder.clone());
                }
            }
        }
        Arc::new(Library::new(found))
    }

    fn plans(&self, compiler: &Compiler, state: &State) -> Vec<Plan> {
        let prelude = compiler.prelude();
        let libraries: Vec<&str> =
            state.dependencies.iter().map(|library| library.crate_name.as_str()).collect();
        let key = format!("{} {}", prelude.build_id, libraries.join(" "));
        let mut known = lock(&self.plans);
        if known.0 != key {
            let mut plans = layers::of_prelude(prelude);
            let crates = plans.pop();
            plans.extend(
                state
                    .dependencies
                    .iter()
                    .map(|library| layers::of_session(prelude, library, &state.dependencies)),
            );
            plans.extend(crates);
            *known = (key, plans);
        }
        known.1.clone()
    }

    /// Makes an index on a thread of its own, once.
    fn make(self: &Arc<Self>, plan: Plan, folder: PathBuf) {
        if !lock(&self.making).insert(plan.name.clone()) {
            return;
        }
        // A thread that cannot be started means no index for now.
        let _ = std::thread::Builder::new().name("oxilab-index".to_owned()).spawn(move || {
            match build::build_once(&plan, &folder) {
                Ok(made) => {
                    tracing::info!(
                        index = plan.name,
                        paths = made.paths,
                        seconds = made.time.as_secs_f64(),
                        "made"
                    );
                    layers::prune(&folder);
                }
                Err(error) => tracing::warn!(%error, "completion knows less"),
            }
        });
    }
}

/// The worker's answers; while a cell runs, those of before.
#[derive(Debug, Default)]
struct Worker {
    link: CurrentLink,
    directory: Mutex<PathBuf>,
    columns: Mutex<BTreeMap<String, Vec<String>>>,
    variables: Mutex<Vec<VariableInfo>>,
    /// Cells that have ended.
    cells: AtomicU64,
}

impl Worker {
    async fn ask<T: serde::de::DeserializeOwned>(&self, query: Query) -> Option<T> {
        let link = self.link.get().filter(|link| !link.is_busy())?;
        let answer = tokio::time::timeout(WORKER_LIMIT, link.ask(query)).await.ok()?.ok()?;
        serde_json::from_value(answer).ok()
    }

    /// Asks what may be wanted while the next cell runs.
    async fn refresh(&self, state: &State) {
        let cell = self.cells.fetch_add(1, Ordering::Relaxed) + 1;
        lock(&self.columns).retain(|name, _| state.variables.contains_key(name));
        for (name, variable) in &state.variables {
            if shorten(&variable.type_text).trim_start_matches('&') == "DataFrame" {
                self.fresh_columns(name).await;
            }
        }
        // Sizes may cost the worker a walk over large values: not between two cells of a run.
        tokio::time::sleep(QUIET).await;
        if self.cells.load(Ordering::Relaxed) == cell {
            self.fresh_variables().await;
        }
    }

    async fn fresh_columns(&self, name: &str) -> Option<Vec<String>> {
        let columns: Vec<String> = self.ask(Query::Columns { name: name.to_owned() }).await?;
        lock(&self.columns).insert(name.to_owned(), columns.clone());
        Some(columns)
    }

    async fn fresh_variables(&self) {
        if let Some(found) = self.ask::<Vec<VariableInfo>>(Query::Variables).await {
            *lock(&self.variables) = found;
        }
    }
}

impl Live for Worker {
    fn columns<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<String>> {
        async move {
            match self.fresh_columns(name).await {
                Some(columns) => columns,
                None => lock(&self.columns).get(name).cloned().unwrap_or_default(),
            }
        }
        .boxed()
    }

    fn about<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<VariableInfo>> {
        async move {
            self.fresh_variables().await;
            lock(&self.variables).iter().find(|variable| variable.name == name).cloned()
        }
        .boxed()
    }

    fn preview<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<MimeBundle>> {
        self.ask(Query::Preview { name: name.to_owned() }).boxed()
    }

    fn directory(&self) -> PathBuf {
        lock(&self.directory).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
