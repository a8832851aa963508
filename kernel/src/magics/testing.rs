//! A session of cardboard for the tests of magics.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::VariableInfo;
use tokio::sync::Notify;

use super::{
    Invocation, MagicContext, MagicResult, RustCode, Segment, Surroundings, Timings, split,
};
use crate::dep::Dependency;
use crate::server::handler::{Output, OutputReceiver, OutputSender, StreamName};

/// What magics did to the session, and what the session answers.
pub(super) struct Script {
    pub(super) variables: Vec<VariableInfo>,
    pub(super) ran: Vec<RustCode>,
    /// Written to standard output by every piece of Rust.
    pub(super) prints: String,
    pub(super) resets: u32,
    pub(super) level: Option<u8>,
    pub(super) timing: bool,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) surroundings: Surroundings,
    pub(super) interrupt: Arc<Notify>,
    pub(super) output: OutputSender,
    pub(super) receiver: OutputReceiver,
}

impl Default for Script {
    fn default() -> Self {
        let (output, receiver) = OutputSender::channel();
        Self {
            variables: Vec::new(),
            ran: Vec::new(),
            prints: String::new(),
            resets: 0,
            level: None,
            timing: false,
            dependencies: Vec::new(),
            surroundings: Surroundings::of_process(),
            interrupt: Arc::default(),
            output,
            receiver,
        }
    }
}

impl Script {
    /// All that was shown so far.
    pub(super) fn shown(&mut self) -> Vec<Output> {
        let mut shown = Vec::new();
        while let Some(Some(output)) = self.receiver.recv().now_or_never() {
            shown.push(output);
        }
        shown
    }

    /// All text that was shown so far: streams, and displays as plain text.
    pub(super) fn text(&mut self) -> String {
        self.shown()
            .iter()
            .map(|output| match output {
                Output::Stream { text, .. } => text.clone(),
                Output::Display { bundle, .. } | Output::Result { bundle } => {
                    bundle.plain().to_owned()
                }
                _ => String::new(),
            })
            .collect()
    }
}

/// The magic that `code` is.
pub(super) fn call(code: &str) -> Invocation {
    match split(code).into_iter().next() {
        Some(Segment::Magic(call)) => call,
        other => panic!("{code} is {other:?}"),
    }
}

fn done<T: Send + 'static>(value: T) -> BoxFuture<'static, MagicResult<T>> {
    futures::future::ready(Ok(value)).boxed()
}

impl MagicContext for Script {
    fn output(&self) -> OutputSender {
        self.output.clone()
    }

    fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    fn variables(&mut self) -> BoxFuture<'_, MagicResult<Vec<VariableInfo>>> {
        done(self.variables.clone())
    }

    fn run(&mut self, mut code: RustCode) -> BoxFuture<'_, MagicResult<Timings>> {
        let output = code.capture.take().map_or_else(|| self.output.clone(), |capture| capture.0);
        self.ran.push(code);
        let text = self.prints.clone();
        async move {
            if !text.is_empty() {
                output.stream(StreamName::Stdout, text).await;
            }
            Ok(Timings { compile: Duration::from_millis(140), run: Duration::from_micros(1500) })
        }
        .boxed()
    }

    fn reset(&mut self) -> BoxFuture<'_, MagicResult<()>> {
        self.resets += 1;
        done(())
    }

    fn optimisation(&self) -> Option<u8> {
        self.level
    }

    fn set_optimisation(&mut self, level: Option<u8>) {
        self.level = level;
    }

    fn timing(&self) -> bool {
        self.timing
    }

    fn set_timing(&mut self, on: bool) {
        self.timing = on;
    }

    fn dependencies(&self) -> Vec<Dependency> {
        self.dependencies.clone()
    }

    fn add_dependencies(
        &mut self,
        dependencies: Vec<Dependency>,
    ) -> BoxFuture<'_, MagicResult<()>> {
        self.dependencies.extend(dependencies);
        done(())
    }

    fn set_env(&mut self, name: String, value: Option<String>) -> BoxFuture<'_, MagicResult<()>> {
        self.surroundings.environment.insert(name, value);
        done(())
    }

    fn set_directory(&mut self, path: PathBuf) -> BoxFuture<'_, MagicResult<()>> {
        self.surroundings.directory = path;
        done(())
    }

    fn interrupted(&self) -> BoxFuture<'static, ()> {
        let interrupt = Arc::clone(&self.interrupt);
        async move { interrupt.notified().await }.boxed()
    }

    fn forget_interrupt(&mut self) {}

    fn cell_id(&self) -> String {
        String::new()
    }

    fn about(&self) -> Vec<(String, String)> {
        vec![("prelude".to_owned(), "abc".to_owned())]
    }
}
