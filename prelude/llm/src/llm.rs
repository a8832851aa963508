//! [`Llm`]: a model with its tokenizer, chat template and cache; [`Chat`]: a conversation with it.

use std::path::{Path, PathBuf};

use candle_core::Device;
use oxilab_display::table::thousands;
use oxilab_display::{MimeBundle, Render};
use oxilab_nn::DeviceExt as _;
use oxilab_nn::memory::megabytes;

use crate::engine::Engine;
use crate::error::{LlmError, Result};
use crate::generation::Generation;
use crate::model::{KvCache, Model, ModelConfig};
use crate::pieces::Pieces;
use crate::sampling::Sampling;
use crate::text::tokenizer::Stream;
use crate::text::{ChatTemplate, Message, Tokenizer, template};
use crate::tune::lora::Lora;
use crate::weights::gguf::Gguf;
use crate::weights::source::{self, Source};

/// A language model that can be asked, measured and fine-tuned.
///
/// ```no_run
/// use oxilab_llm::{Llm, Sampling, models};
/// let mut llm = Llm::load(models::smollm2()?)?;
/// let said = llm.chat("What is the capital of Italy?", &Sampling::greedy())?;
/// println!("{} ({:.1} tokens/s)", said.text, said.tokens_per_second());
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Debug)]
pub struct Llm {
    pub(crate) path: PathBuf,
    pub(crate) model: Model,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) template: Option<ChatTemplate>,
    pub(crate) lora: Option<Lora>,
    pub(crate) engine: Engine,
    /// Whether the weights are no longer those of the file.
    pub(crate) changed: bool,
    pub(crate) cache: KvCache,
    /// The tokens whose keys and values the engine's cache holds.
    pub(crate) cached: Vec<u32>,
}

impl Llm {
    /// Loads a model from a GGUF file, or from a folder with `config.json`, `tokenizer.json` and
    /// `model.safetensors` or the files that `model.safetensors.index.json` names. Quantised weights stay
    /// quantised. What is neither is taken for a name on the Hugging Face hub, see [`Llm::from_hub`].
    /// The model is on the [best device](oxilab_nn::DeviceExt::best); [`Llm::load_on`] has it on another.
    ///
    /// [`Architecture`](crate::model::Architecture) lists the models that can be loaded.
    ///
    /// # Errors
    /// When a file is missing, damaged, or of an architecture that is not supported, or the device has no room
    /// for the model.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, &Device::best())
    }

    /// As [`Llm::load`], on a device.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use candle_core::Device;
    /// use oxilab_llm::Llm;
    /// // For a model that is larger than the GPU's memory.
    /// let llm = Llm::load_on(folder, &Device::Cpu)?;
    /// assert!(llm.model().device().is_cpu());
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Llm::load`].
    pub fn load_on(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        match path.to_str().filter(|name| is_hub_name(name) && !path.exists()) {
            Some(name) => Self::read_hub(&oxilab_hub::Hub::new(), name),
            None if path.is_dir() => Self::read_folder(path),
            None => Self::read_gguf(path),
        }?
        .to_device(device)
    }

    /// Loads a model of the hub: `OWNER/NAME` with safetensors, or `OWNER/NAME/FILE.gguf`. Files that
    /// are in the cache are not loaded again.
    ///
    /// ```no_run
    /// use oxilab_hub::Hub;
    /// use oxilab_llm::Llm;
    /// let hub = Hub::new().with_revision("main");
    /// let llm = Llm::from_hub(&hub, "HuggingFaceTB/SmolLM2-135M-Instruct")?;
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the hub has no such model or cannot be reached, and as [`Llm::load`].
    pub fn from_hub(hub: &oxilab_hub::Hub, name: &str) -> Result<Self> {
        Self::read_hub(hub, name)?.to_device(&Device::best())
    }

    fn read_hub(hub: &oxilab_hub::Hub, name: &str) -> Result<Self> {
        let failed = |source| LlmError::Hub { id: name.to_owned(), source };
        let mut parts = name.splitn(3, '/');
        let repo = [parts.next(), parts.next()].map(Option::unwrap_or_default).join("/");
        if let Some(file) = parts.next() {
            return Self::read_gguf(&hub.get(&repo, file).map_err(failed)?);
        }
        let small = |file: &str| [".json", ".jinja"].iter().any(|ending| file.ends_with(ending));
        let wanted = |file: &str| !file.contains('/') && (file == source::WHOLE || small(file));
        let folder = hub.snapshot(&repo, wanted).map_err(failed)?;
        // The rest of the weights comes from the same commit as their index.
        let commit = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let pinned = hub.clone().with_revision(commit);
        for file in source::shards(&folder)?.keys() {
            pinned.get(&repo, file).map_err(failed)?;
        }
        Self::read_folder(&folder)
    }

    fn read_gguf(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let config = ModelConfig::from_gguf(&gguf)?;
        let tokenizer = Tokenizer::from_gguf(&gguf)?;
        let template = gguf.text("tokenizer.chat_template").map(str::to_owned);
        let permuted = gguf.text("general.architecture") == Some("llama");
        let model = Model::load(config, &Source::Gguf { gguf, permuted })?;
        Ok(Self::new(path, model, tokenizer, template))
    }

    fn read_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let config = ModelConfig::from_json(&text, &path)?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        let template = template::of_folder(folder);
        let model = Model::load(config, &Source::open_safetensors(folder)?)?;
        Ok(Self::new(folder, model, tokenizer, template))
    }

    fn new(path: &Path, model: Model, tokenizer: Tokenizer, template: Option<String>) -> Self {
        let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
        let (bos, eos) = (text(tokenizer.bos()), text(tokenizer.eos()));
        let template = template.map(|source| ChatTemplate::of_model(&source, bos, eos));
        let cache = KvCache::new(model.config().layers);
        Self {
            path: path.to_owned(),
            model,
            tokenizer,
            template,
            lora: None,
            engine: Engine::Candle,
            changed: false,
            cache,
            cached: Vec::new(),
        }
    }

    /// Moves the model with its adapters to a device, where it generates and is trained from here on. A
    /// model that is there already stays as it is; else the conversation in its cache is forgotten.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use candle_core::Device;
    /// use oxilab_llm::Llm;
    /// let llm = Llm::load(folder)?.to_device(&Device::Cpu)?;
    /// assert!(llm.model().device().is_cpu());
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        if !self.model.device().same_device(device) {
            self.model = self.model.to_device(device)?;
            self.reset();
        }
        Ok(self)
    }

    /// What the model looks like.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    /// The model itself.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template.
    ///
    /// # Errors
    /// When the model has none.
    pub fn template(&self) -> Result<&ChatTemplate> {
        self.template.as_ref().ok_or(LlmError::NoTemplate)
    }

    /// Goes on from a text.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use oxilab_llm::{Llm, Sampling};
    /// let mut llm = Llm::load(folder)?;
    /// let said = llm.generate("the cat", &Sampling::greedy().with_max_tokens(4))?;
    /// assert!(said.tokens.len() <= 4);
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the prompt is empty or too long, a setting is out of range, or the user interrupts.
    pub fn generate(&mut self, prompt: &str, sampling: &Sampling) -> Result<Generation> {
        self.pieces(prompt, sampling)?.generation()
    }

    /// As [`Llm::generate`], shown below the cell while it grows.
    ///
    /// # Errors
    /// As [`Llm::generate`].
    pub fn stream(&mut self, prompt: &str, sampling: &Sampling) -> Result<Generation> {
        self.pieces(prompt, sampling)?.show()
    }

    /// As [`Llm::generate`], piece by piece as the text grows.
    ///
    /// # Errors
    /// As [`Llm::generate`]; the prompt is read before the first piece is asked for.
    pub fn pieces(&mut self, prompt: &str, sampling: &Sampling) -> Result<Pieces<'_>> {
        let tokens = self.tokenizer.encode(prompt, true)?;
        self.token_pieces(&tokens, sampling)
    }

    /// Goes on from token ids.
    ///
    /// # Errors
    /// As [`Llm::generate`], and when an id is not in the vocabulary.
    pub fn generate_tokens(&mut self, prompt: &[u32], sampling: &Sampling) -> Result<Generation> {
        self.token_pieces(prompt, sampling)?.generation()
    }

    /// As [`Llm::generate_tokens`], piece by piece as the text grows.
    ///
    /// # Errors
    /// As [`Llm::generate_tokens`].
    pub fn token_pieces(&mut self, prompt: &[u32], sampling: &Sampling) -> Result<Pieces<'_>> {
        let stream = Stream::after(&self.tokenizer, prompt)?;
        Pieces::new(self, prompt, sampling, stream)
    }

    /// Answers one message.
    ///
    /// # Errors
    /// As [`Llm::generate`], and when the model has no chat template.
    pub fn chat(&mut self, message: &str, sampling: &Sampling) -> Result<Generation> {
        self.answer(&[Message::user(message)], sampling)
    }

    /// Answers the last message of a conversation.
    ///
    /// # Errors
    /// As [`Llm::chat`].
    pub fn answer(&mut self, messages: &[Message], sampling: &Sampling) -> Result<Generation> {
        self.answer_pieces(messages, sampling)?.generation()
    }

    /// As [`Llm::answer`], piece by piece as the answer grows.
    ///
    /// # Errors
    /// As [`Llm::answer`].
    pub fn answer_pieces(
        &mut self,
        messages: &[Message],
        sampling: &Sampling,
    ) -> Result<Pieces<'_>> {
        let tokens = self.chat_tokens(messages)?;
        // An answer is a text of its own.
        Pieces::new(self, &tokens, sampling, Stream::default())
    }

    /// A conversation whose answers are shown while they grow; the cache is kept from turn to turn.
    pub fn conversation(&mut self) -> Chat<'_> {
        Chat { llm: self, messages: Vec::new(), sampling: Sampling::default() }
    }

    fn chat_tokens(&self, messages: &[Message]) -> Result<Vec<u32>> {
        self.tokenizer.encode(&self.template()?.render(messages, true)?, false)
    }

    /// Forgets the cached conversation.
    pub fn reset(&mut self) {
        self.cache = KvCache::new(self.config().layers);
        self.cached.clear();
    }

    /// The weights are other ones: what was computed with the old ones is forgotten, and so is an engine
    /// that has read them from the file.
    pub(crate) fn weights_changed(&mut self) {
        self.changed = true;
        self.engine = Engine::Candle;
        self.reset();
    }

    /// The LoRA settings of the adapter in the model.
    #[must_use]
    pub fn adapter(&self) -> Option<&Lora> {
        self.lora.as_ref()
    }
}

impl Render for Llm {
    fn render(&self) -> MimeBundle {
        let config = self.config();
        let adapter = self.lora.as_ref().map_or_else(String::new, |lora| {
            format!(", LoRA r {} on {}", lora.r, lora.targets.join(", "))
        });
        let changed =
            if self.changed && self.lora.is_none() { ", changed since loaded" } else { "" };
        MimeBundle::text(format!(
            "Llm({}, {} parameters, {} MB, {} layers, context {}{adapter}{changed})",
            config.architecture.name(),
            thousands(self.model.parameters()),
            megabytes(self.model.bytes()),
            config.layers,
            thousands(config.context),
        ))
    }
}

/// `OWNER/NAME` or `OWNER/NAME/…/FILE.gguf`; `FOLDER/FILE.gguf` is a path.
fn is_hub_name(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let plain = |part: &&str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    parts.iter().all(plain)
        && parts.len() > 1
        && (parts.len() > 2) == (Path::new(name).extension() == Some("gguf".as_ref()))
}

/// A conversation. Each answer is shown below the cell while it grows.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::Llm;
/// let mut llm = Llm::load(folder)?;
/// let chat = llm.conversation().with_system("Answer briefly.");
/// assert_eq!(chat.messages().len(), 1);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
pub struct Chat<'a> {
    llm: &'a mut Llm,
    messages: Vec<Message>,
    sampling: Sampling,
}

impl Chat<'_> {
    /// Starts with a message of the system.
    #[must_use]
    pub fn with_system(mut self, content: impl Into<String>) -> Self {
        self.messages.insert(0, Message::system(content));
        self
    }

    /// Sets how answers are generated.
    #[must_use]
    pub fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Says something and gives the model's answer.
    ///
    /// # Errors
    /// As [`Llm::chat`]; the conversation is then as before.
    pub fn say(&mut self, message: impl Into<String>) -> Result<Generation> {
        self.messages.push(Message::user(message));
        let said = self.llm.answer_pieces(&self.messages, &self.sampling).and_then(Pieces::show);
        match &said {
            Ok(said) => self.messages.push(Message::assistant(said.text.clone())),
            Err(_) => {
                self.messages.pop();
            }
        }
        said
    }

    /// What was said so far.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_hub_are_told_from_paths() {
        for name in ["HuggingFaceTB/SmolLM2-135M", "a/b/c.gguf", "a/b/q4/c.gguf"] {
            assert!(is_hub_name(name), "{name}");
        }
        for path in ["model.gguf", "models/x.gguf", "/a/b", "./a/b", "a/../b", "a/b/c", "a\\b/c d"]
        {
            assert!(!is_hub_name(path), "{path}");
        }
    }
}
