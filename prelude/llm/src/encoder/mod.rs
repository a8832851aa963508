//! Encoders of the BERT family: BERT, RoBERTa and DistilBERT, for classes and for vectors.
//!
//! * [`TextClassifier`] tells texts apart, with a trained head or with one that is fine-tuned on a frame.
//! * [`Embedder`](crate::Embedder) turns texts into vectors.
//!
//! The net is our own, because candle's has no backward pass through its layer norm. Texts of a batch
//! stand one behind the other, so that nothing is computed for padding.

mod classifier;
mod config;
mod dataset;
mod net;
mod texts;

pub use classifier::TextClassifier;
pub use dataset::TextDataset;

pub(crate) use config::Kind;
pub(crate) use net::Encoder;
pub(crate) use texts::{Files, Texts, read_json};
