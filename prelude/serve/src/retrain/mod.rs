//! Retraining: what sets it off, what it runs, and when its model takes over: [`Retrain`].
//!
//! * Here: the declaration, a JSON file or a value. [`due`](Retrain::due) says whether a trigger holds,
//!   [`run_if_due`](Retrain::run_if_due) is for whoever then runs.
//! * [`run`]: the notebook, the comparison of candidate and champion, the promotion.

mod run;
mod trigger;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, ServeError};
use crate::secret::Key;

pub use run::Retrained;
pub use trigger::Trigger;

/// A retraining.
///
/// The notebook is run with the parameter `candidate`, the path that it must save its model to
/// (`model.save(&candidate)?`, and `serve::save_reference(&candidate, &train)?` for drift), and
/// `reason`, what set it off. The model is then compared with the champion on `holdout`, registered, and
/// promoted if it is better and meets the model's goals (`track::goal`).
///
/// ```no_run
/// use oxilab_serve::{Retrain, Trigger};
/// let retrain = Retrain::new("churn", "train.ipynb", "data/holdout.parquet")
///     .with_trigger(Trigger::drift("churn"))
///     .with_trigger(Trigger::every(std::time::Duration::from_secs(7 * 24 * 3600)))
///     .with_metric("roc_auc");
/// if let Some(done) = retrain.run_if_due()? {
///     println!("version {} promoted: {}", done.version, done.promoted);
/// }
/// # Ok::<(), oxilab_serve::ServeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrain {
    name: String,
    notebook: PathBuf,
    holdout: PathBuf,
    #[serde(default = "champion")]
    alias: String,
    #[serde(default)]
    triggers: Vec<Trigger>,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
    #[serde(default)]
    metric: Option<String>,
    #[serde(default)]
    margin: f64,
    #[serde(default)]
    folder: Option<PathBuf>,
    /// Seconds.
    #[serde(default = "hour")]
    cooldown: f64,
    #[serde(skip)]
    program: Option<PathBuf>,
    /// Not a part of a declaration, for those are shared.
    #[serde(skip)]
    api_key: Option<Key>,
}

fn champion() -> String {
    "champion".to_owned()
}

fn hour() -> f64 {
    3600.0
}

impl Retrain {
    /// A retraining of a registered model: its name, the notebook, and a file with rows that neither
    /// model was trained on, target included. It has no trigger yet; the alias is `champion`, the metric
    /// the model's main one.
    pub fn new(
        name: impl Into<String>,
        notebook: impl Into<PathBuf>,
        holdout: impl Into<PathBuf>,
    ) -> Self {
        Self {
            name: name.into(),
            notebook: notebook.into(),
            holdout: holdout.into(),
            alias: champion(),
            triggers: Vec::new(),
            parameters: BTreeMap::new(),
            metric: None,
            margin: 0.0,
            folder: None,
            cooldown: hour(),
            program: None,
            api_key: None,
        }
    }

    /// Reads a declaration; paths in it are seen from its folder.
    ///
    /// # Errors
    /// If the file cannot be read or declares something unknown.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(ServeError::io("reading the retraining of", path))?;
        let mut read: Self = serde_json::from_str(&text).map_err(|error| {
            ServeError::retrain(&path.display().to_string(), format!("it is not declared: {error}"))
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        read.notebook = folder.join(&read.notebook);
        read.holdout = folder.join(&read.holdout);
        for trigger in &mut read.triggers {
            trigger.see_from(folder);
        }
        Ok(read)
    }

    /// Writes the declaration.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        std::fs::write(path, text + "\n").map_err(ServeError::io("writing", path))
    }

    /// One more trigger; any of them is enough.
    #[must_use]
    pub fn with_trigger(mut self, trigger: Trigger) -> Self {
        self.triggers.push(trigger);
        self
    }

    /// The alias of the version that serves (`champion`).
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = alias.into();
        self
    }

    /// The metric that decides; by default the main one of the model's task.
    #[must_use]
    pub fn with_metric(mut self, metric: impl Into<String>) -> Self {
        self.metric = Some(metric.into());
        self
    }

    /// By how much the candidate must be better (0: at least as good).
    #[must_use]
    pub fn with_margin(mut self, margin: f64) -> Self {
        self.margin = margin;
        self
    }

    /// A parameter of the notebook.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Another folder for the lock and the memory of the last run.
    #[must_use]
    pub fn with_state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// How long after a run, whatever came of it, drift and performance set off none (an hour): what ails
    /// the data may ail the candidate as well. In a declaration `cooldown`, in seconds.
    #[must_use]
    pub fn with_cooldown(mut self, time: Duration) -> Self {
        self.cooldown = time.as_secs_f64();
        self
    }

    /// Another `oxilab` than the installed one to run the notebook with.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// The API key that triggers show to their servers; by default `OXILAB_API_KEY` of the environment. It
    /// is not saved.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(Key(key.into()));
        self
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it should run now; `None` if no trigger holds.
    ///
    /// # Errors
    /// If the name cannot be used; or no trigger holds, and one could not ask its server, which does not
    /// run, wants another API key, or has no such model.
    pub fn due(&self) -> Result<Option<String>> {
        let memory = self.memory()?;
        let mut unasked = None;
        for trigger in &self.triggers {
            match trigger.holds(&memory, self.cooldown, self.api_key.as_ref()) {
                Ok(Some(reason)) => return Ok(Some(reason)),
                Ok(None) => {}
                Err(error) => unasked = unasked.or(Some(error)),
            }
        }
        match unasked {
            Some(source) => {
                Err(ServeError::Unasked { name: self.name.clone(), source: Box::new(source) })
            }
            None => Ok(None),
        }
    }

    /// Looks every so often and runs when due, until the cell is interrupted or `most` runs are done. A
    /// server that does not answer is asked again the next time, and said so on standard error.
    ///
    /// # Errors
    /// As [`Retrain::run`], and if a trigger's server refuses to be asked.
    pub fn watch(&self, every: Duration, most: usize) -> Result<Vec<Retrained>> {
        let (mut done, mut told) = (Vec::new(), String::new());
        while done.len() < most {
            match self.run_if_due() {
                Ok(ran) => {
                    done.extend(ran);
                    told.clear();
                }
                Err(error) if error.may_pass() => {
                    let problem = error.to_string();
                    if problem != told {
                        // Where nobody reads it, or the disk is full, it goes on.
                        let _ = writeln!(std::io::stderr(), "oxilab: {problem}");
                        told = problem;
                    }
                }
                Err(error) => return Err(error),
            }
            let begun = std::time::Instant::now();
            while begun.elapsed() < every && done.len() < most {
                if oxilab_runtime::cancel::requested() {
                    return Err(ServeError::Interrupted);
                }
                std::thread::sleep(Duration::from_millis(50).min(every));
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_written_and_read() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("churn.json");
        let declared = Retrain::new("churn", "train.ipynb", "holdout.csv")
            .with_trigger(Trigger::drift("churn"))
            .with_trigger(Trigger::new_data("in/*.csv"))
            .with_trigger(Trigger::every(Duration::from_secs(60)))
            .with_trigger(Trigger::performance("churn", 0.8))
            .with_parameter("depth", 3);
        declared.save(&path).expect("written");
        let read = Retrain::load(&path).expect("read");
        assert_eq!(read.notebook, folder.path().join("train.ipynb"));
        assert_eq!(read.alias, "champion");
        assert_eq!(read.triggers.len(), 4);
        std::fs::write(&path, "{\"name\": \"x\", \"notebok\": \"y\"}").expect("written");
        let error = Retrain::load(&path).expect_err("unknown").to_string();
        assert!(error.contains("notebok"), "{error}");
    }
}
