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

/// Points an alias at a version, as [`oxilab_track::promote`] does.
///
/// # Errors
/// If a goal of the model is missed, there is no such version, or the registry fails.
pub fn promote(name: &str, version: u32, alias: &str) -> Result<()> {
    Ok(oxilab_track::promote(name, version, alias)?)
}

/// Points an alias back at the version that its last promotion replaced, as [`oxilab_track::rollback`]
/// does.
///
/// # Errors
/// If there is no such alias or no version to go back to, or the registry fails.
pub fn rollback(name: &str, alias: &str) -> Result<ModelVersion> {
    Ok(oxilab_track::rollback(name, alias)?)
}
