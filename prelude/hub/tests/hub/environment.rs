//! What the environment says, and what is shown of a download: in processes of their own, since both are one
//! for a process.

use std::fs::File;
use std::os::fd::IntoRawFd as _;
use std::path::Path;
use std::process::Command;

use oxilab_hub::Hub;
use oxilab_runtime::worker::{self, Start};

use super::REPO;
use super::server::{COMMIT, Server};

/// The file that a child process asks for.
const FILE: &str = "OXILAB_TEST_HUB_FILE";
/// Where it writes what a kernel would be sent.
const EVENTS: &str = "OXILAB_TEST_HUB_EVENTS";
/// Whether it asks for no bar.
const QUIET: &str = "OXILAB_TEST_HUB_QUIET";

/// A process with these variables and none of the person's own; says what it got.
fn child(test: &str, file: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.arg(format!("environment::{test}")).args(["--exact", "--nocapture"]);
    for name in [
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "XDG_CACHE_HOME",
    ] {
        command.env_remove(name);
    }
    // Where no token lies.
    command.env("HOME", "/nonexistent").env(FILE, file).envs(variables.iter().copied());
    let output = command.output().expect("started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let answer = said.lines().find(|line| line.starts_with("got ") || line.starts_with("refused "));
    answer.unwrap_or(&said).to_owned()
}

/// In the child: asks for the file as a person does.
fn ask(file: &str) {
    match oxilab_hub::get(REPO, file) {
        Ok(path) => println!("\ngot {}", path.display()),
        Err(error) => println!("\nrefused {error}"),
    }
}

#[test]
fn the_variables_of_huggingface_hub_are_followed() {
    if let Ok(file) = std::env::var(FILE) {
        return ask(&file);
    }
    let server = Server::start();
    server.require_token("hf_secret");
    let (cache, home) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("one"));
    let text = |path: &Path| path.to_str().expect("plain").to_owned();
    let (endpoint, cache, home) = (server.endpoint(), text(cache.path()), text(home.path()));
    let run = |file: &str, variables: &[(&str, &str)]| {
        let variables = [&[("HF_ENDPOINT", endpoint.as_str())][..], variables].concat();
        child("the_variables_of_huggingface_hub_are_followed", file, &variables)
    };
    let place = format!("models--org--tiny/snapshots/{COMMIT}/config.json");
    let in_cache = ("HF_HUB_CACHE", cache.as_str());

    let said = run("config.json", &[in_cache]);
    assert!(said.starts_with("refused") && said.contains("HF_TOKEN"), "{said}");
    let said = run("config.json", &[in_cache, ("HF_TOKEN", "hf_secret")]);
    assert_eq!(said, format!("got {cache}/{place}"));
    assert!(server.requests().iter().any(|r| r.token.as_deref() == Some("Bearer hf_secret")));

    // Switched off: the cache answers, and nobody is asked.
    let before = server.requests().len();
    let off = ("HF_HUB_OFFLINE", "1");
    assert_eq!(run("config.json", &[in_cache, off]), format!("got {cache}/{place}"));
    let said = run("model.safetensors", &[in_cache, off, ("HF_TOKEN", "hf_secret")]);
    assert!(said.starts_with("refused") && said.contains("offline"), "{said}");
    assert_eq!(server.requests().len(), before);
    let said = run("config.json", &[in_cache, ("HF_HUB_OFFLINE", "0"), ("HF_TOKEN", "hf_secret")]);
    assert!(said.starts_with("got") && server.requests().len() > before, "{said}");

    // One folder for the cache and the token, or the token elsewhere.
    std::fs::write(Path::new(&home).join("token"), "hf_secret\n").expect("written");
    let said = run("config.json", &[("HF_HOME", &home)]);
    assert_eq!(said, format!("got {home}/hub/{place}"));
    let elsewhere = format!("{home}/token");
    let said = run("model.safetensors", &[in_cache, ("HF_TOKEN_PATH", &elsewhere)]);
    assert!(said.starts_with(&format!("got {cache}/")), "{said}");
}

/// In the child, which has become a kernel's worker.
fn download() {
    let file = std::env::var(FILE).expect("a file");
    if std::env::var_os(QUIET).is_some() {
        Hub::new().quiet().get(REPO, &file).expect("found");
    } else {
        oxilab_hub::get(REPO, &file).expect("found");
    }
}

#[test]
fn a_download_that_takes_a_while_shows_how_far_it_is() {
    if let Some(events) = std::env::var_os(EVENTS) {
        let events = File::create(events).expect("made").into_raw_fd();
        let requests = File::open("/dev/null").expect("there").into_raw_fd();
        let start = Start { requests, events, note: -1, set_hooks: None };
        panic!("no worker: {}", worker::main(&start, download));
    }
    let server = Server::start();
    let endpoint = server.endpoint();
    let shown = |quiet: bool| {
        // The transfer breaks, and is tried again a tenth of a second later.
        server.break_after(100_000, 1);
        let out = tempfile::tempdir().expect("a folder");
        let (events, cache) = (out.path().join("events"), out.path().join("cache"));
        let [to, cache] = [&events, &cache].map(|path| path.to_str().expect("plain"));
        let mut variables = vec![("HF_ENDPOINT", endpoint.as_str()), ("HF_HUB_CACHE", cache)];
        variables.push((EVENTS, to));
        variables.extend(quiet.then_some((QUIET, "1")));
        let test = "a_download_that_takes_a_while_shows_how_far_it_is";
        child(test, "model.safetensors", &variables);
        let events = std::fs::read(&events).expect("written");
        String::from_utf8_lossy(&events).into_owned()
    };
    let loud = shown(false);
    assert!(loud.contains("<progress") && loud.contains("model.safetensors"), "{loud}");
    assert!(loud.contains(&server.large().len().to_string()), "of so many bytes: {loud}");
    let quiet = shown(true);
    assert!(!quiet.contains("<progress"), "{quiet}");
}
