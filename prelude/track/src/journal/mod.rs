//! [`Journal`]: runs and models in a SQLite file with a folder of artifacts beside it, or in memory.
//!
//! Several processes may write to one journal: SQLite's write-ahead log and a busy timeout order them.
//! Metrics, parameters, tags and artifacts are numbered as they come, so that [`sync`](crate::sync) knows
//! what a server has.

mod models;
mod sent;

pub(crate) use sent::Sent;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use crate::artifact;
use crate::filter::{Filter, sort};
use crate::record::{
    Artifact, Batch, Input, Metric, ModelVersion, NewRun, RunRecord, Search, Status, check_key,
    check_name,
};
use crate::tracker::Tracker;
use crate::{Result, TrackError};

/// Runs and models in a file, or in memory.
///
/// ```
/// use oxilab_track::{Batch, Journal, Metric, NewRun, Tracker};
/// let journal = Journal::in_memory()?;
/// let run = journal.create_run(&NewRun { experiment: "demo".into(), name: "a".into(), ..NewRun::default() })?;
/// let loss = Metric { key: "loss".into(), value: f64::NAN, step: 1, timestamp: 0 };
/// journal.log_batch(&run, &Batch { metrics: vec![loss], ..Batch::default() })?;
/// assert!(journal.history(&run, "loss")?[0].value.is_nan());
/// # Ok::<(), oxilab_track::TrackError>(())
/// ```
pub struct Journal {
    name: String,
    folder: PathBuf,
    connection: Mutex<Connection>,
    /// Holds the artifacts of a journal in memory until it is dropped.
    _temporary: Option<tempfile::TempDir>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens a journal, and makes it unless it exists. Artifacts and models lie in the folder of the
    /// same name without its extension.
    ///
    /// # Errors
    /// If the file cannot be made or is no journal.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let path =
            std::path::absolute(path).map_err(|error| TrackError::file("find", path, error))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent)
            .map_err(|error| TrackError::file("create", parent, error))?;
        let name = path.display().to_string();
        let connection = Connection::open(&path).map_err(failed(&name, "opening"))?;
        Self::with(name, path.with_extension(""), connection, None)
    }

    /// A journal that is gone when it is dropped.
    ///
    /// # Errors
    /// If no temporary folder for its artifacts can be made.
    pub fn in_memory() -> Result<Self> {
        let folder = tempfile::tempdir()
            .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
        let connection = Connection::open_in_memory().map_err(failed("memory:", "opening"))?;
        Self::with("memory:".to_owned(), folder.path().to_owned(), connection, Some(folder))
    }

    fn with(
        name: String,
        folder: PathBuf,
        connection: Connection,
        temporary: Option<tempfile::TempDir>,
    ) -> Result<Self> {
        let prepare = || {
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
            connection.execute_batch("PRAGMA synchronous=NORMAL;")?;
            connection.execute_batch(include_str!("schema.sql"))?;
            add_columns(&connection)
        };
        prepare().map_err(failed(&name, "preparing its tables"))?;
        Ok(Self { name, folder, connection: Mutex::new(connection), _temporary: temporary })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failed(&self, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> TrackError {
        failed(&self.name, doing)
    }

    /// Reads rows of any query.
    pub(crate) fn rows<T>(
        &self,
        doing: &'static str,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let connection = self.lock();
        let all = || -> rusqlite::Result<Vec<T>> {
            connection.prepare_cached(sql)?.query_map(values, read)?.collect()
        };
        all().map_err(self.failed(doing))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn run_ids(&self) -> Result<Vec<String>> {
        self.rows("listing runs", "SELECT id FROM runs ORDER BY start_time, rowid", [], |row| {
            row.get(0)
        })
    }

    /// Where an artifact lies.
    pub(crate) fn artifact_file(&self, run: &str, path: &str) -> Result<PathBuf> {
        artifact::check(run)?;
        artifact::check(path)?;
        Ok(self.folder.join("artifacts").join(run).join(path))
    }

    fn require(&self, run: &str) -> Result<()> {
        let sql = "SELECT id FROM runs WHERE id = ?1";
        match self.rows("reading a run", sql, [run], |row| row.get::<_, String>(0))?.len() {
            0 => Err(TrackError::NotFound {
                what: "run",
                name: run.to_owned(),
                hint: "; `track::runs(\"\")` lists those of the current experiment".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn pairs(&self, table: &str, run: &str) -> Result<BTreeMap<String, String>> {
        let sql = format!("SELECT key, value FROM {table} WHERE run = ?1");
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.rows("reading a run", &sql, [run], read)?.into_iter().collect())
    }
}

fn failed(journal: &str, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> TrackError {
    let journal = journal.to_owned();
    move |source| TrackError::Journal { journal, doing, source }
}

/// What `sent` lacks in a journal of an older version.
fn add_columns(connection: &Connection) -> rusqlite::Result<()> {
    for column in ["inputs", "unsure"] {
        let sql = "SELECT COUNT(*) FROM pragma_table_info('sent') WHERE name = ?1";
        let has: i64 = connection.query_row(sql, [column], |row| row.get(0))?;
        if has == 0 {
            let sql = format!("ALTER TABLE sent ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0");
            connection.execute_batch(&sql)?;
        }
    }
    Ok(())
}

/// SQLite has no NaN: it is null.
fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(at)?.unwrap_or(f64::NAN))
}

fn write(
    connection: &mut Connection,
    run: &str,
    batch: &Batch,
) -> rusqlite::Result<Vec<(String, String, String)>> {
    let mut conflicts = Vec::new();
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    {
        let mut param = transaction
            .prepare_cached("INSERT OR IGNORE INTO params(run, key, value) VALUES(?1, ?2, ?3)")?;
        for (key, value) in &batch.params {
            if param.execute(params![run, key, value])? == 0 {
                let sql = "SELECT value FROM params WHERE run = ?1 AND key = ?2";
                let old: String =
                    transaction.query_row(sql, params![run, key], |row| row.get(0))?;
                if old != *value {
                    conflicts.push((key.clone(), old, value.clone()));
                }
            }
        }
        let mut metric = transaction.prepare_cached(
            "INSERT OR IGNORE INTO metrics(run, key, value, step, timestamp) \
             VALUES(?1, ?2, ?3, ?4, ?5)",
        )?;
        for Metric { key, value, step, timestamp } in &batch.metrics {
            if metric.execute(params![run, key, value, step, timestamp])? == 0 {
                // An equal record of the same millisecond is there: this one is a little later.
                let sql = "SELECT MAX(timestamp) + 1 FROM metrics WHERE run = ?1 AND key = ?2 \
                           AND step = ?3 AND COALESCE(value, 'NaN') = COALESCE(?4, 'NaN')";
                let later: i64 = transaction
                    .prepare_cached(sql)?
                    .query_row(params![run, key, step, value], |row| row.get(0))?;
                metric.execute(params![run, key, value, step, later])?;
            }
        }
        let mut tag = transaction
            .prepare_cached("INSERT OR REPLACE INTO tags(run, key, value) VALUES(?1, ?2, ?3)")?;
        for (key, value) in &batch.tags {
            tag.execute(params![run, key, value])?;
        }
    }
    transaction.commit()?;
    Ok(conflicts)
}

impl Tracker for Journal {
    fn uri(&self) -> String {
        if self.name == "memory:" { self.name.clone() } else { format!("journal:{}", self.name) }
    }

    fn experiment(&self, name: &str) -> Result<String> {
        check_name("experiment", name)?;
        let connection = self.lock();
        let add = || -> rusqlite::Result<i64> {
            connection.execute("INSERT OR IGNORE INTO experiments(name) VALUES(?1)", [name])?;
            connection
                .query_row("SELECT id FROM experiments WHERE name = ?1", [name], |row| row.get(0))
        };
        Ok(add().map_err(self.failed("making an experiment"))?.to_string())
    }

    fn create_run(&self, run: &NewRun) -> Result<String> {
        check_name("run", &run.name)?;
        self.experiment(&run.experiment)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        {
            let sql = "INSERT INTO runs(id, experiment, name, status, start_time) \
                       VALUES(?1, ?2, ?3, 'RUNNING', ?4)";
            let values = params![id, run.experiment, run.name, run.start_time];
            self.lock().execute(sql, values).map_err(self.failed("making a run"))?;
        }
        let tags = run.tags.clone().into_iter().collect();
        self.log_batch(&id, &Batch { tags, ..Batch::default() })?;
        Ok(id)
    }

    fn log_batch(&self, run: &str, batch: &Batch) -> Result<()> {
        for (key, _) in &batch.params {
            check_key("parameter", key)?;
        }
        for metric in &batch.metrics {
            check_key("metric", &metric.key)?;
        }
        for (key, _) in &batch.tags {
            check_key("tag", key)?;
        }
        self.require(run)?;
        let conflicts =
            write(&mut self.lock(), run, batch).map_err(self.failed("writing records"))?;
        match conflicts.into_iter().next() {
            Some((key, old, new)) => {
                Err(TrackError::ParamConflict { run: run.to_owned(), key, old, new })
            }
            None => Ok(()),
        }
    }

    fn set_status(&self, run: &str, status: Status, end: Option<i64>) -> Result<()> {
        self.require(run)?;
        let sql = "UPDATE runs SET status = ?2, end_time = ?3 WHERE id = ?1";
        let values = params![run, status.as_str(), end];
        self.lock().execute(sql, values).map_err(self.failed("ending a run"))?;
        Ok(())
    }

    fn put_artifact(&self, run: &str, file: &Path, path: &str) -> Result<()> {
        let to = self.artifact_file(run, path)?;
        self.require(run)?;
        let size = artifact::copy_file(file, &to)?;
        let sql = "INSERT OR REPLACE INTO artifacts(run, path, size) VALUES(?1, ?2, ?3)";
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let values = params![run, path, size];
        self.lock().execute(sql, values).map_err(self.failed("noting an artifact"))?;
        Ok(())
    }

    fn artifacts(&self, run: &str) -> Result<Vec<Artifact>> {
        self.require(run)?;
        let sql = "SELECT path, size FROM artifacts WHERE run = ?1 ORDER BY path";
        self.rows("listing artifacts", sql, [run], |row| {
            let size = u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default();
            Ok(Artifact { path: row.get(0)?, size })
        })
    }

    fn get_artifact(&self, run: &str, path: &str, to: &Path) -> Result<()> {
        artifact::copy_file(&self.artifact_file(run, path)?, to).map(drop)
    }

    fn run(&self, id: &str) -> Result<RunRecord> {
        self.require(id)?;
        let sql = "SELECT key, value FROM (SELECT key, value, ROW_NUMBER() OVER (PARTITION BY key \
                   ORDER BY step DESC, timestamp DESC, seq DESC) AS place FROM metrics WHERE run = ?1) \
                   WHERE place = 1";
        let metrics =
            self.rows("reading a run", sql, [id], |row| Ok((row.get(0)?, number(row, 1)?)))?;
        let (params, tags) = (self.pairs("params", id)?, self.pairs("tags", id)?);
        let sql = "SELECT name, experiment, status, start_time, end_time FROM runs WHERE id = ?1";
        let read = |row: &Row<'_>| {
            Ok(RunRecord {
                id: id.to_owned(),
                name: row.get(0)?,
                experiment: row.get(1)?,
                status: Status::parse(&row.get::<_, String>(2)?),
                start_time: row.get(3)?,
                end_time: row.get(4)?,
                params,
                metrics: metrics.into_iter().collect(),
                tags,
            })
        };
        self.lock().query_row(sql, [id], read).map_err(self.failed("reading a run"))
    }

    fn history(&self, run: &str, key: &str) -> Result<Vec<Metric>> {
        self.require(run)?;
        let sql = "SELECT value, step, timestamp FROM metrics WHERE run = ?1 AND key = ?2 \
                   ORDER BY step, timestamp, seq";
        self.rows("reading a metric", sql, [run, key], |row| {
            let value = number(row, 0)?;
            Ok(Metric { key: key.to_owned(), value, step: row.get(1)?, timestamp: row.get(2)? })
        })
    }

    fn search(&self, search: &Search) -> Result<Vec<RunRecord>> {
        let filter = Filter::parse(&search.filter)?;
        let sql = "SELECT id FROM runs WHERE experiment = ?1 ORDER BY start_time DESC, rowid DESC";
        let ids: Vec<String> =
            self.rows("listing runs", sql, [&search.experiment], |row| row.get(0))?;
        let mut runs = ids.iter().map(|id| self.run(id)).collect::<Result<Vec<_>>>()?;
        runs.retain(|run| filter.passes(run));
        sort(&mut runs, &search.order)?;
        runs.truncate(search.limit);
        Ok(runs)
    }

    fn log_input(&self, run: &str, input: &Input) -> Result<()> {
        self.require(run)?;
        let sql = "INSERT OR IGNORE INTO inputs(run, name, digest, context, source, schema, rows) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let Input { name, digest, context, source, schema, rows } = input;
        let rows = i64::try_from(*rows).unwrap_or(i64::MAX);
        let values = params![run, name, digest, context, source, schema, rows];
        self.lock().execute(sql, values).map_err(self.failed("noting data of a run"))?;
        Ok(())
    }

    fn inputs(&self, run: &str) -> Result<Vec<Input>> {
        self.require(run)?;
        Ok(self.inputs_after(run, 0)?.into_iter().map(|(_, input)| input).collect())
    }

    fn add_version(&self, name: &str, files: &Path, run: &str) -> Result<ModelVersion> {
        self.put_version(name, files, run)
    }

    fn versions(&self, name: &str) -> Result<Vec<ModelVersion>> {
        self.list_versions(name)
    }

    fn set_alias(&self, name: &str, alias: &str, version: u32) -> Result<()> {
        crate::promotion::check_alias(alias)?;
        self.point_alias(name, alias, version)
    }

    fn delete_alias(&self, name: &str, alias: &str) -> Result<()> {
        let sql = "DELETE FROM aliases WHERE name = ?1 AND alias = ?2";
        self.lock().execute(sql, [name, alias]).map_err(self.failed("removing an alias"))?;
        Ok(())
    }

    fn set_model_tag(&self, name: &str, key: &str, value: &str) -> Result<()> {
        check_name("model", name)?;
        let sql = "INSERT OR REPLACE INTO model_tags(name, key, value) VALUES(?1, ?2, ?3)";
        self.lock().execute(sql, [name, key, value]).map_err(self.failed("tagging a model"))?;
        Ok(())
    }

    fn model_tags(&self, name: &str) -> Result<Vec<(String, String)>> {
        let sql = "SELECT key, value FROM model_tags WHERE name = ?1 ORDER BY key";
        self.rows("reading a model's tags", sql, [name], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn set_version_tag(&self, name: &str, version: u32, key: &str, value: &str) -> Result<()> {
        self.require_version(name, version)?;
        let sql = "INSERT OR REPLACE INTO version_tags(name, version, key, value) \
                   VALUES(?1, ?2, ?3, ?4)";
        let values = params![name, version, key, value];
        self.lock().execute(sql, values).map_err(self.failed("tagging a model version"))?;
        Ok(())
    }

    fn version_tags(&self, name: &str, version: u32) -> Result<Vec<(String, String)>> {
        let sql =
            "SELECT key, value FROM version_tags WHERE name = ?1 AND version = ?2 ORDER BY key";
        self.rows("reading a model version's tags", sql, params![name, version], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    fn describe(&self, name: &str, version: Option<u32>, text: &str) -> Result<()> {
        match version {
            Some(version) => self.require_version(name, version)?,
            None => drop(self.list_versions(name)?),
        }
        let sql = "INSERT OR REPLACE INTO descriptions(name, version, text) VALUES(?1, ?2, ?3)";
        let values = params![name, version.unwrap_or(0), text];
        self.lock().execute(sql, values).map_err(self.failed("describing a model"))?;
        Ok(())
    }

    fn description(&self, name: &str, version: Option<u32>) -> Result<String> {
        let sql = "SELECT text FROM descriptions WHERE name = ?1 AND version = ?2";
        let values = params![name, version.unwrap_or(0)];
        let found = self.rows("reading a description", sql, values, |row| row.get(0))?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    fn fetch_version(&self, version: &ModelVersion, to: &Path) -> Result<()> {
        artifact::copy_tree(Path::new(&version.source), to)
    }
}
