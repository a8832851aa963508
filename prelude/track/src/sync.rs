//! From the journal to an MLflow server, without loss and without duplicates: [`Report`].
//!
//! Each run carries the tag `oxilab.key`, its identifier in the journal: before a run is made on the
//! server it is looked for, so a run whose answer got lost is not made twice. What was sent is noted
//! after each answer; a batch of metrics whose answer got lost is compared with what the server has
//! before it is sent again. What the server refuses is named, and holds up nothing else. One process
//! sends at a time.

mod batches;
mod registry;

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use oxilab_runtime::cancel;

use crate::journal::{Journal, Sent};
use crate::mlflow::Mlflow;
use crate::record::{Batch, Metric, NewRun, Search};
use crate::tracker::Tracker;
use crate::{Result, TrackError};

/// The tag with the identifier that a run or a version has in the journal.
pub(crate) const KEY: &str = "oxilab.key";

/// MLflow's limits for one batch.
const METRICS: usize = 1000;
const PAIRS: usize = 100;
/// MLflow's longest value of a parameter; the journal keeps all of it.
const LONGEST_PARAM: usize = 6000;
const LONGEST_TAG: usize = 8000;
/// How long another process may send before this one gives up its turn.
const TURN: Duration = Duration::from_mins(1);

/// How much was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Runs that got something.
    pub runs: usize,
    /// Parameters.
    pub params: usize,
    /// Values of metrics.
    pub metrics: usize,
    /// Tags.
    pub tags: usize,
    /// Files.
    pub artifacts: usize,
    /// Data of runs.
    pub inputs: usize,
    /// Versions of registered models.
    pub versions: usize,
    /// What the server will not take, and why. The journal keeps it.
    pub refused: Vec<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, params, metrics, tags, artifacts, inputs, versions, refused } = self;
        write!(
            f,
            "{runs} runs sent: {params} parameters, {metrics} metrics, {tags} tags, {artifacts} \
             artifacts, {inputs} data sets; {versions} model versions"
        )?;
        refused.iter().try_for_each(|reason| write!(f, "\nrefused: {reason}"))
    }
}

/// Sends runs to the server: all of them and the registry, or the runs that the server waits for.
pub(crate) fn send(journal: &Journal, server: &Mlflow, all: bool) -> Result<Report> {
    let _turn = turn(journal)?;
    let uri = server.uri();
    let runs = if all { journal.run_ids()? } else { journal.awaited(&uri)? };
    let mut report = Report::default();
    for run in runs {
        Sending { journal, server, uri: &uri, run: &run, report: &mut report }.all()?;
    }
    if all {
        registry::send(journal, server, &uri, &mut report)?;
    }
    Ok(report)
}

/// Makes one run on the server and sends what it has so far. Returns the server's identifier.
pub(crate) fn send_one(journal: &Journal, server: &Mlflow, run: &str) -> Result<String> {
    let _turn = turn(journal)?;
    let uri = server.uri();
    let report = &mut Report::default();
    Sending { journal, server, uri: &uri, run, report }.all()?;
    Ok(journal.sent(run, &uri)?.unwrap_or_default().remote)
}

/// Notes that the server is to get a run.
pub(crate) fn await_run(journal: &Journal, server: &str, run: &str) -> Result<()> {
    match journal.sent(run, server)? {
        Some(_) => Ok(()),
        None => journal.set_sent(run, server, &Sent::default()),
    }
}

/// Held while one process sends.
fn turn(journal: &Journal) -> Result<File> {
    let path = journal.folder().join("sync.lock");
    std::fs::create_dir_all(journal.folder())
        .map_err(|error| TrackError::file("create", journal.folder(), error))?;
    let file = File::create(&path).map_err(|error| TrackError::file("create", &path, error))?;
    let start = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(TrackError::file("lock", &path, error)),
            Err(TryLockError::WouldBlock) if start.elapsed() > TURN || cancel::requested() => {
                let reason = "another process is sending from this journal";
                return Err(TrackError::file("lock", &path, std::io::Error::other(reason)));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// One run on its way to one server.
struct Sending<'a> {
    journal: &'a Journal,
    server: &'a Mlflow,
    uri: &'a str,
    run: &'a str,
    report: &'a mut Report,
}

impl Sending<'_> {
    fn all(&mut self) -> Result<()> {
        let mut sent = self.journal.sent(self.run, self.uri)?.unwrap_or_default();
        let (new, status, end) = self.journal.head(self.run)?;
        let before = self.report.clone();
        if sent.remote.is_empty() {
            sent.remote = match find_or_make(self.server, self.run, new) {
                Err(error) if !error.is_transient() => {
                    self.report.refused.push(format!("run {}: {error}", self.run));
                    return Ok(());
                }
                other => other?,
            };
            self.note(&sent)?;
        }
        self.metrics(&mut sent)?;
        self.params(&mut sent)?;
        self.tags(&mut sent)?;
        self.inputs(&mut sent)?;
        self.artifacts(&mut sent)?;
        if sent.status != status.as_str() {
            self.server.set_status(&sent.remote, status, end)?;
            status.as_str().clone_into(&mut sent.status);
            self.note(&sent)?;
        }
        self.report.runs += usize::from(before != *self.report);
        Ok(())
    }

    fn note(&self, sent: &Sent) -> Result<()> {
        self.journal.set_sent(self.run, self.uri, sent)
    }

    fn metrics(&mut self, sent: &mut Sent) -> Result<()> {
        loop {
            let rows = self.journal.metrics_after(self.run, sent.metrics, METRICS)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            let last = *last;
            let mut metrics: Vec<Metric> = rows.into_iter().map(|(_, metric)| metric).collect();
            self.report.metrics += metrics.len();
            if sent.unsure {
                metrics = batches::missing(self.server, &sent.remote, metrics)?;
            } else {
                sent.unsure = true;
                self.note(sent)?;
            }
            self.batch(&sent.remote, &Batch { metrics, ..Batch::default() })?;
            sent.metrics = last;
            sent.unsure = false;
            self.note(sent)?;
        }
    }

    fn params(&mut self, sent: &mut Sent) -> Result<()> {
        loop {
            let (last, params) =
                self.journal.pairs_after("params", self.run, sent.params, PAIRS)?;
            if params.is_empty() {
                return Ok(());
            }
            self.report.params += params.len();
            let params = shortened(params, LONGEST_PARAM);
            self.batch(&sent.remote, &Batch { params, ..Batch::default() })?;
            sent.params = last;
            self.note(sent)?;
        }
    }

    fn tags(&mut self, sent: &mut Sent) -> Result<()> {
        loop {
            let (last, tags) = self.journal.pairs_after("tags", self.run, sent.tags, PAIRS)?;
            if tags.is_empty() {
                return Ok(());
            }
            self.report.tags += tags.len();
            let mut tags = shortened(tags, LONGEST_TAG);
            for (key, value) in &mut tags {
                if key == "mlflow.parentRunId" {
                    let parent = self.journal.sent(value, self.uri)?.map(|sent| sent.remote);
                    *value = parent.filter(|remote| !remote.is_empty()).unwrap_or(value.clone());
                }
            }
            self.batch(&sent.remote, &Batch { tags, ..Batch::default() })?;
            sent.tags = last;
            self.note(sent)?;
        }
    }

    fn inputs(&mut self, sent: &mut Sent) -> Result<()> {
        for (seq, input) in self.journal.inputs_after(self.run, sent.inputs)? {
            let taken = self.server.log_input(&sent.remote, &input);
            self.unless_refused(&format!("data {:?}", input.name), taken)?;
            sent.inputs = seq;
            self.report.inputs += 1;
            self.note(sent)?;
        }
        Ok(())
    }

    fn artifacts(&mut self, sent: &mut Sent) -> Result<()> {
        for (seq, path) in self.journal.artifacts_after(self.run, sent.artifacts)? {
            let file = self.journal.artifact_file(self.run, &path)?;
            let taken = self.server.put_artifact(&sent.remote, &file, &path);
            self.unless_refused(&format!("artifact {path:?}"), taken)?;
            sent.artifacts = seq;
            self.report.artifacts += 1;
            self.note(sent)?;
        }
        Ok(())
    }

    /// Sends a batch; the records that the server refuses are found by halves and named.
    fn batch(&mut self, remote: &str, batch: &Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        match self.server.log_batch(remote, batch) {
            Err(error) if error.is_transient() => Err(error),
            Err(error) => {
                if let Some((left, right)) = batches::halves(batch) {
                    self.batch(remote, &left)?;
                    return self.batch(remote, &right);
                }
                let what = batches::name(batch);
                self.report.refused.push(format!("{what} of run {}: {error}", self.run));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// What will never be taken is named; what may be taken later is an error.
    fn unless_refused(&mut self, what: &str, taken: Result<()>) -> Result<()> {
        match taken {
            Err(error) if !error.is_transient() => {
                self.report.refused.push(format!("{what} of run {}: {error}", self.run));
                Ok(())
            }
            other => other,
        }
    }
}

fn shortened(mut pairs: Vec<(String, String)>, limit: usize) -> Vec<(String, String)> {
    for (_, value) in &mut pairs {
        if let Some((at, _)) = value.char_indices().nth(limit) {
            value.truncate(at);
        }
    }
    pairs
}

fn find_or_make(server: &Mlflow, run: &str, mut new: NewRun) -> Result<String> {
    server.experiment(&new.experiment)?;
    let known = Search::new(format!("tags.`{KEY}` = '{run}'"))
        .with_experiment(&new.experiment)
        .with_limit(1);
    if let Some(found) = server.search(&known)?.into_iter().next() {
        return Ok(found.id);
    }
    new.tags.insert(KEY.to_owned(), run.to_owned());
    server.create_run(&new)
}
