//! Where runs go now: [`Session`], and the functions that a notebook calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use crate::journal::{Journal, Sent};
use crate::mlflow::{Mlflow, split_credentials};
use crate::queue::Queue;
use crate::record::{NewRun, RunRecord, Status, check_name, now};
use crate::run::{PATIENCE, Run, WeakRun};
use crate::sender::Sender;
use crate::surroundings;
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
    sender: Option<Sender>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    experiment: String,
    /// The runs that were started, the last one last; whoever holds one decides how long it goes on.
    started: Vec<WeakRun>,
    /// The project's goals: metric and rule.
    goals: BTreeMap<String, String>,
}

static LEAVE: Once = Once::new();
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
/// `memory:`, or an empty text for the journal `.oxilab/track.sqlite` in the working directory
/// (elsewhere with `OXILAB_JOURNAL`), which also keeps what a server does not have yet. Runs that go on
/// keep their place.
///
/// # Errors
/// If the address cannot be used, or the journal cannot be opened.
pub fn set_uri(uri: &str) -> Result<()> {
    let uri = uri.trim();
    let (journal, server) = if uri.starts_with("http://") || uri.starts_with("https://") {
        (local_journal()?, Some(Arc::new(Mlflow::connect(uri)?)))
    } else if uri == "memory:" {
        (Journal::in_memory()?, None)
    } else if uri.is_empty() || uri == "journal:" {
        (local_journal()?, None)
    } else if let Some(path) = uri.strip_prefix("journal:") {
        (Journal::open(path)?, None)
    } else {
        let reason = "only a server, a journal and memory are known".to_owned();
        return Err(TrackError::Uri { uri: split_credentials(uri).0, reason });
    };
    let session = Session::open(Arc::new(journal), server)?;
    LEAVE.call_once(|| oxilab_runtime::register_exit_hook(leave));
    // Dropped after the lock: the last handle of a run waits for its records.
    let old = with(|state| {
        (state.session.replace(Arc::new(session)), std::mem::take(&mut state.started))
    });
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

/// What to know about the server that runs go to: that it cannot be reached. `None` if it answers, or
/// there is none.
///
/// # Errors
/// If the journal cannot be opened.
pub fn server_note() -> Result<Option<String>> {
    /// A server that is slow is no wrong address.
    const PROBE: Duration = Duration::from_secs(5);
    let Some(server) = session()?.server.clone() else { return Ok(None) };
    let (reply, answer) = std::sync::mpsc::channel();
    let asked = Arc::clone(&server);
    std::thread::spawn(move || {
        // Nobody may wait for it any more.
        let _ = reply.send(asked.probe());
    });
    let problem = match answer.recv_timeout(PROBE) {
        Ok(Err(TrackError::Unreachable { reason, .. })) => reason,
        Ok(_) => return Ok(None),
        Err(_) => format!("no answer within {} s", PROBE.as_secs()),
    };
    Ok(Some(format!(
        "note: the MLflow server at {} cannot be reached now ({problem}); runs are kept in the journal \
         and sent when it answers, models cannot be registered or read until then",
        server.uri()
    )))
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
    start(name, Making::Now)
}

/// As [`start_run`].
pub(crate) fn start(name: &str, making: Making) -> Result<Run> {
    let run = session()?.start(name, None, making)?;
    activate(&run);
    Ok(run)
}

/// Whether a new run waits for its place on a server.
#[derive(Clone, Copy)]
pub(crate) enum Making {
    /// It does, so that it has the server's identifier, and what the server says against it is said.
    Now,
    /// Whoever starts it has no time: the server hears of it from the sending thread.
    Later,
}

/// Goes on with a run that was started before, here or elsewhere, by its identifier; it runs again. Two
/// sessions may log to one run.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let run = track::start_run("long")?;
/// run.end()?;
/// let again = track::resume_run(run.id())?;
/// again.log_metric("loss", 0.5, 1)?;
/// assert_eq!(again.history("loss")?.len(), 1);
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If there is no such run, or the journal cannot be written.
pub fn resume_run(id: &str) -> Result<Run> {
    let run = session()?.resume(id)?;
    activate(&run);
    Ok(run)
}

/// Makes a run the active one.
pub(crate) fn activate(run: &Run) {
    with(|state| {
        // Those that were dropped ended then.
        state.started.retain(WeakRun::is_held);
        state.started.push(run.downgrade());
    });
}

/// The run that was started last and goes on. When it ends, the one before it is active again.
#[must_use]
pub fn active_run() -> Option<Run> {
    let started = with(|state| state.started.clone());
    // Dropped outside the lock: a run that is dropped ends, which takes time.
    started.iter().rev().filter_map(WeakRun::upgrade).find(|run| !run.has_ended())
}

/// Sets the project's goals, which every later run carries.
pub(crate) fn set_goals(goals: BTreeMap<String, String>) {
    with(|state| state.goals = goals);
}

/// The project's goals: metric and rule.
pub(crate) fn goals() -> BTreeMap<String, String> {
    with(|state| state.goals.clone())
}

/// Opens the journal in the working directory, or at `OXILAB_JOURNAL`.
fn local_journal() -> Result<Journal> {
    let set = std::env::var("OXILAB_JOURNAL").ok().filter(|path| !path.is_empty());
    Journal::open(set.as_deref().unwrap_or(JOURNAL))
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
        let sender = match &server {
            Some(server) => Some(Sender::start(Arc::clone(&journal), Arc::clone(server))?),
            None => None,
        };
        let wake = sender.as_ref().map(Sender::waker);
        let queue = Queue::new(Arc::clone(&journal) as Arc<dyn Tracker>, move || {
            if let Some(wake) = &wake {
                wake();
            }
        })?;
        Ok(Self { journal, queue, server, sender })
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
        if let Some(sender) = &self.sender {
            sender.waker()();
        }
    }

    /// Says what is wrong with the server, if something is.
    pub(crate) fn say_problem(&self) {
        if let Some(sender) = &self.sender {
            sender.say_problem();
        }
    }

    pub(crate) fn start(
        self: &Arc<Self>,
        name: &str,
        parent: Option<&str>,
        making: Making,
    ) -> Result<Run> {
        let mut tags = surroundings::tags();
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
        let remote = match (&self.sender, making) {
            (Some(sender), Making::Now) => sender.make(&id)?,
            (Some(sender), Making::Later) => {
                sender.tell_of(&id)?;
                None
            }
            (None, _) => None,
        };
        let run = Run::new(Arc::clone(self), id, remote, name.to_owned(), new.start_time);
        for (key, value) in goals() {
            run.set_tag(&format!("{}{key}", crate::goal::GOAL), value)?;
        }
        Ok(run)
    }

    fn resume(self: &Arc<Self>, id: &str) -> Result<Run> {
        let local = self.journal.local_id(id)?;
        let (local, record) = match self.journal.run(&local) {
            Ok(record) => (local, record),
            Err(error) => match &self.server {
                Some(server) => self.adopt(server, id)?,
                None => return Err(error),
            },
        };
        self.journal.set_status(&local, Status::Running, None)?;
        let remote = match &self.sender {
            Some(sender) => sender.make(&local)?,
            None => None,
        };
        let run = Run::new(Arc::clone(self), local, remote, record.name, record.start_time);
        run.know_params(record.params);
        Ok(run)
    }

    /// A run that only the server has gets a place in the journal.
    fn adopt(&self, server: &Mlflow, id: &str) -> Result<(String, RunRecord)> {
        let record = server.run(id)?;
        let local = self.journal.create_run(&NewRun {
            experiment: record.experiment.clone(),
            name: record.name.clone(),
            tags: BTreeMap::new(),
            start_time: record.start_time,
        })?;
        self.journal.set_sent(&local, &server.uri(), &Sent::of(id))?;
        Ok((local, record))
    }

    /// Writes all to the journal, then, as far as it answers, to the server.
    pub(crate) fn flush(&self) -> Result<()> {
        self.queue.flush(PATIENCE)?;
        self.sender.as_ref().map_or(Ok(()), Sender::flush)
    }
}

/// How long a process that ends waits for a server that answers.
const LAST: Duration = Duration::from_millis(500);

/// Writes what is pending to the journal when the process ends, and says what a server lacks.
fn leave() {
    crate::active::leave();
    // Whoever holds the state at this moment is not waited for: it may never give it back.
    let state = STATE.try_lock();
    let session = state.ok().and_then(|state| state.as_ref().and_then(|s| s.session.clone()));
    if let Some(session) = session {
        if let Err(error) = session.queue.flush(Duration::from_millis(300)) {
            eprintln!("oxilab: {error}");
        }
        if let Some(sender) = &session.sender {
            sender.finish(LAST);
            sender.say_what_is_left();
        }
    }
}
