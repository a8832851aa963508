//! Registered models on their way to a server: versions, aliases, tags, descriptions.
//!
//! A version carries the tag `oxilab.key`; it is looked for before it is sent. The server numbers
//! versions itself, so aliases follow the version, not the number.

use std::path::Path;

use super::{KEY, Report};
use crate::Result;
use crate::journal::Journal;
use crate::mlflow::Mlflow;
use crate::promotion::{MOVED, renumbered};
use crate::record::ModelVersion;
use crate::tracker::Tracker;

pub(super) fn send(
    journal: &Journal,
    server: &Mlflow,
    uri: &str,
    report: &mut Report,
) -> Result<()> {
    for version in journal.versions("")? {
        let ModelVersion { name, version: number, .. } = &version;
        let remote = match journal.sent_version(name, *number, uri)? {
            Some(remote) => remote,
            None => match send_version(journal, server, uri, &version) {
                Err(error) if !error.is_transient() => {
                    report.refused.push(format!("version {number} of model {name:?}: {error}"));
                    continue;
                }
                other => {
                    report.versions += 1;
                    other?
                }
            },
        };
        // These are set as they are now: setting them again changes nothing.
        for (key, value) in journal.version_tags(name, *number)? {
            server.set_version_tag(name, remote, &key, &value)?;
        }
        for alias in &version.aliases {
            server.set_alias(name, alias, remote)?;
        }
        let text = journal.description(name, Some(*number))?;
        if !text.is_empty() {
            server.describe(name, Some(remote), &text)?;
        }
    }
    let mut names: Vec<String> =
        journal.versions("")?.into_iter().map(|version| version.name).collect();
    names.dedup();
    for name in names {
        for (key, value) in journal.model_tags(&name)? {
            // Versions have other numbers there; a move between versions that were refused says nothing.
            let value = if key.starts_with(MOVED) {
                renumbered(&value, &journal.sent_versions(&name, uri)?)
            } else {
                Some(value)
            };
            if let Some(value) = value {
                server.set_model_tag(&name, &key, &value)?;
            }
        }
        let text = journal.description(&name, None)?;
        if !text.is_empty() {
            server.describe(&name, None, &text)?;
        }
    }
    Ok(())
}

fn send_version(
    journal: &Journal,
    server: &Mlflow,
    uri: &str,
    version: &ModelVersion,
) -> Result<u32> {
    let folder = Path::new(&version.source);
    // Its folder is the version's own, on every machine.
    let key = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let known = match server.versions(&version.name) {
        Err(error) if error.is_transient() => return Err(error),
        known => known.unwrap_or_default(),
    };
    let mut remote = None;
    for candidate in known.iter().rev() {
        let tags = server.version_tags(&candidate.name, candidate.version)?;
        if tags.iter().any(|(tag, value)| tag == KEY && *value == key) {
            remote = Some(candidate.version);
            break;
        }
    }
    let remote = if let Some(remote) = remote {
        remote
    } else {
        let run = journal.sent(&version.run_id, uri)?.unwrap_or_default().remote;
        let tags = [(KEY.to_owned(), key)];
        server.put_version(&version.name, folder, &run, &tags)?.version
    };
    journal.set_sent_version(&version.name, version.version, uri, remote)?;
    Ok(remote)
}
