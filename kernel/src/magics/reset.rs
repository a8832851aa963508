//! `%reset`: forgets what cells have made.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, usage};

/// `%reset`.
pub(super) struct Reset;

impl Magic for Reset {
    fn names(&self) -> &'static [&'static str] {
        &["reset", "clear"]
    }

    fn summary(&self) -> &'static str {
        "forgets all variables and items; dependencies stay"
    }

    fn usage(&self) -> &'static str {
        "%reset\n%reset -f"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            // `-f` is IPython's "do not ask"; a notebook is not asked here either.
            if !matches!(call.arguments.as_str(), "" | "-f") {
                return Err(usage(self, format!("`%reset` does not know `{}`", call.arguments)));
            }
            context.reset().await?;
            say(context.output(), "Variables and items are forgotten.").await;
            Ok(Done::default())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    #[tokio::test]
    async fn reset_resets_once() {
        let mut script = Script::default();
        for written in ["%reset", "%reset -f", ":clear"] {
            run(&call(written), &mut script).await.expect(written);
        }
        assert_eq!(script.resets, 3);
        run(&call("%reset x"), &mut script).await.expect_err("one variable cannot be reset");
        assert_eq!(script.resets, 3);
    }
}
