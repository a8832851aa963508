//! `oxilab serve`: becomes the program `oxilab-server`, which knows the prelude.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};

use super::ServeArgs;
use crate::install::data_dir;

const PROGRAM: &str = "oxilab-server";

pub(super) fn run(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let Some(program) = places().find(|place| place.is_file()) else {
        bail!(
            "{PROGRAM} is not installed; `oxilab install` puts it into place, or set OXILAB_SERVER to its path"
        );
    };
    let error = Command::new(&program).args(&args.words).exec();
    Err(error).with_context(|| format!("could not start {}", program.display()))
}

/// Where the program may be: as the environment says, beside this one, in the installation.
fn places() -> impl Iterator<Item = PathBuf> {
    let given = std::env::var_os("OXILAB_SERVER").map(PathBuf::from);
    let own = std::env::current_exe().ok().and_then(|own| own.canonicalize().ok());
    let beside = own.and_then(|own| Some(own.parent()?.join(PROGRAM)));
    let installed = data_dir().join("current").join("bin").join(PROGRAM);
    given.into_iter().chain(beside).chain([installed])
}
