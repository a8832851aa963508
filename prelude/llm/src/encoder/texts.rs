//! From texts to token ids, from a folder to its files.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tokenizers::Tokenizer;

use super::config::Config;
use super::net::{Encoder, Source};
use crate::error::{LlmError, Result};

/// Files that are larger are not read: real ones have some megabytes.
const JSON_LIMIT: u64 = 256 << 20;

/// The folder of a model.
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
    pub(crate) json: Json,
}

impl Files {
    /// A folder, or a `name` or `organisation/name` on the hub, which is loaded unless it is in the cache.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if path.is_file() {
            return Err(LlmError::Unsupported {
                what: format!("{}, which is one file,", path.display()),
                supported: "folders with config.json, tokenizer.json and model.safetensors; a GGUF file is \
                            for `Llm::load`",
            });
        }
        let folder = if path.is_dir() { path.to_owned() } else { from_hub(path)? };
        let json = read_json(&folder.join("config.json"))?;
        Ok(Self { folder, json })
    }

    pub(crate) fn config(&self) -> Result<Config> {
        let path = self.folder.join("config.json");
        Config::read(&self.json, |reason| LlmError::Damaged {
            path: path.clone(),
            format: "config.json",
            reason,
        })
    }

    /// The encoder, and the file's tensors for a head.
    pub(super) fn load(&self) -> Result<(Encoder, Source)> {
        let config = self.config()?;
        let names = ["model.safetensors", "pytorch_model.bin"].map(|name| self.folder.join(name));
        let path = names.iter().find(|path| path.is_file()).unwrap_or(&names[0]);
        let source = Source::new(path.clone(), oxilab_nn::load_tensors(path)?);
        let encoder = Encoder::load(&source, config).map_err(|reason| source.damaged(reason))?;
        Ok((encoder, source))
    }

    pub(crate) fn encoder(&self) -> Result<Encoder> {
        Ok(self.load()?.0)
    }
}

fn from_hub(path: &Path) -> Result<PathBuf> {
    let name = path.to_str().unwrap_or_default();
    if name.is_empty() || name.split('/').count() > 2 || name.starts_with(['/', '.', '~']) {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(LlmError::file("read", path, source));
    }
    let hub = oxilab_hub::Hub::new();
    let failed = |source| LlmError::Hub { id: name.to_owned(), source };
    let wanted = |file: &str| {
        [
            "config.json",
            "tokenizer.json",
            "sentence_bert_config.json",
            "1_Pooling/config.json",
            "modules.json",
            "model.safetensors",
        ]
        .contains(&file)
    };
    let folder = hub.snapshot(name, wanted).map_err(failed)?;
    // Older repositories have no safetensors. Their weights are those of the commit that the folder holds,
    // which is not asked for again.
    if !folder.join("model.safetensors").is_file() {
        let commit = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let pinned = hub.with_revision(commit);
        pinned.get(name, "pytorch_model.bin").map_err(failed)?;
    }
    Ok(folder)
}

/// A JSON file of believable size.
pub(crate) fn read_json(path: &Path) -> Result<Json> {
    serde_json::from_slice(&read_small(path)?).map_err(|e| LlmError::Damaged {
        path: path.to_owned(),
        format: "JSON",
        reason: e.to_string(),
    })
}

fn read_small(path: &Path) -> Result<Vec<u8>> {
    let size = std::fs::metadata(path).map_err(|e| LlmError::file("read", path, e))?.len();
    if size > JSON_LIMIT {
        return Err(LlmError::Damaged {
            path: path.to_owned(),
            format: "JSON",
            reason: format!("{size} bytes are more than any has"),
        });
    }
    std::fs::read(path).map_err(|e| LlmError::file("read", path, e))
}

/// A tokenizer that cuts texts at the model's length.
#[derive(Clone)]
pub(crate) struct Texts {
    tokenizer: Tokenizer,
    pub(crate) longest: usize,
}

impl Texts {
    /// `tokenizer.json` of a folder, for texts of at most `longest` tokens.
    pub(crate) fn open(folder: &Path, longest: usize) -> Result<Self> {
        let path = folder.join("tokenizer.json");
        let bytes = read_small(&path)?;
        let tokenizer = crate::text::tokenizer::parse(&bytes).map_err(|reason| {
            LlmError::Damaged { path: path.clone(), format: "tokenizer.json", reason }
        })?;
        Self::new(tokenizer, longest)
    }

    pub(super) fn new(mut tokenizer: Tokenizer, longest: usize) -> Result<Self> {
        // Batches are filled here, and cut at the length that the model was trained with.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| LlmError::Tokenizer(e.to_string()))?;
        Ok(Self { tokenizer, longest: longest.max(2) })
    }

    /// Token ids of texts; long ones keep their closing token.
    pub(crate) fn ids<S: AsRef<str>>(&self, texts: &[S]) -> Result<Vec<Vec<u32>>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let encoded = self
            .tokenizer
            .encode_batch_fast(texts, true)
            .map_err(|e| LlmError::Tokenizer(e.to_string()))?;
        let cut = |mut ids: Vec<u32>| {
            if ids.len() > self.longest
                && let Some(end) = ids.last().copied()
            {
                ids.truncate(self.longest - 1);
                ids.push(end);
            }
            ids
        };
        Ok(encoded.into_iter().map(|encoding| cut(encoding.get_ids().to_vec())).collect())
    }
}
