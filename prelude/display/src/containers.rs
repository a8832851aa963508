//! References, smart pointers and containers of values that show themselves.

use std::borrow::Cow;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

use oxilab_runtime::MimeBundle;
use serde_json::Value;

use crate::render::Render;
use crate::table::escape;

/// As many elements of a container are shown.
const ELEMENTS: usize = 20;

/// Pointers show what they point to.
macro_rules! render_pointer {
    ($($pointer:ty),*) => {$(
        impl<T: Render + ?Sized> Render for $pointer {
            fn render(&self) -> MimeBundle {
                T::render(self)
            }
        }
    )*};
}
render_pointer!(&T, &mut T, Box<T>, Rc<T>, Arc<T>);

impl<T: Render + ToOwned + ?Sized> Render for Cow<'_, T> {
    fn render(&self) -> MimeBundle {
        T::render(self)
    }
}

impl Render for MimeBundle {
    fn render(&self) -> MimeBundle {
        self.clone()
    }
}

/// `Some` shows its value, `None` as text.
impl<T: Render> Render for Option<T> {
    fn render(&self) -> MimeBundle {
        match self {
            Some(value) => value.render(),
            None => MimeBundle::text("None"),
        }
    }
}

/// `Ok` shows its value, `Err` the error's `Debug` text.
impl<T: Render, E: Debug> Render for Result<T, E> {
    fn render(&self) -> MimeBundle {
        match self {
            Ok(value) => value.render(),
            Err(error) => MimeBundle::text(format!("Err({error:?})")),
        }
    }
}

impl<T: Render> Render for [T] {
    fn render(&self) -> MimeBundle {
        let shown: Vec<_> = self.iter().take(ELEMENTS).map(Render::render).collect();
        stacked(&shown, self.len() - shown.len())
    }
}

impl<T: Render> Render for Vec<T> {
    fn render(&self) -> MimeBundle {
        self.as_slice().render()
    }
}

impl<T: Render, const N: usize> Render for [T; N] {
    fn render(&self) -> MimeBundle {
        self.as_slice().render()
    }
}

impl<A: Render, B: Render> Render for (A, B) {
    fn render(&self) -> MimeBundle {
        stacked(&[self.0.render(), self.1.render()], 0)
    }
}

impl<A: Render, B: Render, C: Render> Render for (A, B, C) {
    fn render(&self) -> MimeBundle {
        stacked(&[self.0.render(), self.1.render(), self.2.render()], 0)
    }
}

fn stacked(bundles: &[MimeBundle], left_out: usize) -> MimeBundle {
    let mut texts: Vec<_> = bundles.iter().map(|bundle| bundle.plain().to_owned()).collect();
    let mut parts: Vec<_> = bundles.iter().map(html_of).collect();
    if left_out > 0 {
        let note = format!("… {left_out} more");
        parts.push(note.clone());
        texts.push(note);
    }
    let html = format!("<div>{}</div>", parts.join("</div><div>"));
    let text = if texts.is_empty() { "[]".to_owned() } else { texts.join("\n") };
    MimeBundle::text(text).with_html(html)
}

/// The best representation of a bundle that can stand inside HTML: HTML, a picture, SVG, or the plain
/// text; for tables and layouts that hold other values.
///
/// ```
/// use oxilab_display::{MimeBundle, html_of};
/// assert_eq!(html_of(&MimeBundle::text("a < b")), "<pre>a &lt; b</pre>");
/// ```
#[must_use]
pub fn html_of(bundle: &MimeBundle) -> String {
    let string = |mime: &str| bundle.data.get(mime).and_then(Value::as_str);
    if let Some(html) = string("text/html") {
        return html.to_owned();
    }
    for mime in ["image/png", "image/jpeg", "image/gif", "image/webp"] {
        if let Some(content) = string(mime) {
            let text = escape(bundle.plain());
            return format!("<img alt=\"{text}\" src=\"data:{mime};base64,{content}\">");
        }
    }
    if let Some(svg) = string("image/svg+xml") {
        return svg.to_owned();
    }
    format!("<pre>{}</pre>", escape(bundle.plain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dot(u8);
    impl Render for Dot {
        fn render(&self) -> MimeBundle {
            MimeBundle::text(format!("dot {}", self.0)).with_html(format!("<i>{}</i>", self.0))
        }
    }

    #[test]
    fn pointers_and_options_show_what_they_hold() {
        assert_eq!((&&Dot(1)).render().plain(), "dot 1");
        assert_eq!(Box::new(Dot(2)).render().plain(), "dot 2");
        assert_eq!(Some(Arc::new(Dot(3))).render().plain(), "dot 3");
        assert_eq!(None::<Dot>.render().plain(), "None");
        assert_eq!(Ok::<_, ()>(Dot(4)).render().plain(), "dot 4");
        assert_eq!(Err::<Dot, _>("no").render().plain(), "Err(\"no\")");
        let boxed: Box<dyn Render> = Box::new(Dot(5));
        assert_eq!(boxed.render().plain(), "dot 5");
    }

    #[test]
    fn lists_stack_and_say_what_is_left_out() {
        let dots: Vec<_> = (0..25).map(Dot).collect();
        let bundle = dots.render();
        assert!(bundle.plain().starts_with("dot 0\ndot 1\n"), "{}", bundle.plain());
        assert!(bundle.plain().ends_with("dot 19\n… 5 more"), "{}", bundle.plain());
        let html = bundle.data["text/html"].as_str().expect("html");
        assert!(html.contains("<div><i>19</i></div>"), "{html}");
        assert_eq!(Vec::<Dot>::new().render().plain(), "[]");
    }

    #[test]
    fn a_picture_inside_html_becomes_an_image_element() {
        let html = html_of(&MimeBundle::text("p\"").with_png(&[1]));
        assert_eq!(html, "<img alt=\"p&quot;\" src=\"data:image/png;base64,AQ==\">");
    }
}
