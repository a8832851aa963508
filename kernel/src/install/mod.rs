//! Installation: the prelude's libraries in the user's data folder, and the Jupyter kernelspec.
//!
//! [`Prelude`] is the record of an installed build, all that a kernel needs to compile and run cells.

mod error;
mod prelude;

use std::env;
use std::path::PathBuf;

pub use error::InstallError;
pub use prelude::{InUse, Prelude, Stamp};

/// The folder of oxilab's data: `$OXILAB_DATA_DIR`, else `oxilab` in the user's data folder.
#[must_use]
pub fn data_dir() -> PathBuf {
    env::var_os("OXILAB_DATA_DIR").map_or_else(
        || dirs::data_dir().unwrap_or_else(|| PathBuf::from(".")).join("oxilab"),
        |folder| PathBuf::from(folder).join("oxilab"),
    )
}
