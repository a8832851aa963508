//! The registry in the journal: versions, aliases.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::params;

use super::Journal;
use crate::artifact;
use crate::record::{ModelVersion, check_name};
use crate::{Result, TrackError};

impl Journal {
    pub(super) fn put_version(&self, name: &str, files: &Path, run: &str) -> Result<ModelVersion> {
        check_name("model", name)?;
        let folder = self.folder.join("models").join(uuid::Uuid::new_v4().simple().to_string());
        artifact::copy_tree(files, &folder)?;
        let created = crate::record::now();
        let source = folder.display().to_string();
        let sql = "INSERT INTO versions(name, version, run, source, created) SELECT ?1, \
                   COALESCE(MAX(version), 0) + 1, ?2, ?3, ?4 FROM versions WHERE name = ?1 \
                   RETURNING version";
        let version = self
            .lock()
            .query_row(sql, params![name, run, source, created], |row| row.get(0))
            .map_err(self.failed("registering a model"))?;
        let (name, run_id) = (name.to_owned(), run.to_owned());
        Ok(ModelVersion { name, version, run_id, source, aliases: Vec::new(), created })
    }

    pub(super) fn list_versions(&self, name: &str) -> Result<Vec<ModelVersion>> {
        let aliases: Vec<(String, u32, String)> = self.rows(
            "reading aliases",
            "SELECT name, version, alias FROM aliases ORDER BY alias",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        let sql = "SELECT name, version, run, source, created FROM versions \
                   WHERE ?1 = '' OR name = ?1 ORDER BY name, version";
        let mut found = self.rows("reading models", sql, [name], |row| {
            Ok(ModelVersion {
                name: row.get(0)?,
                version: row.get(1)?,
                run_id: row.get(2)?,
                source: row.get(3)?,
                aliases: Vec::new(),
                created: row.get(4)?,
            })
        })?;
        for version in &mut found {
            let own = aliases.iter().filter(|a| a.0 == version.name && a.1 == version.version);
            version.aliases = own.map(|a| a.2.clone()).collect();
        }
        if found.is_empty() && !name.is_empty() {
            let hint = "; `track::models()` lists the registered ones".to_owned();
            return Err(TrackError::NotFound { what: "model", name: name.to_owned(), hint });
        }
        Ok(found)
    }

    pub(super) fn require_version(&self, name: &str, version: u32) -> Result<()> {
        if self.list_versions(name)?.iter().any(|known| known.version == version) {
            return Ok(());
        }
        Err(TrackError::missing("model version", format!("{name}/{version}")))
    }

    pub(super) fn point_alias(&self, name: &str, alias: &str, version: u32) -> Result<()> {
        self.require_version(name, version)?;
        let sql = "INSERT OR REPLACE INTO aliases(name, alias, version) VALUES(?1, ?2, ?3)";
        let values = params![name, alias, version];
        self.lock().execute(sql, values).map_err(self.failed("setting an alias"))?;
        Ok(())
    }

    /// The number that a server gave a version; `None` when it does not have it.
    pub(crate) fn sent_version(
        &self,
        name: &str,
        version: u32,
        server: &str,
    ) -> Result<Option<u32>> {
        let sql =
            "SELECT remote FROM sent_versions WHERE name = ?1 AND version = ?2 AND server = ?3";
        let values = params![name, version, server];
        Ok(self.rows("reading what was sent", sql, values, |row| row.get(0))?.into_iter().next())
    }

    /// The versions of a model that a server has: the number here, the number there.
    pub(crate) fn sent_versions(&self, name: &str, server: &str) -> Result<HashMap<u32, u32>> {
        let sql = "SELECT version, remote FROM sent_versions WHERE name = ?1 AND server = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok(self.rows("reading what was sent", sql, [name, server], read)?.into_iter().collect())
    }

    /// Notes the number that a server gave a version.
    pub(crate) fn set_sent_version(
        &self,
        name: &str,
        version: u32,
        server: &str,
        remote: u32,
    ) -> Result<()> {
        let sql = "INSERT OR REPLACE INTO sent_versions(name, version, server, remote) \
                   VALUES(?1, ?2, ?3, ?4)";
        let values = params![name, version, server, remote];
        self.lock().execute(sql, values).map_err(self.failed("noting what was sent"))?;
        Ok(())
    }
}
