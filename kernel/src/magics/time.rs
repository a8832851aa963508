//! `%time` and `%%time`: runs Rust once and says how long compiling and running took.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, Timings, usage};

/// `%time`.
pub(super) struct Time;

impl Magic for Time {
    fn names(&self) -> &'static [&'static str] {
        &["time"]
    }

    fn summary(&self) -> &'static str {
        "runs Rust once and tells compile and run time apart"
    }

    fn usage(&self) -> &'static str {
        "%time EXPRESSION\n%%time"
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
            let timings =
                context.run(code(call).ok_or_else(|| usage(self, "nothing to time"))?).await?;
            say(context.output(), &line(timings)).await;
            Ok(Done::default())
        }
        .boxed()
    }
}

/// The Rust of a magic that takes it from its line or from the rest of the cell, at its own place.
pub(super) fn code(call: &Invocation) -> Option<RustCode> {
    let arguments = " ".repeat(call.column) + &call.arguments;
    let text = match &call.body {
        Some(body) if call.arguments.is_empty() => format!("\n{body}"),
        Some(body) => format!("{arguments}\n{body}"),
        None => arguments,
    };
    (!text.trim().is_empty()).then(|| RustCode::at_line(call.line, &text))
}

fn line(timings: Timings) -> String {
    let compile = if timings.compile.is_zero() {
        "from the cache".to_owned()
    } else {
        duration(timings.compile)
    };
    format!("compile: {compile}, run: {}", duration(timings.run))
}

/// A time with three digits and the unit that fits.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s if s >= 1e-6 => (s * 1e6, "µs"),
        s => (s * 1e9, "ns"),
    };
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;

    #[tokio::test]
    async fn compile_and_run_time_are_told_apart() {
        let mut script = Script::default();
        run(&call("%time f(1)"), &mut script).await.expect("timed");
        assert_eq!(script.text(), "compile: 140 ms, run: 1.50 ms\n");
        assert_eq!(script.ran[0].text, "      f(1)");
    }

    #[tokio::test]
    async fn the_code_keeps_its_place_in_the_cell() {
        let mut script = Script::default();
        run(&call("%%time\nlet x = 1;\nx"), &mut script).await.expect("timed");
        assert_eq!(script.ran[0].text, "\nlet x = 1;\nx");
        let error = run(&call("%time"), &mut script).await.expect_err("nothing");
        assert!(error.to_string().contains("%%time"), "{error}");
    }

    #[test]
    fn durations_have_three_digits() {
        for (nanos, text) in [
            (5, "5.00 ns"),
            (1_234, "1.23 µs"),
            (45_678_000, "45.7 ms"),
            (123_400_000_000, "123 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }
}
