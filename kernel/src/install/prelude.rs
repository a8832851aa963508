//! The record of an installed prelude: which files a cell links and which compiler may do it.
//!
//! `<data folder>/<build id>/prelude.json` holds a [`Prelude`]; the link `current` beside the build
//! folders points at the one that new kernels use. A kernel that is itself an installed copy uses the
//! prelude it was installed with. [`Prelude::hold`] keeps a build from being pruned while it is used.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::InstallError;
use crate::toolchain;

/// Name of the record inside a build's folder.
pub(super) const RECORD: &str = "prelude.json";
/// Name of the link to the build that new kernels use.
pub(super) const CURRENT: &str = "current";
/// Name of the file that users of a build hold a shared lock on.
pub(super) const IN_USE: &str = "in-use";

/// An installed prelude.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prelude {
    /// Hash of all that the libraries depend on; part of every cache key.
    pub build_id: String,
    /// Folder of this build.
    pub directory: PathBuf,
    /// `liboxilab_dylib.so`, which lies in [`Self::dependencies`].
    pub library: PathBuf,
    /// For `-L dependency=`: metadata of every crate in the library, and the procedural macros.
    pub dependencies: PathBuf,
    /// Crate names that a cell may use, each with the file for `--extern`. `oxilab` (also under its own
    /// name `oxilab_dylib`) is the library; the others are metadata of crates that it contains.
    pub externs: BTreeMap<String, PathBuf>,
    /// The worker's binary.
    pub worker: PathBuf,
    /// The kernel's binary.
    pub kernel: PathBuf,
    /// `libstd-*.so` of the toolchain.
    pub std_library: PathBuf,
    /// The compiler itself, not rustup's proxy.
    pub rustc: PathBuf,
    /// `rustc -vV`, in full.
    pub rustc_version: String,
    /// Flags that every crate was compiled with (`-Ctarget-cpu=native`), to be given to cells too.
    pub flags: Vec<String>,
    /// The checkout it was built from.
    pub source: PathBuf,
    /// The target directory it was built in: only `%dep` builds there, kernels never read it.
    pub target_directory: PathBuf,
    /// The `Cargo.lock` it was built with, a copy.
    pub lock: PathBuf,
    /// A list of the registry packages it was built from: [`Self::packages`] reads it.
    pub package_list: PathBuf,
    /// What [`Self::rustc`] looked like, so that an unchanged compiler need not be asked.
    pub rustc_stamp: Stamp,
    /// Seconds since 1970 when it was built.
    pub built: u64,
}

/// A registry package that the prelude was built from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The features it was built with.
    pub features: Vec<String>,
    /// Whether it was built for build scripts and macros, not for the library.
    pub for_host: bool,
}

/// Size and time of a file: equal stamps mean an unchanged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds of the last change since 1970.
    pub modified: u128,
}

impl Stamp {
    /// The stamp of a file, if it is there.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        let modified = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { size: data.len(), modified: modified.as_nanos() })
    }
}

/// While this lives, the build it was made from is not pruned.
#[derive(Debug)]
pub struct InUse {
    _lock: File,
}

impl Prelude {
    /// The installed prelude: the one this program was installed with, else the current one.
    /// `data_dir` is [`super::data_dir`].
    ///
    /// # Errors
    /// When nothing is installed, files are missing, or the compiler is not the one that built it; the
    /// message names `oxilab install`.
    pub fn find(data_dir: &Path) -> Result<Self, InstallError> {
        let record = own_record(data_dir).unwrap_or_else(|| data_dir.join(CURRENT).join(RECORD));
        let prelude = Self::read(&record)?;
        prelude.check()?;
        Ok(prelude)
    }

    /// Reads a record without checking what it names.
    ///
    /// # Errors
    /// When it is missing or not a record.
    pub fn read(record: &Path) -> Result<Self, InstallError> {
        let text = fs::read(record).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                InstallError::NotInstalled { record: record.to_owned() }
            }
            _ => InstallError::Record { record: record.to_owned(), reason: error.to_string() },
        })?;
        serde_json::from_slice(&text).map_err(|error| InstallError::Record {
            record: record.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Whether its files are there and its compiler is unchanged. Costs some file look-ups; the
    /// compiler is started only if its file has changed.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn check(&self) -> Result<(), InstallError> {
        let Some(stamp) = Stamp::of(&self.rustc) else {
            return Err(InstallError::CompilerMissing { rustc: self.rustc.clone() });
        };
        if stamp != self.rustc_stamp || !self.std_library.is_file() {
            let present = toolchain::version_of(&self.rustc)?;
            if present != self.rustc_version {
                return Err(InstallError::CompilerChanged {
                    rustc: self.rustc.clone(),
                    built: first_line(&self.rustc_version),
                    present: first_line(&present),
                });
            }
        }
        for file in [&self.library, &self.worker, &self.std_library] {
            if !file.is_file() {
                return Err(InstallError::Missing { file: file.clone() });
            }
        }
        Ok(())
    }

    /// The registry packages it was built from, for `%dep`.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn packages(&self) -> Result<Vec<Package>, InstallError> {
        let broken =
            |reason: String| InstallError::Record { record: self.package_list.clone(), reason };
        let text = fs::read(&self.package_list).map_err(|error| broken(error.to_string()))?;
        serde_json::from_slice(&text).map_err(|error| broken(error.to_string()))
    }

    /// Marks the build as used until the result is dropped (or the process ends).
    ///
    /// # Errors
    /// When the mark cannot be opened or locked.
    pub fn hold(&self) -> Result<InUse, InstallError> {
        let path = self.directory.join(IN_USE);
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(InstallError::file("cannot open", &path))?;
        lock.lock_shared().map_err(InstallError::file("cannot lock", &path))?;
        Ok(InUse { _lock: lock })
    }
}

#[cfg(test)]
impl Prelude {
    /// A record for tests: the compiler is the real one, of a prelude there is nothing.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let toolchain = toolchain::Toolchain::find().expect("a toolchain");
        Self {
            build_id: "none".to_owned(),
            directory: folder.to_owned(),
            library: folder.join("liboxilab_dylib.so"),
            dependencies: folder.to_owned(),
            externs: BTreeMap::new(),
            worker: folder.join("worker"),
            kernel: folder.join("kernel"),
            std_library: toolchain.std_library,
            rustc_version: toolchain.version,
            flags: Vec::new(),
            source: folder.to_owned(),
            target_directory: folder.to_owned(),
            lock: folder.join("Cargo.lock"),
            package_list: folder.join("packages.json"),
            rustc_stamp: Stamp::of(&toolchain.rustc).expect("is a file"),
            rustc: toolchain.rustc,
            built: 0,
        }
    }
}

/// The record beside this program, if it is an installed copy under `data_dir`.
fn own_record(data_dir: &Path) -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let build = program.parent()?.parent()?;
    let inside = build.parent()? == fs::canonicalize(data_dir).ok()?;
    let record = build.join(RECORD);
    (inside && record.is_file()).then_some(record)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
