//! What can go wrong while something is made ready for display.

use std::path::PathBuf;

use thiserror::Error;

/// Why a picture or a chart could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DisplayError {
    /// A picture's file could not be read.
    #[error("cannot read the picture {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A drawing could not be written to a file.
    #[error("cannot write the drawing to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file name has an ending that a drawing cannot be saved as.
    #[error("cannot save the drawing as {}: name it .png or .svg", path.display())]
    UnknownEnding {
        /// The file.
        path: PathBuf,
    },
    /// The bytes are not a picture in a known format.
    #[error(
        "the picture's {length} bytes are in no format a notebook shows (PNG, JPEG, GIF, WebP, SVG)"
    )]
    UnknownFormat {
        /// How many bytes there were.
        length: usize,
    },
    /// A picture could not be encoded.
    #[error("cannot encode the picture as PNG: {source}")]
    Encode {
        /// The cause.
        #[from]
        source: image::ImageError,
    },
    /// The tensor does not have the shape of a picture.
    #[error(
        "a tensor of shape {shape:?} is no picture: it needs (height, width) or (channels, height, \
         width) with 1, 3 or 4 channels; take one of a batch with `.i(0)?`"
    )]
    NotAPicture {
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// The tensor's values could not be read.
    #[error("cannot read the tensor's values: {source}")]
    Tensor {
        /// The cause.
        #[from]
        source: candle_core::Error,
    },
    /// A chart's specification is not JSON, or a value cannot be written as JSON.
    #[error("not valid JSON: {source}")]
    Json {
        /// The cause.
        #[from]
        source: serde_json::Error,
    },
    /// The drawing code failed.
    #[error("drawing the figure failed: {message}")]
    Drawing {
        /// The error's text.
        message: String,
    },
}
