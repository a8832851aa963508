//! What the JupyterLab extension asks: the variables, pages of frames, a formatted cell.
//!
//! The kernel answers these comms itself, each question in a task of its own: one that waits for the
//! running cell holds up no other.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxilab_protocol::panel::{Answer, Ask, Question, TARGET};
use oxilab_protocol::{Query, VariableInfo};
use serde_json::{Value, json};

use super::link::Link;
use crate::diagnostics::paths::shorten;
use crate::magics::{self, Segment, format_cell};
use crate::server::handler::{CommKind, CommMessage, Output, OutputSender};

const NO_WORKER: &str = "no process runs cells: run a cell to start one";

/// The open comms of the extension.
#[derive(Debug, Default)]
pub(super) struct Panels {
    open: Mutex<HashSet<String>>,
}

impl Panels {
    /// Whether a message is for the kernel itself. An open is taken note of here, before it is handled:
    /// a question on its heels must find it.
    pub(super) fn claims(&self, message: &CommMessage) -> bool {
        match message.kind {
            CommKind::Open => {
                let ours = message.target == TARGET;
                if ours {
                    self.open().insert(message.comm_id.clone());
                }
                ours
            }
            CommKind::Message | CommKind::Close => self.open().contains(&message.comm_id),
        }
    }

    /// Takes a message; the answer to a question comes later.
    pub(super) fn handle(
        &self,
        message: CommMessage,
        output: OutputSender,
        link: Option<Arc<Link>>,
    ) {
        match message.kind {
            CommKind::Open => {}
            CommKind::Close => {
                self.open().remove(&message.comm_id);
            }
            CommKind::Message => {
                tokio::spawn(answer(message, output, link));
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(message: CommMessage, output: OutputSender, link: Option<Arc<Link>>) {
    let id = message.data.get("id").and_then(Value::as_u64).unwrap_or_default();
    let found = match serde_json::from_value::<Question>(message.data) {
        Ok(question) => find(question.ask, link).await,
        Err(error) => Err(format!("oxilab does not know this question: {error}")),
    };
    let data = json!(Answer::new(id, found));
    let (target, metadata, buffers) = (String::new(), json!({}), Vec::new());
    let kind = CommKind::Message;
    let comm_id = message.comm_id;
    let answer = CommMessage { kind, comm_id, target, data, metadata, buffers };
    output.send(Output::Comm(answer)).await;
}

async fn find(ask: Ask, link: Option<Arc<Link>>) -> Result<Value, String> {
    let query = match ask {
        Ask::Format { code } => {
            return format(&code).await.map(Value::String);
        }
        Ask::Variables => Query::Variables,
        Ask::Preview { name } => Query::Preview { name },
        Ask::Page { name, offset, length, sort, descending } => {
            Query::Slice { name, offset, length, sort, descending }
        }
    };
    let lists = matches!(query, Query::Variables);
    let found = link.ok_or_else(|| NO_WORKER.to_owned())?.ask(query).await?;
    if !lists {
        return Ok(found);
    }
    let mut variables: Vec<VariableInfo> =
        serde_json::from_value(found).map_err(|error| error.to_string())?;
    for variable in &mut variables {
        variable.type_name = shorten(&variable.type_name);
    }
    Ok(json!(variables))
}

/// A cell as rustfmt writes it; magics stay as they are, and what a `%%magic` takes as well.
async fn format(code: &str) -> Result<String, String> {
    let mut lines: Vec<String> = code.lines().map(str::to_owned).collect();
    let mut rest = Vec::new();
    let mut magics = Vec::new();
    for segment in magics::split(code) {
        let Segment::Magic(magic) = segment else { continue };
        if magic.body.is_some() {
            rest = lines.split_off(magic.line.min(lines.len()));
            break;
        }
        // A comment stays where it stands.
        let mark = format!("// oxilab-magic-{}", magic.line);
        let Some(line) = lines.get_mut(magic.line) else { continue };
        magics.push((mark.clone(), std::mem::replace(line, mark)));
    }
    let mut formatted = Vec::new();
    if lines.iter().any(|line| !line.trim().is_empty()) {
        let text = format_cell(&lines.join("\n")).await.map_err(|error| error.to_string())?;
        for line in text.lines() {
            let magic = magics.iter().find(|(mark, _)| mark == line.trim());
            formatted.push(magic.map_or(line, |(_, magic)| magic.as_str()).to_owned());
        }
    } else {
        formatted = lines;
    }
    formatted.extend(rest);
    Ok(formatted.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::format;

    #[tokio::test]
    async fn rust_is_formatted_and_magics_stay() {
        let cell = "%dep rand = \"0.10\"\nlet  x=1 ;\n!ls   -l\nfn f( ){}\n%%bash\nfor  i in 1; do :; done";
        let expected = "%dep rand = \"0.10\"\nlet x = 1;\n!ls   -l\nfn f() {}\n%%bash\nfor  i in 1; do :; done";
        assert_eq!(format(cell).await.as_deref(), Ok(expected));
        assert_eq!(format("%%bash\nls").await.as_deref(), Ok("%%bash\nls"));
        assert_eq!(format(" ").await.as_deref(), Ok(" "));
    }

    #[tokio::test]
    async fn what_does_not_parse_is_an_error() {
        let error = format("let = ;").await.expect_err("not Rust");
        assert!(error.contains("cell:1"), "{error}");
    }
}
