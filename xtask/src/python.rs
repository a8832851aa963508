//! Python environments: `.venv` for tests and benches, from pinned requirements.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process::{self, run};

const LIMIT: Duration = Duration::from_mins(15);
const REQUIREMENTS: &str = "tests/python/requirements.txt";

/// Brings `.venv` to the pinned requirements; does nothing if it is there already.
pub(crate) fn setup(paths: &Paths) -> Result<()> {
    environment(&paths.venv(), &paths.root.join(REQUIREMENTS))
}

/// Brings a virtual environment to pinned requirements; does nothing if it is there already.
pub(crate) fn environment(venv: &Path, requirements: &Path) -> Result<()> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("could not read {}", requirements.display()))?;
    let stamp = venv.join("requirements.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    create_venv(venv)?;
    pip_install(venv, &["-r", &requirements.to_string_lossy()])?;
    fs::write(&stamp, wanted)?;
    Ok(())
}

/// The environment of MLflow, whose packages do not go together with those of `.venv`.
pub(crate) fn mlflow(paths: &Paths) -> PathBuf {
    paths.cache.join("peers/mlflow")
}

/// Brings that environment to its pinned requirements.
pub(crate) fn mlflow_setup(paths: &Paths) -> Result<()> {
    environment(&mlflow(paths), &paths.root.join("tests/mlflow/requirements.txt"))
}

/// Makes a virtual environment with pip in it, unless one is there.
pub(crate) fn create_venv(venv: &Path) -> Result<()> {
    if process::answers(venv.join("bin/pip")) {
        return Ok(());
    }
    let make = || run(process::command("python3").args(["-m", "venv", "--clear"]).arg(venv), LIMIT);
    if make().is_ok() {
        return Ok(());
    }
    // Debian keeps `venv` in a package of its own.
    apt_install(&["python3-venv"])?;
    make().context("python3 could not make a virtual environment")
}

/// Installs into a virtual environment.
pub(crate) fn pip_install(venv: &Path, arguments: &[&str]) -> Result<()> {
    let mut pip = process::command(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run(pip.args(arguments), LIMIT)
}

/// Installs Debian packages, as root; otherwise says what to type.
pub(crate) fn apt_install(packages: &[&str]) -> Result<()> {
    let how = format!("install by hand: sudo apt-get install {}", packages.join(" "));
    let apt = || {
        let mut apt = process::command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    println!("apt-get install {}", packages.join(" "));
    run(apt().args(["update", "-qq"]), LIMIT).with_context(|| how.clone())?;
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    run(apt().args(install).args(packages), LIMIT).context(how)
}

/// A Python that has pip: the one of `.venv`, or of a small one made for the purpose.
pub(crate) fn any_python(paths: &Paths) -> Result<PathBuf> {
    let tests = paths.venv_program("python");
    if tests.is_file() {
        return Ok(tests);
    }
    let venv = paths.root.join(".tools/venv");
    create_venv(&venv)?;
    Ok(venv.join("bin/python"))
}
