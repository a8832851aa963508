//! Files are written aside and then renamed, so that a full disk leaves the old ones.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use oxilab_nn::aside;
use tempfile::TempDir;

use crate::error::{LlmError, Result};

/// Writes one file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| LlmError::file("write", path, e);
    aside::replace(path, failed, |file, _| file.write_all(bytes).map_err(failed))
}

/// Files of one folder that only make sense together: each is written aside, and when all are whole and
/// on the disk they take the places of the older ones. Other files of the folder stay.
pub(crate) struct Together {
    folder: PathBuf,
    aside: TempDir,
    names: Vec<&'static str>,
}

impl Together {
    pub(crate) fn begin(folder: &Path) -> Result<Self> {
        let failed = |e| LlmError::file("create", folder, e);
        std::fs::create_dir_all(folder).map_err(failed)?;
        // Inside of it: a file cannot be renamed onto another file system.
        let aside =
            tempfile::Builder::new().prefix(".aside-").tempdir_in(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), aside, names: Vec::new() })
    }

    pub(crate) fn write(&mut self, name: &'static str, bytes: &[u8]) -> Result<()> {
        self.put(name, |path| std::fs::write(path, bytes))
    }

    /// Tensors as safetensors.
    pub(crate) fn write_tensors(
        &mut self,
        name: &'static str,
        tensors: &HashMap<String, Tensor>,
    ) -> Result<()> {
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        self.put(name, |path| {
            safetensors::serialize_to_file(tensors.iter(), Some(metadata), path)
                .map_err(io::Error::other)?;
            // safetensors' writer makes it readable by its owner alone.
            let usual = File::create(path.with_extension("usual"))?.metadata()?.permissions();
            std::fs::set_permissions(path, usual)
        })
    }

    fn put(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<()> {
        let aside = self.aside.path().join(name);
        let written = write(&aside)
            .and_then(|()| File::options().write(true).open(&aside))
            .and_then(|file| file.sync_all());
        written.map_err(|e| LlmError::file("write", &self.folder.join(name), e))?;
        self.names.push(name);
        Ok(())
    }

    /// Puts the files into their places.
    pub(crate) fn finish(self) -> Result<()> {
        // What a file cannot take the place of is found before the first one is renamed.
        if let Some(taken) = self.names.iter().map(|n| self.folder.join(n)).find(|p| p.is_dir()) {
            let source = io::Error::from(io::ErrorKind::IsADirectory);
            return Err(LlmError::file("write", &taken, source));
        }
        for name in &self.names {
            let path = self.folder.join(name);
            std::fs::rename(self.aside.path().join(name), &path)
                .map_err(|e| LlmError::file("write", &path, e))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_their_places_when_all_are_whole_and_others_stay() -> Result<()> {
        let out = tempfile::tempdir().map_err(|e| LlmError::file("create", Path::new("."), e))?;
        let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap_or_default();
        let names = || std::fs::read_dir(out.path()).map_or(0, Iterator::count);
        write(&out.path().join("notes.txt"), b"mine")?;
        let both = |text: &str| -> Result<Together> {
            let mut files = Together::begin(out.path())?;
            files.write("a", text.as_bytes())?;
            files.write("b", text.as_bytes())?;
            Ok(files)
        };
        both("old")?.finish()?;
        drop(both("given up")?);
        assert_eq!(
            (read("a"), read("b"), read("notes.txt")),
            ("old".into(), "old".into(), "mine".into())
        );
        // A folder in the way is found before the first file is replaced.
        std::fs::remove_file(out.path().join("b"))
            .map_err(|e| LlmError::file("remove", out.path(), e))?;
        std::fs::create_dir(out.path().join("b"))
            .map_err(|e| LlmError::file("create", out.path(), e))?;
        assert!(both("new")?.finish().is_err());
        assert_eq!((read("a"), names()), ("old".into(), 3), "nothing is left over");
        Ok(())
    }
}
