//! `%%run`: a cell as a run of the tracker.
//!
//! The cell's code runs with `begin_cell` in front of it, in one compile; what it shows and how it ends
//! goes into a file, from which `end_cell` logs it. The text that calls `end_cell` is the same for every
//! cell, so only the first one of a machine compiles it.

use std::time::Instant;

use serde_json::{Value, json};

use super::{literal, words};
use crate::magics::{
    Done, Invocation, Magic, MagicContext, MagicError, MagicResult, RustCode, usage,
};
use crate::notebook::outputs::Outputs;
use crate::server::divert::divert;
use crate::server::handler::CellError;

/// The file that kernel and worker share.
const SHARED: &str = "OXILAB_CELL_RUN";
const END: &str = "oxilab::display::display(&oxilab::track::end_cell()?);";

/// What the line says.
#[derive(Debug, Default, PartialEq)]
struct Options {
    name: String,
    tags: Vec<(String, String)>,
    nested: bool,
}

impl Options {
    fn parse(text: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let words = words(text)?;
        let mut words = words.iter();
        let mut name = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--nested" => options.nested = true,
                "--tag" => {
                    let pair = words.next().ok_or("`--tag` wants NAME=TEXT")?;
                    let (key, value) =
                        pair.split_once('=').ok_or_else(|| format!("`{pair}` is not NAME=TEXT"))?;
                    options.tags.push((key.to_owned(), value.to_owned()));
                }
                other if other.starts_with("--") => {
                    return Err(format!("`{other}` is not an option"));
                }
                other => name.push(other),
            }
        }
        options.name = name.join(" ");
        Ok(options)
    }

    /// The Rust that starts the run, on one line.
    fn begin(&self, source: &str, cell: &str) -> String {
        let tags: Vec<String> = self
            .tags
            .iter()
            .map(|(key, value)| format!("({}, {})", literal(key), literal(value)))
            .collect();
        format!(
            "oxilab::track::begin_cell({}, &[{}], {}, {}, {})?;",
            literal(&self.name),
            tags.join(", "),
            self.nested,
            literal(source),
            literal(cell)
        )
    }
}

/// Runs the rest of a cell as a run.
pub(in crate::magics) async fn run_cell(
    magic: &dyn Magic,
    call: &Invocation,
    body: &str,
    context: &mut dyn MagicContext,
) -> MagicResult<Done> {
    let options = Options::parse(&call.arguments).map_err(|reason| usage(magic, reason))?;
    if body.trim().is_empty() {
        return Err(usage(magic, "the cell has no code"));
    }
    let failed =
        |error: std::io::Error| MagicError::Failed(format!("no place for the run: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let shared = folder.path().join("cell.json");
    context.set_env(SHARED.to_owned(), Some(shared.display().to_string())).await?;
    let text = format!("{}\n{body}", options.begin(body, &context.cell_id()));
    let start = Instant::now();
    let (ran, outputs) = shown(RustCode::at_line(call.line, &text), context).await;
    let outcome = outcome(ran.as_ref().err(), start.elapsed().as_secs_f64(), &outputs);
    std::fs::write(&shared, outcome.to_string()).map_err(failed)?;
    // A cell that did not compile has begun no run.
    let logged = if shared.with_extension("begun").exists() {
        context.forget_interrupt();
        context.run(RustCode::standing_for(call.line, END)).await.map(drop)
    } else {
        Ok(())
    };
    context.set_env(SHARED.to_owned(), None).await?;
    ran?;
    logged?;
    Ok(Done::default())
}

/// Runs code; what it shows is shown, and kept as a notebook file has it.
async fn shown(code: RustCode, context: &mut dyn MagicContext) -> (MagicResult<()>, Vec<Value>) {
    let cell = context.output();
    let mut outputs = Outputs::new(1);
    let run = move |sender| context.run(code.with_capture(sender));
    let ran = divert(cell, run, |output| {
        outputs.apply(0, 0, output.clone());
        Some(output)
    })
    .await;
    let kept = outputs.take().into_iter().next().unwrap_or_default();
    (ran.map(drop), kept)
}

/// What `end_cell` reads.
fn outcome(error: Option<&MagicError>, seconds: f64, outputs: &[Value]) -> Value {
    let mut outcome = json!({ "status": "ok", "seconds": seconds, "outputs": outputs });
    if let Some(error) = error {
        let (ename, evalue, traceback) = match error {
            MagicError::Cell(CellError { ename, evalue, traceback, .. }) => {
                (ename.clone(), evalue.clone(), traceback.join("\n"))
            }
            other => ("MagicError".to_owned(), other.to_string(), other.to_string()),
        };
        let interrupted = ename == "KeyboardInterrupt";
        outcome["status"] = json!(if interrupted { "interrupted" } else { "error" });
        outcome["ename"] = json!(ename);
        outcome["evalue"] = json!(evalue);
        outcome["traceback"] = json!(without_colours(&traceback));
    }
    outcome
}

/// Text without the terminal's colour codes.
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        out.push_str(before);
        rest = after.find('m').map_or("", |end| &after[end + 1..]);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::super::super::run;
    use super::super::super::testing::{Script, call};
    use super::*;

    #[test]
    fn the_line_is_read() {
        let options = Options::parse("deep trees --tag team=\"the blue\" --nested").expect("read");
        assert_eq!(options.name, "deep trees");
        assert_eq!(options.tags, [("team".to_owned(), "the blue".to_owned())]);
        assert!(options.nested);
        for bad in ["--tag", "--tag x", "--deep", "\"x"] {
            Options::parse(bad).expect_err(bad);
        }
    }

    #[tokio::test]
    async fn the_run_begins_on_the_line_of_the_magic() {
        let mut script = Script { prints: "hello\n".to_owned(), ..Script::default() };
        run(&call("%%run a \"b\nlet x = 1;"), &mut script).await.expect_err("quote");
        run(&call("%%run a\nlet x = \"q\";\nx"), &mut script).await.expect("ran");
        let lines: Vec<&str> = script.ran[0].text.lines().collect();
        assert_eq!(
            lines[0],
            "oxilab::track::begin_cell(\"a\", &[], false, \"let x = \\\"q\\\";\\nx\", \"\")?;"
        );
        assert_eq!(lines[1..], ["let x = \"q\";", "x"]);
        assert_eq!(script.text(), "hello\n", "what it shows is shown");
        // Nothing was begun, so nothing is ended.
        assert_eq!(script.ran.len(), 1);
        run(&call("%%run a\n  "), &mut script).await.expect_err("no code");
    }

    #[test]
    fn how_it_ended_is_told() {
        let error = MagicError::Cell(CellError {
            ename: "Panic".to_owned(),
            evalue: "no".to_owned(),
            traceback: vec!["\u{1b}[1;31mPanic\u{1b}[0m: no".to_owned()],
            html: None,
        });
        let told = outcome(Some(&error), 1.5, &[json!({ "output_type": "stream" })]);
        assert_eq!((&told["status"], &told["traceback"]), (&json!("error"), &json!("Panic: no")));
        assert_eq!(outcome(None, 0.0, &[])["status"], "ok");
    }
}
