//! `%%capture`: runs Rust and keeps what it shows.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};
use crate::server::handler::{Output, OutputSender};

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

/// All text that the code shows, in order; values as their plain text.
async fn captured(code: RustCode, context: &mut dyn MagicContext) -> MagicResult<String> {
    let (sender, mut receiver) = OutputSender::channel();
    let code = code.with_capture(sender.clone());
    let running = async {
        let ran = context.run(code).await;
        // Threads that the code has started may hold a sender for ever: this is where it ends.
        sender.barrier().await;
        ran
    };
    futures::pin_mut!(running);
    let mut text = String::new();
    loop {
        tokio::select! {
            biased;
            Some(output) = receiver.recv() => append(&mut text, output),
            ran = &mut running => return ran.map(|_| text),
        }
    }
}

fn append(text: &mut String, output: Output) {
    match output {
        Output::Stream { text: part, .. } => *text += &part,
        Output::Display { bundle, update: false, .. } | Output::Result { bundle } => {
            *text += bundle.plain();
            text.push('\n');
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

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
}
