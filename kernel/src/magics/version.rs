//! `%version`: what this kernel is.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicResult};

/// `%version`.
pub(super) struct Version;

impl Magic for Version {
    fn names(&self) -> &'static [&'static str] {
        &["version"]
    }

    fn summary(&self) -> &'static str {
        "shows the versions of oxilab, the compiler and the prelude"
    }

    fn usage(&self) -> &'static str {
        "%version"
    }

    fn run<'a>(
        &'a self,
        _call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            say(context.output(), concat!("oxilab ", env!("CARGO_PKG_VERSION"))).await;
            for (label, value) in context.about() {
                say(context.output(), &format!("{label}: {value}")).await;
            }
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
    async fn versions_are_shown() {
        let mut script = Script::default();
        run(&call(":version"), &mut script).await.expect("shown");
        let text = script.text();
        assert!(text.starts_with("oxilab 0.") && text.contains("prelude: abc\n"), "{text}");
    }
}
