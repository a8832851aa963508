//! How values show themselves in a notebook.
//!
//! * [`Render`] is the one trait: a value as a [`MimeBundle`] that always holds plain text.
//! * Its implementations for foreign types: [`frame`] and [`lazy`] (polars), [`tensor`] (candle),
//!   [`image`](mod@image), [`plot`] (plotters), [`containers`] (references, vectors, …). Our own types
//!   implement it beside their definition.
//! * [`text`] makes values for display alone: [`html`], [`markdown`], [`vega_lite`], …
//! * [`tail`] shows the tail expression of a cell, whatever its type, in one compile.
//! * [`settings`] limits rows, columns and strings; [`table`] writes small tables.

pub mod canvas;
pub mod containers;
pub mod error;
mod fill;
pub mod frame;
pub mod image;
pub mod keep;
pub mod lazy;
pub mod plot;
pub mod render;
pub mod settings;
pub mod table;
pub mod tail;
pub mod tensor;
pub mod text;

pub use canvas::Canvas;
pub use containers::html_of;
pub use error::DisplayError;
pub use frame::frame_table;
pub use image::image_of;
pub use plot::{Figure, figure, register_fonts};
pub use render::{MimeBundle, Render};
pub use settings::{rows, set_columns, set_rows, set_str_len};
pub use table::Table;
pub use tail::{debug_text, display, display_live};
pub use tensor::TensorStatistics;
pub use text::{Rich, html, image, json, latex, markdown, mermaid, svg, vega_lite};
