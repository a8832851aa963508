//! Starts what runs the cells.

use std::sync::Arc;

use clap::ValueEnum;

use crate::install::{self, Prelude};
use crate::server::Started;
#[cfg(not(feature = "evcxr"))]
use crate::session::errors;
use crate::session::{Config, Session};
use crate::toolchain::Toolchain;

/// What runs the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// One call of rustc per cell against the installed prelude.
    Oxilab,
    /// The evcxr crate, where it was built in.
    Evcxr,
}

/// Starts the engine in the current directory. Needs a tokio runtime.
///
/// # Errors
/// When this build does not have the engine. A prelude that is not installed is no error: every cell
/// says what to do.
pub fn start(engine: Engine) -> Started {
    start_with(engine, &Config::default())
}

/// [`start`] with other folders.
///
/// # Errors
/// See [`start`].
pub fn start_with(engine: Engine, config: &Config) -> Started {
    match engine {
        Engine::Oxilab => Ok(Arc::new(Session::start(config))),
        Engine::Evcxr => evcxr(),
    }
}

#[cfg(feature = "evcxr")]
fn evcxr() -> Started {
    crate::evcxr::Evcxr::start().map(|runner| Arc::new(runner) as _)
}

#[cfg(not(feature = "evcxr"))]
fn evcxr() -> Started {
    Err(errors::plain(
        "StartError",
        "evcxr is not part of this build: `cargo build --release -p oxilab-kernel --features evcxr`",
    ))
}

/// Version of the compiler that runs the cells, `1.95.0`: from the record of the installation, which
/// costs no process, else from the compiler itself.
pub(super) fn rust_version() -> String {
    let recorded = Prelude::find(&install::data_dir()).map(|prelude| prelude.rustc_version);
    let version = recorded.or_else(|_| Toolchain::find().map(|toolchain| toolchain.version));
    let release = version.as_deref().ok().and_then(release);
    release.unwrap_or("unknown").to_owned()
}

/// The release in the output of `rustc -vV`.
fn release(version: &str) -> Option<&str> {
    version.lines().find_map(|line| line.strip_prefix("release: ")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_the_verbose_version() {
        let text =
            "rustc 1.95.0 (abc 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM version: 22";
        assert_eq!(release(text), Some("1.95.0"));
        assert_eq!(release("nonsense"), None);
    }
}
