//! Files of runs and models on disk: safe paths, copies written aside and renamed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::record::Artifact;
use crate::{Result, TrackError};

/// Checks an artifact's path: relative, no `..`, no backslash, nothing hidden from the eye.
pub(crate) fn check(path: &str) -> Result<()> {
    let refuse =
        |reason| Err(TrackError::ArtifactPath { path: path.chars().take(200).collect(), reason });
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.starts_with('/') || Path::new(path).is_absolute() || path.get(1..2) == Some(":") {
        return refuse("it is absolute");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refuse("it has a backslash or a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("a part of it is empty, `.` or `..`");
    }
    let decoded = path.to_lowercase();
    if decoded.contains("%2e") || decoded.contains("%2f") || decoded.contains("%5c") {
        return refuse("it hides a dot or a slash behind `%`");
    }
    if path.split('/').any(|part| part.len() > 200) {
        return refuse("a part of it is longer than 200 bytes");
    }
    Ok(())
}

/// The artifact path of a file called `file` under the folder `under` (empty is the run's root).
pub(crate) fn join(under: &str, file: &str) -> Result<String> {
    let path = if under.is_empty() { file.to_owned() } else { format!("{under}/{file}") };
    check(&path)?;
    Ok(path)
}

/// The last part of a path as text.
pub(crate) fn name_of(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    name.ok_or_else(|| TrackError::ArtifactPath {
        path: path.display().to_string(),
        reason: "it has no file name that is UTF-8",
    })
}

/// Copies a file, written aside and renamed. Returns its size.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<u64> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| TrackError::file("create", folder, error))?;
    let mut source = fs::File::open(from).map_err(|error| TrackError::file("read", from, error))?;
    let mut aside = tempfile::NamedTempFile::new_in(folder)
        .map_err(|error| TrackError::file("write in", folder, error))?;
    // From file to file the system copies, without a detour through this process.
    let size = std::io::copy(&mut source, aside.as_file_mut())
        .map_err(|error| TrackError::file("copy", from, error))?;
    aside.persist(to).map_err(|error| TrackError::file("write", to, error.error))?;
    Ok(size)
}

/// All files under a folder (or the file itself) with their paths relative to it, sorted. Symbolic
/// links are refused: what they point at may lie elsewhere.
pub(crate) fn files(root: &Path) -> Result<Vec<(PathBuf, Artifact)>> {
    let mut found = Vec::new();
    let kind = fs::symlink_metadata(root).map_err(|error| TrackError::file("read", root, error))?;
    if kind.is_file() {
        let path = name_of(root)?;
        return Ok(vec![(root.to_owned(), Artifact { path, size: kind.len() })]);
    }
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, under)) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| TrackError::file("list", &folder, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| TrackError::file("list", &folder, error))?;
            let path = join(&under, &name_of(&entry.path())?)?;
            let kind = fs::symlink_metadata(entry.path())
                .map_err(|error| TrackError::file("read", entry.path(), error))?;
            if kind.is_symlink() {
                return Err(TrackError::ArtifactPath { path, reason: "it is a symbolic link" });
            }
            if kind.is_dir() {
                folders.push((entry.path(), path));
            } else {
                found.push((entry.path(), Artifact { path, size: kind.len() }));
            }
        }
    }
    found.sort_by(|left, right| left.1.path.cmp(&right.1.path));
    Ok(found)
}

/// Copies a file or a folder's content into the folder `to`, which appears only when complete.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|error| TrackError::file("create", parent, error))?;
    let aside = tempfile::TempDir::new_in(parent)
        .map_err(|error| TrackError::file("write in", parent, error))?;
    for (file, artifact) in files(from)? {
        copy_file(&file, &aside.path().join(&artifact.path))?;
    }
    publish(aside, to)
}

/// Renames a finished folder to its place; one that is already there wins.
pub(crate) fn publish(aside: tempfile::TempDir, to: &Path) -> Result<()> {
    if to.exists() {
        return Ok(());
    }
    fs::rename(aside.path(), to).map_err(|error| TrackError::file("write", to, error))?;
    let _gone = aside.keep();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_the_folder_are_refused() {
        for good in ["a.txt", "plots/roc.png", "model/données 🦀.bin", "..hidden"] {
            check(good).expect(good);
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a\\..\\x",
            "C:/x",
            "a//b",
            "a/%2e%2e/x",
            "a\0b",
        ] {
            check(bad).expect_err(bad);
        }
    }

    #[test]
    fn folders_are_copied_whole_and_links_refused() {
        let from = tempfile::tempdir().expect("folder");
        fs::create_dir(from.path().join("sub")).expect("made");
        fs::write(from.path().join("sub/x"), "12").expect("written");
        fs::write(from.path().join("a"), "1").expect("written");
        let to = tempfile::tempdir().expect("folder");
        let copy = to.path().join("deep/copy");
        copy_tree(from.path(), &copy).expect("copied");
        let listed: Vec<_> =
            files(&copy).expect("listed").into_iter().map(|(_, a)| (a.path, a.size)).collect();
        assert_eq!(listed, [("a".to_owned(), 1), ("sub/x".to_owned(), 2)]);
        std::os::unix::fs::symlink("/etc", from.path().join("link")).expect("linked");
        copy_tree(from.path(), &to.path().join("other")).expect_err("link");
        assert!(!to.path().join("other").exists());
    }
}
