//! `cargo xtask peers`: other people's work. Chart crates from crates.io show themselves in cells; the
//! cell specs run on evcxr, every difference with its reason, into `docs/EVCXR.md`.
//!
//! Outside CI: the first needs the network, and evcxr brings rust-analyzer, 11 CPU-minutes of building.

use std::time::Duration;

use anyhow::Result;

use crate::paths::Paths;
use crate::process::{self, run as run_command};
use crate::steps::Steps;
use crate::{cargo, tools};

const LIMIT: Duration = Duration::from_hours(1);

/// Adds the chart crates to the installed engine, then builds the second engine and compares.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let mut steps = Steps::default();
    steps.step("tools", || tools::setup(paths))?;
    steps.step("charts", || {
        let mut test = cargo::command(paths);
        test.args(["test", "--release", "--locked", "--package", "oxilab-tests", "--test", "it"]);
        test.args(["--", "--ignored", "plotly_and_charming"]);
        run_command(&mut test, LIMIT)
    })?;
    steps.step("build", || {
        let mut build = cargo::command(paths);
        build.args(["build", "--release", "--locked", "--package", "oxilab-tests"]);
        build.args(["--features", "evcxr", "--bin", "oxilab-peers"]);
        run_command(&mut build, cargo::LIMIT)
    })?;
    steps.step("compare", || {
        let mut compare = process::command(paths.target.join("release/oxilab-peers"));
        // evcxr builds its cells with cargo, in a folder and with flags of its own.
        compare.current_dir(std::env::temp_dir()).env_remove("CARGO_TARGET_DIR");
        // Its cells link the shared standard library, which a plain toolchain does not put on the path.
        let mut rustc = process::command("rustc");
        let libraries = process::output(rustc.args(["--print", "target-libdir"]))?;
        compare.env("LD_LIBRARY_PATH", libraries.trim());
        run_command(&mut compare, LIMIT)
    })?;
    steps.summary();
    Ok(())
}
