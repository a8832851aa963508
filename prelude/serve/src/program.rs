//! Where the programs of this installation are: [`find_program`], [`beside`].

use std::path::PathBuf;

use crate::error::{Result, ServeError};

/// What the server is called.
pub(crate) const PROGRAM: &str = "oxilab-server";

/// `$OXILAB_SERVER`, or where [`beside`] looks.
pub(crate) fn find_program(name: &str) -> Result<PathBuf> {
    let given = std::env::var_os("OXILAB_SERVER").map(PathBuf::from);
    let mut places = given.into_iter().chain(beside(PROGRAM));
    places.find(|place| place.is_file()).ok_or_else(|| {
        ServeError::server(
            name,
            "oxilab-server is not installed; `oxilab install` puts it into place, or set \
             OXILAB_SERVER to its path",
        )
    })
}

/// Where a program of this installation may be: beside this one, else in cargo's folder of release
/// builds.
pub(crate) fn beside(program: &str) -> impl Iterator<Item = PathBuf> {
    let mut places = Vec::new();
    if let Ok(own) = std::env::current_exe()
        && let Some(folder) = own.parent()
    {
        places.push(folder.join(program));
        // A test binary stands in `deps`.
        places.extend(folder.parent().map(|above| above.join(program)));
    }
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    places.extend(of("CARGO_TARGET_DIR").map(|target| target.join("release").join(program)));
    let cached = |home: PathBuf| home.join(".cache/oxilab/target/release").join(program);
    places.extend(of("HOME").map(cached));
    places.push(PathBuf::from("target/release").join(program));
    places.into_iter()
}
