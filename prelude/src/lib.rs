//! oxilab: what a cell of a Rust notebook finds in scope.
//!
//! * [`prelude`]: the names that every cell has, `use oxilab::prelude::*;`.
//! * [`display`]: how values show themselves, and the limits of what is shown.
//! * [`rows`]: structs to frames and back.
//! * [`data`], [`plot`], [`model`], [`nn`] (also [`train`]), [`llm`], [`hub`], [`track`], [`serve`]:
//!   the workbench, one crate each.
//! * [`bail!`], [`ensure!`]: ends of a function or of a cell.
//! * [`gates`]: ready-made checks of models that are to be promoted.
//! * [`init`]: called once by the worker before the first cell.

mod failing;
pub mod gates;
mod init;
mod inspect;
mod interrupt;
mod order;
pub mod prelude;
pub mod rows;

pub use init::init;
pub use oxilab_data as data;
pub use oxilab_display as display;
pub use oxilab_hub as hub;
pub use oxilab_llm as llm;
pub use oxilab_model as model;
pub use oxilab_nn as nn;
pub use oxilab_nn as train;
pub use oxilab_plot as plot;
pub use oxilab_runtime as runtime;
pub use oxilab_serve as serve;
pub use oxilab_track as track;
pub use oxilab_widgets as widgets;

/// What generated code calls; no part of the interface for people.
#[doc(hidden)]
pub mod __rt {
    pub use anyhow;
    pub use oxilab_data::FrameJoins;
    pub use oxilab_display::keep::{Keep, KeepKnown, KeepUnknown};
    pub use oxilab_display::show_result as show;
    pub use oxilab_runtime::cell::*;
}
