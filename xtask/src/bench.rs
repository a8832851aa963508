//! `cargo xtask bench NAME`: this against its peers, written to `benches/results/NAME.md`.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::paths::Paths;
use crate::process::{self, run};
use crate::steps::Steps;
use crate::{cargo, python, setup};

/// evcxr's first build of polars and candle took 24 minutes.
const LIMIT: Duration = Duration::from_hours(3);
const EVCXR: &str = "0.22.0";

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
        let mut script = process::command(paths.venv_program("python"));
        script.current_dir(&paths.root).arg("benches/cells.py").args(options);
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
    let peers = paths.cache.join("peers/data");
    let requirements = paths.root.join("benches/requirements-data.txt");
    steps.step("python", || python::environment(&peers, &requirements))?;
    steps.step("data", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/data.py").args(options);
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
    let peers = paths.cache.join("peers/model");
    let requirements = paths.root.join("benches/requirements-model.txt");
    steps.step("python", || python::environment(&peers, &requirements))?;
    steps.step("model", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/model.py").args(options);
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
    let peers = paths.cache.join("peers/llm");
    let requirements = paths.root.join("benches/requirements-llm.txt");
    steps.step("python", || python::environment(&peers, &requirements))?;
    let folder = paths.cache.join("bench-llm");
    let measure = paths.target.join("release/examples/measure");
    let with_llama = folder.join("measure-llama-cpp");
    steps.step("measure", || {
        let plain = ["build", "--release", "-p", "oxilab-llm", "--example", "measure"];
        cargo::run(paths, &[&plain[..], &["--features", "llama-cpp"]].concat())?;
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(&measure, &with_llama)?;
        cargo::run(paths, &plain)
    })?;
    steps.step("llm", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/llm.py").args(options);
        script.arg("--measure").arg(&measure).arg("--with-llama").arg(&with_llama);
        let model = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
        script.arg("--model").arg(paths.cache.join(model));
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
    let peers = paths.cache.join("peers/nn");
    let requirements = paths.root.join("benches/requirements-nn.txt");
    steps.step("python", || python::environment(&peers, &requirements))?;
    steps.step("measure", || {
        cargo::run(paths, &["build", "--release", "-p", "oxilab-llm", "--example", "measure_nn"])
    })?;
    steps.step("nn", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/nn.py").args(options);
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
    let peers = serve_peers(paths, &mut steps)?;
    if !process::answers("wrk") && !std::path::Path::new("/usr/bin/wrk").is_file() {
        steps.step("wrk", || python::apt_install(&["wrk"]))?;
    }
    steps.step("server", || cargo::run(paths, &["build", "--release", "-p", "oxilab-server"]))?;
    steps.step("serve", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/serve.py").args(options);
        script.arg("--server").arg(paths.target.join("release/oxilab-server"));
        script.arg("--folder").arg(paths.cache.join("bench-serve"));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

fn serve_peers(paths: &Paths, steps: &mut Steps) -> Result<std::path::PathBuf> {
    let peers = paths.cache.join("peers/serve");
    let requirements = paths.root.join("benches/requirements-serve.txt");
    steps.step("python", || python::environment(&peers, &requirements))?;
    Ok(peers)
}

/// A server that is built with llama.cpp, which stands aside so that the plain one is what is installed.
fn serve_llm(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let peers = paths.cache.join("peers/llm");
    let requirements = paths.root.join("benches/requirements-llm.txt");
    steps.step("python", || python::environment(&peers, &requirements))?;
    let folder = paths.cache.join("bench-serve");
    let server = folder.join("oxilab-server-llama-cpp");
    steps.step("server", || {
        let plain = ["build", "--release", "-p", "oxilab-server"];
        cargo::run(paths, &[&plain[..], &["--features", "llama-cpp"]].concat())?;
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(paths.target.join("release/oxilab-server"), &server)?;
        cargo::run(paths, &plain)
    })?;
    steps.step("llm", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/serve_llm.py").args(options);
        script.arg("--server").arg(&server);
        let model = "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
        script.arg("--model").arg(paths.cache.join(model));
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Outside CI.
fn soak(paths: &Paths, seconds: &str) -> Result<()> {
    if seconds.parse::<u32>().is_err() {
        bail!("bench serve --soak [SECONDS]: {seconds:?} is no number of seconds");
    }
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let peers = serve_peers(paths, &mut steps)?;
    steps.step("server", || {
        let build = ["build", "--release", "-p", "oxilab-server"];
        cargo::run(paths, &build)?;
        cargo::run(paths, &[&build[..], &["--example", "soak"]].concat())
    })?;
    steps.step("soak", || {
        let mut soak = process::command(paths.target.join("release/examples/soak"));
        soak.current_dir(&paths.root).arg(paths.target.join("release/oxilab-server"));
        soak.arg(seconds).arg(peers.join("bin/python")).arg("benches/results/soak.md");
        run(&mut soak, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Metrics until they are on an MLflow server, against MLflow's own client.
pub(crate) fn track(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    let peers = python::mlflow(paths);
    steps.step("python", || python::mlflow_setup(paths))?;
    steps.step("log", || {
        cargo::run(paths, &["build", "--release", "-p", "oxilab-track", "--example", "log"])?;
        cargo::run(paths, &["build", "--release", "-p", "oxilab", "--example", "autolog"])
    })?;
    steps.step("track", || {
        let mut script = process::command(peers.join("bin/python"));
        script.current_dir(&paths.root).arg("benches/track.py").args(options);
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
    steps.step("interrupt", || {
        let mut script = process::command(paths.venv_program("python"));
        script.current_dir(&paths.root).arg("benches/interrupt.py").args(options);
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
}

/// Completion, inspection and interrupts against ipykernel's.
pub(crate) fn assist(paths: &Paths, options: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    steps.step("python", || python::setup(paths))?;
    steps.step("assist", || {
        let mut script = process::command(paths.venv_program("python"));
        script.current_dir(&paths.root).arg("benches/assist.py").args(options);
        run(&mut script, LIMIT)
    })?;
    steps.summary();
    Ok(())
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
