//! The database for the data tests: Debian's PostgreSQL, installed if it is absent.

use anyhow::{Result, ensure};

use crate::process;
use crate::python::apt_install;

/// Where Debian puts its versions, and where the tests look.
const FOLDER: &str = "/usr/lib/postgresql";

/// Installs PostgreSQL unless it is there. The tests start servers of their own.
pub(crate) fn setup() -> Result<()> {
    if !is_there() {
        apt_install(&["postgresql"])?;
        ensure!(is_there(), "the package postgresql has no initdb in {FOLDER}");
    }
    Ok(())
}

/// Whether the server is there; the client's package uses the same folder.
fn is_there() -> bool {
    let versions = std::fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut programs = versions.map(|version| version.path().join("bin/initdb"));
    programs.any(|program| program.exists()) || process::answers("initdb")
}
