//! Language models: generation, LoRA and QLoRA fine-tuning, sentence embeddings.
//!
//! * [`Llm`] loads a model of the Llama family from GGUF or safetensors, and generates, chats, scores.
//! * [`SftTrainer`] with [`Lora`] fine-tunes it on [`Example`]s; on a quantised model this is QLoRA.
//!   Adapters are PEFT's files.
//! * [`Embedder`] turns sentences into vectors and searches a frame by meaning.
//! * [`weights`], [`model`], [`text`], [`tune`]: the parts.

#![allow(
    clippy::doc_markdown,
    clippy::many_single_char_names,
    clippy::redundant_closure_for_method_calls,
    clippy::similar_names,
    clippy::struct_field_names,
    reason = "names of papers and products stand in the prose as they are written; the rest is style, to be worked off file by file"
)]

pub mod embed;
pub mod error;
mod files;
mod generation;
mod llm;
pub mod model;
pub mod models;
mod sampling;
pub mod text;
pub mod tune;
pub mod weights;

pub use embed::Embedder;
pub use error::LlmError;
pub use generation::{Finish, Generation};
pub use llm::{Chat, Llm};
pub use sampling::Sampling;
pub use text::Message;
pub use tune::{Example, Lora, SftTrainer};
