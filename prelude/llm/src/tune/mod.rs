//! Fine-tuning: [`Lora`] adapters, [`Example`]s, the [`SftTrainer`], and models on disk.

pub mod examples;
pub mod lora;
pub mod save;
pub mod sft;

pub use examples::Example;
pub use lora::{Bias, Lora};
pub use sft::SftTrainer;
