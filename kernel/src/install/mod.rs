//! Installation: the prelude's libraries in the user's data folder, and the Jupyter kernelspec.
//!
//! [`install`] builds what is missing and puts it into place, [`uninstall`] takes it away.
//! [`Prelude`] is the record of an installed build, all that a kernel needs to compile and run cells.

mod build;
pub(crate) mod check;
mod collect;
mod error;
pub(crate) mod kernelspec;
mod lab;
mod prelude;
pub(crate) mod store;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use error::InstallError;
pub use kernelspec::{DISPLAY_NAME, NAME, Place};
pub use prelude::{InUse, Package, Prelude, Stamp};

use crate::toolchain::Toolchain;

/// Folders in the cache that hold what was made for a build: cells and the libraries of `%dep`, one
/// folder for each build, and what completion knows.
pub(crate) const CACHES: [&str; 3] = ["cells", "deps", "assist"];

/// What to install, and where.
#[derive(Clone, Debug, Default)]
pub struct InstallOptions {
    place: Place,
    source: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    target_directory: Option<PathBuf>,
    lab: bool,
    features: Vec<String>,
}

impl InstallOptions {
    /// An installation with the kernelspec in `place`.
    #[must_use]
    pub fn new(place: Place) -> Self {
        Self { place, ..Self::default() }
    }

    /// Builds from this checkout. Default: the one that this program was built from.
    #[must_use]
    pub fn with_source(mut self, source: Option<PathBuf>) -> Self {
        self.source = source;
        self
    }

    /// Installs the JupyterLab extension as well.
    #[must_use]
    pub fn with_lab(mut self, lab: bool) -> Self {
        self.lab = lab;
        self
    }

    /// Builds the prelude with these of its cargo features: `cuda` or `metal` for nets and language models on
    /// a GPU, `llama-cpp` for `Llm::with_llama_cpp`. None unless set.
    #[must_use]
    pub fn with_features(mut self, features: Vec<String>) -> Self {
        self.features = features;
        self
    }

    /// Installs below this folder instead of [`data_dir`].
    #[must_use]
    pub fn with_data_dir(mut self, folder: PathBuf) -> Self {
        self.data_dir = Some(folder);
        self
    }

    /// Builds in this target directory instead of cargo's own choice.
    #[must_use]
    pub fn with_target_directory(mut self, folder: PathBuf) -> Self {
        self.target_directory = Some(folder);
        self
    }
}

/// What an installation made.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The prelude.
    pub prelude: Prelude,
    /// The kernelspec's folder.
    pub kernelspec: PathBuf,
    /// How long a first cell took to compile.
    pub first_cell: Duration,
    /// Ids of older builds that were removed.
    pub pruned: Vec<String>,
}

/// Builds what is missing and installs it. `report` is told each step; cargo writes its own progress
/// to standard error.
///
/// # Errors
/// When the toolchain, the checkout or a file is at fault; what was installed before stays in use.
pub fn install(
    options: &InstallOptions,
    report: &mut dyn FnMut(&str),
) -> Result<Installed, InstallError> {
    let data_dir = options.data_dir.clone().unwrap_or_else(data_dir);
    let source = build::checkout(options.source.as_deref().unwrap_or(compiled_from()))?;
    let toolchain = Toolchain::find_for(&source)?;
    // Asked now, so that a missing Python is known before a long build.
    options.place.folder()?;
    report(&format!("Building with {} from {}", toolchain.short_version(), source.display()));
    let features = options.features.join(",");
    let built = build::build(&toolchain, &source, options.target_directory.as_deref(), &features)?;

    store::make(&data_dir)?;
    let data_dir = data_dir.canonicalize().map_err(InstallError::file("cannot open", &data_dir))?;
    let prelude = store::place(&built, &toolchain, &source, &data_dir)?;
    report(&format!("Prelude {} in {}", prelude.build_id, prelude.directory.display()));
    let first_cell = check::compile(&prelude)?;
    report(&format!("A first cell compiles in {:.2} s", first_cell.as_secs_f64()));
    let pruned = store::make_current(&prelude, &data_dir)?;
    for build in &pruned {
        report(&format!("Removed the older build {build}"));
        for cache in CACHES.map(|name| cache_dir().join(name).join(build)) {
            // What stays behind costs room and nothing else.
            let _ = store::remove(&cache);
        }
    }
    crate::assist::layers::install(&prelude, &cache_dir(), report);
    let program = data_dir.join(prelude::CURRENT).join("bin").join("oxilab");
    let kernelspec = kernelspec::write_spec(&options.place, &program)?;
    report(&format!("Kernel \"{DISPLAY_NAME}\" in {}", kernelspec.display()));
    if options.lab {
        let folder = lab::install(&options.place, &source)?;
        report(&format!("JupyterLab extension in {}", folder.display()));
    }
    Ok(Installed { prelude, kernelspec, first_cell, pruned })
}

/// Removes the kernelspec from `place` and, with `all`, every build and what was compiled against it.
/// The history stays. Returns the folders that were removed.
///
/// # Errors
/// When a folder cannot be removed, or the place is not known.
pub fn uninstall(place: &Place, all: bool) -> Result<Vec<PathBuf>, InstallError> {
    let mut removed = Vec::new();
    removed.extend(kernelspec::remove_spec(place)?);
    removed.extend(lab::uninstall(place)?);
    if all {
        let data_dir = data_dir();
        removed.extend(store::remove_all(&data_dir)?);
        for folder in CACHES.map(|name| cache_dir().join(name)) {
            if store::remove(&folder)? {
                removed.push(folder);
            }
        }
    }
    Ok(removed)
}

/// The folder of oxilab's data: `oxilab` in `$OXILAB_DATA_DIR`, else in the user's data folder.
#[must_use]
pub fn data_dir() -> PathBuf {
    let folder = given("OXILAB_DATA_DIR").or_else(dirs::data_dir);
    folder.unwrap_or_else(|| PathBuf::from(".")).join("oxilab")
}

/// The folder of what oxilab can make again: `$OXILAB_CACHE_DIR`, else `oxilab` in the user's cache
/// folder. Others use it too, so only its [`CACHES`] are measured and removed.
#[must_use]
pub fn cache_dir() -> PathBuf {
    let folder = given("OXILAB_CACHE_DIR");
    folder.unwrap_or_else(|| dirs::cache_dir().unwrap_or_else(env::temp_dir).join("oxilab"))
}

fn given(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The checkout that this program was built from.
pub(crate) fn compiled_from() -> &'static Path {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR"));
    kernel.parent().unwrap_or(kernel)
}
