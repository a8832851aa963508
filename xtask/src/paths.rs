//! Where things are: the repository, the target directory, the user's cache folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders every chore needs, found once.
pub(crate) struct Paths {
    /// The repository's root.
    pub(crate) root: PathBuf,
    /// Cargo's target directory: `CARGO_TARGET_DIR`, or `target` in the root.
    pub(crate) target: PathBuf,
    /// `<user cache>/oxilab`: models and the peers' builds, shared by every checkout.
    pub(crate) cache: PathBuf,
}

impl Paths {
    pub(crate) fn find() -> Result<Self> {
        // Checkouts may share a target directory, and with it this program: `cargo run` says whose
        // chore it is.
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let root = package
            .as_deref()
            .unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")))
            .parent()
            .context("xtask stands in a folder of the repository")?
            .to_path_buf();
        let target = match env::var_os("CARGO_TARGET_DIR").filter(|value| !value.is_empty()) {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target, cache: user_cache()?.join("oxilab") })
    }

    /// The built command, beside the worker and the prelude's library.
    pub(crate) fn oxilab(&self) -> PathBuf {
        self.target.join("release/oxilab")
    }

    /// The virtual environment that tests and benches run in.
    pub(crate) fn venv(&self) -> PathBuf {
        self.root.join(".venv")
    }

    /// A program of the virtual environment.
    pub(crate) fn venv_program(&self, name: &str) -> PathBuf {
        self.venv().join("bin").join(name)
    }
}

fn user_cache() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("XDG_CACHE_HOME").map(PathBuf::from)
        && folder.is_absolute()
    {
        return Ok(folder);
    }
    let home = env::var_os("HOME").context("HOME is not set: set it to your home folder")?;
    Ok(PathBuf::from(home).join(".cache"))
}
