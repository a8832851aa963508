//! Trials in a SQLite file: [`Storage`].

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::space::{Space, Value};
use super::study::{Direction, Record, State};
use crate::error::{ModelError, Result};

/// Numbers have columns of their own, so that they come back to the last bit.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS studies (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, direction TEXT NOT NULL, space TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS trials (
        study INTEGER NOT NULL REFERENCES studies, number INTEGER NOT NULL, state TEXT NOT NULL,
        value REAL, seconds REAL NOT NULL, PRIMARY KEY (study, number));
    CREATE TABLE IF NOT EXISTS params (
        study INTEGER NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL,
        value NOT NULL, PRIMARY KEY (study, number, place));
    CREATE TABLE IF NOT EXISTS reports (
        study INTEGER NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL, step INTEGER NOT NULL,
        value REAL, PRIMARY KEY (study, number, place));";

/// The trials of one study in a file.
pub(super) struct Storage {
    connection: Connection,
    study: i64,
    name: String,
}

impl Storage {
    /// Opens or creates the file and the study in it.
    pub(super) fn open(
        path: &Path,
        name: &str,
        direction: Direction,
        space: &Space,
    ) -> Result<Self> {
        let failed = |source| ModelError::Storage {
            study: name.to_owned(),
            doing: "opening its file",
            source,
        };
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
        connection.execute_batch(TABLES).map_err(failed)?;
        let text = serde_json::to_string(space).unwrap_or_default();
        let direction = match direction {
            Direction::Maximize => "maximize",
            Direction::Minimize => "minimize",
        };
        connection
            .execute(
                "INSERT OR IGNORE INTO studies (name, direction, space) VALUES (?1, ?2, ?3)",
                params![name, direction, text],
            )
            .map_err(failed)?;
        let (study, old_direction, old_space): (i64, String, String) = connection
            .query_row("SELECT id, direction, space FROM studies WHERE name = ?1", [name], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .optional()
            .map_err(failed)?
            .unwrap_or_default();
        if old_space != text || old_direction != direction {
            return Err(ModelError::data(
                format!("the file holds study `{name}` with another space or direction"),
                "give the study another name, or the space it had",
            ));
        }
        Ok(Self { connection, study, name: name.to_owned() })
    }

    fn failed(&self, doing: &'static str) -> impl FnOnce(rusqlite::Error) -> ModelError + use<> {
        let study = self.name.clone();
        move |source| ModelError::Storage { study, doing, source }
    }

    /// Writes a finished trial, all of it or nothing.
    pub(super) fn save(&self, record: &Record) -> Result<()> {
        self.try_save(record).map_err(self.failed("saving a trial"))
    }

    fn try_save(&self, record: &Record) -> rusqlite::Result<()> {
        let transaction = self.connection.unchecked_transaction()?;
        let number = i64::try_from(record.number).unwrap_or(i64::MAX);
        let state = match record.state {
            State::Complete => "complete",
            State::Pruned => "pruned",
            State::Failed => "failed",
        };
        transaction.execute(
            "INSERT INTO trials (study, number, state, value, seconds) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.study, number, state, record.value, record.seconds],
        )?;
        for (place, (name, value)) in (0_i64..).zip(&record.params) {
            const INSERT: &str = "INSERT INTO params VALUES (?1, ?2, ?3, ?4, ?5)";
            match value {
                Value::Int(value) => {
                    transaction.execute(INSERT, params![self.study, number, place, name, value])?
                }
                Value::Float(value) => {
                    transaction.execute(INSERT, params![self.study, number, place, name, value])?
                }
                Value::Text(value) => {
                    transaction.execute(INSERT, params![self.study, number, place, name, value])?
                }
            };
        }
        for (place, (step, value)) in (0_i64..).zip(&record.reports) {
            let step = i64::try_from(*step).unwrap_or(i64::MAX);
            transaction.execute(
                "INSERT INTO reports VALUES (?1, ?2, ?3, ?4, ?5)",
                params![self.study, number, place, step, value],
            )?;
        }
        transaction.commit()
    }

    /// The trials so far.
    pub(super) fn load(&self) -> Result<Vec<Record>> {
        self.try_load().map_err(self.failed("loading its trials"))
    }

    fn try_load(&self) -> rusqlite::Result<Vec<Record>> {
        let mut trials = self.connection.prepare(
            "SELECT number, state, value, seconds FROM trials WHERE study = ?1 ORDER BY number",
        )?;
        let mut params = self.connection.prepare(
            "SELECT name, value FROM params WHERE study = ?1 AND number = ?2 ORDER BY place",
        )?;
        let mut reports = self.connection.prepare(
            "SELECT step, value FROM reports WHERE study = ?1 AND number = ?2 ORDER BY place",
        )?;
        let heads = trials.query_map([self.study], |row| {
            let state: String = row.get(1)?;
            let state = match state.as_str() {
                "complete" => State::Complete,
                "pruned" => State::Pruned,
                _ => State::Failed,
            };
            Ok((row.get::<_, i64>(0)?, state, row.get(2)?, row.get(3)?))
        })?;
        let mut out = Vec::new();
        for head in heads {
            let (number, state, value, seconds) = head?;
            let params = params
                .query_map([self.study, number], |row| {
                    let value = match row.get::<_, rusqlite::types::Value>(1)? {
                        rusqlite::types::Value::Integer(value) => Value::Int(value),
                        rusqlite::types::Value::Real(value) => Value::Float(value),
                        rusqlite::types::Value::Text(value) => Value::Text(value),
                        _ => Value::Float(f64::NAN),
                    };
                    Ok((row.get(0)?, value))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let reports = reports
                .query_map([self.study, number], |row| {
                    let value: Option<f64> = row.get(1)?;
                    let step: i64 = row.get(0)?;
                    Ok((u64::try_from(step).unwrap_or(0), value.unwrap_or(f64::NAN)))
                })?
                .collect::<rusqlite::Result<_>>()?;
            let number = u64::try_from(number).unwrap_or(0);
            out.push(Record { number, params, value, state, reports, seconds });
        }
        Ok(out)
    }
}
