//! `%dep` and `%%dep`: adds crates to the session.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicError, MagicResult, usage};
use crate::dep::Dependency;

/// `%dep`.
pub(super) struct Dep;

impl Magic for Dep {
    fn names(&self) -> &'static [&'static str] {
        &["dep"]
    }

    fn summary(&self) -> &'static str {
        "adds crates to the session, as in Cargo.toml; without any lists those that were added"
    }

    fn usage(&self) -> &'static str {
        "%dep NAME = \"VERSION\"\n\
         %dep NAME = { version = \"…\", features = […], path = \"…\", git = \"…\", default-features = false }\n\
         %dep NAME\n\
         %%dep"
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
            let text = format!("{}\n{}", call.arguments, call.body.as_deref().unwrap_or_default());
            let wanted = Dependency::parse(&text, &context.surroundings().directory)
                .map_err(|error| usage(self, error.to_string()))?;
            if wanted.is_empty() {
                list(context).await;
                return Ok(Done::default());
            }
            let known = context.dependencies();
            let new: Vec<Dependency> =
                wanted.into_iter().filter(|dependency| !known.contains(dependency)).collect();
            if new.is_empty() {
                say(context.output(), "Already there.").await;
                return Ok(Done::default());
            }
            // Asked before the build, because an interrupt ends it.
            let interrupted = context.interrupted();
            let added = context.add_dependencies(new);
            futures::pin_mut!(interrupted);
            match futures::future::select(added, interrupted).await {
                futures::future::Either::Left((result, _)) => result?,
                futures::future::Either::Right(_) => return Err(MagicError::Interrupted),
            }
            Ok(Done::default())
        }
        .boxed()
    }
}

async fn list(context: &mut dyn MagicContext) {
    let dependencies = context.dependencies();
    if dependencies.is_empty() {
        say(context.output(), "No dependencies were added.").await;
    }
    for dependency in dependencies {
        say(context.output(), &dependency.to_string()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    #[tokio::test]
    async fn dependencies_are_added_once_and_listed() {
        let mut script = Script::default();
        run(&call(":dep heck = \"0.5\""), &mut script).await.expect("added");
        run(&call("%dep heck = \"0.5\""), &mut script).await.expect("there");
        run(&call("%%dep\nitoa = { version = \"1\" }\n# note\nryu = \"1\""), &mut script)
            .await
            .expect("added");
        script.text();
        run(&call("%dep"), &mut script).await.expect("listed");
        assert_eq!(script.text(), "heck = \"0.5\"\nitoa = { version = \"1\" }\nryu = \"1\"\n");
    }

    #[tokio::test]
    async fn what_is_not_a_dependency_is_refused() {
        let mut script = Script::default();
        let error = run(&call("%dep heck = 5 5"), &mut script).await.expect_err("not TOML");
        assert!(error.to_string().contains("usage: %dep"), "{error}");
        assert!(script.dependencies.is_empty());
    }
}
