//! A reader of GGUF files that trusts no number in them: every size is checked against the bytes that
//! are there before anything is allocated.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3.
//!
//! [`Gguf::open`] reads metadata ([`Value`]) and the table of tensors ([`TensorInfo`]); [`Gguf::bytes`] the
//! blocks of one. What blocks mean ([`Type`]) is the caller's matter: this crate knows no tensors, so that
//! it is built and fuzzed in seconds (`examples/fuzz_gguf.rs`).

mod error;
mod file;
mod input;
mod kind;
mod value;

pub use error::{GgufError, Result};
pub use file::{Gguf, TensorInfo};
pub use kind::Type;
pub use value::Value;
