//! Cargo, always in the repository's root, one call at a time.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::paths::Paths;
use crate::{checkout, process};

/// A cold build of everything took 20 minutes on two cores; this is the limit for a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(70);

/// A cargo command that has yet to be given its arguments.
pub(crate) fn command(paths: &Paths) -> Command {
    let mut command = process::command("cargo");
    command.current_dir(&paths.root);
    command
}

/// Runs cargo with these arguments.
pub(crate) fn run(paths: &Paths, arguments: &[&str]) -> Result<()> {
    process::run(command(paths).args(arguments), LIMIT)
}

/// The package that is only ever built by `oxilab install`, with a flag of its own: built in between
/// without it, its library would be linked twice.
pub(crate) const NOT_THE_LIBRARY: [&str; 2] = ["--exclude", "oxilab-dylib"];

/// Builds the workspace as a plain `cargo build --release` does, so that both find the same artifacts.
pub(crate) fn build(paths: &Paths) -> Result<()> {
    checkout::claim(paths)?;
    let mut build = command(paths);
    build.args(["build", "--release", "--workspace", "--locked"]).args(NOT_THE_LIBRARY);
    process::run(&mut build, LIMIT)
}
