//! `cargo xtask lint` and `fmt`.
//!
//! `cargo clippy` checks, and checking has artifacts of its own: every dependency would be read a
//! second time, which for polars and candle takes longer than linting all of this repository. So the
//! lints run inside an ordinary `cargo build` through `RUSTC_WORKSPACE_WRAPPER`, which shares the
//! dependencies with the build. The wrapper is this program itself: it hands each call to
//! `clippy-driver` without optimisation, since nobody uses the code that comes out. The plain build
//! that follows puts the optimised programs back in place; it compiles nothing.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process;
use crate::tools::which;
use crate::{cargo, steps};

/// Set for the build whose rustc calls come through this program.
const WRAPPER: &str = "OXILAB_XTASK_LINT";

/// Lints every package; a warning is an error.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let mut all = steps::Steps::default();
    all.step("lint", || clippy(paths))?;
    all.step("relink", || cargo::build(paths))
}

/// The lint build. The optimised programs are out of place until the next plain build.
pub(crate) fn clippy(paths: &Paths) -> Result<()> {
    if which("clippy-driver").is_none() || !process::answers("clippy-driver") {
        println!("NOT RUN: this toolchain has no clippy (rustup component add clippy)");
        return Ok(());
    }
    let mut build = cargo::command(paths);
    build.args(["build", "--release", "--workspace", "--locked", "--keep-going"]);
    // The library's file name is the same with and without the wrapper; it has no code anyway.
    build.args(cargo::NOT_THE_LIBRARY);
    build
        .env("RUSTC_WORKSPACE_WRAPPER", wrapper(paths)?)
        .env(WRAPPER, "1")
        .env("CLIPPY_ARGS", "-Dwarnings");
    process::run(&mut build, cargo::LIMIT)
}

/// A copy of this program, since the build replaces the original. It is left alone while it is the
/// same: cargo begins anew when the wrapper's time changes.
fn wrapper(paths: &Paths) -> Result<PathBuf> {
    let this = std::env::current_exe().context("could not find this program's own file")?;
    let copy = paths.target.join("lint-wrapper");
    let (ours, theirs) = (fs::read(&this)?, fs::read(&copy).unwrap_or_default());
    if ours != theirs {
        let aside = paths.target.join("lint-wrapper.new");
        fs::copy(&this, &aside)?;
        fs::rename(&aside, &copy)?;
    }
    Ok(copy)
}

/// `rustfmt` on every package.
pub(crate) fn format(paths: &Paths, check: bool) -> Result<()> {
    if which("rustfmt").is_none() || !process::answers("rustfmt") {
        println!("NOT RUN: this toolchain has no rustfmt (rustup component add rustfmt)");
        return Ok(());
    }
    cargo::run(paths, if check { &["fmt", "--all", "--check"] } else { &["fmt", "--all"] })
}

/// Whether cargo called this program in rustc's place.
pub(crate) fn is_wrapper_call() -> bool {
    std::env::var_os(WRAPPER).is_some()
}

/// Becomes `clippy-driver` with cargo's arguments (`rustc --crate-name …`).
pub(crate) fn run_as_wrapper(arguments: &[String]) -> ExitCode {
    let error = Command::new("clippy-driver").args(unoptimised(arguments)).exec();
    eprintln!("xtask: could not start clippy-driver: {error}");
    ExitCode::FAILURE
}

fn unoptimised(arguments: &[String]) -> Vec<String> {
    let level = |text: &String| text.starts_with("opt-level=");
    arguments.iter().map(|a| if level(a) { "opt-level=0".to_owned() } else { a.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_optimisation_level_is_rewritten() {
        let given = ["rustc", "--crate-name", "a", "-C", "opt-level=3", "-C", "metadata=1f"];
        let given: Vec<String> = given.map(str::to_owned).to_vec();
        let expected = ["rustc", "--crate-name", "a", "-C", "opt-level=0", "-C", "metadata=1f"];
        assert_eq!(unoptimised(&given), expected);
    }
}
