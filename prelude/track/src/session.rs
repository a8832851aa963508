//! Where runs go now: [`Session`], and the functions that a notebook calls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::journal::Journal;
use crate::mlflow::{Mlflow, split_credentials};
use crate::queue::Queue;
use crate::record::{NewRun, check_name, now};
use crate::run::{PATIENCE, Run, WeakRun};
use crate::sync::{self, Report};
use crate::tracker::Tracker;
use crate::{Result, TrackError};

/// The journal in the working directory.
const JOURNAL: &str = ".oxilab/track.sqlite";

/// A journal that is written to and, perhaps, a server that gets what the journal has.
pub(crate) struct Session {
    pub(crate) journal: Arc<Journal>,
    pub(crate) queue: Queue,
    pub(crate) server: Option<Arc<Mlflow>>,
    sender: Mutex<Option<Sender<()>>>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    experiment: String,
    /// The run that was started last; whoever holds it decides how long it goes on.
    last: Option<WeakRun>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<T>(act: impl FnOnce(&mut State) -> T) -> T {
    act(state().get_or_insert_with(State::default))
}

/// The session, opened at first use: `MLFLOW_TRACKING_URI`, else the journal in the working directory.
pub(crate) fn session() -> Result<Arc<Session>> {
    if let Some(session) = with(|state| state.session.clone()) {
        return Ok(session);
    }
    let set = std::env::var("MLFLOW_TRACKING_URI").unwrap_or_default();
    set_uri(&set)?;
    with(|state| state.session.clone()).ok_or_else(|| TrackError::missing("session", ""))
}

/// Chooses where runs go: `http://HOST:PORT` of an MLflow server, `journal:PATH` for a SQLite file,
/// `memory:`, or an empty text for `.oxilab/track.sqlite` in the working directory. Runs that go on keep
/// their place.
///
/// # Errors
/// If the address cannot be used, or the journal cannot be opened.
pub fn set_uri(uri: &str) -> Result<()> {
    let uri = uri.trim();
    let (journal, server) = if uri.starts_with("http://") || uri.starts_with("https://") {
        (Journal::open(JOURNAL)?, Some(Arc::new(Mlflow::connect(uri)?)))
    } else if uri == "memory:" {
        (Journal::in_memory()?, None)
    } else if uri.is_empty() || uri == "journal:" {
        (Journal::open(JOURNAL)?, None)
    } else if let Some(path) = uri.strip_prefix("journal:") {
        (Journal::open(path)?, None)
    } else {
        let reason = "only a server, a journal and memory are known".to_owned();
        return Err(TrackError::Uri { uri: split_credentials(uri).0, reason });
    };
    let session = Session::open(Arc::new(journal), server)?;
    // Dropped after the lock: the last handle of a run waits for its records.
    let old = with(|state| (state.session.replace(Arc::new(session)), state.last.take()));
    drop(old);
    Ok(())
}

/// The address that runs go to, without credentials.
///
/// # Errors
/// If the journal cannot be opened.
pub fn uri() -> Result<String> {
    Ok(session()?.tracker().uri())
}

/// Makes an experiment, unless it exists, and starts later runs in it. Without a call runs go to
/// `MLFLOW_EXPERIMENT_NAME`, or to `Default`.
///
/// # Errors
/// If the name cannot be used, or the journal cannot be written.
pub fn experiment(name: &str) -> Result<()> {
    check_name("experiment", name)?;
    session()?.journal.experiment(name)?;
    with(|state| name.clone_into(&mut state.experiment));
    Ok(())
}

/// The name of the current experiment.
#[must_use]
pub fn current_experiment() -> String {
    let chosen = with(|state| state.experiment.clone());
    if !chosen.is_empty() {
        return chosen;
    }
    let set = std::env::var("MLFLOW_EXPERIMENT_NAME").ok().filter(|name| !name.is_empty());
    set.unwrap_or_else(|| "Default".to_owned())
}

/// Starts a run in the current experiment.
///
/// # Errors
/// If the name cannot be used, or the journal cannot be written. A server that does not answer is no
/// error: the run is kept and sent later.
pub fn start_run(name: &str) -> Result<Run> {
    let run = session()?.start(name, None)?;
    with(|state| state.last = Some(run.downgrade()));
    Ok(run)
}

/// The run that was started last, while it goes on.
#[must_use]
pub fn active_run() -> Option<Run> {
    let last = with(|state| state.last.clone())?;
    last.upgrade().filter(|run| !run.has_ended())
}

/// Waits until all that was logged is written; see [`Run::flush`].
///
/// # Errors
/// As there.
pub fn flush() -> Result<()> {
    session()?.flush()
}

/// Sends all runs of the current journal to an MLflow server. Calling it again sends what is new:
/// nothing is lost and nothing is sent twice.
///
/// # Errors
/// If the server does not answer or refuses something; what was sent until then stays noted.
pub fn sync(uri: &str) -> Result<Report> {
    let session = session()?;
    session.queue.flush(PATIENCE)?;
    sync::send(&session.journal, &Mlflow::connect(uri)?, true)
}

impl Session {
    fn open(journal: Arc<Journal>, server: Option<Arc<Mlflow>>) -> Result<Self> {
        let (sender, wakes) = channel();
        let awake = sender.clone();
        let queue = Queue::new(Arc::clone(&journal) as Arc<dyn Tracker>, move || {
            // Without a server nobody listens.
            let _ = awake.send(());
        })?;
        if let Some(server) = server.clone() {
            let journal = Arc::clone(&journal);
            std::thread::Builder::new()
                .name("oxilab-track-send".to_owned())
                .spawn(move || deliver(&journal, &server, &wakes))
                .map_err(|error| TrackError::file("start the thread of", "oxilab-track", error))?;
        }
        Ok(Self { journal, queue, server, sender: Mutex::new(Some(sender)) })
    }

    /// What is read from: the server, when there is one.
    pub(crate) fn tracker(&self) -> Arc<dyn Tracker> {
        match &self.server {
            Some(server) => Arc::clone(server) as Arc<dyn Tracker>,
            None => Arc::clone(&self.journal) as Arc<dyn Tracker>,
        }
    }

    /// Tells the sending thread that there is something new.
    pub(crate) fn wake(&self) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // Without a server nobody listens.
            let _ = sender.send(());
        }
    }

    pub(crate) fn start(self: &Arc<Self>, name: &str, parent: Option<&str>) -> Result<Run> {
        let mut tags: BTreeMap<String, String> = BTreeMap::new();
        tags.insert("mlflow.source.type".to_owned(), "NOTEBOOK".to_owned());
        tags.insert("oxilab.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        if let Ok(user) = std::env::var("USER") {
            tags.insert("mlflow.user".to_owned(), user);
        }
        if let Some(commit) = git_commit() {
            tags.insert("mlflow.source.git.commit".to_owned(), commit);
        }
        if let Some(parent) = parent {
            tags.insert("mlflow.parentRunId".to_owned(), parent.to_owned());
        }
        let new = NewRun {
            experiment: current_experiment(),
            name: name.to_owned(),
            tags,
            start_time: now(),
        };
        let id = self.journal.create_run(&new)?;
        let mut remote = None;
        if let Some(server) = &self.server {
            sync::await_run(&self.journal, &server.uri(), &id)?;
            match sync::send_one(&self.journal, server, &id) {
                Ok(known) => remote = Some(known),
                Err(error) if error.is_transient() => eprintln!("oxilab: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(Run::new(Arc::clone(self), id, remote, name.to_owned()))
    }

    /// Writes all to the journal, then, as far as it answers, to the server.
    pub(crate) fn flush(&self) -> Result<()> {
        self.queue.flush(PATIENCE)?;
        let Some(server) = &self.server else { return Ok(()) };
        match sync::send(&self.journal, server, false) {
            Err(error) if error.is_transient() => {
                eprintln!("oxilab: {error}");
                Ok(())
            }
            other => other.map(drop),
        }
    }
}

/// Sends on a thread of its own what the journal gets. What fails is sent at the next wake.
fn deliver(journal: &Journal, server: &Mlflow, wakes: &Receiver<()>) {
    while wakes.recv().is_ok() {
        while wakes.try_recv().is_ok() {}
        // `flush` and `end` say what went wrong; here it only waits for its next turn.
        drop(sync::send(journal, server, false));
    }
}

/// The commit of the repository that holds the working directory.
fn git_commit() -> Option<String> {
    let mut folder: PathBuf = std::env::current_dir().ok()?;
    loop {
        let git = folder.join(".git");
        if let Ok(head) = std::fs::read_to_string(git.join("HEAD")) {
            let commit = match head.trim().strip_prefix("ref: ") {
                Some(name) => std::fs::read_to_string(git.join(name)).ok()?.trim().to_owned(),
                None => head.trim().to_owned(),
            };
            return Some(commit).filter(|text| text.len() >= 40);
        }
        if !folder.pop() {
            return None;
        }
    }
}
