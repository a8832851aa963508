//! Values made to be shown: HTML, Markdown, LaTeX, SVG, pictures, charts, diagrams, JSON.
//!
//! Each function returns a [`Rich`] value, which shows itself at the end of a cell or with
//! [`display`](crate::display()).

use std::path::{Path, PathBuf};

use oxilab_runtime::MimeBundle;
use serde::Serialize;
use serde_json::Value;

use crate::error::DisplayError;
use crate::image::png;
use crate::render::Render;

/// Something made for display alone.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it shows itself at the end of a cell or with `display(&..)`"]
pub struct Rich(MimeBundle);

impl From<MimeBundle> for Rich {
    fn from(bundle: MimeBundle) -> Self {
        Self(bundle)
    }
}

impl Render for Rich {
    fn render(&self) -> MimeBundle {
        self.0.clone()
    }
}

/// HTML, shown as it is. Front ends clean it in notebooks that are not trusted.
///
/// ```
/// use oxilab_display::{Render, html};
/// assert_eq!(html("<b>bold</b>").render().data["text/html"], "<b>bold</b>");
/// ```
pub fn html(source: impl Into<String>) -> Rich {
    with_source("text/html", source.into())
}

/// Markdown.
pub fn markdown(source: impl Into<String>) -> Rich {
    with_source("text/markdown", source.into())
}

/// LaTeX mathematics; set as a formula of its own (`$$ … $$`) unless it brings its own delimiters.
///
/// ```
/// use oxilab_display::{Render, latex};
/// assert_eq!(latex("x^2").render().data["text/latex"], "$$x^2$$");
/// assert_eq!(latex("$x$").render().data["text/latex"], "$x$");
/// ```
pub fn latex(source: impl Into<String>) -> Rich {
    let source = source.into();
    let delimited = ["$", "\\(", "\\[", "\\begin"].iter().any(|mark| source.contains(mark));
    let formula = if delimited { source.clone() } else { format!("$${source}$$") };
    Rich(MimeBundle::text(source).with("text/latex", formula))
}

/// An SVG drawing. Front ends show it in trusted notebooks only.
pub fn svg(source: impl Into<String>) -> Rich {
    let source = source.into();
    Rich(MimeBundle::text(format!("SVG of {} bytes", source.len())).with_svg(source))
}

/// A diagram in Mermaid's language.
pub fn mermaid(source: impl Into<String>) -> Rich {
    with_source("text/vnd.mermaid", source.into())
}

/// Any serialisable value as JSON; the notebook shows a tree that folds.
///
/// ```
/// use oxilab_display::{Render, json};
/// assert_eq!(json(&vec![1, 2])?.render().data["application/json"][1], 2);
/// # Ok::<(), oxilab_display::DisplayError>(())
/// ```
///
/// # Errors
/// When the value cannot be written as JSON, for example a map whose keys are no strings.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Rich, DisplayError> {
    Ok(Rich(serde_json::to_value(value)?.render()))
}

/// A Vega-Lite chart (version 5) from a specification: a `serde_json::Value`, or JSON as a string.
///
/// ```
/// use oxilab_display::{Render, vega_lite};
/// let chart = vega_lite(r#"{"mark": "bar", "data": {"values": []}}"#)?;
/// assert_eq!(chart.render().data["application/vnd.vegalite.v5+json"]["mark"], "bar");
/// # Ok::<(), oxilab_display::DisplayError>(())
/// ```
///
/// # Errors
/// When a string is not valid JSON.
pub fn vega_lite(specification: impl Into<Value>) -> Result<Rich, DisplayError> {
    let specification = match specification.into() {
        Value::String(source) => serde_json::from_str(&source)?,
        value => value,
    };
    let mark = match &specification["mark"] {
        Value::String(mark) => mark.as_str(),
        Value::Object(mark) => mark.get("type").and_then(Value::as_str).unwrap_or("layered"),
        _ => "layered",
    };
    let text = format!("Vega-Lite chart ({mark})");
    Ok(Rich(MimeBundle::text(text).with("application/vnd.vegalite.v5+json", specification)))
}

/// A picture from a file, from the bytes of a file (PNG, JPEG, GIF, WebP, SVG), or from an
/// [`image::DynamicImage`].
///
/// ```no_run
/// let picture = oxilab_display::image("photo.jpg")?;
/// # Ok::<(), oxilab_display::DisplayError>(())
/// ```
///
/// # Errors
/// When the file cannot be read or the bytes are in none of these formats.
pub fn image(source: impl Into<ImageSource>) -> Result<Rich, DisplayError> {
    let bytes = match source.into() {
        ImageSource::Bytes(bytes) => bytes,
        ImageSource::File(path) => {
            std::fs::read(&path).map_err(|source| DisplayError::Read { path, source })?
        }
        ImageSource::Picture(picture) => png(&picture)?,
    };
    let unknown = || DisplayError::UnknownFormat { length: bytes.len() };
    let mime = match bytes.as_slice() {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        other => {
            let source = std::str::from_utf8(other).map_err(|_| unknown())?;
            return if source.contains("<svg") { Ok(svg(source)) } else { Err(unknown()) };
        }
    };
    let text = format!("{mime} of {} bytes", bytes.len());
    Ok(Rich(MimeBundle::text(text).with_binary(mime, &bytes)))
}

/// Where [`image`](image()) finds a picture.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ImageSource {
    /// A file.
    File(PathBuf),
    /// The content of a file.
    Bytes(Vec<u8>),
    /// A decoded picture.
    Picture(Box<::image::DynamicImage>),
}

/// Conversions that name their variant.
macro_rules! image_source {
    ($($from:ty => |$value:ident| $into:expr),* $(,)?) => {$(
        impl From<$from> for ImageSource {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )*};
}
image_source!(
    &str => |path| Self::File(path.into()),
    String => |path| Self::File(path.into()),
    &Path => |path| Self::File(path.to_owned()),
    PathBuf => |path| Self::File(path),
    &PathBuf => |path| Self::File(path.clone()),
    &[u8] => |bytes| Self::Bytes(bytes.to_owned()),
    Vec<u8> => |bytes| Self::Bytes(bytes),
    &Vec<u8> => |bytes| Self::Bytes(bytes.clone()),
    ::image::DynamicImage => |picture| Self::Picture(Box::new(picture)),
    &::image::DynamicImage => |picture| Self::Picture(Box::new(picture.clone())),
);

/// JSON shows as itself: a tree in the notebook, indented as plain text.
impl Render for Value {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(format!("{self:#}")).with("application/json", self.clone())
    }
}

fn with_source(mime: &str, source: String) -> Rich {
    Rich(MimeBundle::text(source.clone()).with(mime, source))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrapper_has_plain_text_beside_its_own_type() {
        for (rich, mime) in [
            (html("<i>x</i>"), "text/html"),
            (markdown("*x*"), "text/markdown"),
            (latex("x"), "text/latex"),
            (svg("<svg/>"), "image/svg+xml"),
            (mermaid("graph TD; a-->b"), "text/vnd.mermaid"),
            (
                vega_lite(json!({"mark": "point"})).expect("chart"),
                "application/vnd.vegalite.v5+json",
            ),
            (super::json(&json!({"a": 1})).expect("json"), "application/json"),
        ] {
            let bundle = rich.render();
            assert!(!bundle.plain().is_empty() && bundle.data.contains_key(mime), "{mime}");
        }
    }

    #[test]
    fn pictures_are_known_by_their_bytes() {
        let gif = image(b"GIF89a..".to_vec()).expect("gif").render();
        assert!(gif.data.contains_key("image/gif"));
        let drawn = image(::image::DynamicImage::new_rgb8(2, 2)).expect("picture").render();
        assert!(drawn.data.contains_key("image/png"));
        assert!(image(b"<svg xmlns=''/>".to_vec()).is_ok());
        assert!(image(vec![0, 1, 2]).expect_err("no picture").to_string().contains("3 bytes"));
        let missing = image("/nowhere/at/all.png").expect_err("no file").to_string();
        assert!(missing.contains("/nowhere/at/all.png"), "{missing}");
    }

    #[test]
    fn a_chart_from_broken_text_is_an_error() {
        assert!(vega_lite("{").is_err());
        let text = vega_lite(json!({"mark": {"type": "bar"}})).expect("chart").render();
        assert_eq!(text.plain(), "Vega-Lite chart (bar)");
    }
}
