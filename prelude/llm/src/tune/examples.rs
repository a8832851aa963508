//! Training examples: conversations or prompt and completion, from JSONL or a frame.

use std::path::Path;

use polars::prelude::{DataFrame, DataType};
use serde::Deserialize;

use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::Sequence;
use crate::text::Message;

/// One example.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Example {
    /// A conversation; what the assistant says is learned.
    Chat {
        /// The messages.
        messages: Vec<Message>,
    },
    /// Plain text; the completion is learned.
    Completion {
        /// What comes before.
        prompt: String,
        /// What is to be said.
        completion: String,
    },
}

impl Example {
    /// A question and its answer.
    #[must_use]
    pub fn chat(question: impl Into<String>, answer: impl Into<String>) -> Self {
        Self::Chat { messages: vec![Message::user(question), Message::assistant(answer)] }
    }

    /// A prompt and its completion.
    #[must_use]
    pub fn completion(prompt: impl Into<String>, completion: impl Into<String>) -> Self {
        Self::Completion { prompt: prompt.into(), completion: completion.into() }
    }

    /// The examples of a JSONL file, one object a line: `{"messages": [{"role", "content"}, …]}` or
    /// `{"prompt", "completion"}`.
    ///
    /// # Errors
    /// When the file cannot be read or a line has another form.
    pub fn from_jsonl(path: impl AsRef<Path>) -> Result<Vec<Self>> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| LlmError::file("read", path, e))?;
        text.lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(row, line)| {
                serde_json::from_str(line).map_err(|e| LlmError::Example {
                    row,
                    reason: format!(
                        "line {} of {} is neither {{\"messages\": […]}} nor {{\"prompt\", \
                         \"completion\"}}: {e}",
                        row + 1,
                        path.display()
                    ),
                })
            })
            .collect()
    }

    /// Two text columns of a frame as questions and answers of a chat.
    ///
    /// # Errors
    /// When a column is missing or a value is null.
    pub fn from_frame(df: &DataFrame, question: &str, answer: &str) -> Result<Vec<Self>> {
        let column = |name: &str| -> Result<Vec<String>> {
            let text = df.column(name)?.cast(&DataType::String)?;
            text.str()?
                .iter()
                .enumerate()
                .map(|(row, value)| {
                    value.map(str::to_owned).ok_or_else(|| LlmError::Example {
                        row,
                        reason: format!("column {name:?} is null; drop or fill it"),
                    })
                })
                .collect()
        };
        Ok(column(question)?
            .into_iter()
            .zip(column(answer)?)
            .map(|(q, a)| Self::chat(q, a))
            .collect())
    }

    /// The example's tokens, cut at `max_length`; only answers are learned.
    ///
    /// # Errors
    /// When the template refuses the conversation or nothing is left to learn.
    pub fn tokenize(&self, llm: &Llm, row: usize, max_length: usize) -> Result<Sequence> {
        let mut sequence = match self {
            Self::Chat { messages } => chat(llm, row, messages)?,
            Self::Completion { prompt, completion } => {
                let mut sequence = Sequence::default();
                push(&mut sequence, &llm.tokenizer.encode(prompt, true)?, false);
                push(&mut sequence, &llm.tokenizer.encode(completion, false)?, true);
                push(
                    &mut sequence,
                    &llm.tokenizer.ends()[..llm.tokenizer.ends().len().min(1)],
                    true,
                );
                sequence
            }
        };
        sequence.tokens.truncate(max_length);
        sequence.learn.truncate(max_length);
        if sequence.learned() == 0 {
            return Err(LlmError::Example {
                row,
                reason: format!(
                    "nothing to learn within {max_length} tokens; the answer is empty or the question \
                     too long"
                ),
            });
        }
        Ok(sequence)
    }
}

fn chat(llm: &Llm, row: usize, messages: &[Message]) -> Result<Sequence> {
    let template = llm.template()?;
    let mut sequence = Sequence::default();
    let mut done = String::new();
    for (number, message) in messages.iter().enumerate() {
        if message.role != "assistant" {
            continue;
        }
        let asked = template.render(&messages[..number], true)?;
        let answered = template.render(&messages[..=number], false)?;
        let (Some(question), Some(answer)) =
            (asked.strip_prefix(&done), answered.strip_prefix(&asked))
        else {
            return Err(LlmError::Example {
                row,
                reason:
                    "the chat template changes earlier messages when later ones follow, so that \
                         the answer's place is not known; use prompt and completion"
                        .to_owned(),
            });
        };
        push(&mut sequence, &llm.tokenizer.encode(question, false)?, false);
        // What follows the end token, usually a line break, is the template's and not the answer's.
        let tokens = llm.tokenizer.encode(answer, false)?;
        let end = tokens.iter().position(|id| llm.tokenizer.is_end(*id));
        let learned = end.map_or(tokens.len(), |end| end + 1);
        push(&mut sequence, &tokens[..learned], true);
        push(&mut sequence, &tokens[learned..], false);
        done = answered;
    }
    Ok(sequence)
}

fn push(sequence: &mut Sequence, tokens: &[u32], learn: bool) {
    sequence.tokens.extend_from_slice(tokens);
    sequence.learn.resize(sequence.tokens.len(), learn);
}
