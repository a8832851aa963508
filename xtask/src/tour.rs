//! `cargo xtask tour`: from a clone to the tour's results.

use std::time::Duration;

use anyhow::Result;

use crate::paths::Paths;
use crate::process;
use crate::setup;
use crate::steps::Steps;

/// The notebook that the README begins with.
pub(crate) const NOTEBOOK: &str = "notebooks/00-tour.ipynb";

const LIMIT: Duration = Duration::from_mins(15);

/// Sets up, then runs the tour with the built command.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let mut steps = Steps::default();
    setup::into(paths, None, &mut steps)?;
    steps.step("tour", || {
        let mut command = process::command(paths.oxilab());
        process::run(command.current_dir(&paths.root).args(["run", NOTEBOOK]), LIMIT)
    })?;
    steps.summary();
    Ok(())
}
