//! Keys, rates and back-pressure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oxilab_serve::{get_json, get_text, post_json, post_json_with_key};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::setting::{Setting, old, raw};

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
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(ask().0, 200);
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
