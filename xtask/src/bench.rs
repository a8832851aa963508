//! `cargo xtask bench cells`: the latency of cells against the peers, written to `benches/results/`.

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
