//! Text: tokenizers and chat templates.

mod bytes;
mod jinja;
mod sentence_piece;
mod strings;
pub mod template;
pub mod tokenizer;

pub use template::{ChatTemplate, Message};
pub use tokenizer::Tokenizer;
