//! Compiles a first cell with a prelude, to know that its files suffice.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{InstallError, Prelude};

/// A cell in small: the library is linked, and one of its crates is named.
const CELL: &str = "extern crate oxilab_dylib as _;\n\
    #[unsafe(no_mangle)]\n\
    pub extern \"C\" fn oxilab_check() -> usize {\n\
    \x20   let value: serde_json::Value = serde_json::json!([1, 2]);\n\
    \x20   value.to_string().len()\n\
    }\n";

/// Compiles a cell in a folder of its own; returns how long it took.
pub(crate) fn compile(prelude: &Prelude) -> Result<Duration, InstallError> {
    let folder =
        tempfile::tempdir().map_err(InstallError::file("cannot make", "a temporary folder"))?;
    let source = folder.path().join("check.rs");
    fs::write(&source, CELL).map_err(InstallError::file("cannot write", &source))?;
    let mut command = Command::new(&prelude.rustc);
    command
        .args(["--crate-name", "oxilab_check", "--edition", "2024", "--crate-type", "cdylib"])
        .args(["-C", "prefer-dynamic"])
        .args(&prelude.flags)
        .arg("-L")
        .arg(format!("dependency={}", prelude.dependencies.display()))
        .arg("--out-dir")
        .arg(folder.path())
        .arg(&source)
        .stdin(Stdio::null());
    for name in ["oxilab_dylib", "serde_json"] {
        if let Some(file) = prelude.externs.get(name) {
            command.arg("--extern").arg(format!("{name}={}", file.display()));
        }
    }
    let start = Instant::now();
    let output = command.output().map_err(InstallError::file("cannot start", &prelude.rustc))?;
    if output.status.success() {
        return Ok(start.elapsed());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    // One fault can have hundreds of messages; the first ones say it.
    Err(InstallError::Check { message: message.lines().take(20).collect::<Vec<_>>().join("\n") })
}
