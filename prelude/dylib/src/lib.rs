//! The prelude as one shared library: cells link this, so that nothing of it is linked again.

pub use oxilab::*;
