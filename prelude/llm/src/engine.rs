//! What computes the next token: candle, or llama.cpp behind the feature `llama-cpp`.

#[cfg(feature = "llama-cpp")]
pub(crate) mod llama_cpp;

/// What computes an [`Llm`](crate::Llm)'s next token.
#[derive(Debug, Default)]
pub(crate) enum Engine {
    /// The tensors of the model itself.
    #[default]
    Candle,
    /// llama.cpp, which has read the same file.
    #[cfg(feature = "llama-cpp")]
    LlamaCpp(llama_cpp::LlamaCpp),
}
