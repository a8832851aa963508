//! The server process as clients see it, over loopback.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oxilab_model::LogisticRegression;
use oxilab_serve::{
    Server, ServerHandle, get_json, get_text, monitor, post_json, post_json_with_key,
    save_reference,
};
use polars::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A folder with a model, and the servers that a test started.
struct Bench {
    folder: tempfile::TempDir,
    started: Vec<ServerHandle>,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap(), started: Vec::new() };
        train("young", "old").save(bench.path("m.oxi"));
        save_reference(bench.path("m.oxi"), &train("young", "old").frame).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> Server {
        Server::new("m", self.path("m.oxi").to_str().unwrap())
            .with_program(env!("CARGO_BIN_EXE_oxilab-server"))
            .with_state_folder(self.path("state"))
    }

    fn start(&mut self, server: Server) -> String {
        let handle = server.start().unwrap();
        self.started.push(handle.clone());
        handle.url().to_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for server in &self.started {
            let _ = server.stop();
        }
    }
}

struct Trained {
    frame: DataFrame,
}

/// Rows of which those above 50 have the second label.
fn train(low: &str, high: &str) -> Trained {
    let age = |i: i32| f64::from(i * 7 % 100);
    let frame = df!(
        "age" => (0..400).map(age).collect::<Vec<_>>(),
        "city" => (0..400).map(|i| ["Rome", "Oslo"][i % 2]).collect::<Vec<_>>(),
        "group" => (0..400).map(|i| if age(i) > 50.0 { high } else { low }).collect::<Vec<_>>(),
    );
    Trained { frame: frame.unwrap() }
}

impl Trained {
    fn save(&self, path: impl AsRef<Path>) {
        LogisticRegression::new().fit(&self.frame, "group").unwrap().save(path).unwrap();
    }
}

fn old() -> Value {
    json!({"age": 90, "city": "Oslo"})
}

/// Sends bytes as they are; the status and the body.
fn raw(url: &str, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len();
    write!(stream, "{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")
        .unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map_or(String::new(), |(_, body)| body.to_owned()))
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_protocol_answers() {
    let mut bench = Bench::new();
    let url = bench.start(bench.server());
    let post = |path: &str, value: &Value| post_json(format!("{url}{path}"), value).unwrap();
    assert_eq!(post("/predict", &old())["prediction"], "old");
    assert_eq!(post("/predict/m", &json!({"features": [[1, "Oslo"]]}))["predictions"][0], "young");
    let row = json!({"dataframe_records": [old()]});
    assert_eq!(post("/invocations", &row), json!({"predictions": ["old"]}));
    let instances = json!({"instances": [old()]});
    assert_eq!(post("/v1/models/m:predict", &instances), json!({"predictions": ["old"]}));
    assert_eq!(post("/predictions/m", &json!([old()])), json!(["old"]));
    let infer = json!({"id": "a", "inputs": [
        {"name": "age", "datatype": "FP64", "shape": [1], "data": [90]},
        {"name": "city", "datatype": "BYTES", "shape": [1], "data": ["Oslo"]}]});
    let answer = post("/v2/models/m/infer", &infer);
    assert_eq!(answer["outputs"][0]["data"], json!(["old"]));
    let version = answer["model_version"].as_str().unwrap();
    assert_eq!(post(&format!("/v2/models/m/versions/{version}/infer"), &infer)["id"], "a");
    let csv =
        raw(&url, "POST /invocations HTTP/1.1\r\ncontent-type: text/csv", b"age,city\n1,Rome\n");
    assert_eq!(csv, (200, "{\"predictions\":[\"young\"]}".to_owned()));

    for path in ["/v2", "/v2/models/m", "/v2/models/m/ready", "/v1/models/m", "/health"] {
        get_json(format!("{url}{path}")).unwrap();
    }
    assert_eq!(get_text(format!("{url}/ping")).unwrap(), "\n");
    assert!(get_text(format!("{url}/docs")).unwrap().contains("POST /predict/m"));
    let openapi = get_json(format!("{url}/openapi.json")).unwrap();
    assert_eq!(openapi["components"]["schemas"]["mRow"]["required"], json!(["age", "city"]));
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    let sample = "oxilab_requests_total{model=\"m\",route=\"/predict\",status=\"200\"} 2\n";
    assert!(metrics.contains(sample), "{metrics}");
    assert!(metrics.contains("oxilab_request_seconds_bucket{model=\"m\",le=\"+Inf\"} 8\n"));
}

#[test]
fn bad_requests_are_told_so_and_the_server_lives() {
    let mut bench = Bench::new();
    let url = bench.start(bench.server().with_row_limit(5));
    let said = |path: &str, body: &[u8]| {
        let (status, text) = raw(&url, &format!("POST {path} HTTP/1.1"), body);
        assert!(!text.contains(bench.folder.path().to_str().unwrap()), "{text}");
        (status, serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let (status, body) = said("/predict", b"{\"age\": \"x\", \"city\": \"Oslo\"}");
    assert_eq!((status, &body["field"]), (422, &json!("age")));
    let (status, body) = said("/predict", b"{\"age\": 1, \"city\": \"Atlantis\"}");
    assert_eq!((status, &body["field"]), (422, &json!("city")));
    assert_eq!(said("/predict", b"{\"age\": 1}").1["field"], "city");
    assert_eq!(said("/predict", b"{\"age\": NaN}").0, 400);
    assert_eq!(said("/predict", b"\xff\xfe").0, 400);
    assert_eq!(said("/predict", b"").0, 400);
    assert_eq!(said("/invocations", b"{}").0, 400);
    assert_eq!(said("/predict", "[".repeat(200_000).as_bytes()).0, 400);
    let rows = json!({"instances": vec![json!([1, "Oslo"]); 6]}).to_string();
    assert_eq!(said("/invocations", rows.as_bytes()).0, 413);
    assert_eq!(said("/predict", &vec![b' '; (16 << 20) + 1]).0, 413);
    assert_eq!(said("/predict/other", b"{}").0, 404);
    assert_eq!(said("/predict/..%2f..%2fetc%2fpasswd", b"{}").0, 404);
    assert_eq!(said("/v2/models/m/versions/1/infer", b"{}").0, 404);
    assert_eq!(said("/nowhere", b"").0, 404);
    assert_eq!(raw(&url, "GET /predict HTTP/1.1", b"").0, 405);
    assert_eq!(said("/admin/stop", b"{}").0, 401);
    assert_eq!(post_json(format!("{url}/predict"), &old()).unwrap()["prediction"], "old");
}

#[test]
fn a_key_is_asked_for() {
    let mut bench = Bench::new();
    let hash: String = Sha256::digest("secret").iter().map(|byte| format!("{byte:02x}")).collect();
    let url = bench.start(bench.server().with_api_key_hash(hash));
    let predict = format!("{url}/predict");
    let error = post_json(&predict, &old()).unwrap_err();
    assert_eq!(error.status(), 401, "{error}");
    assert_eq!(post_json_with_key(&predict, &old(), "wrong").unwrap_err().status(), 401);
    assert_eq!(post_json_with_key(&predict, &old(), "secret").unwrap()["prediction"], "old");
    assert_eq!(raw(&url, "POST /predict HTTP/1.1\r\nx-api-key: secret", b"{}").0, 422);
    assert_eq!(get_text(format!("{url}/metrics")).unwrap_err().status(), 401);
    get_json(format!("{url}/health")).unwrap();
}

#[test]
fn a_new_version_is_taken_without_a_failed_request() {
    let mut bench = Bench::new();
    train("young", "old").save(bench.path("one.oxi"));
    train("kid", "adult").save(bench.path("two.oxi"));
    let alias = bench.path("live.alias");
    fs::write(&alias, "one.oxi").unwrap();
    let server = Server::new("m", alias.to_str().unwrap())
        .with_program(env!("CARGO_BIN_EXE_oxilab-server"))
        .with_state_folder(bench.path("state"));
    let url = bench.start(server);
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = std::thread::spawn({
        let (done, asked, url) = (Arc::clone(&done), Arc::clone(&asked), format!("{url}/predict"));
        move || {
            while !done.load(Ordering::Relaxed) {
                let said = post_json(&url, &old()).expect("no request fails")["prediction"].clone();
                assert!(said == "old" || said == "adult", "{said}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let says = || post_json(format!("{url}/predict"), &old()).unwrap()["prediction"].clone();
    until("a request", || asked.load(Ordering::Relaxed) > 5);
    fs::write(bench.path("next"), "two.oxi").unwrap();
    fs::rename(bench.path("next"), &alias).unwrap();
    until("the new version answers", || says() == "adult");

    // What is no model is not taken; the one that is loaded answers.
    fs::write(bench.path("next"), b"OXIMODEL but not really").unwrap();
    fs::rename(bench.path("next"), bench.path("two.oxi")).unwrap();
    let failures = "oxilab_model_reload_failures_total{model=\"m\"} 1\n";
    until("the failure is counted", || {
        get_text(format!("{url}/metrics")).unwrap().contains(failures)
    });
    assert_eq!(says(), "adult");
    fs::write(&alias, "one.oxi").unwrap();
    until("the old version is back", || says() == "old");
    done.store(true, Ordering::Relaxed);
    client.join().expect("no request failed");
    assert_eq!(monitor(&url).unwrap().models[0].swaps, 2);
}

#[test]
fn requests_are_captured_and_their_drift_is_seen() {
    let mut bench = Bench::new();
    let captured = bench.path("captured");
    let url = bench.start(bench.server().with_capture(&captured, 1.0).with_window(200));
    let send = |age: fn(i32) -> i32| {
        let rows: Vec<Value> =
            (0..200).map(|i| json!([age(i), ["Rome", "Oslo"][i as usize % 2]])).collect();
        post_json(format!("{url}/invocations"), &json!({"instances": rows})).unwrap();
    };
    send(|i| i * 7 % 100);
    let seen = monitor(&url).unwrap();
    assert!(!seen.drift("m").unwrap().drifted(), "{seen:?}");
    send(|i| 60 + i % 40);
    let seen = monitor(&url).unwrap();
    assert_eq!(seen.drift("m").unwrap().drifted_columns(), ["age", "prediction"], "{seen:?}");
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    assert!(metrics.contains("oxilab_drift_detected{model=\"m\",column=\"age\"} 1\n"), "{metrics}");
    assert!(metrics.contains("oxilab_drift_detected{model=\"m\",column=\"city\"} 0\n"));
    assert!(get_text(format!("{url}/monitor")).unwrap().contains("<table"));

    bench.started.pop().unwrap().stop().unwrap();
    let files: Vec<_> = fs::read_dir(&captured).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let frame = ParquetReader::new(fs::File::open(files[0].path()).unwrap()).finish().unwrap();
    assert_eq!(frame.shape(), (400, 3));
    assert_eq!(frame.column("prediction").unwrap().str().unwrap().get(399), Some("old"));
}

#[test]
fn starting_and_stopping() {
    let mut bench = Bench::new();
    let url = bench.start(bench.server());
    let error = bench.server().start().unwrap_err().to_string();
    assert!(error.contains("it runs already at"), "{error}");
    let server = bench.started.pop().unwrap();
    assert!(server.is_alive());
    assert!(server.logs().unwrap().contains(&format!("listening on {url}")));

    // What is under way when the server is stopped is answered.
    let mut slow = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    let body = old().to_string();
    let head = "POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
    write!(slow, "{head} {}\r\n\r\n", body.len()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let stopping = std::thread::spawn({
        let server = server.clone();
        move || server.stop()
    });
    std::thread::sleep(Duration::from_millis(200));
    slow.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stopping.join().unwrap().unwrap();
    assert!(!server.is_alive());
    assert!(server.stop().unwrap_err().to_string().contains("it does not run"));

    let missing = Server::new("x", bench.path("missing.oxi").to_str().unwrap())
        .with_program(env!("CARGO_BIN_EXE_oxilab-server"))
        .with_state_folder(bench.path("state"));
    let error = missing.start().unwrap_err().to_string();
    assert!(error.contains("cannot load model x"), "{error}");
    let open = std::process::Command::new(env!("CARGO_BIN_EXE_oxilab-server"))
        .args(["--host", "0.0.0.0", "--port", "0", "--model"])
        .arg(format!("m={}", bench.path("m.oxi").display()))
        .output()
        .unwrap();
    assert!(!open.status.success());
    assert!(String::from_utf8_lossy(&open.stdout).contains("give --api-key-hash"));
}
