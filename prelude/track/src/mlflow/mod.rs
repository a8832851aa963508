//! [`Mlflow`]: a server of MLflow 2 or 3 over its REST interface.
//!
//! Artifacts go through the server's own `mlflow-artifacts` proxy, so no cloud credentials are needed.

mod http;
mod models;
mod read;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

pub(crate) use http::split_credentials;
use http::{Http, escape};

use crate::record::{
    Artifact, Batch, Input, Metric, ModelVersion, NewRun, RunRecord, Search, Status, check_key,
    check_name,
};
use crate::tracker::Tracker;
use crate::{Result, TrackError, artifact};

const PROXY: &str = "mlflow-artifacts/artifacts";

/// A connection to an MLflow server.
///
/// ```no_run
/// use oxilab_track::{Mlflow, Tracker};
/// let server = Mlflow::connect("http://127.0.0.1:5000")?;
/// println!("{}", server.experiment("demo")?);
/// # Ok::<(), oxilab_track::TrackError>(())
/// ```
pub struct Mlflow {
    http: Http,
    experiments: Mutex<HashMap<String, String>>,
    roots: Mutex<HashMap<String, String>>,
}

impl std::fmt::Debug for Mlflow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mlflow").field("uri", &self.http.base()).finish_non_exhaustive()
    }
}

fn is(error: &TrackError, wanted: &str) -> bool {
    matches!(error, TrackError::Server { code, .. } if code == wanted)
}

/// A number as protobuf's JSON writes it.
fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        json!(value)
    }
}

fn pairs(pairs: &[(String, String)]) -> Value {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// At most so many characters.
fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

impl Mlflow {
    /// A server by its address; nothing is sent yet.
    ///
    /// # Errors
    /// If `uri` is no web address.
    pub fn connect(uri: &str) -> Result<Self> {
        let http = Http::new(uri)?;
        Ok(Self { http, experiments: Mutex::default(), roots: Mutex::default() })
    }

    /// How far the server has got: a number that changes while something is sent.
    pub(crate) fn progress(&self) -> u64 {
        self.http.progress()
    }

    /// Whether the server answers.
    pub(crate) fn answers(&self) -> bool {
        let query = [("experiment_name", "Default")];
        match self.http.get("mlflow/experiments/get-by-name", &query) {
            Ok(_) => true,
            Err(error) => !matches!(error, TrackError::Unreachable { .. }),
        }
    }

    /// Where a browser finds a run.
    pub(crate) fn run_page(&self, run: &str) -> Result<String> {
        let answer = self.http.get("mlflow/runs/get", &[("run_id", run)])?;
        let experiment = read::text(&answer["run"]["info"]["experiment_id"]);
        Ok(format!("{}/#/experiments/{experiment}/runs/{run}", self.http.base()))
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<String>> {
        match self.http.get("mlflow/experiments/get-by-name", &[("experiment_name", name)]) {
            Ok(answer) => Ok(Some(read::text(&answer["experiment"]["experiment_id"]))),
            Err(error) if is(&error, "RESOURCE_DOES_NOT_EXIST") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The path of a run's artifacts behind the proxy.
    fn root(&self, run: &str) -> Result<String> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots.get(run) {
            return Ok(root.clone());
        }
        let answer = self.http.get("mlflow/runs/get", &[("run_id", run)])?;
        let root = proxied(&read::text(&answer["run"]["info"]["artifact_uri"]))?;
        roots.insert(run.to_owned(), root.clone());
        Ok(root)
    }

    /// All files under a path of the proxy, relative to it.
    fn list(&self, root: &str) -> Result<Vec<Artifact>> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(under) = folders.pop() {
            let path = if under.is_empty() { root.to_owned() } else { format!("{root}/{under}") };
            let answer = self.http.get(PROXY, &[("path", &path)])?;
            for file in answer["files"].as_array().into_iter().flatten() {
                let name = read::text(&file["path"]);
                let path = artifact::join(&under, &name)?;
                if file["is_dir"].as_bool() == Some(true) {
                    folders.push(path);
                } else {
                    let size = u64::try_from(read::integer(&file["file_size"])).unwrap_or_default();
                    found.push(Artifact { path, size });
                }
            }
        }
        found.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(found)
    }

    fn put(&self, path: &str, file: &Path) -> Result<()> {
        let opened =
            std::fs::File::open(file).map_err(|error| TrackError::file("read", file, error))?;
        self.http.put_file(&format!("{PROXY}/{}", escape(path)), opened)
    }

    fn fetch(&self, path: &str, to: &Path) -> Result<()> {
        let folder = to.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .map_err(|error| TrackError::file("create", folder, error))?;
        let mut aside = tempfile::NamedTempFile::new_in(folder)
            .map_err(|error| TrackError::file("write in", folder, error))?;
        self.http.get_file(&format!("{PROXY}/{}", escape(path)), aside.as_file_mut())?;
        aside.persist(to).map_err(|error| TrackError::file("write", to, error.error))?;
        Ok(())
    }
}

/// The path behind the proxy of `mlflow-artifacts:/0/run/artifacts`.
fn proxied(uri: &str) -> Result<String> {
    let path = uri.strip_prefix("mlflow-artifacts:").map(|rest| match rest.strip_prefix("//") {
        Some(host) => host.split_once('/').map_or("", |(_, path)| path),
        None => rest,
    });
    let path = path.map(|path| path.trim_matches('/').to_owned());
    path.ok_or_else(|| TrackError::Server {
        doing: "mlflow-artifacts".to_owned(),
        code: "ARTIFACTS".to_owned(),
        message: format!("the run keeps its artifacts at {uri}"),
        hint: "; start the server with --serve-artifacts so that they pass through it",
    })
}

impl Tracker for Mlflow {
    fn uri(&self) -> String {
        self.http.base().to_owned()
    }

    fn experiment(&self, name: &str) -> Result<String> {
        check_name("experiment", name)?;
        let known = |id: &str| {
            let mut all = self.experiments.lock().unwrap_or_else(PoisonError::into_inner);
            all.insert(name.to_owned(), id.to_owned());
        };
        if let Some(id) = self.experiments.lock().unwrap_or_else(PoisonError::into_inner).get(name)
        {
            return Ok(id.clone());
        }
        if let Some(id) = self.experiment_by_name(name)? {
            known(&id);
            return Ok(id);
        }
        let id = match self.http.post("mlflow/experiments/create", &json!({ "name": name })) {
            Ok(answer) => read::text(&answer["experiment_id"]),
            Err(error) if is(&error, "RESOURCE_ALREADY_EXISTS") => {
                self.experiment_by_name(name)?.ok_or(error)?
            }
            Err(error) => return Err(error),
        };
        known(&id);
        Ok(id)
    }

    fn create_run(&self, run: &NewRun) -> Result<String> {
        check_name("run", &run.name)?;
        let tags: Vec<(String, String)> = run.tags.clone().into_iter().collect();
        let answer = self.http.post(
            "mlflow/runs/create",
            &json!({
                "experiment_id": self.experiment(&run.experiment)?,
                "run_name": run.name,
                "start_time": run.start_time,
                "tags": pairs(&tags),
            }),
        )?;
        Ok(read::text(&answer["run"]["info"]["run_id"]))
    }

    fn log_batch(&self, run: &str, batch: &Batch) -> Result<()> {
        for (key, _) in &batch.params {
            check_key("parameter", key)?;
        }
        let metrics: Value = batch
            .metrics
            .iter()
            .map(|metric| {
                let Metric { key, value, step, timestamp } = metric;
                json!({ "key": key, "value": number(*value), "step": step, "timestamp": timestamp })
            })
            .collect();
        let body = json!({
            "run_id": run,
            "metrics": metrics,
            "params": pairs(&batch.params),
            "tags": pairs(&batch.tags),
        });
        self.http.post("mlflow/runs/log-batch", &body).map(drop)
    }

    fn set_status(&self, run: &str, status: Status, end: Option<i64>) -> Result<()> {
        let mut body = json!({ "run_id": run, "status": status.as_str() });
        if let Some(end) = end {
            body["end_time"] = json!(end);
        }
        self.http.post("mlflow/runs/update", &body).map(drop)
    }

    fn put_artifact(&self, run: &str, file: &Path, path: &str) -> Result<()> {
        artifact::check(path)?;
        self.put(&format!("{}/{path}", self.root(run)?), file)
    }

    fn artifacts(&self, run: &str) -> Result<Vec<Artifact>> {
        self.list(&self.root(run)?)
    }

    fn get_artifact(&self, run: &str, path: &str, to: &Path) -> Result<()> {
        artifact::check(path)?;
        self.fetch(&format!("{}/{path}", self.root(run)?), to)
    }

    fn run(&self, id: &str) -> Result<RunRecord> {
        let answer = self.http.get("mlflow/runs/get", &[("run_id", id)])?;
        Ok(read::run(&answer["run"], ""))
    }

    fn history(&self, run: &str, key: &str) -> Result<Vec<Metric>> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let query = [
                ("run_id", run),
                ("metric_key", key),
                ("max_results", "25000"),
                ("page_token", &token),
            ];
            let used = if token.is_empty() { &query[..3] } else { &query[..] };
            let answer = self.http.get("mlflow/metrics/get-history", used)?;
            all.extend(answer["metrics"].as_array().into_iter().flatten().map(read::metric));
            token = read::text(&answer["next_page_token"]);
            if token.is_empty() {
                break;
            }
        }
        all.sort_by_key(|metric| (metric.step, metric.timestamp));
        Ok(all)
    }

    fn search(&self, search: &Search) -> Result<Vec<RunRecord>> {
        let experiment = self.experiment(&search.experiment)?;
        let mut runs = Vec::new();
        let mut token = String::new();
        while runs.len() < search.limit {
            let mut body = json!({
                "experiment_ids": [experiment],
                "filter": search.filter,
                "max_results": (search.limit - runs.len()).min(1000),
            });
            if !search.order.is_empty() {
                body["order_by"] = search.order.split(',').map(str::trim).collect();
            }
            if !token.is_empty() {
                body["page_token"] = json!(token);
            }
            let answer = self.http.post("mlflow/runs/search", &body)?;
            let found = answer["runs"].as_array().into_iter().flatten();
            runs.extend(found.map(|run| read::run(run, &search.experiment)));
            token = read::text(&answer["next_page_token"]);
            if token.is_empty() {
                break;
            }
        }
        Ok(runs)
    }

    fn log_input(&self, run: &str, input: &Input) -> Result<()> {
        let columns: Value = serde_json::from_str(&input.schema).unwrap_or(Value::Null);
        let source = if input.source.is_empty() { &input.name } else { &input.source };
        let dataset = json!({
            "name": short(&input.name, 500),
            // MLflow's longest.
            "digest": short(&input.digest, 36),
            "source_type": "local",
            "source": json!({ "uri": source }).to_string(),
            "schema": json!({ "mlflow_colspec": columns }).to_string(),
            "profile": json!({ "num_rows": input.rows }).to_string(),
        });
        let tags = json!([{ "key": "mlflow.data.context", "value": input.context }]);
        let body = json!({ "run_id": run, "datasets": [{ "tags": tags, "dataset": dataset }] });
        self.http.post("mlflow/runs/log-inputs", &body).map(drop)
    }

    fn inputs(&self, run: &str) -> Result<Vec<Input>> {
        let answer = self.http.get("mlflow/runs/get", &[("run_id", run)])?;
        let all = answer["run"]["inputs"]["dataset_inputs"].as_array();
        Ok(all.into_iter().flatten().map(read::input).collect())
    }

    fn add_version(&self, name: &str, files: &Path, run: &str) -> Result<ModelVersion> {
        self.put_version(name, files, run, &[])
    }

    fn versions(&self, name: &str) -> Result<Vec<ModelVersion>> {
        self.list_versions(name)
    }

    fn set_alias(&self, name: &str, alias: &str, version: u32) -> Result<()> {
        crate::promotion::check_alias(alias)?;
        let body = json!({ "name": name, "alias": alias, "version": version.to_string() });
        self.http.post("mlflow/registered-models/alias", &body).map(drop)
    }

    fn delete_alias(&self, name: &str, alias: &str) -> Result<()> {
        let body = json!({ "name": name, "alias": alias });
        self.http.delete("mlflow/registered-models/alias", &body).map(drop)
    }

    fn set_model_tag(&self, name: &str, key: &str, value: &str) -> Result<()> {
        self.ensure_model(name)?;
        let body = json!({ "name": name, "key": key, "value": value });
        self.http.post("mlflow/registered-models/set-tag", &body).map(drop)
    }

    fn model_tags(&self, name: &str) -> Result<Vec<(String, String)>> {
        let answer = self.http.get("mlflow/registered-models/get", &[("name", name)])?;
        Ok(read::pairs(&answer["registered_model"]["tags"]).into_iter().collect())
    }

    fn set_version_tag(&self, name: &str, version: u32, key: &str, value: &str) -> Result<()> {
        let body = json!({
            "name": name, "version": version.to_string(), "key": key, "value": value,
        });
        self.http.post("mlflow/model-versions/set-tag", &body).map(drop)
    }

    fn version_tags(&self, name: &str, version: u32) -> Result<Vec<(String, String)>> {
        Ok(read::pairs(&self.version(name, version)?["tags"]).into_iter().collect())
    }

    fn describe(&self, name: &str, version: Option<u32>, text: &str) -> Result<()> {
        let mut body = json!({ "name": name, "description": text });
        let endpoint = match version {
            Some(version) => {
                body["version"] = json!(version.to_string());
                "mlflow/model-versions/update"
            }
            None => "mlflow/registered-models/update",
        };
        self.http.patch(endpoint, &body).map(drop)
    }

    fn description(&self, name: &str, version: Option<u32>) -> Result<String> {
        if let Some(version) = version {
            return Ok(read::text(&self.version(name, version)?["description"]));
        }
        let answer = self.http.get("mlflow/registered-models/get", &[("name", name)])?;
        Ok(read::text(&answer["registered_model"]["description"]))
    }

    fn fetch_version(&self, version: &ModelVersion, to: &Path) -> Result<()> {
        self.fetch_files(version, to)
    }
}
