//! Cell and state → source text for rustc, with a map back to the cell.
//!
//! Everything here is pure. [`cell`](cell::compose) writes the crate of a cell's statements,
//! [`unit`](unit::compose) the crate of items. Both use [`Writer`], which pastes the user's text with
//! its edits and remembers where every byte came from ([`SourceMap`]); generated code that an error
//! may point at carries a [`Mark`].

pub mod cell;
mod source;
pub mod unit;

pub use source::{Composed, Mark, Origin, SourceMap, Writer};
