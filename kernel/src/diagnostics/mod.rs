//! rustc's messages, as the user of a notebook reads them.
//!
//! [`Message`] is rustc's JSON. [`render`] maps its spans back to the cells through the
//! [`SourceMap`], so that a report shows `In [5]:2:9` and never generated code; [`types`] reads the
//! types of new variables off a lint; [`ownership`] reads from borrow errors in generated code which
//! variable a cell moves or borrows. [`html`] is how errors look in a browser.

pub(crate) mod html;
pub mod ownership;
pub mod paths;
mod python;
mod question;
mod render;
pub mod rustc;
pub mod types;

pub use render::{Report, render};
pub use rustc::{Message, Span};
