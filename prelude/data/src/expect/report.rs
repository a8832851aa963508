//! What a check found.

use std::fmt::Write as _;

use oxilab_display::{MimeBundle, Render};
use serde::{Deserialize, Serialize};

use super::Suite;
use super::rule::{Expectation, Severity};
use crate::error::{DataError, Result};
use crate::html::{count, escape, number};
use crate::stats::float;

/// What one expectation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The expectation in words.
    pub expectation: String,
    /// How bad breaking it is.
    pub severity: Severity,
    /// Whether it held.
    pub passed: bool,
    /// Rows looked at; 0 for expectations of the whole.
    pub checked: usize,
    /// Rows that fail.
    pub failing: usize,
    /// What was seen instead.
    pub observed: String,
    /// The first failing rows (from 0) and their values.
    pub examples: Vec<(usize, String)>,
}

/// What a check found: shows itself as a table, serialises, and fails a cell with
/// [`check`](Self::check).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use = "call check() to fail when an expectation is broken"]
pub struct Report {
    /// Rows of the frame.
    pub rows: usize,
    /// One per expectation.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// Whether no error was found; warnings do not count.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed() == 0
    }

    /// How many expectations are broken with severity error.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.broken(Severity::Error)
    }

    /// How many expectations are broken with severity warning.
    #[must_use]
    pub fn warned(&self) -> usize {
        self.broken(Severity::Warning)
    }

    fn broken(&self, severity: Severity) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.passed && outcome.severity == severity)
            .count()
    }

    /// The report itself if no error was found.
    ///
    /// # Errors
    /// When there are errors; the message names each with an example.
    pub fn check(self) -> Result<Self> {
        if self.passed() {
            return Ok(self);
        }
        let broken = self.outcomes.iter().filter(|o| !o.passed && o.severity == Severity::Error);
        let lines = broken
            .map(|outcome| format!("expected that {}: {}", outcome.expectation, found(outcome)));
        Err(DataError::invalid(
            format!("{} of {} expectations are broken", self.failed(), self.outcomes.len()),
            lines.collect::<Vec<_>>().join("; "),
        ))
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// Never in practice; the serialiser's own error.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| DataError::invalid("saving a report", e.to_string()))
    }

    /// A report of [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// When the text is not that of a report; the message names the line.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text)
            .map_err(|e| DataError::invalid("loading a report", e.to_string()))
    }
}

/// What was seen, with examples.
fn found(outcome: &Outcome) -> String {
    let examples: Vec<String> =
        outcome
            .examples
            .iter()
            .map(|(row, value)| {
                if value.is_empty() { format!("row {row}") } else { format!("row {row}: {value}") }
            })
            .collect();
    match (outcome.observed.is_empty(), examples.is_empty()) {
        (_, true) => outcome.observed.clone(),
        (true, false) => examples.join(", "),
        (false, false) => format!("{}, {}", outcome.observed, examples.join(", ")),
    }
}

fn sign(outcome: &Outcome) -> &'static str {
    match (outcome.passed, outcome.severity) {
        (true, _) => "✓",
        (false, Severity::Error) => "✗",
        (false, Severity::Warning) => "⚠",
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held = self.outcomes.iter().filter(|outcome| outcome.passed).count();
        writeln!(f, "{held} of {} expectations hold for {} rows", self.outcomes.len(), self.rows)?;
        for outcome in &self.outcomes {
            let found =
                if outcome.passed { String::new() } else { format!(": {}", found(outcome)) };
            writeln!(f, "{} {}{found}", sign(outcome), outcome.expectation)?;
        }
        Ok(())
    }
}

impl Render for Report {
    fn render(&self) -> MimeBundle {
        let held = self.outcomes.iter().filter(|outcome| outcome.passed).count();
        let mut html = format!(
            "<p><b>{held} of {} expectations hold</b> for {} rows</p><table><thead><tr><th></th>\
             <th style=\"text-align:left\">expected</th><th>rows</th><th>failing</th>\
             <th style=\"text-align:left\">found</th></tr></thead><tbody>",
            self.outcomes.len(),
            count(float(self.rows)),
        );
        for outcome in &self.outcomes {
            let colour = match (outcome.passed, outcome.severity) {
                (true, _) => "#009E73",
                (false, Severity::Error) => "#D55E00",
                (false, Severity::Warning) => "#E69F00",
            };
            let rows = |rows: usize| {
                if outcome.checked == 0 { String::new() } else { count(float(rows)) }
            };
            let _ = write!(
                html,
                "<tr><td style=\"color:{colour}\">{}</td><td style=\"text-align:left\">{}</td><td>{}</td><td>{}</td><td style=\"text-align:left\">{}</td></tr>",
                sign(outcome),
                escape(&outcome.expectation),
                rows(outcome.checked),
                rows(outcome.failing),
                if outcome.passed && outcome.failing == 0 {
                    String::new()
                } else {
                    escape(&found(outcome))
                },
            );
        }
        html.push_str("</tbody></table>");
        MimeBundle::text(self.to_string()).with_html(html)
    }
}

impl std::fmt::Display for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} expectations", self.expectations.len())?;
        self.expectations.iter().try_for_each(|expectation| writeln!(f, "{}", line(expectation)))
    }
}

impl Render for Suite {
    fn render(&self) -> MimeBundle {
        let lines = self.expectations.iter().map(|e| format!("<li>{}</li>", escape(&line(e))));
        let html = format!(
            "<b>{} expectations</b><ol>{}</ol>",
            self.expectations.len(),
            lines.collect::<String>()
        );
        MimeBundle::text(self.to_string()).with_html(html)
    }
}

/// An expectation in words.
fn line(expectation: &Expectation) -> String {
    let mut line = expectation.rule.to_string();
    if expectation.mostly < 1.0 {
        let _ = write!(line, ", in {} % of rows", number(expectation.mostly * 100.0));
    }
    if expectation.severity == Severity::Warning {
        line.push_str(" (warning)");
    }
    line
}
