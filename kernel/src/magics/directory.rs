//! `%cd` and `%pwd`: the working directory of cells and commands.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicError, MagicResult};

/// `%cd`.
pub(super) struct Cd;

/// `%pwd`.
pub(super) struct Pwd;

impl Magic for Cd {
    fn names(&self) -> &'static [&'static str] {
        &["cd"]
    }

    fn summary(&self) -> &'static str {
        "changes the working directory of cells and commands"
    }

    fn usage(&self) -> &'static str {
        "%cd FOLDER\n%cd"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let wanted = call.arguments.trim_matches(['"', '\'']);
            let path =
                context.surroundings().absolute(if wanted.is_empty() { "~" } else { wanted });
            let doing = "cannot go to";
            let path = path
                .canonicalize()
                .and_then(|found| {
                    if found.is_dir() {
                        Ok(found)
                    } else {
                        Err(std::io::ErrorKind::NotADirectory.into())
                    }
                })
                .map_err(|source| MagicError::File { doing, path, source })?;
            let line = path.display().to_string();
            context.set_directory(path).await?;
            say(context.output(), &line).await;
            Ok(Done::default())
        }
        .boxed()
    }
}

impl Magic for Pwd {
    fn names(&self) -> &'static [&'static str] {
        &["pwd"]
    }

    fn summary(&self) -> &'static str {
        "shows the working directory"
    }

    fn usage(&self) -> &'static str {
        "%pwd"
    }

    fn run<'a>(
        &'a self,
        _call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let line = context.surroundings().directory.display().to_string();
            say(context.output(), &line).await;
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
    async fn the_directory_changes_for_later_lines() {
        let folder = tempfile::tempdir().expect("folder");
        let root = folder.path().canonicalize().expect("path");
        std::fs::create_dir(root.join("a b")).expect("made");
        std::fs::write(root.join("file"), "").expect("written");
        let mut script = Script::default();
        run(&call(&format!("%cd {}", root.display())), &mut script).await.expect("gone");
        run(&call("%cd \"a b\""), &mut script).await.expect("gone");
        script.text();
        run(&call("%pwd"), &mut script).await.expect("shown");
        assert_eq!(script.text(), format!("{}\n", root.join("a b").display()));
        for wrong in ["%cd ../file", "%cd ../missing"] {
            let error = run(&call(wrong), &mut script).await.expect_err(wrong);
            assert!(error.to_string().starts_with("cannot go to"), "{error}");
        }
        assert_eq!(script.surroundings.directory, root.join("a b"));
    }
}
