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
pub(super) fn build(
    toolchain: &Toolchain,
    source: &Path,
    target_directory: Option<&Path>,
    features: &str,
) -> Result<Built, InstallError> {
    let program = toolchain.cargo.as_deref().ok_or(InstallError::NoCargo)?;
    let cargo = Cargo { program, source, target_directory };
    let metadata = cargo.metadata(&toolchain.host)?;
    // The prelude is among them so that features, and with them the builds, are those of the workspace.
    let mut words = vec!["build", "--release"];
    for package in ["oxilab", "oxilab-worker", "oxilab-kernel", "oxilab-server"] {
        words.extend(["-p", package]);
    }
    words.extend(["--features", features]);
    let binaries = cargo.build(&words, &[])?;
    let library = ["rustc", "--release", "-p", LIBRARY, "--lib", "--features", features];
    let library = cargo.build(&library, &["--", "-C", "prefer-dynamic"])?;
    let shared = libraries(&library)
        .values()
        .find(|artifact| artifact.target.kind.iter().any(|kind| kind == "dylib"))
        .and_then(|artifact| artifact.shared_library())
        .ok_or_else(|| InstallError::NoArtifact { what: "the prelude's library".to_owned() })?
        .to_owned();
    let held = toolchain.crates_of(&shared)?;
    collect(&binaries, &library, &metadata, &held)
}

/// Cargo, and where it works.
struct Cargo<'a> {
    program: &'a Path,
    source: &'a Path,
    target_directory: Option<&'a Path>,
}

impl Cargo<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.args(arguments).current_dir(self.source);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        if let Some(folder) = self.target_directory {
            command.env("CARGO_TARGET_DIR", folder);
        }
        command
    }

    fn metadata(&self, host: &str) -> Result<Metadata, InstallError> {
        let arguments = ["metadata", "--format-version=1", "--filter-platform", host];
        let output = self.command(&arguments).output();
        let output = output.map_err(InstallError::file("cannot start", self.program))?;
        if !output.status.success() {
            return Err(failed(&arguments, self.source));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| InstallError::NoArtifact {
            what: format!("the packages of the workspace ({error})"),
        })
    }

    fn build(&self, arguments: &[&str], last: &[&str]) -> Result<Vec<Message>, InstallError> {
        let mut command = self.command(arguments);
        command.arg("--message-format=json-render-diagnostics").args(last);
        let mut child =
            command.spawn().map_err(InstallError::file("cannot start", self.program))?;
        let mut messages = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                let line = line.map_err(InstallError::file("cannot read from", self.program))?;
                messages.extend(Message::parse(&line));
            }
        }
        let status = child.wait().map_err(InstallError::file("cannot wait for", self.program))?;
        if status.success() { Ok(messages) } else { Err(failed(arguments, self.source)) }
    }
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
