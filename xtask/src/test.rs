//! `cargo xtask test`: every check, cheapest first, on a fresh machine or a used one.
//!
//! One cargo at a time, one profile, one target directory. The lint build goes before the plain one
//! is used, because it puts unoptimised programs where the plain build's stand; see [`crate::lint`].

use std::time::Duration;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::process::{self, run as run_command};
use crate::steps::Steps;
use crate::{cargo, chromium, lint, node, postgres, python, setup, tour};

/// One check that a filter can pick.
struct Check {
    name: &'static str,
    run: fn(&Paths) -> Result<()>,
}

const CHECKS: [Check; 9] = [
    Check { name: "lint", run: lint_and_relink },
    Check { name: "unit", run: unit_tests },
    Check { name: "doc", run: doc_tests },
    Check { name: "it", run: |paths| cargo_tests(paths, &INTEGRATION, None) },
    Check { name: "notebooks", run: notebooks },
    Check { name: "python", run: python_tests },
    Check { name: "mlflow", run: mlflow_tests },
    Check { name: "extension", run: |paths| node::test_extension(paths, Duration::from_mins(5)) },
    Check { name: "browser", run: browser_tests },
];

const ALL: [&str; 3] = ["--workspace", "--exclude", "oxilab-dylib"];
const UNIT: [&str; 5] = ["--workspace", "--exclude", "oxilab-dylib", "--exclude", "oxilab-tests"];
const INTEGRATION: [&str; 2] = ["--package", "oxilab-tests"];

/// Sets up and runs every check, or those the filter names: a check of that name, else all Rust
/// tests whose name contains it.
pub(crate) fn run(paths: &Paths, filter: Option<&str>) -> Result<()> {
    let mut steps = Steps::default();
    if filter.is_none() {
        steps.step("fmt", || lint::format(paths, true))?;
    }
    setup::into(paths, None, &mut steps)?;
    let known = filter.is_none_or(|filter| CHECKS.iter().any(|check| check.name == filter));
    if let (Some(filter), false) = (filter, known) {
        steps.step("tests", || cargo_tests(paths, &ALL, Some(filter)))?;
    }
    for check in CHECKS.iter().filter(|check| filter.is_none_or(|f| f == check.name)) {
        steps.step(check.name, || (check.run)(paths))?;
    }
    steps.summary();
    Ok(())
}

fn lint_and_relink(paths: &Paths) -> Result<()> {
    lint::clippy(paths)?;
    cargo::build(paths)
}

fn unit_tests(paths: &Paths) -> Result<()> {
    postgres::setup()?;
    cargo_tests(paths, &UNIT, None)
}

/// With `cargo nextest` where it is installed: a test that hangs is ended and named.
fn cargo_tests(paths: &Paths, packages: &[&str], filter: Option<&str>) -> Result<()> {
    let mut command = cargo::command(paths);
    if process::answers("cargo-nextest") {
        command.args(["nextest", "run", "--release", "--locked", "--no-tests", "pass"]);
        command.args(["--cargo-quiet", "--status-level", "slow", "--no-fail-fast"]);
    } else {
        command.args(["test", "--release", "--locked", "--lib", "--bins", "--tests", "--quiet"]);
    }
    command.args(packages).args(filter);
    run_command(&mut command, Duration::from_mins(45))
}

fn doc_tests(paths: &Paths) -> Result<()> {
    let mut command = cargo::command(paths);
    command.args(["test", "--doc", "--release", "--locked", "--quiet"]);
    run_command(command.args(ALL), Duration::from_mins(30))
}

/// Every notebook in `notebooks/`, each with the real kernel; an error cell fails.
fn notebooks(paths: &Paths) -> Result<()> {
    let folder = paths.root.join("notebooks");
    let mut files: Vec<_> = std::fs::read_dir(&folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ipynb"))
        .collect();
    files.sort();
    if !files.contains(&paths.root.join(tour::NOTEBOOK)) {
        bail!("{} is missing", tour::NOTEBOOK);
    }
    for file in files {
        let mut command = process::command(paths.oxilab());
        command.current_dir(&paths.root).arg("run").arg(&file);
        run_command(&mut command, Duration::from_mins(10))?;
    }
    Ok(())
}

fn python_tests(paths: &Paths) -> Result<()> {
    python::setup(paths)?;
    let mut pytest = process::command(paths.venv_program("python"));
    pytest.args(["-m", "pytest", "-q", "-x", "--durations=5", "tests/python"]);
    run_command(pytest.current_dir(&paths.root), Duration::from_mins(15))
}

/// Against MLflow's own server and client, in an environment of their own.
fn mlflow_tests(paths: &Paths) -> Result<()> {
    python::mlflow_setup(paths)?;
    cargo::run(paths, &["build", "--release", "-p", "oxilab", "--example", "flavors"])?;
    let mut pytest = process::command(python::mlflow(paths).join("bin/python"));
    pytest.args(["-m", "pytest", "-q", "-x", "--durations=5", "tests/mlflow"]);
    run_command(pytest.current_dir(&paths.root), Duration::from_mins(15))
}

fn browser_tests(paths: &Paths) -> Result<()> {
    python::setup(paths)?;
    chromium::setup()?;
    node::setup_browser(paths)?;
    node::test_browser(paths, Duration::from_mins(15))
}
