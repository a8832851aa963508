//! The JSON that rustc writes with `--error-format=json`.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// One diagnostic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// The headline.
    pub message: String,
    /// `E0308` or a lint's name.
    pub code: Option<Code>,
    /// `error`, `warning`, `note`, `help`, `failure-note`, `error: internal compiler error`.
    pub level: String,
    /// Where.
    pub spans: Vec<Span>,
    /// Notes and helps.
    #[serde(default)]
    pub children: Vec<Message>,
}

/// An error code with its explanation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Code {
    /// `E0308`.
    pub code: String,
    /// What `rustc --explain` prints.
    #[serde(default)]
    pub explanation: Option<String>,
}

/// A place in a source file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Span {
    /// The file, as rustc was given it.
    pub file_name: String,
    /// First byte.
    pub byte_start: usize,
    /// Behind the last byte.
    pub byte_end: usize,
    /// Whether this is what the message is about.
    pub is_primary: bool,
    /// Text at the place.
    pub label: Option<String>,
    /// What a suggestion puts there.
    #[serde(default)]
    pub suggested_replacement: Option<String>,
    /// The macro call it was made by.
    #[serde(default)]
    pub expansion: Option<Box<Expansion>>,
}

/// The macro call that a span was made by.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Expansion {
    /// The call.
    pub span: Span,
}

impl Message {
    /// Parses one line of rustc's standard error; `None` for artifacts and other lines.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if !line.starts_with('{') {
            return None;
        }
        serde_json::from_str(line).ok()
    }

    /// Whether it stops the compile.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.level.starts_with("error")
    }

    /// The code, or an empty string.
    #[must_use]
    pub fn code(&self) -> &str {
        self.code.as_ref().map_or("", |code| &code.code)
    }

    /// The first primary span.
    #[must_use]
    pub fn primary(&self) -> Option<&Span> {
        self.spans.iter().find(|span| span.is_primary).or(self.spans.first())
    }
}

impl Span {
    /// The bytes in `file`, following macro calls outwards until they stand in it.
    #[must_use]
    pub fn in_file(&self, file: &str) -> Option<Range<usize>> {
        if self.file_name == file {
            return Some(self.byte_start..self.byte_end);
        }
        self.expansion.as_ref()?.span.in_file(file)
    }
}
