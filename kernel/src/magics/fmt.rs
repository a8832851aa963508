//! `%fmt`: the rest of the cell as rustfmt writes it.

use std::process::Stdio;

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::MimeBundle;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::context::show;
use super::scanner::Scanner;
use super::{Done, Invocation, Magic, MagicContext, MagicError, MagicResult, usage};
use crate::toolchain;

/// `%fmt`.
pub(super) struct Fmt;

const OPENING: &str = "fn __oxilab_cell() {";

impl Magic for Fmt {
    fn names(&self) -> &'static [&'static str] {
        &["fmt"]
    }

    fn summary(&self) -> &'static str {
        "formats the rest of the cell with rustfmt, shows it and puts it into the cell"
    }

    fn usage(&self) -> &'static str {
        "%fmt CODE\n%%fmt"
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
            let body = call.body.as_deref().unwrap_or_default();
            let code = format!("{}\n{body}", call.arguments);
            if code.trim().is_empty() {
                return Err(usage(self, "nothing to format"));
            }
            let formatted = format_cell(code.trim()).await?;
            let fenced = format!("```rust\n{formatted}\n```");
            show(
                context.output(),
                MimeBundle::text(formatted.as_str()).with("text/markdown", fenced),
            )
            .await;
            let payload = json!({"source": "set_next_input", "text": formatted, "replace": true});
            Ok(Done { payload: vec![payload] })
        }
        .boxed()
    }
}

/// A cell as rustfmt writes it: its statements as the body of a function, moved back to the margin.
pub(crate) async fn format_cell(code: &str) -> MagicResult<String> {
    let rustfmt = toolchain::find_program("rustfmt").ok_or_else(|| {
        MagicError::Failed("rustfmt was not found: run `rustup component add rustfmt`".to_owned())
    })?;
    let failed =
        |error: std::io::Error| MagicError::Failed(format!("rustfmt could not be run: {error}"));
    let mut child = Command::new(rustfmt)
        .args(["--edition", "2024", "--emit", "stdout", "--quiet"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        let text = format!("{OPENING}\n{code}\n}}\n");
        tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
    }
    let output = child.wait_with_output().await.map_err(failed)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(MagicError::Failed(format!("rustfmt: {}", at_the_cell(message.trim()))));
    }
    Ok(unwrap(&String::from_utf8_lossy(&output.stdout)))
}

/// The lines between the function's braces, less its indentation, which a string's lines do not have.
fn unwrap(text: &str) -> String {
    let mut scanner = Scanner::new();
    let inside: Vec<&str> = text.trim_end().lines().skip(1).collect();
    let lines = inside.iter().take(inside.len().saturating_sub(1)).map(|line| {
        let in_string = scanner.is_in_string();
        scanner.line(line);
        if in_string { *line } else { line.strip_prefix("    ").unwrap_or(line) }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// rustfmt's places, `<stdin>:3:1`, as lines of the cell.
fn at_the_cell(message: &str) -> String {
    let mut parts = message.split("<stdin>:");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        match part[..end].parse::<u32>() {
            Ok(line) => text.extend(["cell:", &line.saturating_sub(1).to_string(), &part[end..]]),
            Err(_) => text.extend(["<stdin>:", part]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    #[tokio::test]
    async fn a_cell_is_formatted_and_replaced() {
        let mut script = Script::default();
        let code = "%%fmt\nuse std::fmt;\nfn f( x:u8 )->u8{x}\nlet s=\"\n    a\n\";\nf( 1 )";
        let done = run(&call(code), &mut script).await.expect("formatted");
        let expected = "use std::fmt;\nfn f(x: u8) -> u8 {\n    x\n}\nlet s = \"\n    a\n\";\nf(1)";
        assert_eq!(script.text(), expected);
        assert_eq!(done.payload[0]["text"], expected);
        assert_eq!(done.payload[0]["replace"], true);
    }

    #[tokio::test]
    async fn code_on_the_line_is_formatted() {
        let mut script = Script::default();
        run(&call("%fmt let x=1;"), &mut script).await.expect("formatted");
        assert_eq!(script.text(), "let x = 1;");
        run(&call("%fmt"), &mut script).await.expect_err("nothing");
    }

    #[tokio::test]
    async fn errors_name_the_cells_lines() {
        let error = run(&call("%%fmt\nlet x = 1;\nlet = ;"), &mut Script::default())
            .await
            .expect_err("not Rust");
        let text = error.to_string();
        assert!(text.contains("cell:2") && !text.contains("<stdin>"), "{text}");
    }
}
