//! What is sent to an MLflow server, against a small server of the test's own on the loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use oxilab_track::{self as track, Batch, Metric, Mlflow, NewRun, TrackError, Tracker};
use serde_json::{Value, json};

use crate::setting::{listen, new_journal, nobody, turn};

#[derive(Clone, Debug)]
struct Seen {
    line: String,
    authorization: String,
    body: Vec<u8>,
}

impl Seen {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

#[derive(Clone, Default)]
struct Server {
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Answers after the batch was taken, as a network that breaks does.
    broken: Arc<Mutex<bool>>,
}

impl Server {
    fn start(&self) -> String {
        let (listener, uri) = listen();
        let server = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        uri
    }

    fn seen(&self, path: &str) -> Vec<Seen> {
        let all = self.seen.lock().expect("lock");
        all.iter().filter(|seen| seen.line.contains(path)).cloned().collect()
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut out = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let (mut length, mut chunked, mut authorization) = (0, false, String::new());
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).ok()?;
                let Some((name, value)) = header.trim().split_once(':') else { break };
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.trim().parse().ok()?,
                    "transfer-encoding" => chunked = value.contains("chunked"),
                    "authorization" => value.trim().clone_into(&mut authorization),
                    _ => {}
                }
            }
            assert!(!chunked, "files are sent with their length");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let seen = Seen { line: line.trim().to_owned(), authorization, body };
            let (status, answer) = self.answer(&seen);
            self.seen.lock().expect("lock").push(seen);
            if *self.broken.lock().expect("lock") && line.contains("log-batch") {
                return None;
            }
            let text = answer.to_string();
            write!(
                out,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
            .ok()?;
        }
    }

    fn answer(&self, seen: &Seen) -> (u16, Value) {
        let line = &seen.line;
        let run = json!({ "info": { "run_id": "r1", "run_name": "a", "status": "RUNNING",
            "artifact_uri": "mlflow-artifacts:/7/r1/artifacts", "experiment_id": "7" },
            "data": { "metrics": [{ "key": "m", "value": "NaN", "timestamp": "5", "step": "1" }] } });
        if line.contains("get-by-name") && line.contains("gone") {
            return (404, json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none" }));
        }
        if line.contains("denied") {
            return (401, json!("no"));
        }
        let made = !self.seen("runs/create").is_empty();
        let answer = if line.contains("get-by-name") {
            json!({ "experiment": { "experiment_id": "7" } })
        } else if line.contains("experiments/create") {
            json!({ "experiment_id": "8" })
        } else if line.contains("runs/search") && made {
            json!({ "runs": [run] })
        } else if line.contains("runs/create") || line.contains("runs/get") {
            json!({ "run": run })
        } else {
            json!({})
        };
        (200, answer)
    }
}

#[test]
fn requests_have_mlflows_shape() {
    let _turn = turn();
    let server = Server::default();
    let mlflow = Mlflow::connect(&server.start().replace("//", "//me:secret@")).expect("address");
    assert!(!mlflow.uri().contains("secret") && !format!("{mlflow:?}").contains("secret"));
    let run = NewRun {
        experiment: "gone & new".to_owned(),
        name: "a".to_owned(),
        tags: [("k".to_owned(), "v".to_owned())].into(),
        start_time: 11,
    };
    let id = mlflow.create_run(&run).expect("made");
    assert_eq!(id, "r1");
    let asked = &server.seen("get-by-name")[0];
    assert!(asked.line.contains("experiment_name=gone%20%26%20new"), "{}", asked.line);
    assert_eq!(asked.authorization, "Basic bWU6c2VjcmV0");
    let made = server.seen("runs/create")[0].json();
    assert_eq!(made["experiment_id"], "8");
    assert_eq!(made["tags"], json!([{ "key": "k", "value": "v" }]));

    let values = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.5];
    let metrics =
        values.map(|value| Metric { key: "m".to_owned(), value, step: 2, timestamp: 3 }).to_vec();
    mlflow.log_batch(&id, &Batch { metrics, ..Batch::default() }).expect("logged");
    let sent = server.seen("log-batch")[0].json();
    let sent: Vec<&Value> =
        sent["metrics"].as_array().expect("list").iter().map(|m| &m["value"]).collect();
    assert_eq!(sent, [&json!("NaN"), &json!("Infinity"), &json!("-Infinity"), &json!(0.5)]);

    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), "12345").expect("written");
    mlflow.put_artifact(&id, file.path(), "plots/ä b.txt").expect("put");
    let put = &server.seen("PUT")[0];
    let path = "PUT /api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/plots/%C3%A4%20b.txt ";
    assert!(put.line.starts_with(path), "{}", put.line);
    assert_eq!(put.body, b"12345");
    mlflow.put_artifact(&id, file.path(), "../x").expect_err("outside");

    let read = mlflow.run("r1").expect("read");
    assert!(read.metrics["m"].is_nan());
    let error = mlflow.run("denied").expect_err("401").to_string();
    assert!(error.contains("MLFLOW_TRACKING_TOKEN") && !error.contains("secret"), "{error}");
}

#[test]
fn what_a_broken_server_missed_is_sent_later_and_once() {
    let turn = turn();
    let (_folder, path) = new_journal();
    turn.journal(&path);
    let run = track::start_run("a").expect("started");
    run.log_param("lr", 0.1).expect("logged");
    for step in 0..2500 {
        run.log_metric("loss", f64::from(step), step).expect("logged");
    }
    run.log_text("hello", "notes.md").expect("written");
    run.end().expect("ended");

    let error = track::sync(&nobody()).expect_err("nobody is there");
    assert!(matches!(error, TrackError::Unreachable { .. }), "{error}");

    let server = Server::default();
    let uri = server.start();
    *server.broken.lock().expect("lock") = true;
    track::sync(&uri).expect_err("broken");
    *server.broken.lock().expect("lock") = false;
    let report = track::sync(&uri).expect("sent");
    assert_eq!((report.metrics, report.params, report.artifacts), (2500, 1, 1), "{report}");
    assert_eq!(track::sync(&uri).expect("nothing new"), track::Report::default());
    assert_eq!(server.seen("runs/create").len(), 1, "the run is made once");
    let made = server.seen("runs/create")[0].json();
    assert_eq!(made["tags"][0], json!({ "key": "oxilab.key", "value": run.id() }));

    // What the server would keep: it drops records that are equal.
    let mut kept = std::collections::BTreeSet::new();
    let batches = server.seen("log-batch");
    for batch in &batches {
        let batch = batch.json();
        let metrics = batch["metrics"].as_array().expect("list");
        assert!(metrics.len() <= 1000);
        kept.extend(metrics.iter().map(Value::to_string));
    }
    assert_eq!(kept.len(), 2500);
    assert_eq!(server.seen("runs/update")[0].json()["status"], "FINISHED");
}

#[test]
fn a_token_of_the_environment_is_sent_and_kept_nowhere() {
    let turn = turn();
    let server = Server::default();
    let (_folder, path) = new_journal();
    turn.journal_of_a_server(&path, "2");
    turn.token(Some("t0ken-of-mine"));
    track::set_uri(&server.start()).expect("address");
    let run = track::start_run("a").expect("started");
    run.log_metric("loss", 1.0, 0).expect("logged");
    run.end().expect("ended");
    turn.token(None);
    track::set_uri("memory:").expect("memory");
    let made = &server.seen("runs/create")[0];
    assert_eq!(made.authorization, "Bearer t0ken-of-mine");
    let all = server.seen("");
    assert!(all.iter().all(|seen| !String::from_utf8_lossy(&seen.body).contains("t0ken")));
    let written = std::fs::read(&path).expect("journal");
    assert!(!written.windows(5).any(|bytes| bytes == b"t0ken"));
}

/// Takes one file and throws it away; how many bytes there were.
fn sink() -> (String, std::thread::JoinHandle<u64>) {
    let (listener, uri) = listen();
    let taking = std::thread::spawn(move || {
        loop {
            let (stream, _) = listener.accept().expect("a client");
            let mut out = stream.try_clone().expect("a stream");
            let mut reader = BufReader::with_capacity(1 << 20, stream);
            let (mut length, mut put) = (0_u64, false);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a line");
                put |= line.starts_with("PUT");
                if let Some(text) = line.to_lowercase().strip_prefix("content-length:") {
                    length = text.trim().parse().expect("a number");
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let taken =
                std::io::copy(&mut reader.take(length), &mut std::io::sink()).expect("read");
            let run = json!({ "run": { "info": { "artifact_uri": "mlflow-artifacts:/0/r1" } } });
            let text = run.to_string();
            write!(
                out,
                "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
            .expect("answered");
            if put {
                return taken;
            }
        }
    });
    (uri, taking)
}

/// Peak resident bytes of this process.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_file_of_two_gigabytes_is_streamed() {
    const SIZE: u64 = (2 << 30) + 1;
    let file = tempfile::NamedTempFile::new().expect("file");
    // It takes no room on the disk.
    file.as_file().set_len(SIZE).expect("as long");
    let (uri, taking) = sink();
    let mlflow = Mlflow::connect(&uri).expect("address");
    let before = peak();
    mlflow.put_artifact("r1", file.path(), "model/weights.bin").expect("put");
    assert_eq!(taking.join().expect("taken"), SIZE);
    let grown = peak() - before;
    // Other tests of this process need some as well.
    assert!(grown < 512 << 20, "{grown} bytes of memory");
}
