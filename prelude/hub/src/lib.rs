//! Model files from elsewhere.
//!
//! * [`get`] and [`Hub`]: files of the Hugging Face hub, kept in the cache that Python's
//!   `huggingface_hub` uses, so that neither loads what the other has.
//! * [`torch`]: tensors of PyTorch's `.pt`, `.pth` and `.bin` files. The pickle inside is read, never
//!   run.
//!
//! ```no_run
//! let config = oxilab_hub::get("sentence-transformers/all-MiniLM-L6-v2", "config.json")?;
//! println!("{}", std::fs::read_to_string(config)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(clippy::doc_markdown, reason = "names of products stand in the prose as they are written")]

mod cache;
mod error;
mod fetch;
mod hub;
pub mod torch;

pub use error::{HubError, Result};
pub use hub::{Hub, Kind, get, snapshot};
