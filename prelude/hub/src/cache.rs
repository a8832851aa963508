//! The cache folder in the layout of Python's `huggingface_hub`.
//!
//! ```text
//! models--ORG--NAME/
//!     refs/main                     the commit that a branch or tag stood for when last asked
//!     blobs/ETAG                    contents, each once
//!     snapshots/COMMIT/FILE         links into blobs
//!     lists/COMMIT                  ours alone: the names of the commit's files, one in a line
//! ```

use std::fs::TryLockError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oxilab_runtime::cancel;

use crate::error::{HubError, Result};

/// How often whoever waits for another process or the network looks for an interrupt.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);

/// The folder of one repository.
#[derive(Clone, Debug)]
pub(crate) struct RepoCache {
    root: PathBuf,
}

impl RepoCache {
    /// `kind` is `models`, `datasets` or `spaces`; the name has been checked.
    pub(crate) fn new(cache: &Path, kind: &str, repo: &str) -> Self {
        Self { root: cache.join(format!("{kind}--{}", repo.replace('/', "--"))) }
    }

    pub(crate) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The file of a revision, if it is there: the revision may be a commit or a name.
    pub(crate) fn find(&self, revision: &str, file: &str) -> Option<PathBuf> {
        let path = self.snapshot(&self.commit(revision)?).join(file);
        path.is_file().then_some(path)
    }

    /// The commit that a revision stood for when it was last asked.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = std::fs::read_to_string(self.root.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Notes what a branch or tag stands for.
    pub(crate) fn remember(&self, revision: &str, commit: &str) -> Result<()> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision);
        create(parent(&path))?;
        replace(&path, commit).map_err(|e| HubError::file("write", &path, e))
    }

    /// The folder of what a revision stood for when last asked, if there is one.
    pub(crate) fn folder(&self, revision: &str) -> Option<PathBuf> {
        let folder = self.snapshot(&self.commit(revision)?);
        folder.is_dir().then_some(folder)
    }

    /// The files of a commit, if they have been asked for before: a commit never changes.
    pub(crate) fn files(&self, commit: &str) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(self.root.join("lists").join(commit)).ok()?;
        Some(text.lines().map(str::to_owned).collect())
    }

    /// Notes the files of a commit. Where that cannot be written, as in a cache that is only read, the hub
    /// is asked the next time too.
    pub(crate) fn remember_files(&self, commit: &str, files: &[String]) {
        let path = self.root.join("lists").join(commit);
        if !path.is_file() && create(parent(&path)).is_ok() {
            let _ = replace(&path, &files.join("\n"));
        }
    }

    /// Puts a blob into a snapshot: a relative link, or a copy where the file system has no links.
    pub(crate) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        create(parent(&path))?;
        let up = "../".repeat(2 + file.split('/').count() - 1);
        let target = format!("{up}blobs/{etag}");
        if std::fs::read_link(&path).is_ok_and(|link| link == Path::new(&target)) {
            return Ok(path);
        }
        // A link is made aside and renamed, so that a reader finds the old file or the new one.
        tempfile::Builder::new()
            .make_in(parent(&path), |aside| {
                symlink(&target, aside)
                    .or_else(|_| std::fs::copy(self.blob(etag), aside).map(|_| ()))
            })
            .and_then(|aside| Ok(aside.persist(&path)?))
            .map_err(|e| HubError::file("write", &path, e))?;
        Ok(path)
    }

    /// Waits until no other process loads this blob, unless the user does not; the lock goes with the
    /// returned file.
    pub(crate) fn lock(&self, file: &str, etag: &str) -> Result<std::fs::File> {
        let name = self.root.file_name().unwrap_or_default();
        let folder = parent(&self.root).join(".locks").join(name);
        create(&folder)?;
        let path = folder.join(format!("{etag}.lock"));
        let failed = |e| HubError::file("lock", &path, e);
        let held = std::fs::File::create(&path).map_err(failed)?;
        loop {
            match held.try_lock() {
                Ok(()) => return Ok(held),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
                Err(TryLockError::WouldBlock) if cancel::requested() => {
                    return Err(HubError::Interrupted { file: file.to_owned() });
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(GLANCE),
            }
        }
    }
}

/// Written aside and renamed: a reader finds the old text or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let aside = tempfile::NamedTempFile::new_in(parent(path))?;
    std::fs::write(aside.path(), text)?;
    aside.persist(path)?;
    Ok(())
}

/// Whether a revision is a full commit, which never changes its meaning.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| HubError::file("create", folder, e))
}

pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn symlink(target: &str, path: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symlink(_target: &str, _path: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// `$HF_HUB_CACHE`, `$HF_HOME/hub`, `$XDG_CACHE_HOME/huggingface/hub` or `~/.cache/huggingface/hub`.
pub(crate) fn default_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("HF_HUB_CACHE") {
        return folder.into();
    }
    home().join("hub")
}

/// Where the hub's own files lie, the token among them.
pub(crate) fn home() -> PathBuf {
    if let Some(home) = std::env::var_os("HF_HOME") {
        return home.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    cache.unwrap_or_default().join("huggingface")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_another_process_can_be_interrupted() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = RepoCache::new(folder.path(), "models", "org/tiny");
        let held = cache.lock("a", "etag").expect("free");
        let pressed = cancel::press();
        assert!(matches!(cache.lock("a", "etag"), Err(HubError::Interrupted { .. })));
        drop((pressed, held));
        cache.lock("a", "etag").expect("free again");
    }
}
