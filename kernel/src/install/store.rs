//! Lays a build out in the data folder: `<data folder>/<build id>/`, with the link `current` beside.
//!
//! A build is written under a name of its own and renamed when it is whole. Files are hard links to
//! cargo's (copies across file systems): cargo and rustc replace files and never write into old ones.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

use super::collect::Built;
use super::prelude::{CURRENT, IN_USE, RECORD};
use super::{InstallError, Prelude, Stamp};
use crate::toolchain::Toolchain;

/// Builds that are kept, the current one included.
const KEPT: usize = 2;

/// Puts a build in place and returns its record. It is not yet the current one.
pub(super) fn place(
    built: &Built,
    toolchain: &Toolchain,
    source: &Path,
    data_dir: &Path,
) -> Result<Prelude, InstallError> {
    let build_id = build_id(built, toolchain, source)?;
    let directory = data_dir.join(&build_id);
    let record = record(built, toolchain, source, &build_id, &directory)?;
    if Prelude::read(&directory.join(RECORD)).is_ok_and(|old| old.check().is_ok()) {
        // The same libraries; kernel and server themselves may be newer.
        replace(&built.kernel, &record.kernel)?;
        replace(&built.server, &server(&record.kernel))?;
        write(&directory.join(RECORD), &to_json(&record))?;
        return Ok(record);
    }

    let aside = data_dir.join(format!(".{build_id}.{}", std::process::id()));
    remove(&aside)?;
    let moved = |path: &Path| aside.join(path.strip_prefix(&directory).unwrap_or(path));
    make(&moved(&record.dependencies))?;
    make(&aside.join("bin"))?;
    for file in built.crates.iter().chain([&built.library]) {
        replace(file, &moved(&record.dependencies).join(file.file_name().unwrap_or_default()))?;
    }
    replace(&built.worker, &moved(&record.worker))?;
    replace(&built.kernel, &moved(&record.kernel))?;
    replace(&built.server, &moved(&server(&record.kernel)))?;
    let lock = source.join("Cargo.lock");
    fs::copy(&lock, moved(&record.lock)).map_err(InstallError::file("cannot copy", &lock))?;
    let packages = serde_json::to_vec(&built.packages).unwrap_or_default();
    write(&moved(&record.package_list), &packages)?;
    write(&aside.join(IN_USE), b"")?;
    write(&aside.join(RECORD), &to_json(&record))?;

    // What is left of a broken build of this name.
    remove(&directory)?;
    fs::rename(&aside, &directory).map_err(InstallError::file("cannot rename to", &directory))?;
    Ok(record)
}

/// The server's place: beside the kernel, where both it and the worker look.
fn server(kernel: &Path) -> PathBuf {
    kernel.with_file_name("oxilab-server")
}

/// Makes a build the one that new kernels use, and prunes old ones.
pub(super) fn make_current(
    prelude: &Prelude,
    data_dir: &Path,
) -> Result<Vec<String>, InstallError> {
    let link = data_dir.join(CURRENT);
    let aside = data_dir.join(format!(".{CURRENT}.{}", std::process::id()));
    if aside.is_symlink() {
        fs::remove_file(&aside).map_err(InstallError::file("cannot remove", &aside))?;
    }
    std::os::unix::fs::symlink(&prelude.build_id, &aside)
        .map_err(InstallError::file("cannot make the link", &aside))?;
    fs::rename(&aside, &link).map_err(InstallError::file("cannot rename to", &link))?;
    Ok(prune(data_dir, &prelude.build_id))
}

/// Removes all but the newest builds; one that a kernel uses stays. A build that cannot be removed
/// now is removed by a later installation, so nothing here is an error.
fn prune(data_dir: &Path, current: &str) -> Vec<String> {
    let mut builds: Vec<Prelude> = builds(data_dir);
    builds.retain(|build| build.build_id != current);
    builds.sort_by_key(|build| std::cmp::Reverse(build.built));
    builds
        .iter()
        .skip(KEPT - 1)
        .filter(|build| !in_use(build) && fs::remove_dir_all(&build.directory).is_ok())
        .map(|build| build.build_id.clone())
        .collect()
}

/// Removes every build; the history of cells, which lies beside them, stays.
pub(super) fn remove_all(data_dir: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let link = data_dir.join(CURRENT);
    if link.is_symlink() {
        fs::remove_file(&link).map_err(InstallError::file("cannot remove", &link))?;
    }
    let folders: Vec<PathBuf> = builds(data_dir).into_iter().map(|build| build.directory).collect();
    for folder in &folders {
        remove(folder)?;
    }
    Ok(folders)
}

/// All whole builds in the data folder.
pub(super) fn builds(data_dir: &Path) -> Vec<Prelude> {
    let Ok(entries) = fs::read_dir(data_dir) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| Prelude::read(&entry.path().join(RECORD)).ok())
        .collect()
}

fn in_use(build: &Prelude) -> bool {
    match File::open(build.directory.join(IN_USE)) {
        Ok(file) => file.try_lock().is_err(),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn build_id(built: &Built, toolchain: &Toolchain, source: &Path) -> Result<String, InstallError> {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(toolchain.version.as_bytes());
    part(built.flags.join("\u{1f}").as_bytes());
    part(toolchain.cfg(&built.flags)?.as_bytes());
    part(&hash_of(&source.join("Cargo.lock"))?);
    part(&hash_of(&built.library)?);
    part(&hash_of(&built.worker)?);
    Ok(short(hash))
}

/// The first 64 bits in hexadecimal digits: enough to tell builds of one machine apart.
pub(crate) fn short(hash: Sha256) -> String {
    hex::encode(&hash.finalize()[..8])
}

fn hash_of(path: &Path) -> Result<Vec<u8>, InstallError> {
    let mut file = File::open(path).map_err(InstallError::file("cannot open", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).map_err(InstallError::file("cannot read", path))?;
        if read == 0 {
            return Ok(hash.finalize().to_vec());
        }
        hash.update(&buffer[..read]);
    }
}

fn record(
    built: &Built,
    toolchain: &Toolchain,
    source: &Path,
    build_id: &str,
    directory: &Path,
) -> Result<Prelude, InstallError> {
    let dependencies = directory.join("deps");
    let inside = |file: &PathBuf| dependencies.join(file.file_name().unwrap_or_default());
    let rustc_stamp = Stamp::of(&toolchain.rustc)
        .ok_or_else(|| InstallError::CompilerMissing { rustc: toolchain.rustc.clone() })?;
    Ok(Prelude {
        build_id: build_id.to_owned(),
        directory: directory.to_owned(),
        library: inside(&built.library),
        externs: built.externs.iter().map(|(name, file)| (name.clone(), inside(file))).collect(),
        worker: directory.join("bin").join("oxilab-worker"),
        kernel: directory.join("bin").join("oxilab"),
        lock: directory.join("Cargo.lock"),
        package_list: directory.join("packages.json"),
        dependencies,
        std_library: toolchain.std_library.clone(),
        rustc: toolchain.rustc.clone(),
        rustc_version: toolchain.version.clone(),
        flags: built.flags.clone(),
        source: source.to_owned(),
        target_directory: built.target_directory.clone(),
        rustc_stamp,
        built: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    })
}

fn to_json(prelude: &Prelude) -> Vec<u8> {
    // A struct of strings and paths from this system always has a JSON form.
    serde_json::to_vec_pretty(prelude).unwrap_or_default()
}

/// Puts a hard link to `from` (or a copy) at `to`, in one step also if `to` exists.
fn replace(from: &Path, to: &Path) -> Result<(), InstallError> {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let aside = to.with_file_name(name);
    if fs::hard_link(from, &aside).is_err() {
        fs::copy(from, &aside).map_err(InstallError::file("cannot copy", from))?;
    }
    fs::rename(&aside, to).map_err(InstallError::file("cannot rename to", to))?;
    // Renaming a link over another link to the same file does nothing and leaves both.
    if aside.exists() {
        fs::remove_file(&aside).map_err(InstallError::file("cannot remove", &aside))?;
    }
    Ok(())
}

/// Writes a file aside and renames it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), InstallError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let aside = path.with_file_name(name);
    fs::write(&aside, bytes).map_err(InstallError::file("cannot write", &aside))?;
    fs::rename(&aside, path).map_err(InstallError::file("cannot rename to", path))
}

pub(super) fn make(folder: &Path) -> Result<(), InstallError> {
    fs::create_dir_all(folder).map_err(InstallError::file("cannot make the folder", folder))
}

/// Removes a folder if it is there.
pub(super) fn remove(folder: &Path) -> Result<bool, InstallError> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(InstallError::file("cannot remove", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as a build would leave them; `mark` makes its library different from others.
    fn built(folder: &Path, mark: &str) -> Built {
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            // As cargo does: never into a file that may be linked elsewhere.
            let _ = fs::remove_file(&path);
            fs::write(&path, text).expect("written");
            path
        };
        let polars = file("libpolars-1.rmeta", "polars");
        fs::write(folder.join("Cargo.lock"), "lock").expect("written");
        Built {
            library: file("liboxilab_dylib.so", mark),
            externs: [("polars".to_owned(), polars.clone())].into(),
            crates: [polars].into(),
            worker: file("oxilab-worker", "worker"),
            kernel: file("oxilab", "kernel"),
            server: file("oxilab-server", "server"),
            flags: Vec::new(),
            target_directory: folder.to_owned(),
            packages: Vec::new(),
        }
    }

    struct Setting {
        source: tempfile::TempDir,
        data: tempfile::TempDir,
        toolchain: Toolchain,
    }

    impl Setting {
        fn new() -> Self {
            Self {
                source: tempfile::tempdir().expect("folder"),
                data: tempfile::tempdir().expect("folder"),
                toolchain: Toolchain::find().expect("toolchain"),
            }
        }

        fn install(&self, mark: &str, built_at: u64) -> Prelude {
            let files = built(self.source.path(), mark);
            let mut prelude = place(&files, &self.toolchain, self.source.path(), self.data.path())
                .expect("placed");
            prelude.built = built_at;
            write(&prelude.directory.join(RECORD), &to_json(&prelude)).expect("written");
            make_current(&prelude, self.data.path()).expect("current");
            prelude
        }
    }

    #[test]
    fn an_installed_build_is_found() {
        let setting = Setting::new();
        let prelude = setting.install("one", 1);
        let found = Prelude::find(setting.data.path()).expect("found");
        assert_eq!(found, prelude);
        assert!(found.externs["polars"].is_file());
        assert_eq!(found.packages().expect("packages"), []);
        assert_eq!(fs::read_to_string(&found.lock).expect("lock"), "lock");
    }

    #[test]
    fn nothing_installed_names_the_command() {
        let folder = tempfile::tempdir().expect("folder");
        let error = Prelude::find(folder.path()).expect_err("nothing there");
        assert!(error.to_string().contains("oxilab install"), "{error}");
    }

    #[test]
    fn another_compiler_names_the_command() {
        let setting = Setting::new();
        let mut prelude = setting.install("one", 1);
        prelude.rustc_stamp.size += 1;
        prelude.rustc_version = "rustc 1.0.0".to_owned();
        let error = prelude.check().expect_err("another compiler").to_string();
        assert!(error.contains("rustc 1.0.0") && error.contains("oxilab install"), "{error}");
        prelude.rustc = "/nowhere/rustc".into();
        let error = prelude.check().expect_err("no compiler").to_string();
        assert!(error.contains("/nowhere/rustc") && error.contains("oxilab install"), "{error}");
    }

    #[test]
    fn the_same_build_is_not_placed_twice_but_its_kernel_is_renewed() {
        let setting = Setting::new();
        let first = setting.install("one", 1);
        let mut files = built(setting.source.path(), "one");
        files.kernel = setting.source.path().join("newer");
        fs::write(&files.kernel, "newer kernel").expect("written");
        files.server = setting.source.path().join("newer-server");
        fs::write(&files.server, "newer server").expect("written");
        let source = setting.source.path();
        let second =
            place(&files, &setting.toolchain, source, setting.data.path()).expect("placed");
        assert_eq!(first.build_id, second.build_id);
        assert_eq!(fs::read_to_string(&second.kernel).expect("kernel"), "newer kernel");
        let server = second.kernel.with_file_name("oxilab-server");
        assert_eq!(fs::read_to_string(server).expect("server"), "newer server");
    }

    #[test]
    fn old_builds_are_pruned_unless_used() {
        let setting = Setting::new();
        let one = setting.install("one", 1);
        let held = one.hold().expect("held");
        let two = setting.install("two", 2);
        let three = setting.install("three", 3);
        assert!(one.directory.is_dir(), "in use");
        drop(held);
        let four = setting.install("four", 4);
        assert!(!one.directory.exists() && !two.directory.exists());
        assert!(three.directory.is_dir() && four.directory.is_dir());
        fs::write(setting.data.path().join("history.sqlite"), "").expect("written");
        assert_eq!(remove_all(setting.data.path()).expect("removed").len(), 2);
        let left = fs::read_dir(setting.data.path()).expect("folder").count();
        assert_eq!(left, 1, "the history stays");
    }
}
