//! `cargo xtask setup`: everything between a clone and `oxilab run notebooks/X.ipynb`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process;
use crate::steps::Steps;
use crate::{cargo, models, tools};

const INSTALL_LIMIT: Duration = Duration::from_mins(20);

/// Sets up and prints how long each part took.
pub(crate) fn run(paths: &Paths, prefix: Option<&str>) -> Result<()> {
    let mut steps = Steps::default();
    into(paths, prefix, &mut steps)?;
    steps.summary();
    println!("\nready: ./target/release/oxilab run notebooks/00-tour.ipynb");
    Ok(())
}

/// The steps of setting up, as part of another chore.
pub(crate) fn into(paths: &Paths, prefix: Option<&str>, steps: &mut Steps) -> Result<()> {
    steps.step("tools", || tools::setup(paths))?;
    steps.step("build", || cargo::build(paths))?;
    steps.step("link", || link(paths))?;
    steps.step("models", || models::setup(paths))?;
    steps.step("install", || install(paths, prefix))
}

/// With the target directory elsewhere, `./target/release/oxilab` is a link to the command there.
fn link(paths: &Paths) -> Result<()> {
    let here = paths.root.join("target/release/oxilab");
    let built = paths.oxilab();
    if same_file(&here, &built) {
        return Ok(());
    }
    if let Some(folder) = here.parent() {
        fs::create_dir_all(folder)?;
    }
    tools::replace_link(&built, &here)
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn install(paths: &Paths, prefix: Option<&str>) -> Result<()> {
    let mut command = process::command(paths.oxilab());
    // Named, because a target directory that checkouts share may hold the command of another one.
    command.current_dir(&paths.root).args(["install", "--lab", "--source"]).arg(&paths.root);
    if let Some(prefix) = prefix {
        command.args(["--prefix", prefix]);
    }
    process::run(&mut command, INSTALL_LIMIT).context("the kernel was not installed")
}
