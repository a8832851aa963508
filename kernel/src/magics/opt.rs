//! `%opt`: the optimisation level of cells.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, usage};

/// `%opt`.
pub(super) struct Opt;

impl Magic for Opt {
    fn names(&self) -> &'static [&'static str] {
        &["opt"]
    }

    fn summary(&self) -> &'static str {
        "shows or sets the optimisation of cells; auto chooses by what is in a cell"
    }

    fn usage(&self) -> &'static str {
        "%opt [0|1|2|3|auto]"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            match call.arguments.as_str() {
                "" => {}
                "auto" => context.set_optimisation(None),
                "0" | "1" | "2" | "3" => context.set_optimisation(call.arguments.parse().ok()),
                other => {
                    return Err(usage(self, format!("`{other}` is not an optimisation level")));
                }
            }
            let level =
                context.optimisation().map_or_else(|| "auto".to_owned(), |level| level.to_string());
            say(context.output(), &format!("Optimisation: {level}")).await;
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
    async fn levels_are_set_and_shown() {
        let mut script = Script::default();
        for (written, level, text) in [
            ("%opt", None, "Optimisation: auto\n"),
            (":opt 3", Some(3), "Optimisation: 3\n"),
            ("%opt", Some(3), "Optimisation: 3\n"),
            ("%opt auto", None, "Optimisation: auto\n"),
        ] {
            run(&call(written), &mut script).await.expect(written);
            assert_eq!((script.level, script.text().as_str()), (level, text));
        }
        let error = run(&call("%opt 4"), &mut script).await.expect_err("no level");
        assert!(error.to_string().contains("`4`"), "{error}");
    }
}
