//! `%env`: environment variables of cells and commands.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, usage};

/// `%env`.
pub(super) struct Env;

impl Magic for Env {
    fn names(&self) -> &'static [&'static str] {
        &["env"]
    }

    fn summary(&self) -> &'static str {
        "lists, shows, sets or (-u) unsets environment variables of cells and commands"
    }

    fn usage(&self) -> &'static str {
        "%env\n%env NAME\n%env NAME=VALUE\n%env -u NAME"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let arguments = call.arguments.as_str();
            if let Some(name) = arguments.strip_prefix("-u ") {
                context.set_env(self.name(name)?, None).await?;
            } else if let Some((name, value)) = assignment(arguments) {
                let value = unquoted(value.trim()).to_owned();
                if value.contains('\0') {
                    return Err(usage(self, "a value cannot hold a NUL byte"));
                }
                context.set_env(self.name(name)?, Some(value)).await?;
            } else if arguments.is_empty() {
                let all = context.surroundings().all();
                let lines: Vec<String> =
                    all.iter().map(|(name, value)| format!("{name}={value}")).collect();
                say(context.output(), &lines.join("\n")).await;
            } else {
                let value = context.surroundings().get(arguments);
                let line = value.ok_or_else(|| usage(self, format!("`{arguments}` is not set")))?;
                say(context.output(), &line).await;
            }
            Ok(Done::default())
        }
        .boxed()
    }
}

impl Env {
    fn name(&self, name: &str) -> MagicResult<String> {
        let name = name.trim();
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '\0' || c == '=') {
            return Err(usage(self, format!("`{name}` cannot be the name of a variable")));
        }
        Ok(name.to_owned())
    }
}

/// `NAME=VALUE`, or `NAME VALUE` as in Jupyter's Python kernel.
fn assignment(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').or_else(|| text.split_once(char::is_whitespace))
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    #[tokio::test]
    async fn variables_are_set_shown_and_unset() {
        let mut script = Script::default();
        for (written, value) in [
            ("%env OXILAB_TEST_A=1 2", "1 2"),
            ("%env OXILAB_TEST_A = \"a=b\"", "a=b"),
            (":env OXILAB_TEST_A x", "x"),
            ("%env OXILAB_TEST_A=", ""),
        ] {
            run(&call(written), &mut script).await.expect(written);
            run(&call("%env OXILAB_TEST_A"), &mut script).await.expect("shown");
            assert_eq!(script.text(), format!("{value}\n"), "{written}");
        }
        run(&call("%env"), &mut script).await.expect("listed");
        assert!(script.text().contains("OXILAB_TEST_A=\n"));
        run(&call("%env -u OXILAB_TEST_A"), &mut script).await.expect("unset");
        run(&call("%env OXILAB_TEST_A"), &mut script).await.expect_err("not set");
        run(&call("%env =x"), &mut script).await.expect_err("no name");
    }
}
