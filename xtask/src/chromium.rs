//! The browser for the browser tests: Debian's chromium, installed if it is absent.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::python::apt_install;

/// Where Debian puts it, and where the tests look for it.
const PROGRAM: &str = "/usr/bin/chromium";

/// Installs chromium unless it is there.
pub(crate) fn setup() -> Result<()> {
    if Path::new(PROGRAM).exists() {
        return Ok(());
    }
    apt_install(&["chromium", "fonts-dejavu-core"])?;
    ensure!(Path::new(PROGRAM).exists(), "the package chromium has no {PROGRAM}");
    Ok(())
}
