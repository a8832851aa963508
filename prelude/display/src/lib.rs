//! How values show themselves: the trait [`Render`], its implementations for foreign types, and the
//! machinery that shows the tail expression of a cell in the same compile.

pub mod render;

pub use render::{MimeBundle, Render};
