//! [`Tracker`]: what a backend can do.

use std::path::Path;

use crate::Result;
use crate::record::{
    Artifact, Batch, Input, Metric, ModelVersion, NewRun, RunRecord, Search, Status,
};

/// A place that keeps runs and models: [`Journal`](crate::Journal) (a file or memory) or
/// [`Mlflow`](crate::Mlflow) (a server). Calls block; [`Queue`](crate::Queue) takes them off the
/// caller's thread.
pub trait Tracker: Send + Sync {
    /// Its address, without credentials.
    fn uri(&self) -> String;

    /// Makes an experiment unless it exists. Returns its identifier.
    ///
    /// # Errors
    /// If the name cannot be used or the backend fails.
    fn experiment(&self, name: &str) -> Result<String>;

    /// Makes a run. Returns its identifier.
    ///
    /// # Errors
    /// If a name cannot be used or the backend fails.
    fn create_run(&self, run: &NewRun) -> Result<String>;

    /// Writes records of a run. Where a parameter has another value already, the rest is written
    /// before the error is returned.
    ///
    /// # Errors
    /// If there is no such run, a parameter conflicts, or the backend fails.
    fn log_batch(&self, run: &str, batch: &Batch) -> Result<()>;

    /// Sets how a run stands; `end` in milliseconds since 1970.
    ///
    /// # Errors
    /// If there is no such run, or the backend fails.
    fn set_status(&self, run: &str, status: Status, end: Option<i64>) -> Result<()>;

    /// Copies one file into a run under an artifact path (relative, with `/`); replaces.
    ///
    /// # Errors
    /// If the path leaves the run's folder, the file cannot be read, or the backend fails.
    fn put_artifact(&self, run: &str, file: &Path, path: &str) -> Result<()>;

    /// The files of a run, all levels, sorted.
    ///
    /// # Errors
    /// If there is no such run, or the backend fails.
    fn artifacts(&self, run: &str) -> Result<Vec<Artifact>>;

    /// Copies an artifact to the file `to`.
    ///
    /// # Errors
    /// If there is no such file, or the backend fails.
    fn get_artifact(&self, run: &str, path: &str, to: &Path) -> Result<()>;

    /// Reads a run.
    ///
    /// # Errors
    /// If there is no such run, or the backend fails.
    fn run(&self, id: &str) -> Result<RunRecord>;

    /// All values of a metric, in order of step, then time.
    ///
    /// # Errors
    /// If there is no such run, or the backend fails.
    fn history(&self, run: &str, key: &str) -> Result<Vec<Metric>>;

    /// Reads runs of one experiment.
    ///
    /// # Errors
    /// If the query cannot be read, or the backend fails.
    fn search(&self, search: &Search) -> Result<Vec<RunRecord>>;

    /// Notes data that a run reads; again is no harm.
    ///
    /// # Errors
    /// If there is no such run, or the backend fails.
    fn log_input(&self, run: &str, input: &Input) -> Result<()>;

    /// The data that a run reads.
    ///
    /// # Errors
    /// If there is no such run, or the backend fails.
    fn inputs(&self, run: &str) -> Result<Vec<Input>>;

    /// Adds a version to a model, which is made unless it exists, from the folder `files`.
    ///
    /// # Errors
    /// If the name cannot be used, a file cannot be read, or the backend fails.
    fn add_version(&self, name: &str, files: &Path, run: &str) -> Result<ModelVersion>;

    /// All versions of one model (or of all models, when `name` is empty), oldest first.
    ///
    /// # Errors
    /// If there is no such model, or the backend fails.
    fn versions(&self, name: &str) -> Result<Vec<ModelVersion>>;

    /// Points an alias at a version.
    ///
    /// # Errors
    /// If there is no such version, or the backend fails.
    fn set_alias(&self, name: &str, alias: &str, version: u32) -> Result<()>;

    /// Takes an alias away; one that is not there is no error.
    ///
    /// # Errors
    /// If there is no such model, or the backend fails.
    fn delete_alias(&self, name: &str, alias: &str) -> Result<()>;

    /// Sets a tag of a version.
    ///
    /// # Errors
    /// If there is no such version, or the backend fails.
    fn set_version_tag(&self, name: &str, version: u32, key: &str, value: &str) -> Result<()>;

    /// The tags of a version.
    ///
    /// # Errors
    /// If there is no such version, or the backend fails.
    fn version_tags(&self, name: &str, version: u32) -> Result<Vec<(String, String)>>;

    /// Sets the description of a version, or, without one, of the model.
    ///
    /// # Errors
    /// If there is no such model or version, or the backend fails.
    fn describe(&self, name: &str, version: Option<u32>, text: &str) -> Result<()>;

    /// The description of a version, or, without one, of the model; empty when there is none.
    ///
    /// # Errors
    /// If the backend fails.
    fn description(&self, name: &str, version: Option<u32>) -> Result<String>;

    /// Sets a tag of a model.
    ///
    /// # Errors
    /// If there is no such model, or the backend fails.
    fn set_model_tag(&self, name: &str, key: &str, value: &str) -> Result<()>;

    /// The tags of a model.
    ///
    /// # Errors
    /// If there is no such model, or the backend fails.
    fn model_tags(&self, name: &str) -> Result<Vec<(String, String)>>;

    /// Copies the files of a version into the folder `to`, which must not exist.
    ///
    /// # Errors
    /// If a file is missing, or the backend fails.
    fn fetch_version(&self, version: &ModelVersion, to: &Path) -> Result<()>;
}
