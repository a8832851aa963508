//! Keys, rates and back-pressure.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oxilab_model::KNeighbors;
use oxilab_serve::{get_json, get_text, post_json, post_json_with_key};
use polars::prelude::{Column, DataFrame};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::setting::{Direct, PROGRAM, Setting, old, raw, sample, until};

fn hash(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

#[test]
fn a_key_is_asked_for() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with_api_key_hash(hash("secret")));
    let predict = format!("{url}/predict");
    let error = post_json(&predict, &old()).unwrap_err();
    assert_eq!(error.status(), 401, "{error}");
    assert_eq!(post_json_with_key(&predict, &old(), "wrong").unwrap_err().status(), 401);
    assert_eq!(post_json_with_key(&predict, &old(), "secret").unwrap()["prediction"], "old");
    assert_eq!(raw(&url, "POST /predict HTTP/1.1\r\nx-api-key: secret", b"{}").0, 422);
    assert_eq!(get_text(format!("{url}/metrics")).unwrap_err().status(), 401);
    get_json(format!("{url}/health")).unwrap();
    let (_, _, metrics) = raw(&url, "GET /metrics HTTP/1.1\r\nx-api-key: secret", b"");
    assert!(metrics.contains("oxilab_errors_total{status=\"401\"} 3\n"), "{metrics}");
}

#[test]
fn a_browser_opens_pages_that_ask_for_the_key() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with_api_key_hash(hash("secret")));
    let docs = get_text(format!("{url}/docs")).unwrap();
    assert!(docs.contains("POST /predict/m") && docs.contains("id=\"key\""), "{docs}");
    assert!(get_json(format!("{url}/openapi.json")).unwrap()["paths"]["/predict/m"].is_object());
    let figures = "max-width:60em";
    let page = get_text(format!("{url}/monitor")).unwrap();
    assert!(page.contains("id=\"key\"") && !page.contains(figures), "{page}");
    let (status, _, page) = raw(&url, "GET /monitor HTTP/1.1\r\nx-api-key: secret", b"");
    assert!(status == 200 && page.contains(figures), "{page}");
    for path in ["/docs", "/monitor"] {
        let wrong = format!("GET {path} HTTP/1.1\r\nx-api-key: wrong");
        assert_eq!(raw(&url, &wrong, b"").0, 401, "{path}");
    }
    assert_eq!(get_json(format!("{url}/monitor.json")).unwrap_err().status(), 401);
}

#[test]
fn a_key_of_the_environment_counts() {
    let setting = Setting::new();
    let mut command = Command::new(PROGRAM);
    command.args(["--port", "0"]).arg(setting.path("m.oxi")).env("OXILAB_API_KEY", "secret");
    let server = Direct::start(&mut command);
    let predict = format!("{}/predict", server.url);
    assert_eq!(post_json(&predict, &old()).unwrap_err().status(), 401);
    assert_eq!(post_json_with_key(&predict, &old(), "other").unwrap_err().status(), 401);
    assert_eq!(post_json_with_key(&predict, &old(), "secret").unwrap()["prediction"], "old");
    server.stop();
}

#[test]
fn keys_that_are_made_up_give_no_further_requests() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with("--rate-limit", 3));
    let ask = |url: &str, key: &str| {
        let head = format!("POST /predict HTTP/1.1\r\nx-api-key: {key}");
        raw(url, &head, old().to_string().as_bytes()).0
    };
    let begun = Instant::now();
    let answers: Vec<u16> = (0..40).map(|at| ask(&url, &format!("made up {at}"))).collect();
    let taken = answers.iter().filter(|status| **status == 200).count();
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 40 - taken);
    let most = 4.0 + 3.0 * begun.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few requests")]
    let holds = (taken as f64) <= most;
    assert!(holds, "{taken} of 40 were taken, {most} at most");

    // Each key of the server has its own rate.
    let server = setting.server_of("keys", "m.oxi").with("--rate-limit", 3);
    let url = setting.start(server.with_api_key_hash(hash("a")).with_api_key_hash(hash("b")));
    let answers: Vec<u16> = (0..12).map(|_| ask(&url, "a")).collect();
    assert!(answers.contains(&429), "{answers:?}");
    assert_eq!(ask(&url, "c"), 401);
    assert_eq!(ask(&url, "b"), 200);
}

/// A model that takes seconds for as many rows as a request may have, and such a request.
fn slow(setting: &Setting) -> Value {
    const FEATURES: u32 = 60;
    // Three times as long as the limit on a fast machine.
    const ROWS: u32 = 60_000;
    let values = |by: u32| (0..ROWS).map(move |row: u32| (row * 7919 + by * 104_729) % 1_000);
    let mut columns: Vec<Column> = (0..FEATURES)
        .map(|at| Column::new(format!("x{at}").into(), values(at).collect::<Vec<_>>()))
        .collect();
    let target: Vec<u32> = values(99).map(|value| value % 2).collect();
    columns.push(Column::new("y".into(), target));
    let frame = DataFrame::new(ROWS as usize, columns).unwrap();
    KNeighbors::new().fit(&frame, "y").unwrap().save(setting.path("slow.oxi")).unwrap();
    let row: Vec<u32> = (0..FEATURES).collect();
    json!({"instances": vec![row; 10_000]})
}

#[test]
fn a_prediction_that_takes_too_long_is_given_up() {
    let mut setting = Setting::new();
    let rows = slow(&setting).to_string();
    let alerts = setting.path("alerts.jsonl");
    let server = setting.server_of("slow", "slow.oxi").with("--timeout", 1);
    let server = server.with("--alert-file", alerts.display()).with("--alert-every", 0.1);
    let url = setting.start(server.with_model("m", setting.path("m.oxi").to_str().unwrap()));
    let begun = Instant::now();
    let (status, _, text) = raw(&url, "POST /invocations/slow HTTP/1.1", rows.as_bytes());
    assert_eq!(status, 408, "{text}");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(text.contains("--timeout is 1 s"), "{text}");
    until("it answers on", || post_json(format!("{url}/predict/m"), &old()).is_ok());
    let late = "oxilab_errors_total{model=\"slow\",route=\"/invocations\",status=\"408\"} ";
    assert_eq!(sample(&url, late), 1);
    until("there is an alert", || {
        let text = fs::read_to_string(&alerts).unwrap_or_default();
        text.contains("\"alert\":\"errors\",\"model\":\"slow\"")
    });
}

#[test]
fn more_than_the_rate_is_refused_for_a_second() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with("--rate-limit", 3));
    let ask = || raw(&url, "POST /predict HTTP/1.1", old().to_string().as_bytes());
    let answers: Vec<_> = (0..10).map(|_| ask()).collect();
    let refused: Vec<_> = answers.iter().filter(|(status, ..)| *status == 429).collect();
    assert!(!refused.is_empty() && refused.len() < 10);
    assert!(refused[0].1.contains("retry-after: 1"), "{}", refused[0].1);
    let count = u64::try_from(refused.len()).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(ask().0, 200);
    assert_eq!(sample(&url, "oxilab_errors_total{status=\"429\"} "), count);
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with("--queue", 1).with_row_limit(100_000));
    let many = json!({"instances": vec![json!([1, "Oslo"]); 20_000]}).to_string();
    let (full, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let (status, head, _) =
                        raw(&url, "POST /invocations HTTP/1.1", many.as_bytes());
                    match status {
                        200 => taken.fetch_add(1, Ordering::Relaxed),
                        503 => {
                            assert!(head.contains("retry-after: 1"), "{head}");
                            full.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("{other}"),
                    };
                }
            });
        }
    });
    assert!(full.load(Ordering::Relaxed) > 0 && taken.load(Ordering::Relaxed) > 0);
    assert_eq!(post_json(format!("{url}/predict"), &old()).unwrap()["prediction"], "old");
}
