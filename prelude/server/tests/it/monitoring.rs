//! Drift, capture, labels and alerts.

use std::fs;

use oxilab_serve::{get_text, monitor, post_json};
use polars::prelude::*;
use serde_json::{Value, json};

use crate::setting::{Setting, old, raw, until};

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
        let (mut stream, _) = hook.accept().unwrap();
        let mut text = String::new();
        let mut part = [0; 4096];
        while !text.contains("\"server\"") {
            let read = stream.read(&mut part).unwrap();
            text.push_str(&String::from_utf8_lossy(&part[..read]));
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        text
    });
    send(&url, |i| 60 + i % 40);
    let text = receiver.join().unwrap();
    assert!(text.contains("\"alert\":\"drift\"") && text.contains("\"column\":\"age\""), "{text}");
    until("the command ran", || fs::read_to_string(&told).is_ok_and(|text| text.contains("age")));
}
