//! From the journal to an MLflow server, without loss and without duplicates: [`Report`].
//!
//! Each run carries the tag `oxilab.key`, its identifier in the journal: before a run is made on the
//! server it is looked for, so a run whose answer got lost is not made twice. What was sent is noted
//! after each answer; a batch that is sent again changes nothing, because MLflow keeps one record of
//! equal key, value, step and time. One process sends at a time.

use std::fs::File;

use crate::journal::{Journal, Sent};
use crate::mlflow::Mlflow;
use crate::record::{Batch, Metric, NewRun, Search};
use crate::tracker::Tracker;
use crate::{Result, TrackError};

/// The tag with the identifier that a run has in the journal.
pub(crate) const KEY: &str = "oxilab.key";

/// MLflow's limits for one batch.
const METRICS: usize = 1000;
const PAIRS: usize = 100;
/// MLflow's longest value of a parameter; the journal keeps all of it.
const LONGEST_PARAM: usize = 6000;
const LONGEST_TAG: usize = 8000;

/// How much was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, params, metrics, tags, artifacts } = self;
        write!(
            f,
            "{runs} runs sent: {params} parameters, {metrics} metrics, {tags} tags, {artifacts} artifacts"
        )
    }
}

/// Sends runs to the server: all, or those the server waits for.
pub(crate) fn send(journal: &Journal, server: &Mlflow, all: bool) -> Result<Report> {
    let _turn = turn(journal)?;
    let uri = server.uri();
    let runs = if all { journal.run_ids()? } else { journal.awaited(&uri)? };
    let mut report = Report::default();
    for run in runs {
        let before = report;
        send_run(journal, server, &uri, &run, &mut report)?;
        report.runs += usize::from(before != report);
    }
    Ok(report)
}

/// Makes one run on the server and sends what it has so far. Returns the server's identifier.
pub(crate) fn send_one(journal: &Journal, server: &Mlflow, run: &str) -> Result<String> {
    let _turn = turn(journal)?;
    let uri = server.uri();
    send_run(journal, server, &uri, run, &mut Report::default())?;
    Ok(journal.sent(run, &uri)?.unwrap_or_default().remote)
}

/// Held while one process sends.
fn turn(journal: &Journal) -> Result<File> {
    let path = journal.folder().join("sync.lock");
    std::fs::create_dir_all(journal.folder())
        .map_err(|error| TrackError::file("create", journal.folder(), error))?;
    let file = File::create(&path).map_err(|error| TrackError::file("create", &path, error))?;
    file.lock().map_err(|error| TrackError::file("lock", &path, error))?;
    Ok(file)
}

fn send_run(
    journal: &Journal,
    server: &Mlflow,
    uri: &str,
    run: &str,
    report: &mut Report,
) -> Result<()> {
    let mut sent = journal.sent(run, uri)?.unwrap_or_default();
    let (new, status, end) = journal.head(run)?;
    if sent.remote.is_empty() {
        sent.remote = find_or_make(server, run, new)?;
        journal.set_sent(run, uri, &sent)?;
    }
    loop {
        let rows = journal.metrics_after(run, sent.metrics, METRICS)?;
        let Some((last, _)) = rows.last() else { break };
        sent.metrics = *last;
        let metrics: Vec<Metric> = rows.into_iter().map(|(_, metric)| metric).collect();
        report.metrics += metrics.len();
        server.log_batch(&sent.remote, &Batch { metrics, ..Batch::default() })?;
        journal.set_sent(run, uri, &sent)?;
    }
    loop {
        let (last, params) = journal.pairs_after("params", run, sent.params, PAIRS)?;
        if params.is_empty() {
            break;
        }
        sent.params = last;
        report.params += params.len();
        let params = shortened(params, LONGEST_PARAM);
        server.log_batch(&sent.remote, &Batch { params, ..Batch::default() })?;
        journal.set_sent(run, uri, &sent)?;
    }
    loop {
        let (last, tags) = journal.pairs_after("tags", run, sent.tags, PAIRS)?;
        if tags.is_empty() {
            break;
        }
        sent.tags = last;
        report.tags += tags.len();
        let mut tags = shortened(tags, LONGEST_TAG);
        for (key, value) in &mut tags {
            if key == "mlflow.parentRunId" {
                let parent = journal.sent(value, uri)?.map(|sent| sent.remote);
                *value = parent.filter(|remote| !remote.is_empty()).unwrap_or(value.clone());
            }
        }
        server.log_batch(&sent.remote, &Batch { tags, ..Batch::default() })?;
        journal.set_sent(run, uri, &sent)?;
    }
    for (seq, path) in journal.artifacts_after(run, sent.artifacts)? {
        server.put_artifact(&sent.remote, &journal.artifact_file(run, &path)?, &path)?;
        sent.artifacts = seq;
        report.artifacts += 1;
        journal.set_sent(run, uri, &sent)?;
    }
    if sent.status != status.as_str() {
        server.set_status(&sent.remote, status, end)?;
        status.as_str().clone_into(&mut sent.status);
        journal.set_sent(run, uri, &sent)?;
    }
    Ok(())
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

/// Notes that the server is to get a run.
pub(crate) fn await_run(journal: &Journal, server: &str, run: &str) -> Result<()> {
    journal.set_sent(run, server, &Sent::default())
}
