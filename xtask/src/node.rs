//! Node packages: the browser tests' own, from their lock file.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::process::{self, run};

const LIMIT: Duration = Duration::from_mins(10);

/// The folder of the browser tests.
pub(crate) fn browser_tests(paths: &Paths) -> PathBuf {
    paths.root.join("tests/browser")
}

/// `npm ci` in the browser tests' folder; does nothing if its lock file was installed already.
pub(crate) fn setup(paths: &Paths) -> Result<()> {
    ensure!(process::answers("node"), "node is not installed: the browser tests need Node 20");
    let folder = browser_tests(paths);
    let lock = fs::read_to_string(folder.join("package-lock.json"))
        .context("could not read tests/browser/package-lock.json")?;
    let stamp = folder.join("node_modules/.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = npm();
    npm.current_dir(&folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    run(&mut npm, LIMIT)?;
    fs::write(&stamp, lock)?;
    Ok(())
}

/// Runs every `*.test.mjs` of the browser tests.
pub(crate) fn test(paths: &Paths, limit: Duration) -> Result<()> {
    let mut npm = npm();
    run(npm.current_dir(browser_tests(paths)).args(["test", "--silent"]), limit)
}

fn npm() -> Command {
    let mut npm = process::command("npm");
    npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    npm
}
