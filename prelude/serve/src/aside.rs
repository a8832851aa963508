//! A model in memory on its way to a server: [`Aside`].
//!
//! The file of a running server's model is watched: what is written there answers from then on. So a
//! model is saved aside first, and takes its place only when its server may start.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oxilab_model::FittedModel;
use polars::prelude::DataFrame;

use crate::error::{Result, ServeError};
use crate::reference::{reference_path, save_reference};

/// The model as it was when it was handed over.
#[derive(Clone, Debug)]
pub(crate) struct Aside(Arc<tempfile::TempDir>);

impl Aside {
    pub(crate) fn save(model: &FittedModel, reference: Option<&DataFrame>) -> Result<Self> {
        let folder = tempfile::tempdir()
            .map_err(ServeError::io("making a folder in", std::env::temp_dir()))?;
        let aside = Self(Arc::new(folder));
        model.save(aside.model())?;
        if let Some(reference) = reference {
            save_reference(aside.model(), reference)?;
        }
        Ok(aside)
    }

    fn model(&self) -> PathBuf {
        self.0.path().join("model.oxm")
    }

    /// Puts the model and its reference in place.
    pub(crate) fn place(&self, path: &Path) -> Result<()> {
        let (from, to) = (reference_path(&self.model()), reference_path(path));
        if from.exists() {
            replace(&from, &to)?;
        } else {
            // Of another model of this name.
            let _ = fs::remove_file(to);
        }
        replace(&self.model(), path)
    }
}

/// Takes a model and its reference away again.
pub(crate) fn remove(path: &Path) {
    // What is left of them harms nobody.
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(reference_path(path));
}

/// Copies beside the place, then renames: nobody reads half a file.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let mut new = to.as_os_str().to_owned();
    new.push(".new");
    fs::copy(from, &new).map_err(ServeError::io("writing", to))?;
    fs::rename(&new, to).map_err(ServeError::io("writing", to))
}
