//! Cargo's progress as one bar below the cell.

use std::time::{Duration, Instant};

use oxilab_protocol::Bar;

use crate::server::handler::{Output, OutputSender, StreamName};

/// Between two updates.
const INTERVAL: Duration = Duration::from_millis(100);

/// How far cargo is, as it says itself: `Building [====>    ] 3/12: regex, shout`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    done: u64,
    total: u64,
    /// What is being compiled.
    crates: String,
}

impl Step {
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.trim_start().strip_prefix("Building [")?.split_once("] ")?;
        let (count, crates) = rest.split_once(": ").unwrap_or((rest, ""));
        let (done, total) = count.trim_end_matches(':').trim().split_once('/')?;
        let crates = crates.trim().to_owned();
        Some(Self { done: done.parse().ok()?, total: total.parse().ok()?, crates })
    }
}

/// The bar of a build.
pub(super) struct Progress<'a> {
    output: &'a OutputSender,
    display_id: String,
    started: Instant,
    drawn: Option<Instant>,
    latest: Option<Step>,
}

impl<'a> Progress<'a> {
    /// A bar that is shown at the first step that cargo tells of, which it does after half a second.
    pub(super) fn new(output: &'a OutputSender) -> Self {
        let display_id = format!("oxilab-dep-{}", uuid::Uuid::new_v4().simple());
        Self { output, display_id, started: Instant::now(), drawn: None, latest: None }
    }

    /// Draws what cargo says of its progress, and passes on that it waits for another build; anything
    /// else can wait for the end.
    pub(super) async fn read(&mut self, text: &str) {
        let Some(step) = Step::parse(text) else {
            if text.trim_start().starts_with("Blocking waiting") {
                self.output.stream(StreamName::Stdout, format!("{}\n", text.trim())).await;
            }
            return;
        };
        self.latest = Some(step);
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= INTERVAL) {
            self.draw(false).await;
        }
    }

    /// Ends the bar: full if the build succeeded, else as far as it came.
    pub(super) async fn finish(mut self, success: bool) {
        if let Some(step) = &mut self.latest {
            step.crates.clear();
            step.done = if success { step.total } else { step.done };
            self.draw(true).await;
        }
    }

    async fn draw(&mut self, finished: bool) {
        let Some(Step { done, total, crates }) = &self.latest else { return };
        let elapsed = self.started.elapsed();
        let bar = Bar {
            label: "crates",
            done: *done,
            total: Some(*total),
            elapsed,
            finished,
            message: crates,
        };
        let (bundle, update) = (bar.bundle(), self.drawn.is_some());
        let display_id = Some(self.display_id.clone());
        self.output.send(Output::Display { bundle, display_id, update }).await;
        self.drawn = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(done: u64, total: u64, crates: &str) -> Option<Step> {
        Some(Step { done, total, crates: crates.to_owned() })
    }

    #[test]
    fn what_cargo_says_of_its_progress_is_read() {
        for (text, expected) in [
            (
                "    Building [=====>   ] 73/100: foo, bar(build)...",
                step(73, 100, "foo, bar(build)..."),
            ),
            ("    Building [         ] 0/4", step(0, 4, "")),
            ("    Building [=========] 4/4: ", step(4, 4, "")),
            ("   Compiling shout v0.1.0 (/tmp/shout)", None),
            ("    Blocking waiting for file lock on build directory", None),
            ("    Building [=>", None),
            ("    Building [=>  ] 1 of 4", None),
        ] {
            assert_eq!(Step::parse(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn one_display_is_updated() {
        let (output, mut receiver) = OutputSender::channel();
        let mut bar = Progress::new(&output);
        for done in 1..=3 {
            bar.read(&format!("    Building [>  ] {done}/9: shout")).await;
        }
        bar.read("   Compiling shout v0.1.0").await;
        bar.finish(true).await;
        drop(output);
        let mut seen = Vec::new();
        while let Some(Output::Display { bundle, display_id, update }) = receiver.recv().await {
            seen.push((bundle.plain().to_owned(), display_id, update));
        }
        let [(first, shown, false), (last, updated, true)] = seen.as_slice() else {
            panic!("one is shown and, at once, updated only at its end: {seen:?}")
        };
        assert!(shown.is_some() && shown == updated);
        assert!(first.starts_with("crates 1/9 11%") && first.ends_with("shout"), "{first}");
        assert!(last.starts_with("crates 9/9 100%") && !last.contains("shout"), "{last}");
    }
}
