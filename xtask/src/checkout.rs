//! A target directory that several checkouts share: [`claim`].

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::paths::Paths;

/// Folders with no sources of ours, and this program's, which runs and has no paths of a checkout in it.
const LEFT_ALONE: [&str; 3] = ["target", "node_modules", "xtask"];

/// Has cargo build again what another checkout has built. It tells sources apart by their place in the
/// workspace and their time, so that a program of the other one, with that one's paths in it, is up to date for
/// sources that are older than it.
pub(crate) fn claim(paths: &Paths) -> Result<()> {
    let mark = paths.target.join("release/.checkout");
    let ours = paths.root.display().to_string();
    if fs::read_to_string(&mark).is_ok_and(|owner| owner == ours) {
        return Ok(());
    }
    touch(&paths.root, SystemTime::now()).context("setting the time of the sources")?;
    fs::create_dir_all(paths.target.join("release")).context("making the target directory")?;
    fs::write(&mark, ours).with_context(|| format!("writing {}", mark.display()))
}

/// Gives all Rust sources in a folder that time.
fn touch(folder: &Path, time: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, name) = (entry.file_type()?, entry.file_name());
        let name = name.to_string_lossy();
        if kind.is_dir() && !name.starts_with('.') && !LEFT_ALONE.contains(&&*name) {
            touch(&entry.path(), time)?;
        } else if kind.is_file() && name.ends_with(".rs") {
            File::options().append(true).open(entry.path())?.set_modified(time)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sources_of_ours_are_new_where_another_checkout_built_last() -> Result<()> {
        let folder = std::env::temp_dir().join(format!("oxilab-claim-{}", std::process::id()));
        let (root, target) = (folder.join("checkout"), folder.join("target"));
        let old = SystemTime::now() - Duration::from_secs(3600);
        let files = [
            "kernel/src/lib.rs",
            "node_modules/x.rs",
            ".venv/x.rs",
            "kernel/notes.md",
            "xtask/x.rs",
        ];
        for file in files.map(|file| root.join(file)) {
            fs::create_dir_all(file.parent().context("a folder")?)?;
            File::create(&file)?.set_modified(old)?;
        }
        let paths = Paths { root: root.clone(), target: target.clone(), cache: folder.clone() };
        let touched = || -> Result<Vec<bool>> {
            let new = |file| Ok(fs::metadata(root.join(file))?.modified()? > old);
            files.into_iter().map(new).collect()
        };
        claim(&paths)?;
        assert_eq!(touched()?, [true, false, false, false, false]);
        touch(&root, old)?;
        claim(&paths)?;
        assert_eq!(touched()?, [false; 5], "it is ours already");
        fs::write(target.join("release/.checkout"), "/another/checkout")?;
        claim(&paths)?;
        assert_eq!(touched()?, [true, false, false, false, false]);
        fs::remove_dir_all(folder)?;
        Ok(())
    }
}
