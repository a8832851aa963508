//! Training examples: conversations or prompt and completion, from JSONL or a frame.

use std::path::Path;

use polars::prelude::{DataFrame, DataType};
use serde::Deserialize;

use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::Sequence;
use crate::text::Message;

/// One example.
///
/// ```
/// use oxilab_llm::{Example, Message};
/// let chat = Example::chat("Who are you?", "A lighthouse keeper.");
/// let longer = Example::Chat {
///     messages: vec![
///         Message::system("Answer briefly."),
///         Message::user("Who are you?"),
///         Message::assistant("A lighthouse keeper."),
///     ],
/// };
/// let plain = Example::completion("The light turns ", "every ten seconds.");
/// # drop((chat, longer, plain));
/// ```
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
    /// ```
    /// use oxilab_llm::Example;
    /// use polars::prelude::df;
    /// let df = df!("q" => ["Who are you?"], "a" => ["A lighthouse keeper."])?;
    /// assert_eq!(
    ///     Example::from_frame(&df, "q", "a")?,
    ///     [Example::chat("Who are you?", "A lighthouse keeper.")]
    /// );
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When a column is missing or a value is null.
    pub fn from_frame(df: &DataFrame, question: &str, answer: &str) -> Result<Vec<Self>> {
        let rows = texts(df, question)?.into_iter().zip(texts(df, answer)?);
        Ok(rows.map(|(question, answer)| Self::chat(question, answer)).collect())
    }

    /// Two text columns of a frame as prompts and completions, without a chat template.
    ///
    /// # Errors
    /// When a column is missing or a value is null.
    pub fn completions_from_frame(
        df: &DataFrame,
        prompt: &str,
        completion: &str,
    ) -> Result<Vec<Self>> {
        let rows = texts(df, prompt)?.into_iter().zip(texts(df, completion)?);
        Ok(rows.map(|(prompt, completion)| Self::completion(prompt, completion)).collect())
    }

    /// A column of conversations, each a list of `{role, content}`, as data sets of the hub have it under
    /// the name `messages`.
    ///
    /// # Errors
    /// When the column is missing, of another type, or a value is null.
    pub fn chats_from_frame(df: &DataFrame, messages: &str) -> Result<Vec<Self>> {
        let bad = |row: usize, what: &str| LlmError::Example {
            row,
            reason: format!("column {messages:?} {what}; it must hold lists of {{role, content}}"),
        };
        let column = df.column(messages)?;
        let lists = column.list().map_err(|_| bad(0, &format!("is of {}", column.dtype())))?;
        let conversation = |row: usize| -> Result<Self> {
            let list = lists.get_as_series(row).ok_or_else(|| bad(row, "is null"))?;
            let parts = list.struct_().map_err(|_| bad(row, &format!("has {}", list.dtype())))?;
            let field = |name: &str| -> Result<Vec<String>> {
                let found = parts.field_by_name(name);
                let found = found.map_err(|_| bad(row, &format!("has no {name}")))?;
                let text = found.cast(&DataType::String)?;
                let text = text.str()?.iter().map(|text| text.map(str::to_owned));
                text.map(|text| text.ok_or_else(|| bad(row, &format!("has a null {name}"))))
                    .collect()
            };
            let messages = field("role")?.into_iter().zip(field("content")?);
            let messages = messages.map(|(role, content)| Message { role, content }).collect();
            Ok(Self::Chat { messages })
        };
        (0..df.height()).map(conversation).collect()
    }

    /// The example's tokens, cut at `max_length`; only answers are learned, each with the token that ends
    /// it.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use oxilab_llm::{Example, Llm};
    /// let llm = Llm::load(folder)?;
    /// let sequence = Example::completion("a b", "!").tokenize(&llm, 0, 100)?;
    /// assert_eq!(sequence.learn, [false, false, false, true, true]);
    /// assert_eq!(sequence.tokens.last(), llm.tokenizer().eos().as_ref());
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
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
                push(&mut sequence, llm.tokenizer.eos().as_slice(), true);
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

/// A conversation's tokens; each answer is learned up to its end token. What the template puts behind that,
/// usually a line break, is not the answer's.
fn chat(llm: &Llm, row: usize, messages: &[Message]) -> Result<Sequence> {
    let template = llm.template()?;
    let ends = llm.tokenizer.ends().iter().filter_map(|id| llm.tokenizer.token(*id));
    let ends: Vec<String> = ends.filter(|text| !text.is_empty()).collect();
    let mut sequence = Sequence::default();
    let (mut done, mut rest) = (String::new(), String::new());
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
        let end = ends.iter().filter_map(|end| Some(answer.find(end.as_str())? + end.len())).min();
        let (answer, behind) = answer.split_at(end.unwrap_or(answer.len()));
        push(&mut sequence, &llm.tokenizer.encode(question, false)?, false);
        push(&mut sequence, &llm.tokenizer.encode(answer, false)?, true);
        // Phi-3's template ends a conversation in a way that later messages take the place of.
        behind.clone_into(&mut rest);
        done = asked + answer;
    }
    push(&mut sequence, &llm.tokenizer.encode(&rest, false)?, false);
    Ok(sequence)
}

/// A column without nulls as texts.
fn texts(df: &DataFrame, name: &str) -> Result<Vec<String>> {
    let text = df.column(name)?.cast(&DataType::String)?;
    let given = |(row, value): (usize, Option<&str>)| {
        value.map(str::to_owned).ok_or_else(|| LlmError::Example {
            row,
            reason: format!("column {name:?} is null; drop or fill it"),
        })
    };
    text.str()?.iter().enumerate().map(given).collect()
}

fn push(sequence: &mut Sequence, tokens: &[u32], learn: bool) {
    sequence.tokens.extend_from_slice(tokens);
    sequence.learn.resize(sequence.tokens.len(), learn);
}

#[cfg(test)]
mod tests {
    use polars::prelude::{IntoLazy as _, as_struct, col, df};

    use super::*;

    #[test]
    fn conversations_come_from_lines_and_frames_alike() -> Result<()> {
        let folder =
            tempfile::tempdir().map_err(|e| LlmError::file("create", Path::new("."), e))?;
        let path = folder.path().join("examples.jsonl");
        let lines = concat!(
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#,
            "\n\n",
            r#"{"prompt": "c", "completion": "d"}"#,
        );
        std::fs::write(&path, lines).map_err(|e| LlmError::file("write", &path, e))?;
        let [chat, completion] = [Example::chat("a", "b"), Example::completion("c", "d")];
        assert_eq!(Example::from_jsonl(&path)?, [chat.clone(), completion.clone()]);
        let df = df!("q" => ["a"], "a" => ["b"], "p" => ["c"], "c" => ["d"])?;
        assert_eq!(Example::from_frame(&df, "q", "a")?, [chat.clone()]);
        assert_eq!(Example::completions_from_frame(&df, "p", "c")?, [completion]);
        let turns = df!("id" => [1, 1], "role" => ["user", "assistant"], "content" => ["a", "b"])?;
        let both = as_struct(vec![col("role"), col("content")]).alias("messages");
        let nested = turns.lazy().group_by([col("id")]).agg([both]).collect()?;
        assert_eq!(Example::chats_from_frame(&nested, "messages")?, [chat]);
        Ok(())
    }

    #[test]
    fn what_is_no_example_is_named_with_its_row() -> Result<()> {
        let df = df!("q" => [Some("a"), None], "a" => ["b", "d"])?;
        for (error, expected) in [
            (Example::from_frame(&df, "q", "a"), "example 1: column \"q\" is null"),
            (Example::completions_from_frame(&df, "a", "q"), "example 1: column \"q\" is null"),
            (Example::from_frame(&df, "a", "b"), "\"b\""),
            (Example::chats_from_frame(&df, "a"), "column \"a\" is of str"),
        ] {
            let error = error.expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let folder =
            tempfile::tempdir().map_err(|e| LlmError::file("create", Path::new("."), e))?;
        let path = folder.path().join("bad.jsonl");
        std::fs::write(&path, "\n{\"question\": 1}")
            .map_err(|e| LlmError::file("write", &path, e))?;
        let error = Example::from_jsonl(&path).expect_err("refused").to_string();
        assert!(error.contains("line 2 of") && error.contains("bad.jsonl"), "{error}");
        Ok(())
    }
}
