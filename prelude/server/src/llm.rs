//! Language models that the server holds: [`LlmSlot`].

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use anyhow::{Context, Result};
use oxilab_llm::{Embedder, Llm};
use oxilab_serve::{Located, ModelStatus};

use crate::locks::locked;
use crate::monitoring::metrics::{Metrics, Samples};
use crate::reload::{Follow, Source, When, apart};

/// A language model under its name; which version answers may change. One text is generated at a time;
/// others wait their turn.
pub(crate) struct LlmSlot {
    pub(crate) name: String,
    source: Source,
    engine: Engine,
    current: RwLock<Version>,
    metrics: Mutex<Metrics>,
}

/// What answers now.
struct Version {
    name: String,
    model: Model,
}

impl Version {
    /// It is called as the registry does, or by its file.
    fn new(place: &Located, model: Model) -> Self {
        // A checksum of gigabytes would take seconds.
        let file = || place.path.file_name().map(|name| name.to_string_lossy().into_owned());
        Self { name: place.version.clone().or_else(file).unwrap_or_default(), model }
    }
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

impl Model {
    /// Loads a model; `None` if the path holds no language model.
    pub(crate) fn load(path: &Path, engine: Engine) -> Result<Option<Self>> {
        let config = path.join("config.json");
        let is_gguf = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
        if !is_gguf && !config.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&config).unwrap_or_default();
        let kind: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let model = if kind["model_type"].as_str().is_some_and(Embedder::is_for) {
            Self::Embed(Arc::new(Embedder::load(path)?))
        } else {
            let llm = engine.take(Llm::load(path)?)?;
            Self::Text(Arc::new(tokio::sync::Mutex::new(llm)))
        };
        Ok(Some(model))
    }
}

impl LlmSlot {
    /// A model that is loaded.
    pub(crate) fn new(source: Source, model: Model, engine: Engine) -> Self {
        Self {
            name: source.name().to_owned(),
            current: RwLock::new(Version::new(&source.loaded(), model)),
            source,
            engine,
            metrics: Mutex::default(),
        }
    }

    /// The version that answers now. Whoever holds it goes on with it; its memory is free when nobody does.
    pub(crate) fn model(&self) -> Model {
        self.current().model.clone()
    }

    pub(crate) fn status(&self) -> ModelStatus {
        let metrics = self.metrics();
        ModelStatus {
            language: Some(metrics.all_generated()),
            ..self.source.status(&self.name, &self.current().name, &metrics)
        }
    }

    fn current(&self) -> RwLockReadGuard<'_, Version> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        locked(&self.metrics)
    }

    /// For who counts later.
    pub(crate) fn metered(&self) -> &Mutex<Metrics> {
        &self.metrics
    }

    pub(crate) fn write_metrics(&self, out: &mut Samples) {
        self.metrics().write(out, &self.name);
        self.source.write_metrics(out);
    }
}

impl Follow for LlmSlot {
    fn source(&self) -> &Source {
        &self.source
    }

    fn look(&self) {
        self.source.look(When::Settled, |place| {
            let model = apart(|| Model::load(&place.path, self.engine))?;
            let model = model.context("there is no language model")?;
            let version = Version::new(place, model);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = version;
            tracing::info!(model = %self.name, "took a new version");
            Ok(())
        });
    }
}
