//! Settings of evcxr that mean nothing here: accepted, so that its notebooks run, and explained.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Done, Invocation, Magic, MagicContext, MagicResult};
use crate::server::handler::StreamName;

/// evcxr's settings.
pub(super) struct Setting;

impl Magic for Setting {
    fn names(&self) -> &'static [&'static str] {
        &[
            "allow_static_linking",
            "build_env",
            "cache",
            "codegen_backend",
            "efmt",
            "linker",
            "offline",
            "preserve_vars_on_panic",
            "quiet",
            "sccache",
            "time_passes",
            "toolchain",
            "types",
        ]
    }

    fn summary(&self) -> &'static str {
        "settings of evcxr: accepted and without effect"
    }

    fn usage(&self) -> &'static str {
        ":sccache, :cache, :linker, :toolchain, …"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let line = format!("`{}` has no effect: {}\n", call.spelling, reason(&call.name));
            context.output().stream(StreamName::Stderr, line).await;
            Ok(Done::default())
        }
        .boxed()
    }
}

fn reason(name: &str) -> &'static str {
    match name {
        "sccache" | "cache" => "compiled cells are always kept by their content",
        "linker" | "codegen_backend" | "allow_static_linking" => "cells link the installed prelude",
        "toolchain" => {
            "the compiler that built the prelude compiles the cells (`oxilab install` changes it)"
        }
        "preserve_vars_on_panic" => "variables that a cell has not taken always survive",
        "efmt" => "errors are shown as rustc shows them",
        "offline" => "`%dep` uses the network only for crates that are not on this machine",
        "time_passes" | "build_env" | "quiet" | "types" => "oxilab has nothing like it",
        _ => "it is a setting of another kernel",
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    #[tokio::test]
    async fn settings_are_accepted_with_a_reason() {
        let mut script = Script::default();
        run(&call(":sccache 1"), &mut script).await.expect("accepted");
        assert_eq!(
            script.text(),
            "`:sccache` has no effect: compiled cells are always kept by their content\n"
        );
    }
}
