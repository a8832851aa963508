//! A session: what a notebook's kernel knows, and the pipeline from a cell's text to its outcome.
//!
//! - [`state`]: items, variables, settings; a value that is replaced when a cell has succeeded.
//! - [`prepare`]: text → library, through `cell`, `units`, `compose`, `compile`, `diagnostics`.
//! - [`core`]: magics and Rust of a cell in order; the worker's life.
//! - [`assist`], [`probe`]: what completion and inspection are told.
//! - [`link`]: the worker's answers and output.
//! - [`ahead`]: queued cells compiled while another runs.
//! - [`errors`]: failures as Jupyter's error replies.
//! - [`panels`]: what the JupyterLab extension asks.
//!
//! [`Session`] is the [`CellRunner`] that the server and the notebook runner drive.

mod ahead;
mod assist;
pub(crate) mod completeness;
mod context;
pub mod core;
mod dependencies;
pub mod errors;
mod interrupts;
mod link;
mod panels;
pub mod prepare;
mod probe;
pub mod state;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::{MimeBundle, Request};
use serde_json::{Map, Value, json};

use crate::compile::{Cache, Compiler};
use crate::install::{InUse, Prelude, data_dir};
use crate::server::divert::divert;
use crate::server::handler::{
    CellError, CellFigures, CellRunner, CommKind, CommMessage, Completeness, Completions,
    ExecuteCell, ExecuteReply, Output, OutputSender,
};

use self::core::{Core, Run};
use interrupts::Interrupts;
use link::Link;

/// How a session starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where preludes are installed; [`crate::install::data_dir`] by default.
    pub data: PathBuf,
    /// Where compiled cells are kept.
    pub cache: PathBuf,
    /// The first working directory of cells.
    pub directory: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        let cache = std::env::var_os("OXILAB_CACHE_DIR").map(PathBuf::from);
        let cache = cache.or_else(|| dirs::cache_dir().map(|folder| folder.join("oxilab")));
        Self {
            data: data_dir(),
            cache: cache.unwrap_or_else(|| std::env::temp_dir().join("oxilab")),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        }
    }
}

/// Runs cells.
pub struct Session {
    core: Arc<tokio::sync::Mutex<Core>>,
    interrupts: Interrupts,
    current: CurrentLink,
    queue: ahead::Queue,
    assist: assist::Assist,
    figures: Mutex<Option<CellFigures>>,
    sources: core::Sources,
    panels: panels::Panels,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// The worker of now, for what reaches past the running cell: interrupts, input, comms.
#[derive(Clone, Debug, Default)]
pub struct CurrentLink(Arc<Mutex<Option<Arc<Link>>>>);

impl CurrentLink {
    fn set(&self, link: Option<Arc<Link>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    fn get(&self) -> Option<Arc<Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Session {
    /// Starts a session and its worker; returns before the prelude is loaded. Without an installed
    /// prelude the session starts as well, and every cell says what to do. Needs a tokio runtime.
    #[must_use]
    pub fn start(config: &Config) -> Self {
        let interrupts = Interrupts::default();
        let current = CurrentLink::default();
        let core = Core::new(config, interrupts.clone(), current.clone());
        let assist = assist::Assist::new(&core, current.clone());
        let queue = core.ahead.queue();
        let sources = core.sources.clone();
        Self {
            core: Arc::new(tokio::sync::Mutex::new(core)),
            interrupts,
            current,
            queue,
            assist,
            figures: Mutex::default(),
            sources,
            panels: panels::Panels::default(),
        }
    }

    async fn run_cell(&self, cell: ExecuteCell, output: OutputSender) -> ExecuteReply {
        self.interrupts.reset();
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let help = self.assist.help(&cell.code).await;
        let cell = match &help {
            Some(help) => ExecuteCell { code: help.before.clone(), ..cell },
            None => cell,
        };
        let mut core = self.core.lock().await;
        let ended = core.execute(&cell, &output).await;
        self.assist.update(&core);
        let (mut payload, figures) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                core.ahead.clear();
                return ExecuteReply::Error(error);
            }
        };
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = Some(figures);
        if let Some(help) = help {
            payload.extend(self.page(&help, &output).await);
        }
        let mut user_expressions = Map::new();
        for (name, expression) in &cell.user_expressions {
            let expression = expression.as_str().unwrap_or_default();
            let answer = evaluate(&mut core, &cell, expression, &output).await;
            user_expressions.insert(name.clone(), answer);
        }
        ExecuteReply::Ok { user_expressions, payload }
    }
}

impl Session {
    /// The answer to `name?` for the front end's pager; where there is none, a line says so.
    async fn page(&self, help: &crate::assist::Help, output: &OutputSender) -> Option<Value> {
        let end = help.subject.chars().count();
        if let Some(bundle) = self.assist.inspect(&help.subject, end, help.detail).await {
            return Some(json!({"source": "page", "data": bundle.data, "start": 0}));
        }
        let text = format!("Object `{}` not found.\n", help.subject);
        output.stream(crate::server::handler::StreamName::Stdout, text).await;
        None
    }
}

/// A user expression: its value as a bundle, or its error. What it shows beside is shown as the cell's.
async fn evaluate(
    core: &mut Core,
    cell: &ExecuteCell,
    expression: &str,
    output: &OutputSender,
) -> Value {
    // A front end that asks for a value does not expect to be asked.
    let cell = ExecuteCell { allow_stdin: false, ..cell.clone() };
    let run = Run { text: expression, opt_level: None, show: true, cell: &cell };
    let mut bundle = MimeBundle::text("()");
    let running = &mut *core;
    let ended = divert(
        output.clone(),
        |sender| async move { running.run(&run, &sender).await },
        |shown| match shown {
            Output::Result { bundle: value } => {
                bundle = value;
                None
            }
            other => Some(other),
        },
    )
    .await;
    if let Ok(link) = core.link() {
        link.direct(output.clone());
    }
    match ended {
        Ok(_) => json!({"status": "ok", "data": bundle.data, "metadata": bundle.metadata}),
        Err(CellError { ename, evalue, traceback, .. }) => {
            json!({"status": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
        }
    }
}

impl CellRunner for Session {
    fn execute(&self, cell: ExecuteCell, output: OutputSender) -> BoxFuture<'_, ExecuteReply> {
        self.run_cell(cell, output).boxed()
    }

    fn figures(&self) -> Option<CellFigures> {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upcoming(&self, code: &str) {
        self.queue.push(code);
    }

    fn is_complete(&self, code: &str) -> Completeness {
        completeness::judge(code)
    }

    fn complete(&self, code: &str, cursor: usize) -> BoxFuture<'_, Completions> {
        let code = code.to_owned();
        async move { self.assist.complete(&code, cursor).await }.boxed()
    }

    fn inspect(&self, code: &str, cursor: usize, detail: u8) -> BoxFuture<'_, Option<MimeBundle>> {
        let code = code.to_owned();
        async move { self.assist.inspect(&code, cursor, detail).await }.boxed()
    }

    fn interrupt(&self) {
        self.interrupts.press();
        if let Some(link) = self.current.get() {
            link.interrupt();
        }
    }

    fn input_reply(&self, reply: Result<String, String>) {
        if let Some(link) = self.current.get() {
            link.tell(&match reply {
                Ok(text) => Request::Input { text },
                Err(reason) => Request::InputRefused { reason },
            });
        }
    }

    fn answers_comm(&self, message: &CommMessage) -> bool {
        self.panels.claims(message)
    }

    fn comm(&self, message: CommMessage, output: OutputSender) -> BoxFuture<'_, ()> {
        async move {
            if self.panels.claims(&message) {
                self.panels.handle(message, output, self.current.get());
            } else if let Some(link) = self.current.get() {
                if let Some((failure, place)) = link.comm(message, output).await {
                    let error = errors::of_failure(&failure, &self.sources.get());
                    place.send(Output::Error(error)).await;
                    place.barrier().await;
                }
            } else if message.kind == CommKind::Open {
                // Nobody is there to take it: an open is answered by a close.
                let close = CommMessage { kind: CommKind::Close, target: String::new(), ..message };
                output.send(Output::Comm(close)).await;
            }
        }
        .boxed()
    }

    fn shutdown(&self, restart: bool) -> BoxFuture<'_, ()> {
        async move {
            self.interrupt();
            let mut core = self.core.lock().await;
            if let Some(link) = self.current.get() {
                link.forget_comms();
            }
            core.end_worker();
            if restart {
                // A worker that does not start is reported by the next cell.
                let _ = core.reset();
            }
        }
        .boxed()
    }
}

/// The compiler against the installed prelude, which is held while it is used.
fn open_compiler(config: &Config) -> Result<(Compiler, Option<InUse>), String> {
    let prelude = Prelude::find(&config.data).map_err(|error| error.to_string())?;
    let in_use = prelude.hold().map_err(|error| error.to_string())?;
    let folder = config.cache.join("cells").join(&prelude.build_id);
    let cache = Cache::open(folder.clone()).map_err(|error| {
        format!("cannot open the cache of compiled cells at {}: {error}", folder.display())
    })?;
    let pruned = cache.clone();
    // The cache is bounded when a kernel starts; nobody waits for it.
    let _ =
        std::thread::Builder::new().name("oxilab-prune".to_owned()).spawn(move || pruned.prune());
    Ok((Compiler::new(Arc::new(prelude), cache), Some(in_use)))
}
