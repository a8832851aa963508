//! The notebook file: nbformat 4, read leniently and written as Jupyter writes it (keys sorted, one
//! space of indent, texts as lists of lines), so that a run changes nothing but outputs.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// Why a notebook could not be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NotebookError {
    /// The file could not be read.
    #[error("could not read the notebook {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not a notebook.
    #[error("{} is not a notebook: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
    /// It is of another format.
    #[error(
        "the notebook is in nbformat {found} and oxilab reads nbformat 4: convert it with \
         `jupyter nbconvert --to notebook --nbformat 4`"
    )]
    Version {
        /// Its format.
        found: u64,
    },
    /// The file could not be written.
    #[error("could not write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// A notebook. Fields that oxilab does not know stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notebook {
    /// Its cells.
    pub cells: Vec<Cell>,
    /// Metadata of the whole notebook: kernel, language, …
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Major version of the format: 4.
    pub nbformat: u64,
    /// Minor version; cells have identifiers from 5 on.
    pub nbformat_minor: u64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "cell_type", rename_all = "lowercase")]
pub enum Cell {
    /// Code with its outputs.
    Code(CodeCell),
    /// Text in Markdown.
    Markdown(TextCell),
    /// Text for converters.
    Raw(TextCell),
}

/// A code cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CodeCell {
    /// Identifier, from nbformat 4.5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The code.
    #[serde(default, with = "lines")]
    pub source: String,
    /// Metadata, among them `tags`.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The `5` of `In [5]`.
    #[serde(default)]
    pub execution_count: Option<u32>,
    /// Outputs in the form of nbformat.
    #[serde(default)]
    pub outputs: Vec<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A cell of text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TextCell {
    /// Identifier, from nbformat 4.5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The text.
    #[serde(default, with = "lines")]
    pub source: String,
    /// Metadata, among them `tags`.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl CodeCell {
    /// A cell of code with tags.
    #[must_use]
    pub fn new(source: impl Into<String>, tags: &[&str]) -> Self {
        let mut metadata = Map::new();
        if !tags.is_empty() {
            metadata.insert("tags".to_owned(), json!(tags));
        }
        Self { source: source.into(), metadata, ..Self::default() }
    }

    /// Whether the cell has this tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        let tags = self.metadata.get("tags").and_then(Value::as_array);
        tags.is_some_and(|tags| tags.iter().any(|found| found == tag))
    }

    /// Whether the cell is not to be run.
    #[must_use]
    pub fn skipped(&self) -> bool {
        self.has_tag("skip-execution")
    }

    pub(crate) fn clear(&mut self) {
        self.outputs.clear();
        self.execution_count = None;
    }
}

impl Notebook {
    /// Reads a notebook.
    ///
    /// # Errors
    /// When the file cannot be read or is not a notebook in nbformat 4.
    pub fn read(path: &Path) -> Result<Self, NotebookError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| NotebookError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    /// Parses the text of a notebook; `path` is for messages only.
    ///
    /// # Errors
    /// When it is not a notebook in nbformat 4.
    pub fn parse(text: &str, path: &Path) -> Result<Self, NotebookError> {
        let invalid = |source| NotebookError::Parse { path: path.to_owned(), source };
        let value: Value = serde_json::from_str(text).map_err(invalid)?;
        if let Some(found) =
            value.get("nbformat").and_then(Value::as_u64).filter(|found| *found != 4)
        {
            return Err(NotebookError::Version { found });
        }
        serde_json::from_value(value).map_err(invalid)
    }

    /// The cell at `index` if it is code.
    #[must_use]
    pub fn code(&self, index: usize) -> Option<&CodeCell> {
        match self.cells.get(index) {
            Some(Cell::Code(code)) => Some(code),
            _ => None,
        }
    }

    pub(crate) fn code_mut(&mut self, index: usize) -> Option<&mut CodeCell> {
        match self.cells.get_mut(index) {
            Some(Cell::Code(code)) => Some(code),
            _ => None,
        }
    }

    /// Inserts a code cell, with an identifier where the format has them.
    pub(crate) fn insert(&mut self, index: usize, mut cell: CodeCell) {
        if (self.nbformat, self.nbformat_minor) >= (4, 5) {
            let id = uuid::Uuid::new_v4().simple().to_string();
            cell.id = id.get(..8).map(str::to_owned);
        }
        self.cells.insert(index, Cell::Code(cell));
    }

    /// Names the kernel and the language, as Jupyter does when it runs a notebook.
    pub fn set_language(&mut self, rust_version: &str) {
        self.metadata.entry("kernelspec").or_insert_with(
            || json!({ "display_name": "Rust (oxilab)", "language": "rust", "name": "oxilab" }),
        );
        let language = json!({
            "codemirror_mode": "rust",
            "file_extension": ".rs",
            "mimetype": "text/x-rustsrc",
            "name": "rust",
            "pygments_lexer": "rust",
            "version": rust_version,
        });
        self.metadata.insert("language_info".to_owned(), language);
    }

    /// The text of the file.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Maps with string keys and JSON values always serialise.
        let sorted = sorted(serde_json::to_value(self).unwrap_or_default());
        let mut text = Vec::new();
        let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, format);
        if let Err(error) = sorted.serialize(&mut serializer) {
            tracing::error!(%error, "a notebook did not serialise");
        }
        text.push(b'\n');
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Writes the notebook aside and renames it into place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), NotebookError> {
        write_aside(path, self.to_json().as_bytes())
    }
}

/// Writes a file aside and renames it into place, so that nobody ever reads half of it.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_aside(path: &Path, bytes: &[u8]) -> Result<(), NotebookError> {
    let failed = |source| NotebookError::Write { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut builder = tempfile::Builder::new();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let mut file =
        builder.prefix(".oxilab-").permissions(mode).tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The same value with all keys in order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// A text as nbformat stores it: a list of lines that keep their ends.
#[must_use]
pub fn split_lines(text: &str) -> Value {
    text.split_inclusive('\n').collect()
}

/// The text of a string or of a list of lines; `None` if it is neither.
#[must_use]
pub fn join_lines(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => lines.iter().map(Value::as_str).collect::<Option<String>>(),
        _ => None,
    }
}

/// Texts in the file.
mod lines {
    use super::{Deserialize as _, Deserializer, Serialize as _, Serializer, Value};

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        super::split_lines(text).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<String, D::Error> {
        let value = Value::deserialize(deserializer)?;
        super::join_lines(&value)
            .ok_or_else(|| serde::de::Error::custom("expected a text or a list of lines"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `jupyter nbconvert --clear-output` writes it.
    const FILE: &str = r##"{
 "cells": [
  {
   "cell_type": "markdown",
   "id": "a1",
   "metadata": {},
   "source": [
    "# Title\n",
    "text"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "b2",
   "metadata": {
    "tags": [
     "raises-exception"
    ]
   },
   "outputs": [],
   "source": [
    "let ü = 1;"
   ]
  }
 ],
 "metadata": {
  "custom": {
   "kept": true
  }
 },
 "nbformat": 4,
 "nbformat_minor": 5
}
"##;

    #[test]
    fn a_file_comes_back_byte_for_byte() {
        let notebook = Notebook::parse(FILE, Path::new("x.ipynb")).expect("parses");
        assert_eq!(notebook.to_json(), FILE);
        assert!(notebook.code(1).expect("is code").has_tag("raises-exception"));
        assert!(notebook.code(0).is_none());
    }

    #[test]
    fn other_files_are_refused() {
        let parse = |text| Notebook::parse(text, Path::new("x.ipynb"));
        assert!(matches!(
            parse(r#"{"worksheets": [], "nbformat": 3, "nbformat_minor": 0}"#),
            Err(NotebookError::Version { found: 3 })
        ));
        assert!(matches!(parse("[]"), Err(NotebookError::Parse { .. })));
        assert!(matches!(parse("{"), Err(NotebookError::Parse { .. })));
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/out.ipynb");
        write_aside(&path, b"1").expect("writes");
        write_aside(&path, b"2").expect("writes");
        assert_eq!(std::fs::read(&path).expect("reads"), b"2");
        assert_eq!(std::fs::read_dir(path.parent().expect("a folder")).expect("lists").count(), 1);
    }
}
