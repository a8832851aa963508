//! Build tools that LightGBM's own build wants: cmake 3.28 or newer, and libclang.
//!
//! The system's are used where they serve; else they come as wheels into `.tools/venv`. Either way
//! `.tools/bin/cmake` and `.tools/lib/libclang.so` are links to them, and `.cargo/config.toml` names
//! those two paths, so that a plain `cargo build` finds them as well.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths::Paths;
use crate::process::{self, output};
use crate::python;

const CMAKE_WHEEL: &str = "cmake==4.1.2";
const LIBCLANG_WHEEL: &str = "libclang==18.1.1";
const CMAKE_MINIMUM: (u32, u32) = (3, 28);

/// Makes both links, fetching what the system lacks.
pub(crate) fn setup(paths: &Paths) -> Result<()> {
    let tools = paths.root.join(".tools");
    for folder in ["bin", "lib"] {
        let folder = tools.join(folder);
        fs::create_dir_all(&folder).with_context(|| {
            // A link to a folder that is gone is in the way and "exists".
            format!(
                "cannot make {}; if {} is a broken link, remove it",
                folder.display(),
                tools.display()
            )
        })?;
    }
    cmake(&tools)?;
    libclang(&tools)
}

fn cmake(tools: &Path) -> Result<()> {
    let link = tools.join("bin/cmake");
    if new_enough(&link) {
        return Ok(());
    }
    let program = match which("cmake").filter(|system| new_enough(system)) {
        Some(system) => system,
        None => wheel(tools, CMAKE_WHEEL)?.join("bin/cmake"),
    };
    replace_link(&program, &link)
}

fn libclang(tools: &Path) -> Result<()> {
    let link = tools.join("lib/libclang.so");
    if link.exists() {
        return Ok(());
    }
    let library = match system_libclang() {
        Some(system) => system,
        None => library_of_wheel(&wheel(tools, LIBCLANG_WHEEL)?)?,
    };
    replace_link(&library, &link)
}

/// Installs one wheel into `.tools/venv` and returns that folder.
fn wheel(tools: &Path, requirement: &str) -> Result<PathBuf> {
    let venv = tools.join("venv");
    python::create_venv(&venv)?;
    println!("{requirement} from PyPI into .tools/venv");
    python::pip_install(&venv, &[requirement])?;
    Ok(venv)
}

fn library_of_wheel(venv: &Path) -> Result<PathBuf> {
    let find =
        "import clang, pathlib; print(pathlib.Path(clang.__path__[0]) / 'native/libclang.so')";
    let path = output(process::command(venv.join("bin/python")).args(["-c", find]))?;
    Ok(PathBuf::from(path.trim()))
}

/// Debian's `libclang-dev` keeps it in `/usr/lib/llvm-<version>/lib`.
fn system_libclang() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib")
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("llvm-")))
        .map(|path| path.join("lib/libclang.so"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop()
}

fn new_enough(cmake: &Path) -> bool {
    output(process::command(cmake).arg("--version"))
        .ok()
        .and_then(|text| version(&text))
        .is_some_and(|version| version >= CMAKE_MINIMUM)
}

/// The first two numbers of `cmake version 3.28.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The program's path, if `PATH` has it.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Points `link` at `target`, whatever it was before.
pub(crate) fn replace_link(target: &Path, link: &Path) -> Result<()> {
    if link.symlink_metadata().is_ok() {
        fs::remove_file(link)?;
    }
    symlink(target, link)
        .with_context(|| format!("could not link {} to {}", link.display(), target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_off_cmakes_first_line() {
        assert_eq!(version("cmake version 3.25.1\n\nCMake suite"), Some((3, 25)));
        assert_eq!(version("cmake version 4.1.2"), Some((4, 1)));
        assert_eq!(version("cmake: not found"), None);
        assert!(version("cmake version 4.0.0") >= Some(CMAKE_MINIMUM));
    }
}
