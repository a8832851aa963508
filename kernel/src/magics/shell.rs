//! `!command`, `%%bash` and `%%sh`: the shell.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::process::{failure, run};
use super::{Done, Invocation, Magic, MagicContext, MagicError, MagicResult, usage};
use crate::server::handler::StreamName;

/// `!command`.
pub(super) struct Command;

/// `%%bash`, `%%sh`.
pub(super) struct Script;

impl Magic for Command {
    fn names(&self) -> &'static [&'static str] {
        &["!", "system"]
    }

    fn summary(&self) -> &'static str {
        "runs a shell command"
    }

    fn usage(&self) -> &'static str {
        "!COMMAND\n%system COMMAND"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            if call.arguments.is_empty() {
                return Err(usage(self, "no command"));
            }
            let status = run(context, "sh", &["-c", &call.arguments], None).await?;
            if let Some(failure) = failure(status) {
                context.output().stream(StreamName::Stderr, format!("[{failure}]\n")).await;
            }
            Ok(Done::default())
        }
        .boxed()
    }
}

impl Magic for Script {
    fn names(&self) -> &'static [&'static str] {
        &["bash", "sh"]
    }

    fn summary(&self) -> &'static str {
        "runs the rest of the cell as a shell script; the cell fails if the script does"
    }

    fn usage(&self) -> &'static str {
        "%%bash [ARGUMENTS]\n%%sh [ARGUMENTS]"
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
                .ok_or_else(|| usage(self, "the script stands in the lines below"))?;
            let mut arguments = vec!["-s", "--"];
            arguments.extend(call.arguments.split_whitespace());
            let status = run(context, &call.name, &arguments, Some(&format!("{body}\n"))).await?;
            match failure(status) {
                None => Ok(Done::default()),
                Some(failure) => Err(MagicError::Failed(format!("{}: {failure}", call.name))),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;
    use crate::server::handler::Output;

    #[tokio::test]
    async fn output_comes_from_both_streams() {
        let mut script = Script::default();
        run(&call("!echo out; echo err >&2; printf 'é'"), &mut script).await.expect("ran");
        let shown = script.shown();
        let of = |wanted: StreamName| -> String {
            shown
                .iter()
                .filter_map(|output| match output {
                    Output::Stream { name, text } if *name == wanted => Some(text.as_str()),
                    _ => None,
                })
                .collect()
        };
        assert_eq!(of(StreamName::Stdout), "out\né");
        assert_eq!(of(StreamName::Stderr), "err\n");
    }

    #[tokio::test]
    async fn a_status_that_is_not_0_is_shown() {
        let mut script = Script::default();
        run(&call("!exit 3"), &mut script).await.expect("a command may fail");
        assert_eq!(script.text(), "[exit status 3]\n");
        let error =
            run(&call("%%bash\necho a\nexit 4"), &mut script).await.expect_err("a script may not");
        assert_eq!(error.to_string(), "bash: exit status 4");
    }

    #[tokio::test]
    async fn directory_and_environment_are_the_sessions() {
        let folder = tempfile::tempdir().expect("folder");
        let mut script = Script::default();
        script.surroundings.directory = folder.path().canonicalize().expect("path");
        script.surroundings.environment.insert("OXILAB_TEST_B".to_owned(), Some("set".to_owned()));
        run(&call("!pwd; echo $OXILAB_TEST_B"), &mut script).await.expect("ran");
        let expected = format!("{}\nset\n", script.surroundings.directory.display());
        assert_eq!(script.text(), expected);
    }

    #[tokio::test]
    async fn a_script_has_arguments_and_no_terminal() {
        let mut script = Script::default();
        run(&call("%%bash one two\nx=1\necho $1 $2 $((x + 1))"), &mut script).await.expect("ran");
        assert_eq!(script.text(), "one two 2\n");
        run(&call("!cat"), &mut script).await.expect("ends at once");
    }

    #[tokio::test]
    async fn an_interrupt_ends_the_whole_group() {
        let mut script = Script::default();
        let interrupt = std::sync::Arc::clone(&script.interrupt);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            interrupt.notify_one();
        });
        let start = Instant::now();
        let error =
            run(&call("!sleep 60 & echo $! ; wait"), &mut script).await.expect_err("interrupted");
        assert!(matches!(error, MagicError::Interrupted), "{error}");
        assert!(start.elapsed() < Duration::from_secs(20));
        let sleeper: i32 =
            script.text().lines().next().and_then(|line| line.parse().ok()).expect("an id");
        // Killed; its entry goes when its new parent looks.
        for _ in 0..100 {
            let state =
                std::fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{sleeper} is alive");
    }

    #[tokio::test]
    async fn a_command_left_in_the_background_does_not_hold_the_cell() {
        let mut script = Script::default();
        let start = Instant::now();
        run(&call("!sleep 5 & echo $!"), &mut script).await.expect("ran");
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}
