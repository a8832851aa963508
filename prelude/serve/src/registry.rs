//! The registry from serving's side: models with their reference, and the way back: [`register`],
//! [`promote`], [`rollback`].

use oxilab_model::FittedModel;
use oxilab_track::ModelVersion;
use polars::prelude::DataFrame;

use crate::error::{Result, ServeError};
use crate::reference::save_reference;

/// Registers a model as the next version of `name`, with the rows that drift is measured against.
///
/// # Errors
/// If a file cannot be written, the name cannot be used, or the registry fails.
pub fn register(model: &FittedModel, name: &str, reference: &DataFrame) -> Result<ModelVersion> {
    let folder =
        tempfile::tempdir().map_err(ServeError::io("making a folder in", std::env::temp_dir()))?;
    let path = folder.path().join("model.oxm");
    model.save(&path)?;
    save_reference(&path, reference)?;
    Ok(oxilab_track::register(folder.path(), name)?)
}

/// Points an alias at a version, as `oxilab_track::promote` does, and remembers the version before as
/// the alias `ALIAS-previous`, which [`rollback`] goes back to.
///
/// # Errors
/// If a goal of the model is missed, there is no such version, or the registry fails.
pub fn promote(name: &str, version: u32, alias: &str) -> Result<()> {
    let before = oxilab_track::resolve(&format!("models:/{name}@{alias}")).ok();
    oxilab_track::promote(name, version, alias)?;
    if let Some(before) = before.filter(|before| before.version != version) {
        oxilab_track::promote(name, before.version, &previous(alias))?;
    }
    Ok(())
}

/// Points an alias back at the version that it pointed at before the last [`promote`]; without one, at
/// the version below. Rolling back twice is rolling forward again.
///
/// # Errors
/// If there is no such alias or no version to go back to, or the registry fails.
pub fn rollback(name: &str, alias: &str) -> Result<ModelVersion> {
    let now = oxilab_track::resolve(&format!("models:/{name}@{alias}"))?;
    let noted = oxilab_track::resolve(&format!("models:/{name}@{}", previous(alias))).ok();
    let back = match noted.filter(|noted| noted.version != now.version) {
        Some(noted) => noted,
        None => {
            let all = oxilab_track::models()?.versions;
            let below = all.into_iter().filter(|v| v.name == name && v.version < now.version);
            below.max_by_key(|version| version.version).ok_or_else(|| {
                let problem = format!(
                    "@{alias} is version {}, and there is none before it to go back to",
                    now.version
                );
                ServeError::Registry { uri: format!("models:/{name}@{alias}"), problem }
            })?
        }
    };
    oxilab_track::promote(name, back.version, alias)?;
    oxilab_track::promote(name, now.version, &previous(alias))?;
    Ok(oxilab_track::resolve(&format!("models:/{name}@{alias}"))?)
}

fn previous(alias: &str) -> String {
    format!("{alias}-previous")
}
