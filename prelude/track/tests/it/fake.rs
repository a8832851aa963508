//! A small MLflow server (of version 2) that keeps what it is sent, duplicates included, and fails when it
//! is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::setting::listen;

/// What happens to the next requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Fault {
    #[default]
    None,
    /// The connection breaks before the request is read.
    Before,
    /// The request is carried out, and the connection breaks before the answer.
    After,
    /// Credentials are refused.
    Denied,
}

#[derive(Default)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) status: String,
    pub(crate) metrics: Vec<Value>,
    pub(crate) params: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<String, usize>,
}

/// A registered model.
#[derive(Default)]
pub(crate) struct Model {
    /// Number, source, tags.
    versions: Vec<(u32, String, Value)>,
    pub(crate) aliases: BTreeMap<String, u32>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl Model {
    fn add(&mut self, source: &str, tags: Value) -> u32 {
        let number = self.versions.last().map_or(0, |(number, ..)| *number) + 1;
        self.versions.push((number, source.to_owned(), tags));
        number
    }

    pub(crate) fn count(&self) -> usize {
        self.versions.len()
    }

    fn version(&self, name: &str, number: u32) -> Value {
        let found = self.versions.iter().find(|(known, ..)| *known == number);
        let (_, source, tags) = found.cloned().unwrap_or_default();
        json!({ "name": name, "version": number.to_string(), "source": source, "tags": tags })
    }
}

#[derive(Default)]
struct Store {
    runs: Vec<Run>,
    models: BTreeMap<String, Model>,
    /// One fault for each of the next requests.
    faults: Vec<Fault>,
    always: Fault,
    /// Files of models that came, in order, those of broken connections included.
    puts: Vec<String>,
    /// How many of the next of them break their connection.
    broken_puts: usize,
}

#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Store>>);

impl Fake {
    pub(crate) fn start(&self) -> String {
        let (listener, uri) = listen();
        let fake = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fake = fake.clone();
                std::thread::spawn(move || fake.serve(stream));
            }
        });
        uri
    }

    /// The faults of the next requests, the next one last.
    pub(crate) fn fail(&self, faults: Vec<Fault>) {
        self.0.lock().expect("lock").faults = faults;
    }

    pub(crate) fn fail_always(&self, fault: Fault) {
        self.0.lock().expect("lock").always = fault;
    }

    pub(crate) fn see<T>(&self, look: impl FnOnce(&[Run]) -> T) -> T {
        look(&self.0.lock().expect("lock").runs)
    }

    /// Versions 1 to `count` of a model, by somebody else.
    pub(crate) fn register(&self, name: &str, count: u32) {
        let mut store = self.0.lock().expect("lock");
        let model = store.models.entry(name.to_owned()).or_default();
        for _ in 0..count {
            model.add("mlflow-artifacts:/0/other", json!([]));
        }
    }

    pub(crate) fn delete_version(&self, name: &str, number: u32) {
        let mut store = self.0.lock().expect("lock");
        let model = store.models.get_mut(name).expect("the model");
        model.versions.retain(|(known, ..)| *known != number);
    }

    pub(crate) fn break_puts(&self, count: usize) {
        self.0.lock().expect("lock").broken_puts = count;
    }

    pub(crate) fn puts(&self) -> Vec<String> {
        self.0.lock().expect("lock").puts.clone()
    }

    pub(crate) fn see_model<T>(&self, name: &str, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.0.lock().expect("lock").models[name])
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut out = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let mut length = 0;
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok()?;
                let Some((name, value)) = header.trim().split_once(':') else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let fault = {
                let mut store = self.0.lock().expect("lock");
                let always = store.always;
                store.faults.pop().unwrap_or(always)
            };
            if fault == Fault::Before {
                return None;
            }
            let (status, answer) =
                if fault == Fault::Denied { (401, json!("no")) } else { self.answer(&line, &body) };
            if fault == Fault::After || self.breaks(&line) {
                return None;
            }
            let text = answer.to_string();
            write!(out, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len())
                .ok()?;
        }
    }

    /// Whether a file's connection is to break.
    fn breaks(&self, line: &str) -> bool {
        let path = line.strip_prefix("PUT ").filter(|path| path.contains("/models/"));
        let Some(path) = path else { return false };
        let name = path.split(' ').next().and_then(|path| path.rsplit('/').next());
        let mut store = self.0.lock().expect("lock");
        store.puts.push(name.unwrap_or_default().to_owned());
        let breaks = store.broken_puts > 0;
        store.broken_puts = store.broken_puts.saturating_sub(1);
        breaks
    }

    fn answer(&self, line: &str, body: &[u8]) -> (u16, Value) {
        let mut store = self.0.lock().expect("lock");
        let store = &mut *store;
        let body_json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body_json[name].as_str().unwrap_or_default().to_owned();
        let place = |id: &str| id.trim_start_matches('r').parse::<usize>().unwrap_or_default();
        let query = |name: &str| queried(line, name);
        if line.contains("mlflow/logged-models") {
            return (404, json!({ "error_code": "ENDPOINT_NOT_FOUND", "message": "of MLflow 3" }));
        }
        if line.contains("registered-models/") || line.contains("model-versions/") {
            return registry(&mut store.models, line, &body_json);
        }
        let info = |at: usize, run: &Run| {
            json!({ "info": { "run_id": format!("r{at}"), "run_name": run.name, "status": run.status,
                "artifact_uri": format!("mlflow-artifacts:/0/r{at}"), "experiment_id": "0" } })
        };
        if line.contains("get-by-name") {
            return (200, json!({ "experiment": { "experiment_id": "0" } }));
        }
        if line.contains("runs/create") {
            let tags = body_json["tags"].as_array().cloned().unwrap_or_default();
            let key = tags.iter().find(|tag| tag["key"] == "oxilab.key");
            let key = key.and_then(|tag| tag["value"].as_str()).unwrap_or_default().to_owned();
            let run = Run { name: text("run_name"), key, ..Run::default() };
            store.runs.push(run);
            let at = store.runs.len() - 1;
            return (200, json!({ "run": info(at, &store.runs[at]) }));
        }
        if line.contains("runs/search") {
            let filter = text("filter");
            let found = store.runs.iter().enumerate().filter(|(_, run)| {
                filter.is_empty() || (!run.key.is_empty() && filter.contains(&run.key))
            });
            let found: Vec<Value> = found.map(|(at, run)| info(at, run)).collect();
            return (200, json!({ "runs": found }));
        }
        if line.contains("runs/get") {
            let at = place(&query("run_id"));
            return (200, json!({ "run": info(at, &store.runs[at]) }));
        }
        if line.contains("get-history") {
            let run = &store.runs[place(&query("run_id"))];
            let key = query("metric_key");
            let found: Vec<&Value> =
                run.metrics.iter().filter(|metric| metric["key"] == *key).collect();
            return (200, json!({ "metrics": found }));
        }
        if line.contains("log-batch") {
            let run = &mut store.runs[place(&text("run_id"))];
            let list = |name: &str| body_json[name].as_array().cloned().unwrap_or_default();
            if list("metrics").iter().any(|metric| metric["key"] == "poison") {
                return (400, json!({ "error_code": "INVALID_PARAMETER_VALUE", "message": "no" }));
            }
            run.metrics.extend(list("metrics"));
            for pair in list("params") {
                let text = |name: &str| pair[name].as_str().unwrap_or_default().to_owned();
                run.params.insert(text("key"), text("value"));
            }
            return (200, json!({}));
        }
        if line.contains("runs/update") {
            store.runs[place(&text("run_id"))].status = text("status");
            return (200, json!({}));
        }
        if let Some((_, path)) = line.split_once("artifacts/artifacts/0/r") {
            let path = path.split(' ').next().unwrap_or_default();
            let (run, path) = path.split_once('/').unwrap_or_default();
            store.runs[place(run)].files.insert(path.to_owned(), body.len());
        }
        (200, json!({}))
    }
}

/// A value of the query.
fn queried(line: &str, name: &str) -> String {
    let (_, query) = line.split_once('?').unwrap_or_default();
    let query = query.split(' ').next().unwrap_or_default();
    let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    let mut pieces = found.unwrap_or_default().split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = u8::from_str_radix(&piece[..2], 16).expect("two digits");
        text.push(char::from(code));
        text.push_str(&piece[2..]);
    }
    text
}

fn registry(models: &mut BTreeMap<String, Model>, line: &str, body: &Value) -> (u16, Value) {
    let absent = || (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none" }));
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let number = |text: &str| text.parse::<u32>().unwrap_or_default();
    if line.contains("registered-models/create") {
        models.entry(text("name")).or_default();
        return (200, json!({}));
    }
    if line.contains("model-versions/search") {
        let filter = queried(line, "filter");
        let found = models.iter().find(|(name, _)| filter == format!("name='{name}'"));
        let Some((name, model)) = found else { return absent() };
        let all: Vec<Value> =
            model.versions.iter().map(|(number, ..)| model.version(name, *number)).collect();
        return (200, json!({ "model_versions": all }));
    }
    let name = match text("name") {
        name if name.is_empty() => queried(line, "name"),
        name => name,
    };
    let Some(model) = models.get_mut(&name) else { return absent() };
    if line.contains("registered-models/alias") {
        model.aliases.insert(text("alias"), number(&text("version")));
    } else if line.contains("registered-models/set-tag") {
        model.tags.insert(text("key"), text("value"));
    } else if line.contains("registered-models/get") {
        let pairs = |key: &str, value: &str, all: Vec<(&String, String)>| -> Vec<Value> {
            all.into_iter().map(|(left, right)| json!({ key: left, value: right })).collect()
        };
        let aliases = model.aliases.iter().map(|(alias, number)| (alias, number.to_string()));
        let tags = model.tags.iter().map(|(key, value)| (key, value.clone()));
        let model = json!({
            "name": name,
            "aliases": pairs("alias", "version", aliases.collect()),
            "tags": pairs("key", "value", tags.collect()),
        });
        return (200, json!({ "registered_model": model }));
    } else if line.contains("model-versions/create") {
        let added = model.add(&text("source"), body["tags"].clone());
        return (200, json!({ "model_version": model.version(&name, added) }));
    } else if line.contains("model-versions/get") {
        let wanted = number(&queried(line, "version"));
        return (200, json!({ "model_version": model.version(&name, wanted) }));
    }
    (200, json!({}))
}
