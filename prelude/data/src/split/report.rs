//! What a leakage check found, as a table.

use std::fmt::Write as _;

use oxilab_display::{MimeBundle, Render};
use serde::{Deserialize, Serialize};

use super::leakage::Leakage;
use crate::html::escape;

/// One way in which test data is known while training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What leaks: `duplicate rows`, `near-duplicate rows`, `shared groups`, `time overlap`,
    /// `telling feature`.
    pub kind: String,
    /// How many test rows or groups, or the column.
    pub what: String,
    /// What it means and what to do.
    pub advice: String,
}

impl std::fmt::Display for Leakage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.findings.is_empty() {
            return write!(f, "no leakage found; looked at {}", self.checked.join(", "));
        }
        writeln!(f, "{} findings; looked at {}", self.findings.len(), self.checked.join(", "))?;
        for finding in &self.findings {
            writeln!(f, "- {}: {}; {}", finding.kind, finding.what, finding.advice)?;
        }
        Ok(())
    }
}

impl Render for Leakage {
    fn render(&self) -> MimeBundle {
        let mut html = String::from(
            "<table><thead><tr><th>leak</th><th>found</th><th>what to do</th></tr></thead><tbody>",
        );
        for finding in &self.findings {
            let [kind, what, advice] =
                [&finding.kind, &finding.what, &finding.advice].map(|text| escape(text));
            let _ = write!(html, "<tr><td>⚠ {kind}</td><td>{what}</td><td>{advice}</td></tr>");
        }
        if self.findings.is_empty() {
            html.push_str("<tr><td colspan=\"3\">✓ no leakage found</td></tr>");
        }
        let _ = write!(
            html,
            "</tbody></table><small>looked at {}</small>",
            escape(&self.checked.join(", "))
        );
        MimeBundle::text(self.to_string()).with_html(html)
    }
}
