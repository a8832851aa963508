//! Why a cell does not compile, with what the session knows of the names in it.

use std::sync::Arc;

use super::{Preparation, PrepareError};
use crate::cell;
use crate::compile::{CompileError, Compiler, Job, Kind, file_name};
use crate::compose::{Origin, SourceMap, Writer};
use crate::diagnostics::{self, Message, Report};
use crate::session::state::State;

impl Preparation<'_> {
    /// What the session knows of a name that an error is about.
    fn note(&self, code: &str, name: &str) -> Option<String> {
        let variable = self.state.variables.get(name);
        match code {
            "E0425" | "E0423" | "E0433" | "E0424" => {
                if variable.is_some_and(|variable| !variable.is_current(&self.prepared.items)) {
                    let reason = "its type was defined again since, and the old value cannot be used as the new type";
                    return Some(format!("there was a variable `{name}`: {reason}"));
                }
                self.state
                    .gone
                    .get(name)
                    .map(|reason| format!("there was a variable `{name}`: {reason}"))
            }
            "E0384" | "E0594" | "E0596" if variable.is_some_and(|variable| !variable.mutable) => {
                Some(format!(
                    "`{name}` was declared in an earlier cell: declare it `let mut {name}` there"
                ))
            }
            _ => None,
        }
    }

    /// Errors only, and what is known of a name that was not found.
    pub(super) fn reports(&self, messages: &[Message], map: &SourceMap, file: &str) -> Vec<Report> {
        let mut reports: Vec<Report> = diagnostics::render(messages, map, file)
            .into_iter()
            .filter(|report| report.error)
            .collect();
        for report in &mut reports {
            let Some(name) = report.title.split('`').nth(1) else { continue };
            if let Some(note) = self.note(&report.code, name) {
                report.note(&note);
            }
        }
        reports
    }
}

/// The cell cannot be cut into statements: rustc says why, in its own words.
pub(super) async fn explain_syntax(
    compiler: &Compiler,
    state: &State,
    origin: Origin,
    error: &cell::ParseError,
) -> PrepareError {
    let mut writer = Writer::default();
    let label = origin.label.clone();
    let text = Arc::clone(&origin.text);
    let origin = writer.origin(origin);
    writer.generated("#![allow(unused)]use ::oxilab::prelude::*;fn cell(){");
    writer.paste(origin, 0..text.len(), &[]);
    writer.line_break();
    writer.generated("}");
    let composed = writer.finish();
    let job = Job {
        crate_name: "oxi_syntax",
        source: &composed.text,
        kind: Kind::Cell,
        opt_level: 0,
        externs: state.dependencies.iter().flat_map(|library| library.externs.clone()).collect(),
        search: Vec::new(),
    };
    match compiler.compile(&job).await {
        Err(CompileError::Rejected { mut messages, .. }) => {
            let end = composed.text.rfind('\n').unwrap_or(composed.text.len());
            let last = composed.text[..end].trim_end().len();
            for message in &mut messages {
                end_at_the_cells_end(message, last);
            }
            let reports = diagnostics::render(&messages, &composed.map, &file_name("oxi_syntax"));
            let errors: Vec<Report> = reports.into_iter().filter(|report| report.error).collect();
            PrepareError::Code(errors)
        }
        Err(other) => other.into(),
        Ok(_) => PrepareError::Code(vec![Report {
            error: true,
            code: String::new(),
            title: error.message.clone(),
            ansi: format!("\u{1b}[1;91merror\u{1b}[0m: {} ({label})", error.message),
            html: String::new(),
            explanation: String::new(),
            place: Some((label, error.range.clone())),
        }]),
    }
}

/// Errors at the bracket that stands behind the pasted cell are errors at the cell's end, whose last
/// character is before `last`.
fn end_at_the_cells_end(message: &mut Message, last: usize) {
    let mut moved = false;
    for span in message.spans.iter_mut().filter(|span| span.byte_start >= last) {
        (span.byte_start, span.byte_end) = (last.saturating_sub(1), last);
        moved |= span.is_primary;
    }
    if moved {
        for text in std::iter::once(&mut message.message)
            .chain(message.spans.iter_mut().filter_map(|span| span.label.as_mut()))
        {
            *text = text
                .replace("found `}`", "found the end of the cell")
                .replace("mismatched closing delimiter: `}`", "a bracket is not closed")
                .replace("mismatched closing delimiter", "the cell ends here")
                .replace("this file contains an unclosed delimiter", "a bracket is not closed");
        }
    }
}
