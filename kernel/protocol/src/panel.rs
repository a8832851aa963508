//! What the JupyterLab extension asks over a comm, and what it is answered.
//!
//! The extension opens a comm at [`TARGET`] and sends [`Question`]s; each is answered by an
//! [`Answer`] with its `id`. `extensions/jupyterlab/src/messages.json` holds an example of each, which the
//! tests of both sides read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The comm's target.
pub const TARGET: &str = "oxilab.panel";

/// A question with its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// Chosen by the extension; comes back with the answer.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub ask: Ask,
}

/// What is asked.
#[expect(missing_docs, reason = "the fields of a message are named for what they carry")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// All variables: `Vec<VariableInfo>`, oldest first. Waits for a running cell.
    Variables,
    /// One variable as its MIME bundle. Waits for a running cell.
    Preview { name: String },
    /// A page of a frame: `{columns, dtypes, rows, height}`. Waits for a running cell.
    Page {
        name: String,
        offset: u64,
        length: u64,
        #[serde(default)]
        sort: Option<String>,
        #[serde(default)]
        descending: bool,
    },
    /// A cell's text as rustfmt writes it: a string.
    Format { code: String },
}

/// The answer to a question: a value, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's number.
    pub id: u64,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// The answer to question `id`.
    #[must_use]
    pub fn new(id: u64, answer: Result<Value, String>) -> Self {
        match answer {
            Ok(value) => Self { id, value: Some(value), error: None },
            Err(error) => Self { id, value: None, error: Some(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::VariableInfo;

    /// The file that the extension's tests read as well.
    fn examples() -> Value {
        let text = include_str!("../../../extensions/jupyterlab/src/messages.json");
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn questions_are_read_as_the_extension_writes_them() {
        let read: Vec<Question> =
            serde_json::from_value(examples()["questions"].clone()).expect("questions");
        let page = Ask::Page {
            name: "df".to_owned(),
            offset: 200,
            length: 100,
            sort: Some("mpg".to_owned()),
            descending: true,
        };
        let asks = [
            Ask::Variables,
            Ask::Preview { name: "df".to_owned() },
            page,
            Ask::Format { code: "let x=1;".to_owned() },
        ];
        assert_eq!(read.into_iter().map(|question| question.ask).collect::<Vec<_>>(), asks);
    }

    #[test]
    fn answers_are_written_as_the_extension_reads_them() {
        let variable = VariableInfo {
            name: "df".to_owned(),
            type_name: "DataFrame".to_owned(),
            shape: Some("398 × 9".to_owned()),
            bytes: 30_000,
            preview: "mpg: f64, origin: str".to_owned(),
            pages: true,
        };
        let page = json!({
            "columns": ["mpg", "origin"],
            "dtypes": ["f64", "str"],
            "rows": [[18.0, "usa"], [null, "japan"]],
            "height": 398,
        });
        let answers = [
            Answer::new(1, Ok(json!([variable]))),
            Answer::new(3, Ok(page)),
            Answer::new(4, Ok(json!("let x = 1;"))),
            Answer::new(5, Err("there is no variable `gone`".to_owned())),
        ];
        assert_eq!(json!(answers), examples()["answers"]);
    }

    #[test]
    fn an_unknown_question_is_an_error() {
        assert!(serde_json::from_value::<Question>(json!({"id": 1, "ask": "nothing"})).is_err());
        assert!(serde_json::from_value::<Question>(json!({"ask": "variables"})).is_err());
    }
}
