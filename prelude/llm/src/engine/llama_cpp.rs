//! llama.cpp under an [`Llm`]'s generation, by way of the crate `llama-cpp-2`.
//!
//! A context of llama.cpp borrows its model, so both live on a thread of their own, which is asked
//! over a channel and ends with its [`LlamaCpp`].

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::{LogOptions, send_logs_to_tracing};

use super::Engine;
use crate::error::{LlmError, Result};
use crate::llm::Llm;

impl Llm {
    /// Generates with llama.cpp from now on: prompts are read and tokens computed by its kernels, while
    /// templates, sampling, constraints and log-probabilities stay as they are. The model must come from
    /// a GGUF file, which llama.cpp reads a second time. Perplexity, fine-tuning and saving go on using
    /// candle's tensors; whatever changes the weights (an adapter, merging, training) takes generation
    /// back to candle, since the file has the old ones.
    ///
    /// Needs the cargo feature `llama-cpp`, which builds llama.cpp (about 4 minutes on two cores).
    ///
    /// ```no_run
    /// use oxilab_llm::{Llm, Sampling, models};
    /// let mut llm = Llm::load(models::smollm2()?)?.with_llama_cpp()?;
    /// println!("{}", llm.chat("What is the capital of Italy?", &Sampling::greedy())?);
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the model has an adapter or other weights than its file, or llama.cpp cannot load the file.
    pub fn with_llama_cpp(mut self) -> Result<Self> {
        if self.path.is_dir() {
            return Err(failed("loading", "it reads GGUF files; save the model with `save_gguf`"));
        }
        if self.changed {
            return Err(failed("loading", "the weights are no longer those of the file"));
        }
        let context = u32::try_from(self.config().context).unwrap_or(u32::MAX);
        self.engine = Engine::LlamaCpp(LlamaCpp::load(&self.path, context)?);
        self.reset();
        Ok(self)
    }
}

/// A model that llama.cpp has loaded.
#[derive(Debug)]
pub(crate) struct LlamaCpp {
    asks_tx: Sender<Ask>,
}

/// Tokens to read, from a position on.
struct Ask {
    position: usize,
    tokens: Vec<u32>,
    logits_tx: SyncSender<Result<Vec<f32>>>,
}

impl LlamaCpp {
    fn load(path: &Path, context: u32) -> Result<Self> {
        let (asks_tx, asks_rx) = channel();
        let (ready_tx, ready_rx) = sync_channel(1);
        let path = path.to_owned();
        let spawned = thread::Builder::new().name("oxilab-llama".to_owned()).spawn(move || {
            if let Err(error) = serve(&path, context, &asks_rx, &ready_tx) {
                // Whoever loads has gone, or has had the answer.
                let _ = ready_tx.send(Err(error));
            }
        });
        spawned.map_err(|error| failed("starting a thread", error))?;
        ready_rx.recv().map_err(|_| failed("loading", "its thread ended"))??;
        Ok(Self { asks_tx })
    }

    /// The logits after `tokens`, which stand at `position` and after; what was read beyond is forgotten.
    pub(crate) fn step(&self, position: usize, tokens: &[u32]) -> Result<Vec<f32>> {
        let (logits_tx, logits_rx) = sync_channel(1);
        let gone = || failed("reading tokens", "its thread ended");
        let ask = Ask { position, tokens: tokens.to_vec(), logits_tx };
        self.asks_tx.send(ask).map_err(|_| gone())?;
        logits_rx.recv().map_err(|_| gone())?
    }
}

fn serve(
    path: &Path,
    length: u32,
    asks_rx: &Receiver<Ask>,
    ready_tx: &SyncSender<Result<()>>,
) -> Result<()> {
    let backend = backend()?;
    let model = LlamaModel::load_from_file(backend, path, &LlamaModelParams::default())
        .map_err(|error| failed("loading", error))?;
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = i32::try_from(threads).unwrap_or(i32::MAX);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(length))
        .with_n_threads(threads)
        .with_n_threads_batch(threads);
    let mut context =
        model.new_context(backend, params).map_err(|error| failed("making a context", error))?;
    let _ = ready_tx.send(Ok(()));
    for ask in asks_rx {
        let logits = read(&mut context, ask.position, &ask.tokens);
        // An interrupted caller does not listen any more.
        let _ = ask.logits_tx.send(logits);
    }
    Ok(())
}

fn read(context: &mut LlamaContext<'_>, position: usize, tokens: &[u32]) -> Result<Vec<f32>> {
    let start = u32::try_from(position).map_err(|error| failed("reading tokens", error))?;
    context
        .clear_kv_cache_seq(Some(0), Some(start), None)
        .map_err(|error| failed("forgetting tokens", error))?;
    let mut batch = LlamaBatch::new(tokens.len(), 1);
    for (at, token) in tokens.iter().enumerate() {
        let number = |value: usize| i32::try_from(value).map_err(|e| failed("reading tokens", e));
        let id = LlamaToken::new(token.cast_signed());
        batch
            .add(id, number(position + at)?, &[0], at + 1 == tokens.len())
            .map_err(|error| failed("reading tokens", error))?;
    }
    context.decode(&mut batch).map_err(|error| failed("reading tokens", error))?;
    Ok(context.get_logits_ith(batch.n_tokens() - 1).to_vec())
}

/// llama.cpp is set up once for the process. Its log is for tracing, not for the cell.
fn backend() -> Result<&'static LlamaBackend> {
    static BACKEND: OnceLock<std::result::Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        send_logs_to_tracing(LogOptions::default());
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    backend.as_ref().map_err(|error| failed("starting", error))
}

fn failed(doing: &'static str, error: impl std::fmt::Display) -> LlmError {
    LlmError::LlamaCpp { doing, message: error.to_string() }
}
