//! `%timeit` and `%%timeit`: many runs inside one compiled cell.
//!
//! The Rust becomes the body of a closure in the cell, and a function behind it loops: compiled once,
//! optimised, without the kernel in between. The loop has no `loop` or `for`, so nothing is added to it.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::time::duration;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};

/// `%timeit`.
pub(super) struct TimeIt;

/// Runs of which mean and deviation are taken.
const RUNS: u32 = 7;
/// Optimisation, unless the user has set one.
const LEVEL: u8 = 2;

/// Stands behind the closure. `{LOOPS}` 0 is a number of loops that take 0.1 s; `{RUNS}` are measured.
const MEASURE: &str = r#"
fn __t<R>(mut f: impl FnMut() -> R) {
    let mut run = |loops: u64| {
        let start = ::std::time::Instant::now();
        (0..loops).for_each(|_| { ::std::hint::black_box(f()); });
        start.elapsed().as_secs_f64()
    };
    let mut loops: u64 = {LOOPS};
    if loops == 0 {
        loops = 1;
        while run(loops) < 0.1 && loops < 1_000_000_000 { loops *= 10; }
    }
    let mut times: ::std::vec::Vec<f64> = ::std::vec::Vec::new();
    while times.len() < {RUNS} { times.push(run(loops) / loops as f64); }
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64;
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    let show = |time: f64| {
        let (value, unit) = if time >= 1.0 { (time, "s") } else if time >= 1e-3 { (time * 1e3, "ms") }
            else if time >= 1e-6 { (time * 1e6, "µs") } else { (time * 1e9, "ns") };
        let digits = if value >= 100.0 { 0 } else if value >= 10.0 { 1 } else { 2 };
        ::std::format!("{value:.digits$} {unit}")
    };
    ::std::println!("{} ± {} per loop (mean ± std. dev. of {} runs, {} loops each), best {}",
        show(mean), show(variance.sqrt()), times.len(), loops, show(best));
}"#;

impl Magic for TimeIt {
    fn names(&self) -> &'static [&'static str] {
        &["timeit"]
    }

    fn summary(&self) -> &'static str {
        "runs Rust many times in one compiled cell: mean, deviation, best"
    }

    fn usage(&self) -> &'static str {
        "%timeit [-n LOOPS] [-r RUNS] EXPRESSION\n%%timeit [-n LOOPS] [-r RUNS]"
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
            let options = options(&call.arguments).map_err(|reason| usage(self, reason))?;
            let text = compose(call, &options).ok_or_else(|| usage(self, "nothing to time"))?;
            let level = context.optimisation().unwrap_or(LEVEL);
            let timings = context
                .run(RustCode::at_line(call.line, &text).with_opt_level(Some(level)))
                .await?;
            if !timings.compile.is_zero() {
                say(context.output(), &format!("compile: {}, once", duration(timings.compile)))
                    .await;
            }
            Ok(Done::default())
        }
        .boxed()
    }
}

/// What stands before the Rust.
#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    loops: u64,
    runs: u32,
    rest: &'a str,
}

fn options(arguments: &str) -> Result<Options<'_>, String> {
    let mut options = Options { loops: 0, runs: RUNS, rest: arguments };
    loop {
        let rest = options.rest.trim_start();
        let Some(flag) = ["-n", "-r"].into_iter().find(|flag| rest.starts_with(flag)) else {
            break;
        };
        let value = rest[flag.len()..].trim_start();
        let end = value.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(value.len());
        // `-n` may also begin an expression: the negative of a variable.
        if end == 0 {
            break;
        }
        let number = value[..end].replace('_', "").parse::<u64>().ok().filter(|number| *number > 0);
        let number = number.ok_or_else(|| format!("`{flag}` wants a number above 0"))?;
        if flag == "-n" {
            options.loops = number;
        } else {
            options.runs = u32::try_from(number).map_err(|_| "too many runs".to_owned())?;
        }
        options.rest = value[end..].trim_start();
    }
    Ok(options)
}

/// The Rust inside its closure, at its own line and column; without any, `None`.
fn compose(call: &Invocation, options: &Options<'_>) -> Option<String> {
    const OPENING: &str = "{__t(||{";
    let body = call.body.as_deref().unwrap_or_default();
    if options.rest.trim().is_empty() && body.trim().is_empty() {
        return None;
    }
    let column =
        call.column + call.arguments[..call.arguments.len() - options.rest.len()].chars().count();
    let measure = MEASURE
        .replace("{LOOPS}", &options.loops.to_string())
        .replace("{RUNS}", &options.runs.to_string());
    let first = format!("{OPENING:<column$}{}", options.rest);
    Some(format!("{first}\n{body}\n}});{measure}}}"))
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;

    #[test]
    fn options_stand_before_the_expression() {
        let parsed = |text| {
            options(text).map(|options| (options.loops, options.runs, options.rest.to_owned()))
        };
        assert_eq!(parsed("f(1)"), Ok((0, 7, "f(1)".to_owned())));
        assert_eq!(parsed("-n 10 -r3 f(1)"), Ok((10, 3, "f(1)".to_owned())));
        assert_eq!(parsed("-n 1_000"), Ok((1000, 7, String::new())));
        assert_eq!(parsed("-number + 1"), Ok((0, 7, "-number + 1".to_owned())));
        assert!(parsed("-n 0 x").is_err());
    }

    #[tokio::test]
    async fn the_expression_keeps_its_column() {
        let mut script = Script::default();
        for written in ["%timeit f(1)", "%timeit -n 10 f(1)", "  %timeit   f(1)", "//%timeit f(1)"]
        {
            run(&call(written), &mut script).await.expect(written);
            let text = &script.ran.last().expect("ran").text;
            let first = text.lines().next().expect("a line");
            assert_eq!(first.find("f(1)"), written.find("f(1)"), "{first}");
            assert_eq!(first.chars().filter(|c| *c == '{').count(), 2, "{first}");
        }
        assert_eq!(script.ran[0].opt_level, Some(2));
    }

    #[tokio::test]
    async fn the_level_of_the_user_counts() {
        let mut script = Script { level: Some(3), ..Script::default() };
        run(&call("%%timeit\nf(1)"), &mut script).await.expect("timed");
        assert_eq!(script.ran[0].opt_level, Some(3));
        assert!(script.ran[0].text.contains("\nf(1)\n"));
        run(&call("%timeit -n 3"), &mut script).await.expect_err("nothing to time");
    }

    #[test]
    fn what_is_composed_is_rust_that_measures() {
        let call = call("%timeit -n 100 -r 4 1 + 1");
        let text = compose(&call, &options(&call.arguments).expect("options")).expect("text");
        let folder = tempfile::tempdir().expect("folder");
        let source = folder.path().join("main.rs");
        std::fs::write(&source, format!("fn main() {{\n{text}\n}}")).expect("written");
        let rustc = crate::toolchain::Toolchain::find().expect("toolchain").rustc;
        let program = folder.path().join("main");
        let status = std::process::Command::new(rustc)
            .args(["--edition=2024", "-o"])
            .arg(&program)
            .arg(&source)
            .status()
            .expect("rustc");
        assert!(status.success(), "{text}");
        let output = std::process::Command::new(program).output().expect("runs");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("(mean ± std. dev. of 4 runs, 100 loops each), best "), "{text}");
    }
}
