//! `%%capture`: runs Rust and keeps what it shows.

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::MimeBundle;

use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};
use crate::server::divert::divert;
use crate::server::handler::Output;

/// `%%capture`.
pub(super) struct Capture;

impl Magic for Capture {
    fn names(&self) -> &'static [&'static str] {
        &["capture"]
    }

    fn summary(&self) -> &'static str {
        "runs the rest of the cell and keeps its output, as a String if a name is given"
    }

    fn usage(&self) -> &'static str {
        "%%capture [NAME]"
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
            let body = call
                .body
                .as_deref()
                .ok_or_else(|| usage(self, "the code stands in the lines below"))?;
            let name = call.arguments.as_str();
            if !name.is_empty() && syn::parse_str::<syn::Ident>(name).is_err() {
                return Err(usage(self, format!("`{name}` cannot be the name of a variable")));
            }
            let code = RustCode::at_line(call.line + 1, body);
            let text = captured(code, context).await?;
            if !name.is_empty() {
                let text = format!("let {name} = ::std::string::String::from({text:?});");
                context.run(RustCode::at_line(call.line, &text)).await?;
            }
            Ok(Done::default())
        }
        .boxed()
    }
}

/// All text that the code shows, in order; values as their plain text. What has no text (a question, a
/// widget's messages, an update of what was shown before) goes where it went without the magic.
async fn captured(code: RustCode, context: &mut dyn MagicContext) -> MagicResult<String> {
    let mut text = Captured::default();
    let cell = context.output();
    let run = move |sender| context.run(code.with_capture(sender));
    divert(cell, run, |output| text.keep(output)).await?;
    Ok(text.pieces.into_iter().map(|piece| piece.text).collect())
}

/// What was shown so far.
#[derive(Default)]
struct Captured {
    pieces: Vec<Piece>,
    /// A clear that waits for the next output.
    clear: bool,
}

/// One output.
struct Piece {
    text: String,
    /// By which updates find it.
    display_id: Option<String>,
}

impl Captured {
    /// Keeps an output; what is not for keeping comes back.
    fn keep(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Stream { text, .. } => self.push(text, None),
            Output::Display { bundle, display_id: Some(id), update: true } => {
                let mut places = self.pieces.iter_mut();
                let place = places.find(|piece| piece.display_id.as_ref() == Some(&id));
                let Some(place) = place else {
                    return Some(Output::Display { bundle, display_id: Some(id), update: true });
                };
                place.text = line(&bundle);
            }
            Output::Display { bundle, display_id, .. } => self.push(line(&bundle), display_id),
            Output::Result { bundle } => self.push(line(&bundle), None),
            Output::Clear { wait } => {
                self.clear = wait;
                if !wait {
                    self.pieces.clear();
                }
            }
            other @ (Output::Input { .. } | Output::Comm(_) | Output::Error(_)) => {
                return Some(other);
            }
        }
        None
    }

    fn push(&mut self, text: String, display_id: Option<String>) {
        if std::mem::take(&mut self.clear) {
            self.pieces.clear();
        }
        self.pieces.push(Piece { text, display_id });
    }
}

fn line(bundle: &MimeBundle) -> String {
    format!("{}\n", bundle.plain())
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;

    #[tokio::test]
    async fn output_goes_into_a_variable() {
        let mut script = Script { prints: "a \"b\"\n".to_owned(), ..Script::default() };
        let done = tokio::time::timeout(std::time::Duration::from_secs(5), async {
            run(&call("%%capture text\nprintln!(\"a\");"), &mut script).await
        });
        done.await.expect("ends").expect("captured");
        assert_eq!(script.ran[0].text, "\nprintln!(\"a\");");
        assert_eq!(
            script.ran[1].text,
            "let text = ::std::string::String::from(\"a \\\"b\\\"\\n\");"
        );
    }

    #[tokio::test]
    async fn a_name_must_be_a_name() {
        let mut script = Script::default();
        run(&call("%%capture 1x\n1"), &mut script).await.expect_err("no name");
        run(&call("%%capture fn\n1"), &mut script).await.expect_err("no name");
        assert!(script.ran.is_empty());
    }

    #[test]
    fn updates_and_clears_apply_to_what_is_kept_and_the_rest_is_passed_on() {
        let mut captured = Captured::default();
        let display = |text: &str, id: Option<&str>, update| Output::Display {
            bundle: MimeBundle::text(text),
            display_id: id.map(str::to_owned),
            update,
        };
        let mut text = |outputs: Vec<Output>| -> String {
            assert!(outputs.into_iter().all(|output| captured.keep(output).is_none()));
            captured.pieces.iter().map(|piece| piece.text.as_str()).collect()
        };
        let shown = text(vec![
            display("0 %", Some("bar"), false),
            display("x", None, false),
            display("99 %", Some("bar"), true),
        ]);
        assert_eq!(shown, "99 %\nx\n");
        assert_eq!(text(vec![Output::Clear { wait: true }]), "99 %\nx\n");
        assert_eq!(text(vec![Output::Result { bundle: MimeBundle::text("1") }]), "1\n");
        assert_eq!(text(vec![Output::Clear { wait: false }]), "");
        for other in [
            Output::Input { prompt: "name? ".to_owned(), password: false },
            display("of an earlier cell", Some("chart"), true),
        ] {
            assert_eq!(captured.keep(other.clone()), Some(other));
        }
    }
}
