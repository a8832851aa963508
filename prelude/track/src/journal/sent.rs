//! What servers have of a journal's runs, and what they miss.

use rusqlite::{OptionalExtension, Row, params};

use super::{Journal, number};
use crate::Result;
use crate::record::{Input, Metric, NewRun, Status};

/// What a server has of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) remote: String,
    pub(crate) params: i64,
    pub(crate) metrics: i64,
    pub(crate) tags: i64,
    pub(crate) artifacts: i64,
    pub(crate) inputs: i64,
    /// Whether a batch of metrics was under way when it was noted.
    pub(crate) unsure: bool,
    pub(crate) status: String,
}

impl Sent {
    /// A run that the server knows under `remote`, and nothing of it was sent.
    pub(crate) fn of(remote: &str) -> Self {
        Self { remote: remote.to_owned(), ..Self::default() }
    }
}

impl Journal {
    /// What the server has of a run; `None` when it does not know it.
    pub(crate) fn sent(&self, run: &str, server: &str) -> Result<Option<Sent>> {
        let sql = "SELECT remote, params, metrics, tags, artifacts, status, inputs, unsure FROM sent \
                   WHERE run = ?1 AND server = ?2";
        let read = |row: &Row<'_>| {
            Ok(Sent {
                remote: row.get(0)?,
                params: row.get(1)?,
                metrics: row.get(2)?,
                tags: row.get(3)?,
                artifacts: row.get(4)?,
                status: row.get(5)?,
                inputs: row.get(6)?,
                unsure: row.get(7)?,
            })
        };
        let found = self.lock().query_row(sql, [run, server], read).optional();
        found.map_err(self.failed("reading what was sent"))
    }

    /// Notes what the server has.
    pub(crate) fn set_sent(&self, run: &str, server: &str, sent: &Sent) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO sent(run, server, remote, params, metrics, tags, artifacts, \
                   status, inputs, unsure) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let values = params![
            run,
            server,
            sent.remote,
            sent.params,
            sent.metrics,
            sent.tags,
            sent.artifacts,
            sent.status,
            sent.inputs,
            sent.unsure
        ];
        self.lock().execute(sql, values).map_err(self.failed("noting what was sent"))?;
        Ok(())
    }

    /// The run that a server knows under `remote`, or `remote` itself.
    pub(crate) fn local_id(&self, remote: &str) -> Result<String> {
        let sql = "SELECT run FROM sent WHERE remote = ?1";
        let found = self.rows("reading what was sent", sql, [remote], |row| row.get(0))?;
        Ok(found.into_iter().next().unwrap_or_else(|| remote.to_owned()))
    }
}

impl Journal {
    /// Runs that a server is to get and does not have in full.
    pub(crate) fn awaited(&self, server: &str) -> Result<Vec<String>> {
        let later = |table: &str| {
            format!("EXISTS(SELECT 1 FROM {table} t WHERE t.run = s.run AND t.seq > s.{table})")
        };
        let sql = format!(
            "SELECT s.run FROM sent s JOIN runs r ON r.id = s.run WHERE s.server = ?1 AND \
             (s.remote = '' OR s.status <> r.status OR {} OR {} OR {} OR {} OR {}) \
             ORDER BY r.start_time, r.rowid",
            later("metrics"),
            later("params"),
            later("tags"),
            later("artifacts"),
            later("inputs")
        );
        self.rows("reading what was sent", &sql, [server], |row| row.get(0))
    }

    /// A run without its records: what makes it, how it stands, when it ended.
    pub(crate) fn head(&self, run: &str) -> Result<(NewRun, Status, Option<i64>)> {
        let sql = "SELECT experiment, name, start_time, status, end_time FROM runs WHERE id = ?1";
        let read = |row: &Row<'_>| {
            let (experiment, name, start_time) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let new = NewRun { experiment, name, start_time, ..NewRun::default() };
            Ok((new, Status::parse(&row.get::<_, String>(3)?), row.get(4)?))
        };
        self.lock().query_row(sql, [run], read).map_err(self.failed("reading a run"))
    }

    /// Metrics with a number above `seq`, in order.
    pub(crate) fn metrics_after(
        &self,
        run: &str,
        seq: i64,
        limit: usize,
    ) -> Result<Vec<(i64, Metric)>> {
        let sql = "SELECT seq, key, value, step, timestamp FROM metrics INDEXED BY metrics_by_run \
                   WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows("reading metrics", sql, params![run, seq, limit], |row| {
            let (key, value) = (row.get(1)?, number(row, 2)?);
            Ok((row.get(0)?, Metric { key, value, step: row.get(3)?, timestamp: row.get(4)? }))
        })
    }

    /// Parameters or tags with a number above `seq`, in order, and the last number.
    pub(crate) fn pairs_after(
        &self,
        table: &str,
        run: &str,
        seq: i64,
        limit: usize,
    ) -> Result<(i64, Vec<(String, String)>)> {
        let sql = format!(
            "SELECT seq, key, value FROM {table} WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(i64, String, String)> =
            self.rows("reading a run", &sql, params![run, seq, limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let last = rows.last().map_or(seq, |row| row.0);
        Ok((last, rows.into_iter().map(|(_, key, value)| (key, value)).collect()))
    }

    /// Data of a run with a number above `seq`, in order.
    pub(crate) fn inputs_after(&self, run: &str, seq: i64) -> Result<Vec<(i64, Input)>> {
        let sql = "SELECT seq, name, digest, context, source, schema, rows FROM inputs \
                   WHERE run = ?1 AND seq > ?2 ORDER BY seq";
        self.rows("reading data of a run", sql, params![run, seq], |row| {
            let rows = u64::try_from(row.get::<_, i64>(6)?).unwrap_or_default();
            let (name, digest, context) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let (source, schema) = (row.get(4)?, row.get(5)?);
            Ok((row.get(0)?, Input { name, digest, context, source, schema, rows }))
        })
    }

    /// How many records of all runs a server is to get and does not have.
    pub(crate) fn count_awaited(&self, server: &str) -> Result<u64> {
        let mut count = 0_i64;
        for table in ["metrics", "params", "tags", "artifacts"] {
            let sql = format!(
                "SELECT COUNT(*) FROM sent s JOIN {table} t ON t.run = s.run AND t.seq > s.{table} \
                 WHERE s.server = ?1"
            );
            let rows: Vec<i64> =
                self.rows("reading what was sent", &sql, [server], |row| row.get(0))?;
            count += rows.into_iter().sum::<i64>();
        }
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Artifacts with a number above `seq`, in order.
    pub(crate) fn artifacts_after(&self, run: &str, seq: i64) -> Result<Vec<(i64, String)>> {
        let sql = "SELECT seq, path FROM artifacts WHERE run = ?1 AND seq > ?2 ORDER BY seq";
        self.rows("listing artifacts", sql, params![run, seq], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}
