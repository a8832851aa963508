//! The program itself, as Jupyter and people start it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use oxilab_tests::frontend::{Channel, Frontend};
use serde_json::json;

/// The program beside this test: both lie in the target directory.
pub(crate) fn oxilab() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let folder = test.parent().and_then(Path::parent).expect("a target directory");
    let program = folder.join("oxilab");
    assert!(
        program.exists(),
        "{} is missing: cargo build --release -p oxilab-kernel",
        program.display()
    );
    program
}

fn run(arguments: &[&str]) -> Output {
    Command::new(oxilab()).args(arguments).output().expect("it starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_broken_connection_file_is_an_error_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kernel.json");
    let path = file.to_str().expect("is a text");
    let missing = run(&["kernel", "--connection-file", path]);
    assert!(!missing.status.success());
    assert!(
        stderr(&missing).contains("could not read the connection file"),
        "{}",
        stderr(&missing)
    );
    std::fs::write(&file, "{\"ip\": ").expect("writes");
    let broken = run(&["kernel", "--connection-file", path]);
    assert!(!broken.status.success());
    assert!(stderr(&broken).contains("is not a Jupyter connection file"), "{}", stderr(&broken));
}

#[test]
fn a_notebook_that_is_none_is_an_error_in_words() {
    let missing = run(&["run", "/nowhere/x.ipynb"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("could not read the notebook /nowhere/x.ipynb"));
    let version = run(&["--version"]);
    assert!(String::from_utf8_lossy(&version.stdout).starts_with("oxilab "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_answers_soon_and_says_what_is_missing() {
    let empty = tempfile::tempdir().expect("a folder");
    let folder = empty.path().to_str().expect("is a text");
    let start = Instant::now();
    let mut frontend = Frontend::spawn(&oxilab(), &[("OXILAB_DATA_DIR", folder)]).await;
    let info = frontend.ask(Channel::Shell, "kernel_info_request", json!({})).await;
    let elapsed = start.elapsed();
    // 300 ms is the bar; the rest is for a machine that is busy with other tests.
    assert!(elapsed < Duration::from_secs(3), "{elapsed:?}");
    let version = info["language_info"]["version"].as_str().expect("a version");
    assert!(version.split('.').count() == 3, "{version}");
    let done = frontend.execute("1 + 1").await;
    assert_eq!(done.reply["status"], "error");
    assert!(done.reply["evalue"].to_string().contains("oxilab install"), "{}", done.reply);
    frontend.shut_down().await;
    assert!(empty.path().join("oxilab/history.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kernel_ends_on_sigterm_and_not_on_sigint() {
    let empty = tempfile::tempdir().expect("a folder");
    let folder = empty.path().to_str().expect("is a text");
    let mut frontend = Frontend::spawn(&oxilab(), &[("OXILAB_DATA_DIR", folder)]).await;
    let process = frontend.process_id().expect("has a process").to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &process]).status().expect("kill starts");
        assert!(sent.success());
    };
    frontend.ask(Channel::Shell, "kernel_info_request", json!({})).await;
    signal("-INT");
    frontend.ask(Channel::Shell, "kernel_info_request", json!({})).await;
    signal("-TERM");
    frontend.ended().await;
}
