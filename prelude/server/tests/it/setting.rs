//! A folder with a model, and the servers that a test started.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oxilab_model::{FittedModel, LogisticRegression};
use oxilab_serve::{Server, ServerHandle, save_reference};
use polars::prelude::*;
use serde_json::{Value, json};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_oxilab-server");
/// The variable with the folder in which servers are listed.
pub(crate) const STATES: &str = "OXILAB_SERVE_STATE";

pub(crate) struct Setting {
    folder: tempfile::TempDir,
    pub(crate) started: Vec<ServerHandle>,
}

impl Setting {
    /// With the model `m.oxi` and its reference.
    pub(crate) fn new() -> Self {
        let setting = Self { folder: tempfile::tempdir().unwrap(), started: Vec::new() };
        train("young", "old", setting.path("m.oxi"));
        save_reference(setting.path("m.oxi"), &rows("young", "old")).unwrap();
        setting
    }

    /// Has `live.alias` mean a file, at once.
    pub(crate) fn point(&self, file: &str) {
        fs::write(self.path("next"), file).unwrap();
        fs::rename(self.path("next"), self.path("live.alias")).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn server(&self) -> Server {
        self.server_of("m", "m.oxi")
    }

    pub(crate) fn server_of(&self, name: &str, file: &str) -> Server {
        Server::new(name, self.path(file).to_str().unwrap())
            .with_program(PROGRAM)
            .with_state_folder(self.path("state"))
    }

    pub(crate) fn start(&mut self, server: Server) -> String {
        let handle = server.start().unwrap();
        self.started.push(handle.clone());
        handle.url().to_owned()
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        for server in &self.started {
            let _ = server.stop();
        }
    }
}

/// A server that a command line started, with an environment of its own.
pub(crate) struct Direct {
    child: Child,
    pub(crate) url: String,
    log: Arc<Mutex<String>>,
    /// Where it is listed, unless the command names another folder.
    _listed: tempfile::TempDir,
}

impl Direct {
    /// Starts it, and waits until it listens. The command does not name the port.
    pub(crate) fn start(command: &mut Command) -> Self {
        let listed = tempfile::tempdir().unwrap();
        if !command.get_envs().any(|(name, _)| name == STATES) {
            command.env(STATES, listed.path());
        }
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut server = Self { child, url: String::new(), log, _listed: listed };
        until("it listens", || {
            let log = server.log();
            let url = log.lines().find_map(|line| line.split_once("listening on "));
            let url = url.map(|(_, url)| url.trim().to_owned());
            server.url.clone_from(&url.clone().unwrap_or_default());
            url.is_some()
        });
        server
    }

    /// As [`Direct::start`] where the log goes to a file that may take nothing: the state file says where it
    /// listens.
    pub(crate) fn start_logging_to(log: fs::File, state: &Path, command: &mut Command) -> Self {
        let child = command.arg("--state").arg(state).stderr(log).stdout(Stdio::null()).spawn();
        let mut server = Self {
            child: child.unwrap(),
            url: String::new(),
            log: Arc::default(),
            _listed: tempfile::tempdir().unwrap(),
        };
        until("it listens", || {
            let state: Option<Value> =
                fs::read(state).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let url = state.and_then(|state| state["url"].as_str().map(str::to_owned));
            server.url = url.unwrap_or_default();
            !server.url.is_empty()
        });
        server
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Lets it finish what it has begun.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.child.wait();
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.end();
    }
}

/// Kills the model process of a server, and waits for the next one.
pub(crate) fn crash(url: &str) {
    let worker = || oxilab_serve::get_json(format!("{url}/health")).ok()?.get("worker").cloned();
    let first = worker().unwrap();
    let killed = Command::new("kill").args(["-9", &first.to_string()]).status().unwrap();
    assert!(killed.success());
    until("the models are back", || worker().is_some_and(|worker| worker != first));
}

/// A figure of `/metrics`, by its line up to the number.
pub(crate) fn sample(url: &str, name: &str) -> u64 {
    let metrics = oxilab_serve::get_text(format!("{url}/metrics")).unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    value.unwrap_or_else(|| panic!("{name}: {metrics}")).parse().unwrap()
}

/// Rows of which those above 50 have the second label.
pub(crate) fn rows(low: &str, high: &str) -> DataFrame {
    let age = |i: i32| f64::from(i * 7 % 100);
    df!(
        "age" => (0..400).map(age).collect::<Vec<_>>(),
        "city" => (0..400_usize).map(|i| ["Rome", "Oslo"][i % 2]).collect::<Vec<_>>(),
        "group" => (0..400).map(|i| if age(i) > 50.0 { high } else { low }).collect::<Vec<_>>(),
    )
    .unwrap()
}

pub(crate) fn train(low: &str, high: &str, path: impl AsRef<Path>) {
    fit(low, high).save(path).unwrap();
}

pub(crate) fn fit(low: &str, high: &str) -> FittedModel {
    LogisticRegression::new().fit(&rows(low, high), "group").unwrap()
}

pub(crate) fn old() -> Value {
    json!({"age": 90, "city": "Oslo"})
}

/// Sends bytes as they are; the status, the headers and the body.
pub(crate) fn raw(url: &str, head: &str, body: &[u8]) -> (u16, String, String) {
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
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
