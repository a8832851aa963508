//! Servers that want an API key, played by a thread: who looks at them has it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use oxilab_serve::{Retrain, ServeError, Trigger, monitor, monitor_with_key};
use serde_json::{Value, json};

fn seen() -> Value {
    let column = json!({"column": "age", "test": "ks", "drifted": true});
    let drift = json!({"reference_rows": 9, "rows": 9, "minimum": 5, "columns": [column]});
    let model = json!({"model": "m", "version": "1", "requests": 9, "errors": 0, "rows": 9,
        "swaps": 0, "drift": drift});
    json!({"name": "s", "uptime": 1.0, "models": [model]})
}

/// Answers those who show the key `secret`; its address.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap());
        }
    });
    url
}

fn answer(mut stream: TcpStream) {
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let known = head.iter().any(|line| line.eq_ignore_ascii_case("authorization: Bearer secret"));
    let (status, body) = if known {
        ("200 OK", seen())
    } else {
        ("401 Unauthorized", json!({"message": "an API key is needed"}))
    };
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close");
    write!(stream, "{head}\r\n\r\n{body}").unwrap();
}

#[test]
fn a_key_is_shown_to_a_server_that_wants_one() {
    let url = server();
    assert!(monitor_with_key(&url, "secret").unwrap().drift("m").unwrap().drifted());
    let error = monitor_with_key(&url, "wrong").unwrap_err();
    assert_eq!(error.status(), 401, "{error}");
    assert!(error.to_string().contains("an API key is needed; set OXILAB_API_KEY"), "{error}");
}

#[test]
fn the_key_of_the_environment_is_shown() {
    let program = std::env::current_exe().unwrap();
    for (key, answered) in [("secret", true), ("wrong", false)] {
        let child = Command::new(&program)
            .args(["--exact", "inside", "--ignored"])
            .env("OXILAB_API_KEY", key)
            .env("OXILAB_KEYS_TEST", server())
            .output()
            .unwrap();
        assert_eq!(child.status.success(), answered, "{}", String::from_utf8_lossy(&child.stdout));
    }
}

#[test]
#[ignore = "runs in a process with a key in its environment, started by the test above"]
fn inside() {
    let url = std::env::var("OXILAB_KEYS_TEST").unwrap();
    assert!(monitor(&url).unwrap().drift("m").unwrap().drifted());
}

#[test]
fn a_trigger_shows_the_key_or_says_that_it_cannot_look() {
    let (url, folder) = (server(), tempfile::tempdir().unwrap());
    let declared = Retrain::new("m", "n.ipynb", "h.csv").with_state_folder(folder.path());
    let drifting = declared.clone().with_trigger(Trigger::drift(url.as_str()));
    let reason = drifting.clone().with_key("secret").due().unwrap();
    assert_eq!(reason.as_deref(), Some("drift of age"));

    let error = drifting.clone().with_key("wrong").due().unwrap_err();
    assert!(matches!(error, ServeError::Unasked { .. }), "{error:?}");
    assert!(error.to_string().contains("retraining m: a trigger cannot ask its server"), "{error}");
    assert!(error.to_string().contains("answered 401: an API key is needed"), "{error}");
    let watched = drifting.with_key("wrong").watch(Duration::from_millis(1), 1);
    assert!(watched.unwrap_err().to_string().contains("401"), "it would watch forever");
    // Another trigger is a reason all the same.
    let both = declared
        .clone()
        .with_key("wrong")
        .with_trigger(Trigger::performance(url.as_str(), 0.5))
        .with_trigger(Trigger::every(Duration::from_secs(60)));
    assert_eq!(both.due().unwrap().as_deref(), Some("it never ran"));
    // A key is no part of a declaration, nor of what shows one.
    assert!(!format!("{both:?}").contains("wrong"));
    let path = folder.path().join("m.json");
    both.save(&path).unwrap();
    assert!(!std::fs::read_to_string(&path).unwrap().contains("wrong"));

    let text = json!({"name": "m", "notebook": "n.ipynb", "holdout": "h.csv",
        "folder": folder.path(), "triggers": [{"on": "drift", "server": url, "model": "x"}]});
    std::fs::write(&path, text.to_string()).unwrap();
    let error = Retrain::load(&path).unwrap().with_key("secret").due().unwrap_err().to_string();
    assert!(error.contains("it has no model `x`; it has m"), "{error}");
}
