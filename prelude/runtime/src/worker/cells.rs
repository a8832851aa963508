//! The cell thread: runs cells, answers questions about values, delivers comm messages.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use oxilab_protocol::{Event, Failure, FailureKind, Outcome, Query, Request};
use serde_json::{Value, json};

use super::queue::{self, Job};
use super::take_over::{self, Work};
use super::{critical, libraries};
use crate::inspect::PageRequest;
use crate::link::{self, Link};
use crate::{cancel, cell, comm, input, panics, signals, store, tasks};

/// Room for deep recursion; only what is used takes memory.
const STACK: usize = 256 << 20;

/// Starts a cell thread, the first or one that takes over. It sends `first` when it is ready.
pub(super) fn start(first: Option<Event>) -> io::Result<()> {
    std::thread::Builder::new()
        .name("oxilab-cells".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            if let Err(error) = work(first) {
                signals::note(format!("the cell thread cannot start: {error}").as_bytes());
                std::process::abort();
            }
        })
        .map(|_| ())
}

fn work(first: Option<Event>) -> io::Result<()> {
    let Some(link) = link::get() else { return Ok(()) };
    cancel::mark_cell_thread();
    critical::hold();
    signals::watch_this_thread()?;
    take_over::this_is_the_cell_thread();
    let _entered = tasks::handle()?.enter();
    if let Some(first) = first {
        link.send(&first);
    }
    loop {
        match queue::pop() {
            Job::Request(number, request) => answer(link, number, request),
            Job::Finish => {
                forget(&[]);
                queue::finished();
                return Ok(());
            }
        }
    }
}

fn answer(link: &'static Link, number: u64, request: Request) {
    match request {
        Request::Run { cell, library, libraries, show, allow_stdin, count } => {
            input::allow(allow_stdin);
            cell::begin(show, count);
            store::with(store::Store::begin);
            panics::forget();
            queue::begin(number);
            take_over::running(number, Work::Cell(cell));
            let (outcome, micros) = run(&library, &libraries);
            link.settle();
            input::allow(false);
            queue::end(number);
            done(link, cell, outcome, micros);
        }
        Request::Comm { id, kind, comm_id, target, data, buffers } => {
            input::allow(false);
            panics::forget();
            queue::begin(number);
            take_over::running(number, Work::Callback(id));
            // Read before the callback prints: what it prints must not go to the cell before it.
            link.send_visible(&Event::Callback { id, comm_id: comm_id.clone() });
            let message = comm::Message { kind, data, buffers: comm::decode(&buffers) };
            let failure = comm::deliver(comm_id, &target, &message);
            link.settle();
            queue::end(number);
            callback_ended(link, id, failure.as_ref());
        }
        Request::Load { id, libraries } => {
            let result = libraries.iter().try_for_each(|path| libraries::load(path));
            link.settle();
            reply(link, id, result.map(|()| Value::Null));
        }
        Request::Ask { id, query } => reply(link, id, ask(query)),
        Request::Forget { id, names } => {
            forget(&names);
            link.settle();
            reply(link, id, Ok(Value::Null));
        }
        Request::SetEnv { id, name, value } => reply(link, id, set_environment(&name, value)),
        Request::SetDirectory { id, path } => {
            let result = std::env::set_current_dir(&path)
                .map_err(|error| format!("cannot change to {}: {error}", path.display()));
            reply(link, id, result.map(|()| Value::Null));
        }
        // The reader thread acts on these.
        Request::Interrupt
        | Request::Input { .. }
        | Request::InputRefused { .. }
        | Request::Exit => {}
    }
}

/// Reports the end of a cell; also by the thread that took over from one that was parked.
pub(super) fn done(link: &Link, cell: u64, outcome: Outcome, micros: u64) {
    let (stored, lost) = store::with(|store| (store.stored(), store.lost()));
    link.send(&Event::Done { cell, outcome, stored, lost, micros });
}

/// Reports the end of a comm's callback; also by the thread that took over from one that was parked.
pub(super) fn callback_ended(link: &Link, id: u64, failure: Option<&Failure>) {
    reply(link, id, Ok(json!(failure)));
}

fn run(library: &Path, libraries: &[PathBuf]) -> (Outcome, u64) {
    let loaded = libraries
        .iter()
        .try_for_each(|path| libraries::load(path))
        .and_then(|()| libraries::entry(library));
    let entry = match loaded {
        Ok(entry) => entry,
        Err(message) => return (Outcome::Failed(load_failure(message)), 0),
    };
    let started = Instant::now();
    critical::release();
    entry();
    critical::hold();
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let outcome = match cell::end() {
        Ok(None) => Outcome::Ok,
        Ok(Some(failure)) => Outcome::Failed(failure),
        Err(message) => Outcome::Failed(load_failure(message.to_owned())),
    };
    (outcome, micros)
}

fn ask(query: Query) -> Result<Value, String> {
    // Inspectors call polars and the user's Debug: a panic is an answer as well.
    let answered = catch_unwind(AssertUnwindSafe(|| {
        store::with(|store| match query {
            Query::Variables => Ok(json!(store.variables())),
            Query::Preview { name } => store.preview(&name).map(|bundle| json!(bundle)),
            Query::Columns { name } => store.columns(&name),
            Query::Slice { name, offset, length, sort, descending } => {
                let page = PageRequest {
                    offset: usize::try_from(offset).unwrap_or(usize::MAX),
                    length: usize::try_from(length).unwrap_or(usize::MAX),
                    sort,
                    descending,
                };
                store.page(&name, &page)
            }
        })
    }));
    answered.unwrap_or_else(|payload| {
        let message = panics::failure(&*payload).message;
        std::mem::forget(payload);
        Err(format!("looking at the value panicked: {message}"))
    })
}

/// Drops variables one by one; a destructor that panics does not keep the others.
fn forget(names: &[String]) {
    for value in store::with(|store| store.remove(names)) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            std::mem::forget(payload);
        }
    }
}

fn set_environment(name: &str, value: Option<String>) -> Result<Value, String> {
    let broken = |text: &str| text.contains('\0');
    if name.is_empty() || name.contains('=') || broken(name) || value.as_deref().is_some_and(broken)
    {
        return Err(format!("`{name}` cannot be set: a name has no `=`, and no text has a NUL"));
    }
    // SAFETY: std's own readers are locked out; C code that reads the environment on another thread
    // at this very moment is the user's, and was told to by `%env`.
    #[expect(unsafe_code, reason = "the environment is shared with C code")]
    #[expect(clippy::disallowed_methods, reason = "`%env` is about this very process")]
    unsafe {
        match value {
            Some(value) => std::env::set_var(name, value),
            None => std::env::remove_var(name),
        }
    }
    Ok(Value::Null)
}

fn reply(link: &Link, id: u64, answer: Result<Value, String>) {
    link.send(&Event::Replied { id, answer });
}

fn load_failure(message: String) -> Failure {
    Failure {
        kind: FailureKind::Load,
        name: "LoadError".to_owned(),
        message,
        details: Vec::new(),
        location: None,
        frames: Vec::new(),
    }
}
