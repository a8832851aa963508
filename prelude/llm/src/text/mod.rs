//! Text: tokenizers and chat templates.

mod bytes;
pub mod template;
pub mod tokenizer;

pub use template::{ChatTemplate, Message};
pub use tokenizer::Tokenizer;
