//! The one trait for rich display.

pub use oxilab_runtime::MimeBundle;

/// A value that shows itself in a notebook as more than its `Debug` text.
///
/// The tail expression of a cell and [`display`](crate::display) use it. Implementations for foreign
/// types live in this crate, those for our own types beside their definition. Every bundle holds
/// `text/plain`; tables add script-free HTML, charts Vega-Lite and PNG.
///
/// ```
/// use oxilab_display::{MimeBundle, Render};
///
/// struct Score(f64);
/// impl Render for Score {
///     fn render(&self) -> MimeBundle {
///         MimeBundle::text(format!("score {:.2}", self.0))
///             .with_html(format!("<b>score</b> {:.2}", self.0))
///     }
/// }
/// assert_eq!(Score(0.5).render().plain(), "score 0.50");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no rich display",
    note = "`show!(value)` shows any value; `impl Render for {Self}` gives it a rich display"
)]
pub trait Render {
    /// The value in all its representations.
    fn render(&self) -> MimeBundle;
}
