//! `%%html`, `%%markdown`, `%%latex`, `%%svg`: shows the rest of the cell.

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::MimeBundle;

use super::context::show;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, usage};

/// Makes a magic that shows the rest of the cell as a MIME type.
macro_rules! shows {
    ($type:ident, $name:literal, $what:literal, $mime:literal) => {
        #[doc = concat!("`%%", $name, "`.")]
        pub(super) struct $type;

        impl Magic for $type {
            fn names(&self) -> &'static [&'static str] {
                &[$name]
            }

            fn summary(&self) -> &'static str {
                concat!("shows the rest of the cell as ", $what)
            }

            fn usage(&self) -> &'static str {
                concat!("%%", $name)
            }

            fn takes_body(&self) -> bool {
                true
            }

            fn run<'a>(
                &'a self,
                call: &'a Invocation,
                context: &'a mut dyn MagicContext,
            ) -> BoxFuture<'a, MagicResult<Done>> {
                async move {
                    let body = call.body.as_deref().unwrap_or(&call.arguments);
                    if body.trim().is_empty() {
                        return Err(usage(self, "nothing to show"));
                    }
                    show(context.output(), MimeBundle::text(body).with($mime, body)).await;
                    Ok(Done::default())
                }
                .boxed()
            }
        }
    };
}

shows!(Html, "html", "HTML", "text/html");
shows!(Markdown, "markdown", "Markdown", "text/markdown");
shows!(Latex, "latex", "LaTeX", "text/latex");
shows!(Svg, "svg", "an SVG picture", "image/svg+xml");

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use crate::server::handler::Output;

    #[tokio::test]
    async fn the_rest_is_shown_under_its_type() {
        for (name, mime) in [
            ("html", "text/html"),
            ("markdown", "text/markdown"),
            ("latex", "text/latex"),
            ("svg", "image/svg+xml"),
        ] {
            let mut script = Script::default();
            run(&call(&format!("%%{name}\n<b>x</b>\n%who")), &mut script).await.expect(name);
            let shown = script.shown();
            let Output::Display { bundle, .. } = &shown[0] else { panic!("{shown:?}") };
            assert!(serde_json::to_string(bundle).expect("JSON").contains(mime), "{name}");
            assert_eq!(bundle.plain(), "<b>x</b>\n%who");
            run(&call(&format!("%%{name}\n")), &mut script).await.expect_err("empty");
        }
    }
}
