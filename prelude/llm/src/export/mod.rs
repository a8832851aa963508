//! Models as GGUF files that llama.cpp loads, and quantising: [`Quant`],
//! [`Llm::quantized`](crate::Llm::quantized), [`Llm::save_gguf`](crate::Llm::save_gguf),
//! [`Llm::compare_quants`](crate::Llm::compare_quants).

mod dither;
mod gguf;
mod quantize;
mod report;
mod vocabulary;

pub use quantize::Quant;
pub use report::{QuantReport, QuantRow};
