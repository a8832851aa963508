//! Files are written aside and then renamed, so that a full disk leaves the old one.

use std::io::Write as _;
use std::path::Path;

use crate::error::{LlmError, Result};

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| LlmError::file("write", path, e);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut aside =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    aside.write_all(bytes).map_err(failed)?;
    aside.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Writes tensors as safetensors, aside and then renamed.
pub(crate) fn write_tensors(
    path: &Path,
    tensors: &std::collections::HashMap<String, candle_core::Tensor>,
) -> Result<()> {
    let metadata = std::collections::HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let aside = tempfile::Builder::new()
        .suffix(".safetensors")
        .tempfile_in(folder)
        .map_err(|e| LlmError::file("write", path, e))?;
    safetensors::serialize_to_file(tensors.iter(), Some(metadata), aside.path()).map_err(|e| {
        LlmError::File { action: "write", path: path.to_owned(), source: std::io::Error::other(e) }
    })?;
    aside.persist(path).map_err(|e| LlmError::file("write", path, e.error))?;
    Ok(())
}

pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| LlmError::file("create", folder, e))
}
