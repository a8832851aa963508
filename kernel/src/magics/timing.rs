//! `%timing`: whether times are written after each cell.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, usage};

/// `%timing`.
pub(super) struct Timing;

impl Magic for Timing {
    fn names(&self) -> &'static [&'static str] {
        &["timing"]
    }

    fn summary(&self) -> &'static str {
        "writes compile and run time after each cell, or stops doing so"
    }

    fn usage(&self) -> &'static str {
        "%timing\n%timing on\n%timing off"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let on = match call.arguments.as_str() {
                "" => !context.timing(),
                "on" => true,
                "off" => false,
                other => return Err(usage(self, format!("`{other}` is neither on nor off"))),
            };
            context.set_timing(on);
            say(context.output(), if on { "Timing: on" } else { "Timing: off" }).await;
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
    async fn timing_is_switched() {
        let mut script = Script::default();
        for (written, on) in
            [(":timing", true), ("%timing", false), ("%timing on", true), ("%timing on", true)]
        {
            run(&call(written), &mut script).await.expect(written);
            assert_eq!(script.timing, on, "{written}");
        }
        run(&call("%timing x"), &mut script).await.expect_err("neither");
    }
}
