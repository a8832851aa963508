//! Language models that the server holds: [`LlmSlot`].

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use oxilab_llm::{Embedder, Llm};

use crate::monitoring::metrics::{Metrics, Samples};

/// A language model under its name. One text is generated at a time; others wait their turn.
pub(crate) struct LlmSlot {
    pub(crate) name: String,
    pub(crate) model: Model,
    metrics: Mutex<Metrics>,
}

/// What a language model can do.
#[derive(Clone)]
pub(crate) enum Model {
    /// Generates text.
    Text(Arc<tokio::sync::Mutex<Llm>>),
    /// Turns text into vectors.
    Embed(Arc<Embedder>),
}

/// What computes the next token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    Candle,
    LlamaCpp,
}

impl Engine {
    fn take(self, llm: Llm) -> Result<Llm> {
        match self {
            Self::Candle => Ok(llm),
            #[cfg(feature = "llama-cpp")]
            Self::LlamaCpp => Ok(llm.with_llama_cpp()?),
            #[cfg(not(feature = "llama-cpp"))]
            Self::LlamaCpp => anyhow::bail!(
                "this oxilab-server was built without llama.cpp; leave `--engine` away, or build it with \
                 `cargo build --release -p oxilab-server --features llama-cpp`"
            ),
        }
    }
}

impl LlmSlot {
    /// Loads a model; `None` if the path holds no language model.
    pub(crate) fn load(name: &str, path: &Path, engine: Engine) -> Result<Option<Self>> {
        let config = path.join("config.json");
        let is_gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
        if !is_gguf && !config.is_file() {
            return Ok(None);
        }
        let doing = || format!("cannot load model {name}");
        let text = std::fs::read_to_string(&config).unwrap_or_default();
        let kind: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let model = if kind["model_type"] == "bert" {
            Model::Embed(Arc::new(Embedder::load(path).with_context(doing)?))
        } else {
            let llm = engine.take(Llm::load(path).with_context(doing)?).with_context(doing)?;
            Model::Text(Arc::new(tokio::sync::Mutex::new(llm)))
        };
        Ok(Some(Self { name: name.to_owned(), model, metrics: Mutex::default() }))
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write_metrics(&self, out: &mut Samples) {
        self.metrics().write(out, &self.name);
    }
}
