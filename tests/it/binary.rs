//! The program itself, as Jupyter and people start it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program beside this test: both lie in the target directory.
fn oxilab() -> PathBuf {
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
