//! Files are written aside and then renamed, so that a full disk leaves the old one.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

use candle_core::Tensor;
use oxilab_nn::aside;

use crate::error::{LlmError, Result};

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| LlmError::file("write", path, e);
    aside::replace(path, failed, |file, _| file.write_all(bytes).map_err(failed))
}

/// Writes tensors as safetensors.
pub(crate) fn write_tensors(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<()> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let failed = |e| LlmError::file("write", path, e);
    aside::replace(path, failed, |_, aside| {
        safetensors::serialize_to_file(tensors.iter(), Some(metadata), aside)
            .map_err(|e| failed(std::io::Error::other(e)))
    })
}

pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| LlmError::file("create", folder, e))
}
