//! Start, stop, crash and restart.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use oxilab_serve::{Server, get_json, post_json};
use serde_json::json;

use crate::setting::{Direct, PROGRAM, STATES, Setting, crash, fit, old, raw, rows, until};

#[test]
fn starting_and_stopping() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let error = setting.server().start().unwrap_err().to_string();
    assert!(error.contains("it runs already at"), "{error}");
    let server = setting.started.pop().unwrap();
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
}

#[test]
fn a_server_of_a_shell_is_listed_and_can_be_stopped() {
    let setting = Setting::new();
    let states = setting.path("states");
    let start = || {
        let mut command = Command::new(PROGRAM);
        command.args(["--port", "0"]).arg(setting.path("m.oxi")).env(STATES, &states);
        Direct::start(&mut command)
    };
    let run = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).env(STATES, &states).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let first = start();
    assert!(run(&["list"]).1.contains(&first.url));
    // One of the same name answers as well, and leaves the first one's place alone.
    let second = start();
    assert!(second.log().contains(&format!("runs at {}", first.url)), "{}", second.log());
    assert_eq!(post_json(format!("{}/predict", second.url), &old()).unwrap()["prediction"], "old");
    second.stop();
    assert!(run(&["list"]).1.contains(&first.url));
    let (read, said) = run(&["logs", "m"]);
    assert!(!read && said.contains("started from a shell"), "{said}");
    let (stopped, said) = run(&["stop", "m"]);
    assert!(stopped, "{said}");
    assert!(!run(&["list"]).1.contains(&first.url));
}

#[test]
fn a_refused_start_leaves_the_running_model_alone() {
    let mut setting = Setting::new();
    let of = |setting: &Setting, low: &str, high: &str| {
        let server = Server::of_with_reference("m", &fit(low, high), &rows(low, high)).unwrap();
        let server = server.with("--watch", 50).with_state_folder(setting.path("state"));
        server.with_program(PROGRAM)
    };
    let url = setting.start(of(&setting, "young", "old"));
    let says = || post_json(format!("{url}/predict"), &old()).unwrap()["prediction"].clone();
    let error = of(&setting, "kid", "adult").start().unwrap_err().to_string();
    assert!(error.contains("--replace"), "{error}");
    // Longer than the server takes to see a new file.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(says(), "old");
    assert!(setting.path("state/m.oxm.reference.parquet").exists());
    // Nor is a server stopped for one that has no model.
    let gone = setting.server_of("m", "missing.oxi").with_replace(true).start().unwrap_err();
    assert!(gone.to_string().contains("missing.oxi"), "{gone}");
    assert_eq!(says(), "old");
}

#[test]
fn what_cannot_start_says_why() {
    let setting = Setting::new();
    let error = setting.server_of("x", "missing.oxi").start().unwrap_err().to_string();
    assert!(error.contains("cannot load model x"), "{error}");
    let error = setting.server().with("--banana", 3).start().unwrap_err().to_string();
    assert!(error.contains("unexpected argument '--banana' found"), "{error}");
    let open = Command::new(PROGRAM)
        .args(["--host", "0.0.0.0", "--port", "0"])
        .arg(setting.path("m.oxi"))
        .output()
        .unwrap();
    assert!(!open.status.success());
    assert!(String::from_utf8_lossy(&open.stderr).contains("give --api-key-hash"));
}

#[test]
fn a_model_process_that_dies_is_replaced_and_the_front_says_503() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let health = || get_json(format!("{url}/health"));
    let first = health().unwrap();
    let kill = |pid: &serde_json::Value| {
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    };
    kill(&first["worker"]);
    let (mut refused, mut answered) = (0, 0);
    until("the models are back", || {
        let (status, head, _) = raw(&url, "POST /predict HTTP/1.1", old().to_string().as_bytes());
        match status {
            200 => answered += 1,
            503 => {
                assert!(head.contains("retry-after"), "{head}");
                refused += 1;
            }
            // The connection that the dead process had accepted.
            0 => {}
            other => panic!("{other}"),
        }
        answered > 3
    });
    assert!(refused > 0, "the front answered in between");
    let second = health().unwrap();
    assert_eq!(first["pid"], second["pid"]);
    assert_ne!(first["worker"], second["worker"]);
    assert!(setting.started[0].is_alive());

    // While the models are away it can be stopped all the same.
    kill(&second["worker"]);
    setting.started.pop().unwrap().stop().unwrap();
    assert!(post_json(format!("{url}/predict"), &old()).is_err());
}

#[test]
fn the_model_process_ends_with_its_front() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let health = get_json(format!("{url}/health")).unwrap();
    let front = setting.started.pop().unwrap();
    assert!(
        Command::new("kill").args(["-9", &front.pid().to_string()]).status().unwrap().success()
    );
    let worker = format!("/proc/{}", health["worker"]);
    until("nothing is left", || !std::path::Path::new(&worker).exists());
}

#[test]
fn a_log_that_takes_nothing_ends_nothing() {
    let setting = Setting::new();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (state, captured) = (setting.path("full.json"), setting.path("captured"));
    let mut command = Command::new(PROGRAM);
    command.args(["--port", "0", "--log-requests", "--capture"]).arg(&captured);
    command.args(["--capture-every", "0.1"]).arg(setting.path("m.oxi"));
    let server = Direct::start_logging_to(full, &state, &mut command);
    let predict = format!("{}/predict", server.url);
    let ask = || post_json(&predict, &old()).unwrap()["prediction"].clone();
    assert_eq!((ask(), ask()), (json!("old"), json!("old")));
    // What cannot be written is told of on a thread that writes the next one all the same.
    until("the folder is gone", || fs::remove_dir_all(&captured).is_ok());
    ask();
    std::thread::sleep(Duration::from_millis(300));
    fs::create_dir(&captured).unwrap();
    ask();
    until("it is captured", || fs::read_dir(&captured).unwrap().next().is_some());
    // The front tells of a crash, and starts the next one.
    crash(&server.url);
    assert_eq!(ask(), "old");
    server.stop();
}

#[test]
fn a_model_process_that_cannot_be_started_is_tried_again() {
    let mut setting = Setting::new();
    // Beside the program, where a link to it can be.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (program, away) = (folder.path().join("oxilab-server"), folder.path().join("away"));
    fs::hard_link(PROGRAM, &program).unwrap();
    let url = setting.start(setting.server().with_program(&program));
    fs::rename(&program, &away).unwrap();
    let worker = get_json(format!("{url}/health")).unwrap()["worker"].to_string();
    assert!(Command::new("kill").args(["-9", &worker]).status().unwrap().success());
    until("it was tried twice", || {
        setting.started[0].logs().unwrap().matches("cannot start").count() >= 2
    });
    assert!(setting.started[0].is_alive());
    assert_eq!(raw(&url, "POST /predict HTTP/1.1", old().to_string().as_bytes()).0, 503);
    fs::rename(&away, &program).unwrap();
    until("the models are back", || post_json(format!("{url}/predict"), &old()).is_ok());
}
