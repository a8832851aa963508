//! [`Run`]: a run being written.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use oxilab_display::{MimeBundle, Render};

use crate::record::{Artifact, Input, Metric, RunRecord, Status, check_key, now};
use crate::session::{Making, Session};
use crate::tracker::Tracker;
use crate::{Result, TrackError, artifact};

/// How long `end` and `flush` wait for the journal.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A step of a metric: any integer.
pub trait Step {
    /// The step as MLflow keeps it; larger ones become the largest.
    fn step(self) -> i64;
}

macro_rules! steps {
    ($($kind:ty)*) => {$(
        impl Step for $kind {
            fn step(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
    )*};
}

steps!(i32 u32 usize u64 isize);

impl Step for i64 {
    fn step(self) -> i64 {
        self
    }
}

/// A run being written. Logging returns at once; a thread writes. A run that is dropped without
/// [`end`](Run::end) ends by itself: as failed during a panic, else as finished.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let run = track::start_run("first")?;
/// run.log_param("lr", 0.1)?;
/// for step in 0..3 {
///     run.log_metric("loss", 1.0 / f64::from(step + 1), step)?;
/// }
/// run.end()?;
/// assert_eq!(run.history("loss")?.len(), 3);
/// # Ok::<(), track::TrackError>(())
/// ```
#[derive(Clone)]
pub struct Run {
    inner: Arc<Inner>,
}

struct Inner {
    /// In the journal.
    id: Arc<str>,
    /// On the server, when there is one that has answered.
    remote: OnceLock<String>,
    name: String,
    /// Milliseconds since 1970.
    start: i64,
    session: Arc<Session>,
    params: Mutex<HashMap<String, String>>,
    ended: AtomicBool,
    /// Whether a fit was logged to it by itself.
    fitted: AtomicBool,
}

/// A run that is not kept going.
#[derive(Clone)]
pub(crate) struct WeakRun(Weak<Inner>);

impl WeakRun {
    pub(crate) fn upgrade(&self) -> Option<Run> {
        self.0.upgrade().map(|inner| Run { inner })
    }

    /// Whether somebody holds the run.
    pub(crate) fn is_held(&self) -> bool {
        self.0.strong_count() > 0
    }
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("name", &self.name()).field("id", &self.id()).finish()
    }
}

impl Run {
    pub(crate) fn new(
        session: Arc<Session>,
        id: String,
        remote: Option<String>,
        name: String,
        start: i64,
    ) -> Self {
        let (params, ended) = (Mutex::default(), AtomicBool::new(false));
        let fitted = AtomicBool::new(false);
        let remote = remote.map_or_else(OnceLock::new, OnceLock::from);
        let inner = Inner { id: id.into(), remote, name, start, session, params, ended, fitted };
        Self { inner: Arc::new(inner) }
    }

    /// Its identifier: the server's, when there is a server, else the journal's.
    #[must_use]
    pub fn id(&self) -> &str {
        self.inner.remote.get().map_or(&self.inner.id, String::as_str)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    pub(crate) fn downgrade(&self) -> WeakRun {
        WeakRun(Arc::downgrade(&self.inner))
    }

    /// Parameters that it has from before.
    pub(crate) fn know_params(&self, params: impl IntoIterator<Item = (String, String)>) {
        let mut known = self.inner.params.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(params);
    }

    /// Its identifier in the journal.
    pub(crate) fn local_id(&self) -> &str {
        &self.inner.id
    }

    /// Whether no fit was logged to it by itself yet; from now on one was.
    pub(crate) fn take_fit(&self) -> bool {
        !self.inner.fitted.swap(true, Ordering::SeqCst)
    }

    /// Writes what differs from the git commit as `git.diff`. In a large repository that takes seconds,
    /// so nobody waits for it; it comes even if the run has ended by then.
    pub(crate) fn log_diff(&self) {
        let (session, id) = (Arc::clone(&self.inner.session), Arc::clone(&self.inner.id));
        let write = move || {
            let Some(diff) = crate::surroundings::diff() else { return Ok(()) };
            write_text(&session, &id, &diff, "git.diff")
        };
        let thread = std::thread::Builder::new().name("oxilab-track-git".to_owned());
        // Without a thread, or a git, there is no difference to show.
        drop(thread.spawn(move || drop::<Result<()>>(write())));
    }

    /// Ends the run in the journal without waiting for a server: the process ends.
    pub(crate) fn close(&self, status: Status) {
        let inner = &self.inner;
        if !inner.ended.swap(true, Ordering::SeqCst) {
            let written = inner.session.queue.flush(Duration::from_millis(200));
            let ended = inner.session.journal.set_status(&inner.id, status, Some(now()));
            if let Err(error) = written.and(ended) {
                eprintln!("oxilab: run {:?}: {error}", inner.name);
            }
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.inner.ended.load(Ordering::SeqCst)
    }

    fn open(&self) -> Result<&Inner> {
        if self.has_ended() {
            Err(TrackError::Ended { run: self.id().to_owned() })
        } else {
            Ok(&self.inner)
        }
    }

    /// Logs a parameter; again with the same value is no harm.
    ///
    /// # Errors
    /// If it has another value already, the name cannot be used, or the run has ended.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and literals are what is passed")]
    pub fn log_param(&self, key: &str, value: impl ToString) -> Result<()> {
        let inner = self.open()?;
        check_key("parameter", key)?;
        let value = value.to_string();
        let mut params = inner.params.lock().unwrap_or_else(PoisonError::into_inner);
        match params.get(key) {
            Some(old) if *old == value => Ok(()),
            Some(old) => Err(TrackError::ParamConflict {
                run: self.id().to_owned(),
                key: key.to_owned(),
                old: old.clone(),
                new: value,
            }),
            None => {
                params.insert(key.to_owned(), value.clone());
                inner.session.queue.param(&inner.id, key.to_owned(), value)
            }
        }
    }

    /// Logs several parameters.
    ///
    /// # Errors
    /// As [`log_param`](Run::log_param).
    pub fn log_params<K: AsRef<str>, V: ToString>(
        &self,
        params: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        params.into_iter().try_for_each(|(key, value)| self.log_param(key.as_ref(), value))
    }

    /// Logs a metric's value at a step. NaN and infinities are kept. Costs about a microsecond.
    ///
    /// # Errors
    /// If the name cannot be used or the run has ended.
    pub fn log_metric(&self, key: &str, value: impl Into<f64>, step: impl Step) -> Result<()> {
        let inner = self.open()?;
        check_key("metric", key)?;
        let (key, value) = (key.to_owned(), value.into());
        let metric = Metric { key, value, step: step.step(), timestamp: now() };
        inner.session.queue.metric(&inner.id, metric)
    }

    /// Logs several metrics at one step.
    ///
    /// # Errors
    /// As [`log_metric`](Run::log_metric).
    pub fn log_metrics<K: AsRef<str>>(
        &self,
        metrics: impl IntoIterator<Item = (K, f64)>,
        step: impl Step,
    ) -> Result<()> {
        let step = step.step();
        metrics.into_iter().try_for_each(|(key, value)| self.log_metric(key.as_ref(), value, step))
    }

    /// Sets a tag; a later value replaces an earlier one.
    ///
    /// # Errors
    /// If the name cannot be used or the run has ended.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and literals are what is passed")]
    pub fn set_tag(&self, key: &str, value: impl ToString) -> Result<()> {
        let inner = self.open()?;
        check_key("tag", key)?;
        inner.session.queue.tag(&inner.id, key.to_owned(), value.to_string())
    }

    /// Copies a file, or a folder under its own name, into the run.
    ///
    /// # Errors
    /// If it cannot be read, holds symbolic links, or the run has ended.
    pub fn log_artifact(&self, path: impl AsRef<Path>) -> Result<()> {
        self.log_artifact_under(path, "")
    }

    /// As [`log_artifact`](Run::log_artifact), into the folder `under` of the run.
    ///
    /// # Errors
    /// As there, and if `under` leaves the run's folder.
    pub fn log_artifact_under(&self, path: impl AsRef<Path>, under: &str) -> Result<()> {
        let inner = self.open()?;
        let path = path.as_ref();
        let name = artifact::join(under, &artifact::name_of(path)?)?;
        for (file, artifact) in artifact::files(path)? {
            let to = if path.is_dir() { format!("{name}/{}", artifact.path) } else { name.clone() };
            inner.session.journal.put_artifact(&inner.id, &file, &to)?;
        }
        inner.session.wake();
        Ok(())
    }

    /// Copies what a folder holds into the folder `under` of the run.
    pub(crate) fn log_folder(&self, folder: &Path, under: &str) -> Result<()> {
        let inner = self.open()?;
        for (file, artifact) in artifact::files(folder)? {
            let to = artifact::join(under, &artifact.path)?;
            inner.session.journal.put_artifact(&inner.id, &file, &to)?;
        }
        inner.session.wake();
        Ok(())
    }

    /// Writes text as a file of the run, for example `log_text("notes", "notes.md")`.
    ///
    /// # Errors
    /// As [`log_artifact_under`](Run::log_artifact_under).
    pub fn log_text(&self, text: &str, path: &str) -> Result<()> {
        let inner = self.open()?;
        write_text(&inner.session, &inner.id, text, path)
    }

    /// Starts a run inside this one. It is the active one until it ends.
    ///
    /// # Errors
    /// If the name cannot be used, this run has ended, or the journal fails.
    pub fn child(&self, name: &str) -> Result<Self> {
        self.child_made(name, Making::Now)
    }

    /// As [`child`](Run::child).
    pub(crate) fn child_made(&self, name: &str, making: Making) -> Result<Self> {
        let inner = self.open()?;
        let run = inner.session.start(name, Some(&inner.id), making)?;
        crate::session::activate(&run);
        Ok(run)
    }

    /// Notes data that the run reads; `MLflow` shows it beside the run.
    ///
    /// # Errors
    /// If the run has ended, or the journal fails.
    pub fn log_input(&self, input: &Input) -> Result<()> {
        let inner = self.open()?;
        inner.session.journal.log_input(&inner.id, input)?;
        inner.session.wake();
        Ok(())
    }

    /// The files of the run.
    ///
    /// # Errors
    /// If the journal fails.
    pub fn artifacts(&self) -> Result<Vec<Artifact>> {
        self.inner.session.journal.artifacts(&self.inner.id)
    }

    /// Waits until all that was logged is in the journal and, when the server answers, on the server.
    ///
    /// # Errors
    /// If a record was refused, or could not be written in 10 s; those that could not are kept.
    pub fn flush(&self) -> Result<()> {
        self.inner.flush()
    }

    /// Ends the run as finished, after all is written. Again is no harm.
    ///
    /// # Errors
    /// As [`flush`](Run::flush).
    pub fn end(&self) -> Result<()> {
        self.end_as(Status::Finished)
    }

    /// Ends the run with a status.
    ///
    /// # Errors
    /// As [`flush`](Run::flush).
    pub fn end_as(&self, status: Status) -> Result<()> {
        self.inner.end(status)
    }

    /// Ends the run in the journal; the server hears of it without anybody waiting.
    ///
    /// # Errors
    /// If the journal cannot be written.
    pub(crate) fn end_soon(&self, status: Status) -> Result<()> {
        if self.inner.end_here(status)? {
            self.inner.session.wake();
            self.inner.session.say_problem();
        }
        Ok(())
    }

    /// Reads the run back.
    ///
    /// # Errors
    /// As [`flush`](Run::flush).
    pub fn record(&self) -> Result<RunRecord> {
        self.inner.session.queue.flush(PATIENCE)?;
        self.inner.session.journal.run(&self.inner.id)
    }

    /// All values of a metric.
    ///
    /// # Errors
    /// As [`flush`](Run::flush).
    pub fn history(&self, key: &str) -> Result<Vec<Metric>> {
        self.inner.session.queue.flush(PATIENCE)?;
        self.inner.session.journal.history(&self.inner.id, key)
    }
}

fn write_text(session: &Session, run: &str, text: &str, path: &str) -> Result<()> {
    artifact::check(path)?;
    let aside = tempfile::NamedTempFile::new()
        .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
    std::fs::write(aside.path(), text)
        .map_err(|error| TrackError::file("write", aside.path(), error))?;
    session.journal.put_artifact(run, aside.path(), path)?;
    session.wake();
    Ok(())
}

impl Inner {
    fn end(&self, status: Status) -> Result<()> {
        if self.end_here(status)? { self.flush() } else { Ok(()) }
    }

    /// Ends the run in the journal, unless it has ended.
    fn end_here(&self, status: Status) -> Result<bool> {
        if self.ended.swap(true, Ordering::SeqCst) {
            return Ok(false);
        }
        let written = self.session.queue.flush(PATIENCE);
        // A clock that was set back does not end a run before its start.
        let end = now().max(self.start);
        self.session.journal.set_status(&self.id, status, Some(end))?;
        written?;
        Ok(true)
    }

    fn flush(&self) -> Result<()> {
        let flushed = self.session.flush();
        if let (None, Some(server)) = (self.remote.get(), &self.session.server)
            && let Ok(Some(sent)) = self.session.journal.sent(&self.id, &server.uri())
            && !sent.remote.is_empty()
        {
            // The server has made it in the meantime.
            let _ = self.remote.set(sent.remote);
        }
        flushed
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let status = if std::thread::panicking() { Status::Failed } else { Status::Finished };
        if let Err(error) = self.end(status) {
            eprintln!("oxilab: run {:?}: {error}", self.name);
        }
    }
}

impl Render for Run {
    fn render(&self) -> MimeBundle {
        match self.record() {
            Ok(record) => crate::Comparison::new(vec![record]).render(),
            Err(error) => MimeBundle::text(format!("run {} ({}): {error}", self.name(), self.id())),
        }
    }
}
