//! Language models: generation, LoRA and QLoRA fine-tuning, sentence embeddings.
//!
//! * [`Llm`] loads a model of the Llama family from GGUF or safetensors, and generates, chats, scores.
//! * [`SftTrainer`] with [`Lora`] fine-tunes it on [`Example`]s; on a quantised model this is QLoRA.
//!   Adapters are PEFT's files.
//! * [`Embedder`] turns sentences into vectors and searches a frame by meaning; [`TextClassifier`] tells
//!   texts apart and is fine-tuned: BERT, RoBERTa, DistilBERT.
//! * [`weights`], [`model`], [`text`], [`tune`]: the parts.

#![allow(
    clippy::doc_markdown,
    clippy::many_single_char_names,
    clippy::redundant_closure_for_method_calls,
    clippy::similar_names,
    clippy::struct_field_names,
    reason = "names of papers and products stand in the prose as they are written; the rest is style, to be worked off file by file"
)]

mod bar;
mod benchmark;
mod constrain;
pub mod embed;
pub mod encoder;
mod engine;
pub mod error;
pub mod export;
mod files;
mod generation;
mod llm;
pub mod model;
pub mod models;
mod pieces;
mod sampling;
mod score;
pub mod text;
pub mod tune;
pub mod weights;

pub use benchmark::{Benchmark, benchmark};
pub use embed::Embedder;
pub use encoder::TextClassifier;
pub use error::LlmError;
pub use export::{Quant, QuantReport};
pub use generation::{Finish, Generation};
pub use llm::{Chat, Llm};
pub use pieces::{Piece, Pieces, Token};
pub use sampling::Sampling;
pub use text::Message;
pub use tune::{Bias, Example, Lora, SftTrainer};
