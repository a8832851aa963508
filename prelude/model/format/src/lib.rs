//! The file format of fitted models.
//!
//! ```text
//! "OXIMODEL"  u32 version  u64 header length  header (JSON)  payload  SHA-256 of all before
//! ```
//!
//! Numbers are little-endian. The header is a [`Header`]: learner, task, schema of the input,
//! parameters, metrics, library versions, hash of the training data. The payload is made of named
//! [`Section`]s (numbers and bytes), so that floats survive to the last bit and the parser stays
//! small. [`ModelFile::from_bytes`] trusts nothing: every length is checked before it is used, and
//! the checksum before the header is read.
//!
//! This crate knows neither polars nor any learner, so that tools can read the header of a model
//! without loading a library of 300 MB.

mod file;
mod schema;

pub use file::{FormatError, ModelFile, Section, VERSION, write_whole};
pub use schema::{Column, ColumnKind, Header, Schema, Task};
