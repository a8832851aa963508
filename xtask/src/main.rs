//! One word per chore: `cargo xtask setup`, `tour`, `test`, `lint`, `fmt`, `bench`, `docs`.
//!
//! Each chore has its own file. [`setup`] is what the others stand on: it brings the build tools,
//! builds the workspace once, installs the kernel and unpacks the model packages. Every chore may be
//! run on a fresh machine and again on the same one; what is already there is left alone.

mod bench;
mod cargo;
mod checkout;
mod chromium;
mod lint;
mod models;
mod node;
mod paths;
mod peers;
mod postgres;
mod process;
mod python;
mod setup;
mod steps;
mod test;
mod tools;
mod tour;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::paths::Paths;

const HELP: &str = "\
cargo xtask <chore>

  setup [--prefix DIR]  build tools, build, kernelspec, model packages
  tour                  setup, then `oxilab run notebooks/00-tour.ipynb`
  test [FILTER]         setup, then every check; FILTER picks steps by name, or tests by name
  lint                  clippy on every package, warnings are errors
  fmt [--check]         rustfmt on every package
  bench cells [--peers] latency of cells against ipykernel (and evcxr), into benches/results/
  bench data [--megabytes N] [--runs N] [--wide ROWS]
                        reading, grouping, joining, profiling, checking against pandas and Python polars
  bench model [--rows N] [--runs N] [--only TASK]
                        fitting and predicting against LightGBM, XGBoost, scikit-learn and Optuna
  bench llm [--rounds N] [--only speed|train]
                        language models against llama.cpp and PEFT
  bench nn [--rounds N]  training steps and sentence vectors against PyTorch
  bench serve [--runs N] [--seconds N]
                        requests a second and latency against FastAPI and `mlflow models serve`
  bench serve --llm [--runs N] [--tokens N]
                        one stream of a language model against llama.cpp's server
  bench serve --soak [SECONDS]
                        ten minutes at 80 % load through two swaps, a crash and an outage of the registry
  bench track [--count N] [--runs N] [--loop N]
                        metrics until they are on an MLflow server, against its own client
  bench interrupt [--runs N]
                        interrupts against ipykernel's, the cost of polls, the latency of widgets
  bench assist [--runs N]
                        completion, inspection and interrupts against ipykernel's
  peers                 the cell specs on evcxr, and why they differ, into docs/EVCXR.md
  docs                  the API pages of every package

The target directory is cargo's: CARGO_TARGET_DIR, or ./target. Nothing else is configured.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if lint::is_wrapper_call() {
        return lint::run_as_wrapper(&arguments);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((&chore, rest)) = words.split_first() else {
        println!("{HELP}");
        return Ok(());
    };
    if matches!(chore, "help" | "--help" | "-h") || rest.contains(&"--help") {
        println!("{HELP}");
        return Ok(());
    }
    let paths = Paths::find()?;
    match (chore, rest) {
        ("setup", []) => setup::run(&paths, None),
        ("setup", ["--prefix", prefix]) => setup::run(&paths, Some(prefix)),
        ("tour", []) => tour::run(&paths),
        ("test", []) => test::run(&paths, None),
        ("test", [filter]) => test::run(&paths, Some(filter)),
        ("lint", []) => lint::run(&paths),
        ("fmt", []) => lint::format(&paths, false),
        ("fmt", ["--check"]) => lint::format(&paths, true),
        ("bench", ["cells", options @ ..]) => bench::cells(&paths, options),
        ("bench", ["data", options @ ..]) => bench::data(&paths, options),
        ("bench", ["model", options @ ..]) => bench::model(&paths, options),
        ("bench", ["llm", options @ ..]) => bench::llm(&paths, options),
        ("bench", ["nn", options @ ..]) => bench::nn(&paths, options),
        ("bench", ["serve", options @ ..]) => bench::serve(&paths, options),
        ("bench", ["track", options @ ..]) => bench::track(&paths, options),
        ("bench", ["assist", options @ ..]) => bench::assist(&paths, options),
        ("bench", ["interrupt", options @ ..]) => bench::interrupt(&paths, options),
        ("peers", []) => peers::run(&paths),
        ("docs", []) => cargo::run(&paths, &["doc", "--release", "--workspace", "--no-deps"]),
        _ => bail!("`{}` is no chore I know\n\n{HELP}", words.join(" ")),
    }
}
