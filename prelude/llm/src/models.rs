//! Where the test and teaching models are: put there by `cargo xtask setup`.

use std::path::PathBuf;

use crate::error::{LlmError, Result};

/// SmolLM2-135M-Instruct as GGUF, 4 bit (`Q4_1`), 98 MB.
///
/// # Errors
/// When the model is not on this machine.
pub fn smollm2() -> Result<PathBuf> {
    let folder = folder("smollm2")?;
    let file = std::fs::read_dir(&folder)
        .map_err(|e| LlmError::file("read", &folder, e))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|ending| ending == "gguf"));
    file.ok_or(LlmError::ModelNotFound { name: "smollm2", folder })
}

/// The folder of all-MiniLM-L6-v2, a sentence-embedding model: safetensors and tokenizer, 91 MB.
///
/// # Errors
/// When the model is not on this machine.
pub fn minilm() -> Result<PathBuf> {
    folder("minilm")
}

fn folder(name: &'static str) -> Result<PathBuf> {
    let folder = models_dir().join(name);
    if folder.is_dir() { Ok(folder) } else { Err(LlmError::ModelNotFound { name, folder }) }
}

/// `$OXILAB_MODELS_DIR`, or `oxilab/models` in the user's cache folder.
///
/// ```
/// println!("models are looked for in {}", oxilab_llm::models::models_dir().display());
/// ```
#[must_use]
pub fn models_dir() -> PathBuf {
    if let Some(folder) = std::env::var_os("OXILAB_MODELS_DIR") {
        return folder.into();
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
        std::env::home_dir().map(|home| {
            if cfg!(target_os = "macos") {
                home.join("Library/Caches")
            } else {
                home.join(".cache")
            }
        })
    });
    cache.unwrap_or_default().join("oxilab/models")
}
