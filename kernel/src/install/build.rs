//! Builds the prelude, worker and kernel with cargo.
//!
//! The library is built by `cargo rustc … -- -C prefer-dynamic`: cargo leaves that flag out for a
//! package it was asked for by name, and a library with Rust's standard library inside cannot be
//! linked beside the shared one ("`std` only shows up once").

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::InstallError;
use super::collect::{Built, LIBRARY, collect};
use crate::cargo::{Message, Metadata, libraries};
use crate::toolchain::Toolchain;

/// Builds what is missing, with cargo's own progress on the terminal.
pub(super) fn build(toolchain: &Toolchain, source: &Path) -> Result<Built, InstallError> {
    let cargo = toolchain.cargo.as_deref().ok_or(InstallError::NoCargo)?;
    let metadata = metadata(cargo, toolchain, source)?;
    let binaries = ["build", "--release", "-p", "oxilab-worker", "-p", "oxilab-kernel", "--bins"];
    let binaries = run(cargo, source, &binaries, &[])?;
    let library = ["rustc", "--release", "-p", LIBRARY, "--lib"];
    let library = run(cargo, source, &library, &["--", "-C", "prefer-dynamic"])?;
    let shared = libraries(&library)
        .values()
        .find(|artifact| artifact.target.kind.iter().any(|kind| kind == "dylib"))
        .and_then(|artifact| artifact.shared_library())
        .ok_or_else(|| InstallError::NoArtifact { what: "the prelude's library".to_owned() })?
        .to_owned();
    let held = toolchain.crates_of(&shared)?;
    collect(&binaries, &library, &metadata, &held)
}

fn metadata(cargo: &Path, toolchain: &Toolchain, source: &Path) -> Result<Metadata, InstallError> {
    let arguments =
        ["metadata", "--format-version=1", "--filter-platform", toolchain.host.as_str()];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(source)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(InstallError::file("cannot start", cargo))?;
    if !output.status.success() {
        return Err(failed(&arguments, source));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| InstallError::NoArtifact {
        what: format!("the packages of the workspace ({error})"),
    })
}

fn run(
    cargo: &Path,
    source: &Path,
    arguments: &[&str],
    last: &[&str],
) -> Result<Vec<Message>, InstallError> {
    let mut child = Command::new(cargo)
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .args(last)
        .current_dir(source)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(InstallError::file("cannot start", cargo))?;
    let mut messages = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(InstallError::file("cannot read the messages of", cargo))?;
            messages.extend(Message::parse(&line));
        }
    }
    let status = child.wait().map_err(InstallError::file("cannot wait for", cargo))?;
    if status.success() { Ok(messages) } else { Err(failed(arguments, source)) }
}

fn failed(arguments: &[&str], source: &Path) -> InstallError {
    let hint = if source.join(".tools").is_dir() {
        "Correct the fault and run `oxilab install` again: what was built is kept"
    } else {
        "If cmake or libclang is missing, `cargo xtask setup` in that folder fetches them"
    };
    InstallError::Build {
        command: format!("cargo {}", arguments.join(" ")),
        folder: source.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Checks that a folder is a checkout.
pub(super) fn checkout(folder: &Path) -> Result<PathBuf, InstallError> {
    let found = folder.join("prelude").join("dylib").join("Cargo.toml").is_file();
    if !found {
        return Err(InstallError::NoSource { folder: folder.to_owned() });
    }
    folder.canonicalize().map_err(InstallError::file("cannot open", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_prelude_is_no_checkout() {
        let folder = tempfile::tempdir().expect("folder");
        let error = checkout(folder.path()).expect_err("empty");
        assert!(error.to_string().contains("--source"), "{error}");
    }
}
