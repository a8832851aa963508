//! What can go wrong with language models.

use std::path::{Path, PathBuf};

use oxilab_nn::error::plain;
use thiserror::Error;

/// Why a model could not be loaded, asked or trained.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LlmError {
    /// A test or teaching model is not on this machine.
    #[error(
        "the model {name} is not in {}; run `cargo xtask setup`, or set OXILAB_MODELS_DIR to the \
         folder that holds it", folder.display()
    )]
    ModelNotFound {
        /// The model's folder name.
        name: &'static str,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The name is no file or folder, and the hub did not give it either.
    #[error("there is no file or folder {id:?}, so it was looked for on the hub: {source}")]
    Hub {
        /// What was asked for.
        id: String,
        /// What the hub said.
        source: oxilab_hub::HubError,
    },
    /// llama.cpp could not do it.
    #[error("llama.cpp, {doing}: {message}")]
    LlamaCpp {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        message: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file is damaged, or made to do harm.
    #[error("{} is not a usable {format} file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// `GGUF`, `safetensors`, `config.json`, …
        format: &'static str,
        /// What is wrong, with numbers.
        reason: String,
    },
    /// The file is fine, but its model or tokenizer is of a kind that is not implemented.
    #[error("{what} is not supported; supported are {supported}")]
    Unsupported {
        /// What was found.
        what: String,
        /// What can be used.
        supported: &'static str,
    },
    /// The tokenizer failed.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// The chat template failed.
    #[error(
        "the model's chat template failed: {0}; check the roles (system first, then user and \
         assistant in turn), or use `generate` with a plain prompt"
    )]
    Template(String),
    /// The model has no chat template.
    #[error("this model has no chat template (a base model); use `generate` with a plain prompt")]
    NoTemplate,
    /// The prompt does not fit.
    #[error(
        "the prompt has {tokens} tokens, but the model's context is {context}; shorten it or start a \
         new conversation"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The model's limit.
        context: usize,
    },
    /// There is nothing to go on from.
    #[error("the prompt has no tokens; give at least one word")]
    EmptyPrompt,
    /// A token id is not in the vocabulary.
    #[error("token id {id} is out of range: the vocabulary has {vocabulary} tokens")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// The size of the vocabulary.
        vocabulary: usize,
    },
    /// A setting is out of range.
    #[error("{setting} is {value}, but {expected}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// A JSON Schema asks for something that output cannot be held to.
    #[error(
        "the JSON schema cannot be followed: {at}: {reason}; leave it out of the schema and check the \
         output afterwards"
    )]
    Schema {
        /// The place in the schema, as a JSON pointer.
        at: String,
        /// What is there.
        reason: String,
    },
    /// Training examples are missing or have the wrong form.
    #[error("example {row}: {reason}")]
    Example {
        /// The example's number, from 0.
        row: usize,
        /// What is wrong and what to do.
        reason: String,
    },
    /// There are no examples.
    #[error("there are no examples to train on")]
    NoExamples,
    /// An adapter does not fit the model.
    #[error("the adapter in {} does not fit: {reason}", path.display())]
    Adapter {
        /// The adapter's folder.
        path: PathBuf,
        /// What is missing or different.
        reason: String,
    },
    /// The model has no adapter, or already has one.
    #[error("{0}")]
    AdapterState(&'static str),
    /// What the model computes are no numbers.
    #[error(
        "the model's output behind {tokens} tokens is not finite: its weights are damaged or training \
         has diverged; load the model again, or an earlier checkpoint"
    )]
    NotFinite {
        /// How many tokens it had read.
        tokens: usize,
    },
    /// The head of a classifier has learned nothing.
    #[error(
        "the model in {} has no trained head for classes, so its predictions would be chance; fine-tune \
         it with `fit`, or load one that was", folder.display()
    )]
    NotTrained {
        /// The model's folder.
        folder: PathBuf,
    },
    /// The user interrupted.
    #[error("interrupted; the model is unchanged and can be used again")]
    Interrupted,
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(candle_core::Error),
    /// Training failed.
    #[error(transparent)]
    Training(#[from] oxilab_nn::NnError),
    /// A frame could not be read.
    #[error("cannot read the frame: {0}")]
    Frame(#[from] polars::prelude::PolarsError),
}

impl LlmError {
    pub(crate) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}

impl From<candle_core::Error> for LlmError {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(plain(error))
    }
}

/// The result of this crate's verbs.
pub type Result<T, E = LlmError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use std::backtrace::Backtrace;

    use super::*;

    #[test]
    fn an_error_of_candle_is_shown_without_its_stack() {
        let inner = Box::new(candle_core::Error::Msg("shapes differ".to_owned()));
        let backtrace = Box::new(Backtrace::force_capture());
        let error = candle_core::Error::WithBacktrace { inner, backtrace };
        let error = LlmError::from(error.context("layer 2"));
        let text = format!("{error} {error:?}");
        assert!(text.contains("shapes differ") && text.contains("layer 2"), "{text}");
        assert!(!text.contains("backtrace") && !text.contains("error.rs:"), "{text}");
    }
}
