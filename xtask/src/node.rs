//! Node packages of the browser tests and of the JupyterLab extension, each from its lock file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::paths::Paths;
use crate::process::{self, run};

const LIMIT: Duration = Duration::from_mins(10);

/// `npm ci` in the browser tests' folder; does nothing if its lock file was installed already.
pub(crate) fn setup_browser(paths: &Paths) -> Result<()> {
    setup(&browser(paths))
}

/// Runs every `*.test.mjs` of the browser tests.
pub(crate) fn test_browser(paths: &Paths, limit: Duration) -> Result<()> {
    run(npm().current_dir(browser(paths)).args(["test", "--silent"]), limit)
}

/// The JupyterLab extension: its types, that its committed build is of its sources, and Jest.
pub(crate) fn test_extension(paths: &Paths, limit: Duration) -> Result<()> {
    let folder = paths.root.join("extensions/jupyterlab");
    setup(&folder)?;
    run(npm().current_dir(&folder).args(["run", "--silent", "check"]), limit)?;
    run(npm().current_dir(&folder).args(["test", "--silent"]), limit)
}

fn browser(paths: &Paths) -> PathBuf {
    paths.root.join("tests/browser")
}

fn setup(folder: &Path) -> Result<()> {
    ensure!(process::answers("node"), "node is not installed: the browser tests need Node 20");
    let lock = folder.join("package-lock.json");
    let lock =
        fs::read_to_string(&lock).with_context(|| format!("could not read {}", lock.display()))?;
    let stamp = folder.join("node_modules/.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = npm();
    npm.current_dir(folder).args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    run(&mut npm, LIMIT)?;
    fs::write(&stamp, lock)?;
    Ok(())
}

fn npm() -> Command {
    let mut npm = process::command("npm");
    npm.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    npm
}
