//! Weights: reading them ([`gguf`], safetensors) and multiplying by them ([`linear`]).

pub mod gguf;
pub mod linear;
pub(crate) mod source;
