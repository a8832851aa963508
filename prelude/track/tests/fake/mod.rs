//! A small MLflow server that keeps what it is sent, duplicates included, and fails when it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

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

#[derive(Default)]
struct Store {
    runs: Vec<Run>,
    /// One fault for each of the next requests.
    faults: Vec<Fault>,
    always: Fault,
}

#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Store>>);

impl Fake {
    pub(crate) fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("port");
        let uri = format!("http://{}", listener.local_addr().expect("address"));
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
            if fault == Fault::After {
                return None;
            }
            let text = answer.to_string();
            write!(out, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{text}", text.len())
                .ok()?;
        }
    }

    fn answer(&self, line: &str, body: &[u8]) -> (u16, Value) {
        let mut store = self.0.lock().expect("lock");
        let store = &mut *store;
        let body_json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body_json[name].as_str().unwrap_or_default().to_owned();
        let place = |id: &str| id.trim_start_matches('r').parse::<usize>().unwrap_or_default();
        let query = |name: &str| {
            let (_, query) = line.split_once('?').unwrap_or_default();
            let query = query.split(' ').next().unwrap_or_default();
            let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            found.unwrap_or_default().to_owned()
        };
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
