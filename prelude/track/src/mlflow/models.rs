//! The registry of a server: models that are logged, versions, their files.
//!
//! Servers of `MLflow` 3 keep a model as a thing of its own beside its run (a logged model); on older
//! ones it is a folder of the run's artifacts.

use std::path::Path;
use std::time::Duration;

use oxilab_runtime::cancel;
use serde_json::{Value, json};

use super::{Mlflow, is, pairs, proxied, read};
use crate::record::{ModelVersion, NewRun, Status, check_name};
use crate::tracker::Tracker;
use crate::{Result, TrackError, artifact, mlmodel};

/// The last pause before a file is given up: four seconds in all.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A model that is logged: its identifier, and the path of its files behind the proxy.
struct Logged {
    id: String,
    root: String,
}

impl Mlflow {
    /// Makes a registered model unless it exists.
    pub(super) fn ensure_model(&self, name: &str) -> Result<()> {
        match self.http.post("mlflow/registered-models/create", &json!({ "name": name })) {
            Err(error) if !is(&error, "RESOURCE_ALREADY_EXISTS") => Err(error),
            _ => Ok(()),
        }
    }

    /// Asks for little, to see whether somebody answers.
    pub(crate) fn probe(&self) -> Result<()> {
        let query = [("experiment_name", "Default")];
        self.http.get("mlflow/experiments/get-by-name", &query).map(drop)
    }

    /// What the server says of a version.
    pub(super) fn version(&self, name: &str, version: u32) -> Result<Value> {
        let number = version.to_string();
        let query = [("name", name), ("version", number.as_str())];
        Ok(self.http.get("mlflow/model-versions/get", &query)?["model_version"].clone())
    }

    /// Sends a model's folder as the next version of `name`, with tags of that version.
    pub(crate) fn put_version(
        &self,
        name: &str,
        files: &Path,
        run: &str,
        tags: &[(String, String)],
    ) -> Result<ModelVersion> {
        check_name("model", name)?;
        let run = if run.is_empty() { self.run_for(name)? } else { run.to_owned() };
        let (source, model) = if let Some(logged) = self.log_model(name, &run)? {
            self.put_files(files, &logged.root, &logged.id, &run)?;
            let body = json!({ "model_id": logged.id, "status": "LOGGED_MODEL_READY" });
            self.http.patch(&format!("mlflow/logged-models/{}", logged.id), &body)?;
            let body = json!({ "run_id": run, "models": [{ "model_id": logged.id, "step": 0 }] });
            self.http.post("mlflow/runs/outputs", &body)?;
            (format!("models:/{}", logged.id), logged.id)
        } else {
            let root = format!("{}/models/{}", self.root(&run)?, uuid::Uuid::new_v4().simple());
            self.put_files(files, &root, "", &run)?;
            (format!("mlflow-artifacts:/{root}"), String::new())
        };
        self.ensure_model(name)?;
        let mut body =
            json!({ "name": name, "source": source, "run_id": run, "tags": pairs(tags) });
        if !model.is_empty() {
            body["model_id"] = json!(model);
        }
        let answer = self.http.post("mlflow/model-versions/create", &body)?;
        Ok(read::version(&answer["model_version"]))
    }

    /// A run for a model that comes from none.
    fn run_for(&self, name: &str) -> Result<String> {
        let new = NewRun {
            experiment: crate::session::current_experiment(),
            name: format!("register {name}"),
            start_time: crate::record::now(),
            ..NewRun::default()
        };
        let id = self.create_run(&new)?;
        self.set_status(&id, Status::Finished, Some(crate::record::now()))?;
        Ok(id)
    }

    /// Makes a logged model; `None` where the server is older than those.
    fn log_model(&self, name: &str, run: &str) -> Result<Option<Logged>> {
        let answer = self.http.get("mlflow/runs/get", &[("run_id", run)])?;
        let experiment = read::text(&answer["run"]["info"]["experiment_id"]);
        let body = json!({
            "experiment_id": experiment,
            "name": name.replace(['"', '\'', '.', '%', '/', ':'], "-"),
            "source_run_id": run,
        });
        let answer = match self.http.post("mlflow/logged-models", &body) {
            Err(TrackError::Server { code, .. })
                if matches!(code.as_str(), "404" | "405" | "ENDPOINT_NOT_FOUND") =>
            {
                return Ok(None);
            }
            other => other?,
        };
        let info = &answer["model"]["info"];
        let id = read::text(&info["model_id"]);
        artifact::check(&id)?;
        Ok(Some(Logged { root: proxied(&read::text(&info["artifact_uri"]))?, id }))
    }

    /// Sends a model's folder; its description names the logged model.
    fn put_files(&self, files: &Path, root: &str, model: &str, run: &str) -> Result<()> {
        for (file, artifact) in artifact::files(files)? {
            let to = format!("{root}/{}", artifact.path);
            if artifact.path == mlmodel::FILE && !model.is_empty() {
                let text = mlmodel::with_id(&file, model, run, root)?;
                let aside = tempfile::NamedTempFile::new()
                    .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
                std::fs::write(aside.path(), text)
                    .map_err(|error| TrackError::file("write", aside.path(), error))?;
                self.put_again(&to, aside.path())?;
            } else {
                self.put_again(&to, &file)?;
            }
        }
        Ok(())
    }

    /// Sends a file; again where the connection breaks, so that the files before it are sent once.
    fn put_again(&self, to: &str, file: &Path) -> Result<()> {
        let mut pause = Duration::from_millis(250);
        loop {
            match self.put(to, file) {
                Err(TrackError::Unreachable { .. })
                    if pause <= LONGEST_PAUSE && !cancel::requested() =>
                {
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                other => return other,
            }
        }
    }

    /// The path behind the proxy of a version's files.
    fn model_root(&self, source: &str) -> Result<String> {
        match source.strip_prefix("models:/") {
            Some(id) => {
                artifact::check(id)?;
                let answer = self.http.get(&format!("mlflow/logged-models/{id}"), &[])?;
                proxied(&read::text(&answer["model"]["info"]["artifact_uri"]))
            }
            None => proxied(source),
        }
    }

    pub(super) fn list_versions(&self, name: &str) -> Result<Vec<ModelVersion>> {
        let models = if name.is_empty() {
            let answer =
                self.http.get("mlflow/registered-models/search", &[("max_results", "1000")])?;
            answer["registered_models"].as_array().cloned().unwrap_or_default()
        } else {
            let answer = self.http.get("mlflow/registered-models/get", &[("name", name)])?;
            vec![answer["registered_model"].clone()]
        };
        let mut found = Vec::new();
        for model in &models {
            let name = read::text(&model["name"]);
            let quote = if name.contains('\'') { '"' } else { '\'' };
            let filter = format!("name={quote}{name}{quote}");
            let query = [("filter", filter.as_str()), ("max_results", "10000")];
            let answer = self.http.get("mlflow/model-versions/search", &query)?;
            for version in answer["model_versions"].as_array().into_iter().flatten() {
                let mut version = read::version(version);
                let aliases = model["aliases"].as_array().into_iter().flatten();
                version.aliases = aliases
                    .filter(|alias| read::integer(&alias["version"]) == i64::from(version.version))
                    .map(|alias| read::text(&alias["alias"]))
                    .collect();
                found.push(version);
            }
        }
        found.sort_by(|left, right| (&left.name, left.version).cmp(&(&right.name, right.version)));
        Ok(found)
    }

    pub(super) fn fetch_files(&self, version: &ModelVersion, to: &Path) -> Result<()> {
        let root = self.model_root(&version.source)?;
        let parent = to.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)
            .map_err(|error| TrackError::file("create", parent, error))?;
        let aside = tempfile::TempDir::new_in(parent)
            .map_err(|error| TrackError::file("write in", parent, error))?;
        let files = self.list(&root)?;
        if files.is_empty() {
            return Err(TrackError::missing("file of the model", &version.source));
        }
        for file in files {
            self.fetch(&format!("{root}/{}", file.path), &aside.path().join(&file.path))?;
        }
        artifact::publish(aside, to)
    }
}
