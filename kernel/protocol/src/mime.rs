//! A value in several representations, as Jupyter's `display_data` carries it.

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// MIME type → representation of one value. Always holds `text/plain`.
///
/// ```
/// use oxilab_protocol::MimeBundle;
/// let bundle = MimeBundle::text("3 rows").with_html("<b>3 rows</b>");
/// assert_eq!(bundle.plain(), "3 rows");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MimeBundle {
    /// Representations; binary ones in base64, JSON ones as JSON.
    pub data: Map<String, Value>,
    /// Metadata by MIME type, for example the width of a picture.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl MimeBundle {
    /// A bundle of plain text alone; add richer representations with the `with_*` methods.
    #[must_use]
    pub fn text(plain: impl Into<String>) -> Self {
        let mut data = Map::new();
        data.insert("text/plain".to_owned(), Value::String(plain.into()));
        Self { data, metadata: Map::new() }
    }

    /// Adds `text/html`.
    #[must_use]
    pub fn with_html(self, html: impl Into<String>) -> Self {
        self.with("text/html", html.into())
    }

    /// Adds `image/png` from the bytes of a PNG file.
    #[must_use]
    pub fn with_png(self, png: &[u8]) -> Self {
        self.with_binary("image/png", png)
    }

    /// Adds `image/svg+xml`.
    #[must_use]
    pub fn with_svg(self, svg: impl Into<String>) -> Self {
        self.with("image/svg+xml", svg.into())
    }

    /// Adds a representation given as bytes, in base64.
    #[must_use]
    pub fn with_binary(self, mime: &str, bytes: &[u8]) -> Self {
        self.with(mime, base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    /// Adds any representation.
    #[must_use]
    pub fn with(mut self, mime: &str, value: impl Into<Value>) -> Self {
        self.data.insert(mime.to_owned(), value.into());
        self
    }

    /// Adds metadata of one representation, for example `{"width": 640}` of `image/png`.
    #[must_use]
    pub fn with_metadata(mut self, mime: &str, metadata: impl Into<Value>) -> Self {
        self.metadata.insert(mime.to_owned(), metadata.into());
        self
    }

    /// The plain text; empty if a foreign bundle has none.
    #[must_use]
    pub fn plain(&self) -> &str {
        self.data.get("text/plain").and_then(Value::as_str).unwrap_or_default()
    }
}
