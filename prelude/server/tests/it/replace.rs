//! Other models for a server that runs: without a gap when they load, without a trace when they do not.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use oxilab_serve::{Server, get_json, post_json};
use serde_json::{Value, json};

use crate::setting::{PROGRAM, Setting, fit, old, rows, train, until};

/// A client that asks all the time and fails when an answer does.
struct Client {
    done: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    asking: JoinHandle<()>,
}

impl Client {
    fn of(url: &str) -> Self {
        let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let asking = std::thread::spawn({
            let (done, asked, url) =
                (Arc::clone(&done), Arc::clone(&asked), format!("{url}/predict"));
            move || {
                while !done.load(Ordering::Relaxed) {
                    let said = post_json(&url, &old()).expect("no request fails");
                    let said = &said["prediction"];
                    assert!(said == "old" || said == "adult", "{said}");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let client = Self { done, asked, asking };
        client.go_on();
        client
    }

    /// Some more answers come.
    fn go_on(&self) {
        let before = self.asked.load(Ordering::Relaxed);
        until("requests", || self.asked.load(Ordering::Relaxed) > before + 5);
    }

    fn end(self) {
        self.go_on();
        self.done.store(true, Ordering::Relaxed);
        self.asking.join().expect("no request failed");
    }
}

/// A server of a model in memory.
fn of(setting: &Setting, low: &str, high: &str) -> Server {
    let server = Server::of_with_reference("m", &fit(low, high), &rows(low, high)).unwrap();
    server.with("--watch", 50).with_state_folder(setting.path("state")).with_program(PROGRAM)
}

fn says(url: &str) -> Value {
    post_json(format!("{url}/predict"), &old()).unwrap()["prediction"].clone()
}

fn worker(url: &str) -> Value {
    get_json(format!("{url}/health")).unwrap()["worker"].clone()
}

/// Model files in the folder of states.
fn kept(setting: &Setting) -> Vec<String> {
    let all = fs::read_dir(setting.path("state")).unwrap().flatten();
    let names = all.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.contains(".oxm")).collect();
    names.sort();
    names
}

#[test]
fn what_does_not_load_leaves_the_old_models_answering() {
    let mut setting = Setting::new();
    let url = setting.start(of(&setting, "young", "old"));
    let (client, first, files) = (Client::of(&url), worker(&url), kept(&setting));
    fs::write(setting.path("broken.oxi"), b"OXIMODEL but not really").unwrap();
    let corrupt = setting.server_of("m", "broken.oxi").with_replace(true).start().unwrap_err();
    let said = corrupt.to_string();
    assert!(said.contains("cannot load model m"), "{said}");
    assert!(said.contains("the old models answer on"), "{said}");
    assert!(!said.contains(" ERROR "), "{said}");
    let option = of(&setting, "kid", "adult").with("--banana", 3).with_replace(true);
    let said = option.start().unwrap_err().to_string();
    assert!(said.contains("unexpected argument '--banana' found"), "{said}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = of(&setting, "kid", "adult").with_port(port).with_replace(true).start();
    assert!(said.unwrap_err().to_string().contains("cannot listen on"));
    // Longer than the server takes to see a new file.
    std::thread::sleep(std::time::Duration::from_millis(300));
    client.end();
    assert_eq!((says(&url), worker(&url)), (json!("old"), first));
    assert_eq!(kept(&setting), files, "nothing is left of what was refused");
}

#[test]
fn new_models_take_over_without_a_failed_request() {
    let mut setting = Setting::new();
    let url = setting.start(of(&setting, "young", "old"));
    let (client, first) = (Client::of(&url), worker(&url));
    let pid = setting.started[0].pid();
    for (low, high) in [("kid", "adult"), ("young", "old"), ("kid", "adult")] {
        let replaced = of(&setting, low, high).with_replace(true).start().unwrap();
        assert_eq!((replaced.url(), replaced.pid()), (url.as_str(), pid));
        assert_eq!(says(&url), high, "from the answer on");
        client.go_on();
    }
    client.end();
    assert_ne!(worker(&url), first);
    assert_eq!(kept(&setting).len(), 2, "one model and its reference: {:?}", kept(&setting));
    until("the old process ends", || !std::path::Path::new(&format!("/proc/{first}")).exists());

    // Also with other options, and what they say holds after a crash.
    let replaced = of(&setting, "kid", "adult").with_row_limit(1).with_replace(true).start();
    assert_eq!(replaced.unwrap().url(), url);
    let two = json!([old(), old()]);
    let limited = || post_json(format!("{url}/predict"), &two).map_err(|error| error.status());
    assert_eq!(limited().unwrap_err(), 413);
    let pid = worker(&url).to_string();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    until("the models are back", || {
        get_json(format!("{url}/health")).is_ok_and(|health| health["worker"].to_string() != pid)
    });
    assert_eq!(limited().unwrap_err(), 413);
}

#[test]
fn a_server_moves_to_another_port_when_asked() {
    let mut setting = Setting::new();
    let url = setting.start(of(&setting, "young", "old"));
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let moved = of(&setting, "kid", "adult").with_port(port).with_replace(true).start().unwrap();
    assert_eq!(moved.url(), format!("http://127.0.0.1:{port}"));
    assert_eq!(says(moved.url()), "adult");
    until("the old port is left", || post_json(format!("{url}/predict"), &old()).is_err());
    assert!(moved.is_alive());
    moved.stop().unwrap();
    setting.started.clear();
    assert_eq!(fs::read_dir(setting.path("state")).unwrap().flatten().filter(is_socket).count(), 0);
}

fn is_socket(entry: &fs::DirEntry) -> bool {
    entry.path().extension().is_some_and(|ending| ending == "socket")
}

#[test]
fn models_that_never_load_again_are_replaced() {
    let mut setting = Setting::new();
    train("young", "old", setting.path("one.oxi"));
    let url = setting.start(setting.server_of("m", "one.oxi"));
    let pid = worker(&url).to_string();
    fs::write(setting.path("one.oxi"), b"broken").unwrap();
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    until("the models are away", || {
        get_json(format!("{url}/health")).is_err_and(|error| error.status() == 503)
    });
    let replaced = of(&setting, "kid", "adult").with_replace(true).start().unwrap();
    assert_eq!(replaced.url(), url);
    assert_eq!(says(&url), "adult");
}

#[test]
fn only_the_owner_is_heard() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let state = fs::read_to_string(setting.path("state/m.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let path = state["control"].as_str().unwrap();
    let tell = |line: &str| {
        let mut stream = UnixStream::connect(path).unwrap();
        writeln!(stream, "{line}").unwrap();
        let mut answer = String::new();
        let _ = BufReader::new(stream).read_line(&mut answer);
        answer
    };
    let arguments = json!(["--name", "m", "--model", "m=/nowhere"]);
    let asked = |token: &str| {
        json!({"token": token, "arguments": arguments, "environment": {}, "folder": "/"})
            .to_string()
    };
    for wrong in ["", "{}", "not JSON", asked("").as_str(), asked("0000").as_str()] {
        assert_eq!(tell(wrong), "", "{wrong}");
    }
    let answer = tell(&asked(state["token"].as_str().unwrap()));
    assert!(answer.contains("refused") && answer.contains("cannot load model m"), "{answer}");
    assert_eq!(says(&url), "old");
}
