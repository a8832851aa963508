//! Compiled libraries by content, shared by all kernels of a user.
//!
//! A library is written aside and renamed, with its messages beside it, and is never overwritten:
//! several kernels may fill the cache at once. It is bounded: the libraries used longest ago go first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::diagnostics::Message;

/// Folder of compiled libraries.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Bytes the cache may hold when a kernel starts.
const LIMIT: u64 = 2 << 30;

impl Cache {
    /// Opens (and makes) the cache for one build of the prelude.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the library of a crate and key stands, or will.
    #[must_use]
    pub fn library(&self, crate_name: &str, key: &str) -> PathBuf {
        self.folder.join(format!("lib{crate_name}-{key}.so"))
    }

    /// A library and its messages, if it is there whole.
    #[must_use]
    pub fn find(&self, crate_name: &str, key: &str) -> Option<(PathBuf, Vec<Message>)> {
        let library = self.library(crate_name, key);
        let messages =
            serde_json::from_slice(&fs::read(library.with_extension("json")).ok()?).ok()?;
        if !library.exists() {
            return None;
        }
        // The time of use decides what is dropped first; failing to note it costs only that.
        let _ = fs::File::open(&library).and_then(|file| file.set_modified(SystemTime::now()));
        Some((library, messages))
    }

    /// Takes a finished library over. The messages are renamed into place last but one, the library
    /// last: what [`Self::find`] sees is whole.
    ///
    /// # Errors
    /// When a file cannot be written: a full disk, no permission.
    pub fn keep(
        &self,
        built: &Path,
        crate_name: &str,
        key: &str,
        messages: &[Message],
    ) -> io::Result<PathBuf> {
        let library = self.library(crate_name, key);
        let aside = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
        serde_json::to_writer(io::BufWriter::new(aside.as_file()), messages)?;
        aside.persist(library.with_extension("json")).map_err(|error| error.error)?;
        fs::rename(built, &library)?;
        Ok(library)
    }

    /// A note kept under a key.
    #[must_use]
    pub fn recall<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.note(key)).ok()?).ok()
    }

    /// Keeps a note under a key.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember<T: serde::Serialize>(&self, key: &str, note: &T) -> io::Result<()> {
        let aside = tempfile::Builder::new().prefix(".new-").tempfile_in(&self.folder)?;
        serde_json::to_writer(aside.as_file(), note)?;
        aside.persist(self.note(key)).map_err(|error| error.error)?;
        Ok(())
    }

    /// The number goes up when notes come to say something else: old ones are then not found.
    fn note(&self, key: &str) -> PathBuf {
        self.folder.join(format!("note2-{key}.json"))
    }

    /// Drops the libraries used longest ago until the cache is within its limit.
    pub fn prune(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let metadata = entry.metadata().ok()?;
                metadata.is_file().then_some((
                    metadata.modified().ok()?,
                    metadata.len(),
                    entry.path(),
                ))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (_, size, path) in files {
            if total <= LIMIT {
                break;
            }
            // Another kernel may have dropped it already.
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}
