//! Drift, capture, labels and alerts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use oxilab_serve::{get_json, get_text, monitor, post_json};
use polars::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::setting::{Direct, PROGRAM, Setting, crash, old, raw, train, until};

fn send(url: &str, age: fn(i32) -> i32) {
    let rows: Vec<Value> =
        (0..200).map(|i| json!([age(i), if i % 2 == 0 { "Rome" } else { "Oslo" }])).collect();
    post_json(format!("{url}/invocations"), &json!({"instances": rows})).unwrap();
}

#[test]
fn requests_are_captured_and_their_drift_is_seen() {
    let mut setting = Setting::new();
    let captured = setting.path("captured");
    let server = setting.server().with_capture(&captured, 1.0).with_window(200);
    let url = setting.start(server.with_redaction("city", "hash"));
    send(&url, |i| i * 7 % 100);
    let seen = monitor(&url).unwrap();
    assert!(!seen.drift("m").unwrap().drifted(), "{seen:?}");
    send(&url, |i| 60 + i % 40);
    let seen = monitor(&url).unwrap();
    assert_eq!(seen.drift("m").unwrap().drifted_columns(), ["age", "prediction"], "{seen:?}");
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    assert!(metrics.contains("oxilab_drift_detected{model=\"m\",column=\"age\"} 1\n"), "{metrics}");
    assert!(metrics.contains("oxilab_drift_detected{model=\"m\",column=\"city\"} 0\n"));
    assert!(get_text(format!("{url}/monitor")).unwrap().contains("Drift: <b"));

    setting.started.pop().unwrap().stop().unwrap();
    let files: Vec<_> = fs::read_dir(&captured).unwrap().flatten().collect();
    assert_eq!(files.len(), 1);
    let frame = ParquetReader::new(fs::File::open(files[0].path()).unwrap()).finish().unwrap();
    assert_eq!(frame.get_column_names(), ["age", "city", "prediction", "request_id"]);
    assert_eq!(frame.height(), 400);
    assert_eq!(frame.column("prediction").unwrap().str().unwrap().get(399), Some("old"));
    let city = frame.column("city").unwrap().str().unwrap().clone();
    assert!(city.get(0) == city.get(2) && city.get(0) != city.get(1));
    assert_eq!(city.get(0).unwrap().len(), 16);
}

/// The files of a folder, without those that are being written.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> =
        all.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")).collect();
    all.sort();
    all
}

fn rows(folder: &Path) -> usize {
    files(folder).iter().map(|path| frame(path).height()).sum()
}

fn frame(path: &Path) -> DataFrame {
    ParquetReader::new(fs::File::open(path).unwrap()).finish().unwrap()
}

/// The first value of a column of texts.
fn first(path: &Path, column: &str) -> String {
    frame(path).column(column).unwrap().str().unwrap().get(0).unwrap().to_owned()
}

#[test]
fn a_crash_loses_no_more_than_the_last_moments() {
    let mut setting = Setting::new();
    let captured = setting.path("captured");
    let server = setting.server().with_capture(&captured, 1.0).with("--capture-every", 0.2);
    let url = setting.start(server.with_redaction("city", "hash"));
    let ask = || post_json(format!("{url}/predict"), &old()).unwrap();
    (0..3).for_each(|_| drop(ask()));
    until("they are written", || rows(&captured) == 3);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let before = files(&captured);
    assert!(before.len() <= 3, "nothing is written where nothing came: {before:?}");
    crash(&url);
    assert_eq!(rows(&captured), 3);
    ask();
    until("the next process writes as well", || rows(&captured) == 4);
    let after: Vec<PathBuf> =
        files(&captured).into_iter().filter(|path| !before.contains(path)).collect();
    // Within one run of the server equal values stay equal.
    assert_eq!(first(&before[0], "city"), first(&after[0], "city"));
}

#[test]
fn hashed_values_cannot_be_found_by_trying() {
    let setting = Setting::new();
    let mut seen = Vec::new();
    for (name, salt) in [("a", ""), ("b", ""), ("c", "pepper"), ("d", "pepper")] {
        let captured = setting.path(name);
        let mut command = Command::new(PROGRAM);
        command.args(["--port", "0", "--redact", "city=hash", "--capture"]).arg(&captured);
        let server =
            Direct::start(command.arg(setting.path("m.oxi")).env("OXILAB_REDACT_SALT", salt));
        post_json(format!("{}/predict", server.url), &old()).unwrap();
        let log = server.log();
        server.stop();
        let [file] = files(&captured).try_into().unwrap();
        let hash = first(&file, "city");
        assert_eq!(hash.len(), 16);
        // Neither the name of the file, nor a part of it, nor the log is what it was hashed with.
        let path = file.display().to_string();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let names = [path.as_str(), path.trim_end_matches(".parquet"), name.as_str(), ""];
        let known = names.iter().flat_map(|text| {
            text.char_indices()
                .map(move |(at, _)| text[..at].to_owned())
                .chain([(*text).to_owned()])
        });
        for salt in known {
            for mark in ["\n", ""] {
                let tried = hex::encode(Sha256::digest(format!("{salt}{mark}Oslo")));
                assert_ne!(tried[..16], hash, "{salt:?}");
            }
        }
        assert!(salt.is_empty() || !log.contains(salt), "{log}");
        seen.push(hash);
    }
    let [a, b, c, d] = seen.try_into().unwrap();
    assert_ne!(a, b, "two servers");
    assert_ne!(a, c);
    assert_eq!(c, d, "with one secret equal values stay equal over several runs");
}

#[test]
fn a_share_of_requests_is_captured_and_columns_are_hidden() {
    let mut setting = Setting::new();
    let captured = setting.path("captured");
    let server = setting.server().with_capture(&captured, 0.25).with("--capture-every", 0.2);
    let url = setting.start(server.with_redaction("age", "drop").with_redaction("pred*", "mask"));
    let ask = |id: usize| {
        let head = format!("POST /predict HTTP/1.1\r\nx-request-id: r{id}");
        assert_eq!(raw(&url, &head, old().to_string().as_bytes()).0, 200);
    };
    (0..20).for_each(ask);
    until("they are written", || rows(&captured) == 5);
    setting.started.pop().unwrap().stop().unwrap();
    assert_eq!(rows(&captured), 5);
    let all = files(&captured);
    let mut all = all.iter().map(|path| frame(path));
    let mut whole = all.next().unwrap();
    for next in all {
        whole.vstack_mut(&next).unwrap();
    }
    assert_eq!(whole.get_column_names(), ["city", "prediction", "request_id"]);
    let texts = |name: &str| -> Vec<String> {
        let column = whole.column(name).unwrap().str().unwrap().clone();
        column.iter().map(|text| text.unwrap().to_owned()).collect()
    };
    assert_eq!(texts("city"), ["Oslo"; 5]);
    assert_eq!(texts("prediction"), ["***"; 5]);
    assert_eq!(texts("request_id"), ["r3", "r7", "r11", "r15", "r19"]);
}

#[test]
fn requests_are_logged_where_that_is_asked_for() {
    let mut setting = Setting::new();
    let quiet = setting.start(setting.server_of("quiet", "m.oxi").with_flag("--log-json"));
    let server = setting.server().with_flag("--log-json").with_flag("--log-requests");
    let url = setting.start(server);
    let ask = |url: &str, line: &str, id: &str, body: &Value| {
        raw(url, &format!("{line} HTTP/1.1\r\nx-request-id: {id}"), body.to_string().as_bytes()).0
    };
    let two = json!({"instances": [[1, "Oslo"], [2, "Rome"]]});
    assert_eq!(ask(&url, "POST /invocations?x=1", "good", &two), 200);
    assert_eq!(ask(&url, "POST /predict/m", "bad", &json!({"age": 1})), 422);
    assert_eq!(ask(&url, "GET /nowhere", "lost", &Value::Null), 404);
    assert_eq!(ask(&quiet, "POST /invocations", "quiet", &two), 200);
    let line = |id: &str| {
        let log = setting.started[1].logs().unwrap();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut found: Vec<Value> = lines.filter(|line| line["id"] == id).collect();
        assert!(found.len() <= 1, "{found:?}");
        found.pop()
    };
    until("the lines are there", || ["good", "bad", "lost"].iter().all(|id| line(id).is_some()));
    for (id, method, path, model, status, rows) in [
        ("good", "POST", "/invocations", json!("m"), 200, json!(2)),
        ("bad", "POST", "/predict/m", json!("m"), 422, json!(0)),
        ("lost", "GET", "/nowhere", Value::Null, 404, Value::Null),
    ] {
        let line = line(id).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&json!("INFO"), &json!("answered")));
        assert_eq!((&line["method"], &line["path"]), (&json!(method), &json!(path)));
        assert_eq!((&line["status"], &line["model"]), (&json!(status), &model), "{line}");
        assert_eq!(line["rows"], rows, "{line}");
        assert!(line["ms"].as_f64().is_some_and(|ms| ms > 0.0 && ms < 20_000.0), "{line}");
    }
    let log = setting.started[0].logs().unwrap();
    assert!(!log.contains("answered"), "{log}");
    get_json(format!("{url}/health")).unwrap();
}

#[test]
fn labels_that_arrive_later_tell_how_well_the_model_does() {
    let mut setting = Setting::new();
    let alerts = setting.path("alerts.jsonl");
    let server = setting.server().with("--alert-file", alerts.display()).with("--alert-every", 0.1);
    let url = setting.start(server.with("--alert-performance", 0.8));
    let ask = |id: &str| {
        let head = format!("POST /predict HTTP/1.1\r\nx-request-id: {id}");
        assert_eq!(raw(&url, &head, old().to_string().as_bytes()).0, 200);
    };
    let label = |id: &str, label: &str| {
        post_json(format!("{url}/feedback/m"), &json!({"id": id, "label": label})).unwrap()
    };
    for (id, truth) in [("a", "old"), ("b", "young"), ("c", "old"), ("d", "young")] {
        ask(id);
        until("its answer is noted", || label(id, truth)["taken"] == 1);
    }
    assert_eq!(label("a", "old")["unknown"], json!(["a"]), "labels are taken once");
    let seen = monitor(&url).unwrap();
    let (now, usual) =
        (seen.models[0].performance.clone().unwrap(), seen.models[0].usual.clone().unwrap());
    assert_eq!((now.metric.as_str(), now.value, now.rows), ("accuracy", 0.5, 4));
    assert!(usual.value > 0.9 && usual.rows == 400);
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    let sample = "oxilab_performance{model=\"m\",metric=\"accuracy\",rows=\"window\"} 0.5\n";
    assert!(metrics.contains(sample), "{metrics}");
    until("the alert is written", || {
        fs::read_to_string(&alerts).is_ok_and(|text| !text.is_empty())
    });
    let text = fs::read_to_string(&alerts).unwrap();
    let alert: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!((&alert["alert"], &alert["state"]), (&json!("performance"), &json!("raised")));
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn labels_are_taken_when_all_of_them_fit() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    for (id, rows) in [("a", 1), ("b", 2)] {
        let head = format!("POST /invocations HTTP/1.1\r\nx-request-id: {id}");
        let body = json!({"instances": vec![json!([90, "Oslo"]); rows]}).to_string();
        assert_eq!(raw(&url, &head, body.as_bytes()).0, 200);
    }
    let feedback = |body: &Value| post_json(format!("{url}/feedback/m"), body);
    let good = json!({"id": "a", "label": "old"});
    for wrong in [
        json!({"id": "a", "labels": []}),
        json!({"id": "a", "labels": ["old", "old"]}),
        json!({"id": "b", "label": "old"}),
        json!({"feedback": [good, {"id": 2}]}),
        json!({"feedback": [good, {"id": "b", "labels": ["old"]}]}),
        json!({"feedback": [good, {"id": "b", "labels": [[], 1]}]}),
    ] {
        assert_eq!(feedback(&wrong).unwrap_err().status(), 422, "{wrong}");
    }
    let nothing = json!({"taken": 0, "unknown": []});
    assert_eq!(feedback(&json!({"id": "a", "label": null})).unwrap(), nothing);
    // Nothing of that was taken, so that all of it can be sent again.
    let all =
        json!({"feedback": [good, {"id": "b", "labels": ["old", null]}, {"id": "c", "label": 1}]});
    assert_eq!(feedback(&all).unwrap(), json!({"taken": 2, "unknown": ["c"]}));
    assert_eq!(feedback(&json!({"id": "b", "labels": [null, "young"]})).unwrap()["taken"], 1);
    let again = json!({"id": "b", "labels": ["old", "young"]});
    assert_eq!(feedback(&again).unwrap()["unknown"], json!(["b"]));
    let seen = monitor(&url).unwrap();
    assert_eq!((seen.models[0].labels, seen.models[0].performance.as_ref().unwrap().rows), (3, 3));
}

#[test]
fn labels_find_the_version_that_answered() {
    let mut setting = Setting::new();
    train("kid", "adult", setting.path("two.oxi"));
    let two = setting.path("two.oxi");
    let url = setting.start(setting.server().with_model("m", two.to_str().unwrap()));
    let versions = get_json(format!("{url}/v2/models/m")).unwrap()["versions"].clone();
    for (id, version) in [("one", 0), ("two", 1), ("both", 0), ("both", 1)] {
        let version = versions[version].as_str().unwrap();
        let path = format!("/predict/m/versions/{version}");
        let head = format!("POST {path} HTTP/1.1\r\nx-request-id: {id}");
        assert_eq!(raw(&url, &head, old().to_string().as_bytes()).0, 200);
    }
    let labels = ["two", "both", "none"].map(|id| json!({"id": id, "label": "adult"}));
    let said = post_json(format!("{url}/feedback/m"), &json!({"feedback": labels})).unwrap();
    assert_eq!(said, json!({"taken": 2, "unknown": ["none"]}));
    let seen = monitor(&url).unwrap();
    let figure = |model: &str| {
        let status = seen.models.iter().find(|status| status.model == model).unwrap();
        status.performance.as_ref().map(|seen| (seen.value, seen.rows))
    };
    assert_eq!(figure("m#2"), Some((1.0, 2)));
    assert_eq!(figure("m"), Some((0.0, 1)), "it was asked under the same id");
}

#[test]
fn drift_alerts_a_webhook_and_a_command() {
    use std::io::{Read, Write};
    let mut setting = Setting::new();
    let hook = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", hook.local_addr().unwrap());
    let told = setting.path("told");
    let server = setting.server().with("--alert-webhook", address).with("--alert-every", 0.1);
    let command = format!("cat >> '{}'", told.display());
    let url = setting.start(server.with("--alert-command", command));
    let receiver = std::thread::spawn(move || {
        // What it does not take at first is sent again.
        ["503 Busy", "200 OK"].map(|status| {
            let (mut stream, _) = hook.accept().unwrap();
            let mut text = String::new();
            let mut part = [0; 4096];
            while !text.ends_with('}') {
                let read = stream.read(&mut part).unwrap();
                text.push_str(&String::from_utf8_lossy(&part[..read]));
            }
            let head = "content-length: 0\r\nconnection: close";
            write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n").unwrap();
            text
        })
    });
    send(&url, |i| 60 + i % 40);
    let [refused, text] = receiver.join().unwrap();
    let body = |text: &str| text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    assert_eq!(body(&refused), body(&text));
    assert!(text.contains("\"alert\":\"drift\"") && text.contains("\"column\":\"age\""), "{text}");
    until("the command ran", || fs::read_to_string(&told).is_ok_and(|text| text.contains("age")));
}
