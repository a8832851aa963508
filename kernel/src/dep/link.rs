//! Links a session's crates into one shared library beside the prelude's.

use std::fmt::Write as _;
use std::path::Path;

use tokio::process::Command;

use super::run::run;
use super::{DepError, SessionLibrary};
use crate::install::Prelude;

/// Links `library`, whose folder still has the name `aside`.
pub(super) async fn link(
    prelude: &Prelude,
    earlier: &[SessionLibrary],
    library: &SessionLibrary,
    aside: &Path,
    native: &[String],
) -> Result<(), DepError> {
    let source = aside.join("session.rs");
    tokio::fs::write(&source, text(earlier, library))
        .await
        .map_err(DepError::file("cannot write", &source))?;
    let deps = aside.join("deps");
    let mut command = Command::new(&prelude.rustc);
    command
        .args(["--edition=2024", "--crate-type=dylib", "-Cprefer-dynamic", "-Copt-level=3"])
        .args(["-Cpanic=unwind", "--cap-lints=allow"])
        .args(&prelude.flags)
        .arg(format!("--crate-name={}", library.crate_name))
        .arg(format!("-Cmetadata={}", library.crate_name))
        .arg(format!("-Ldependency={}", prelude.dependencies.display()))
        .arg(format!("-Ldependency={}", deps.display()))
        .arg(format!("--extern=oxilab={}", prelude.library.display()))
        .args(native.iter().map(|path| format!("-L{path}")))
        .arg("-o")
        .arg(deps.join(library.library.file_name().unwrap_or_default()))
        .arg(&source)
        .env_remove("LD_LIBRARY_PATH");
    for one in earlier {
        command.arg(format!("-Ldependency={}", one.search.display())).arg(format!(
            "--extern={}={}",
            one.crate_name,
            one.library.display()
        ));
    }
    for (name, file) in &library.externs {
        // The folder is not yet where the record says.
        let file = file
            .strip_prefix(&library.search)
            .map_or_else(|_| file.clone(), |file| deps.join(file));
        command.arg(format!("--extern={name}={}", file.display()));
    }
    let ran = run(command, None).await?;
    if ran.success { Ok(()) } else { Err(DepError::Link { message: ran.message() }) }
}

/// The library's source: it names every crate, and so holds it.
fn text(earlier: &[SessionLibrary], library: &SessionLibrary) -> String {
    let mut text = String::from("extern crate oxilab as _;\n");
    let earlier = earlier.iter().map(|one| one.crate_name.as_str());
    for name in earlier.chain(library.externs.keys().map(String::as_str)) {
        // Writing to a string does not fail.
        let _ = writeln!(text, "extern crate {name} as _;");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_names_every_crate() {
        let library = SessionLibrary {
            crate_name: "oxilab_session_1".to_owned(),
            library: "/s/lib.so".into(),
            search: "/s/deps".into(),
            externs: [("heck".to_owned(), "/s/deps/libheck.rlib".into())].into(),
        };
        let next = SessionLibrary { crate_name: "next".to_owned(), ..library.clone() };
        assert_eq!(
            text(&[library], &next),
            "extern crate oxilab as _;\nextern crate oxilab_session_1 as _;\nextern crate heck as _;\n"
        );
    }
}
