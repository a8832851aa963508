//! Weights: reading them ([`gguf`], safetensors) and multiplying by them ([`linear`], [`packed`]).

pub mod gguf;
pub(crate) mod gguf_writer;
pub mod linear;
mod matmul;
pub mod packed;
pub(crate) mod source;
