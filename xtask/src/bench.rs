//! `cargo xtask bench NAME`: this against its peers, written to `benches/results/NAME.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::process::{self, run};
use crate::steps::Steps;
use crate::{cargo, python, setup};

/// evcxr's first build of polars and candle took 24 minutes.
const LIMIT: Duration = Duration::from_hours(3);
const EVCXR: &str = "0.22.0";
const SMOLLM2: &str = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// Sets up and runs the bench; `--peers` adds `evcxr_jupyter`, other options go to the script.
pub(crate) fn cells(paths: &Paths, options: &[&str]) -> Result<()> {
    if options.iter().any(|option| !option.starts_with('-') && option.parse::<u32>().is_err()) {
        bail!("options of `bench cells`: --peers, --runs N, --only NAME");
    }
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    steps.step("python", || python::setup(paths))?;
    let peers = paths.cache.join("peers");
    if options.contains(&"--peers") {
        steps.step("evcxr", || install_evcxr(paths))?;
    }
    steps.step("cells", || {
        let mut script = script(paths, &paths.venv_program("python"), "cells", options);
        script.arg("--peers-folder").arg(&peers);
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Data verbs against Python polars and pandas, which come into a virtual environment of their own.
pub(crate) fn data(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "data", &mut steps)?;
    steps.step("data", || {
        let mut script = script(paths, &python, "data", options);
        script.arg("--folder").arg(paths.cache.join("bench-data"));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Learners against `lightgbm`, `xgboost`, scikit-learn and Optuna, in an environment of their own.
pub(crate) fn model(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "model", &mut steps)?;
    steps.step("model", || {
        let mut script = script(paths, &python, "model", options);
        script.arg("--folder").arg(paths.cache.join("bench-model"));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Language models against llama.cpp and PEFT, in an environment of their own.
pub(crate) fn llm(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "llm", &mut steps)?;
    let folder = paths.cache.join("bench-llm");
    let measure = paths.target.join("release/examples/measure");
    let with_llama = folder.join("measure-llama-cpp");
    steps.step("measure", || {
        let build = ["build", "--release", "-p", "oxilab-llm", "--example", "measure"];
        with_and_without_llama(paths, &build, &measure, &with_llama)
    })?;
    steps.step("llm", || {
        let mut script = script(paths, &python, "llm", options);
        script.arg("--measure").arg(&measure).arg("--with-llama").arg(&with_llama);
        script.arg("--model").arg(paths.cache.join(SMOLLM2));
        script.arg("--folder").arg(&folder);
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Training steps and sentence vectors against PyTorch and sentence-transformers.
pub(crate) fn nn(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "nn", &mut steps)?;
    steps.step("measure", || {
        cargo::run(paths, &["build", "--release", "-p", "oxilab-llm", "--example", "measure_nn"])
    })?;
    steps.step("nn", || {
        let mut script = script(paths, &python, "nn", options);
        script.arg("--measure").arg(paths.target.join("release/examples/measure_nn"));
        script.arg("--model").arg(paths.cache.join("models/minilm"));
        script.arg("--folder").arg(paths.cache.join("bench-nn"));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// The server against `FastAPI` with uvicorn and `mlflow models serve`, under `wrk`; with `--llm` a language
/// model against llama.cpp's server, with `--soak` ten minutes through swaps, a crash and an outage.
pub(crate) fn serve(paths: &Paths, options: &[&str]) -> Result<()> {
    match options {
        ["--llm", rest @ ..] => return serve_llm(paths, rest),
        ["--soak"] => return soak(paths, "600"),
        ["--soak", seconds] => return soak(paths, seconds),
        _ => {}
    }
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "serve", &mut steps)?;
    if !process::answers("wrk") && !Path::new("/usr/bin/wrk").is_file() {
        steps.step("wrk", || python::apt_install(&["wrk"]))?;
    }
    steps.step("server", || cargo::run(paths, &["build", "--release", "-p", "oxilab-server"]))?;
    steps.step("serve", || {
        let mut script = script(paths, &python, "serve", options);
        script.arg("--server").arg(paths.target.join("release/oxilab-server"));
        script.arg("--folder").arg(paths.cache.join("bench-serve"));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

fn serve_llm(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "llm", &mut steps)?;
    let server = paths.cache.join("bench-serve/oxilab-server-llama-cpp");
    steps.step("server", || {
        let build = ["build", "--release", "-p", "oxilab-server"];
        let program = paths.target.join("release/oxilab-server");
        with_and_without_llama(paths, &build, &program, &server)
    })?;
    steps.step("llm", || {
        let mut script = script(paths, &python, "serve_llm", options);
        script.arg("--server").arg(&server);
        script.arg("--model").arg(paths.cache.join(SMOLLM2));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Builds a program with llama.cpp and puts it aside, so that the plain one is what is installed.
fn with_and_without_llama(
    paths: &Paths,
    build: &[&str],
    program: &Path,
    aside: &Path,
) -> Result<()> {
    cargo::run(paths, &[build, &["--features", "llama-cpp"]].concat())?;
    if let Some(folder) = aside.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::copy(program, aside)?;
    cargo::run(paths, build)
}

/// Outside CI.
fn soak(paths: &Paths, seconds: &str) -> Result<()> {
    if seconds.parse::<u32>().is_err() {
        bail!("bench serve --soak [SECONDS]: {seconds:?} is no number of seconds");
    }
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let python = peers(paths, "serve", &mut steps)?;
    steps.step("server", || {
        let build = ["build", "--release", "-p", "oxilab-server"];
        cargo::run(paths, &build)?;
        cargo::run(paths, &[&build[..], &["--example", "soak"]].concat())
    })?;
    steps.step("soak", || {
        let mut soak = process::command(paths.target.join("release/examples/soak"));
        soak.current_dir(&paths.root).arg(paths.target.join("release/oxilab-server"));
        soak.arg(seconds).arg(python).arg("benches/results/soak.md");
        run(&mut soak, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Metrics until they are on an MLflow server, against MLflow's own client.
pub(crate) fn track(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    steps.step("python", || python::mlflow_setup(paths))?;
    let python = python::mlflow(paths).join("bin/python");
    steps.step("log", || {
        cargo::run(paths, &["build", "--release", "-p", "oxilab-track", "--example", "log"])?;
        cargo::run(paths, &["build", "--release", "-p", "oxilab", "--example", "autolog"])
    })?;
    steps.step("track", || {
        let mut script = script(paths, &python, "track", options);
        script.arg("--program").arg(paths.target.join("release/examples/log"));
        script.arg("--autolog").arg(paths.target.join("release/examples/autolog"));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Interrupts against ipykernel's, the cost of polls, the latency of widgets.
pub(crate) fn interrupt(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    steps.step("python", || python::setup(paths))?;
    let python = paths.venv_program("python");
    steps.step("interrupt", || run(&mut script(paths, &python, "interrupt", options), LIMIT))?;
    steps.summary();
    Ok(())
}

/// Completion, inspection and interrupts against ipykernel's.
pub(crate) fn assist(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    steps.step("python", || python::setup(paths))?;
    let python = paths.venv_program("python");
    steps.step("assist", || run(&mut script(paths, &python, "assist", options), LIMIT))?;
    steps.summary();
    Ok(())
}

/// The Python of a bench's peers, in a virtual environment of their own.
fn peers(paths: &Paths, name: &str, steps: &mut Steps) -> Result<PathBuf> {
    let environment = paths.cache.join("peers").join(name);
    let requirements = paths.root.join(format!("benches/requirements-{name}.txt"));
    steps.step("python", || python::environment(&environment, &requirements))?;
    Ok(environment.join("bin/python"))
}

/// The script of a bench, with its options.
fn script(paths: &Paths, python: &Path, name: &str, options: &[&str]) -> Command {
    let mut script = process::command(python);
    script.current_dir(&paths.root).arg(format!("benches/{name}.py")).args(options);
    script
}

/// Into the cache folder, so that it is built once per machine; outside the repository, so that it
/// is built with cargo's own flags.
fn install_evcxr(paths: &Paths) -> Result<()> {
    let peers = paths.cache.join("peers");
    let mut install = cargo::command(paths);
    std::fs::create_dir_all(&peers)?;
    install.current_dir(&peers).args(["install", "--locked", "evcxr_jupyter", "--version", EVCXR]);
    install.arg("--root").arg(&peers).env("CARGO_TARGET_DIR", peers.join("build"));
    run(&mut install, LIMIT)
}
