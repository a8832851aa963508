//! Chat templates: the Jinja text that a model brings, rendered as transformers does.

use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::jinja;
use crate::error::{LlmError, Result};

/// One message of a conversation.
///
/// ```
/// use oxilab_llm::Message;
/// let message = Message::user("Who are you?");
/// assert_eq!((message.role.as_str(), message.content.as_str()), ("user", "Who are you?"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message with any role.
    #[must_use]
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }

    /// A message of the system.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self::new("system", content)
    }

    /// A message of the user.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self::new("user", content)
    }

    /// A message of the model.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new("assistant", content)
    }
}

/// A parsed chat template.
///
/// ```
/// use oxilab_llm::{Message, text::ChatTemplate};
/// let source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}\
///               {% if add_generation_prompt %}<assistant>{% endif %}";
/// let template = ChatTemplate::new(source, "<s>", "</s>")?;
/// assert_eq!(template.render(&[Message::user("Hi")], true)?, "<user>Hi</s><assistant>");
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: String,
    environment: Environment<'static>,
    bos: String,
    eos: String,
    /// Why it cannot be rendered, where its text is no template.
    broken: Option<String>,
}

const NAME: &str = "chat";

/// Instructions for one rendering; a long conversation takes thousands.
const FUEL: u64 = 2_000_000;

impl ChatTemplate {
    /// Parses a template; `bos` and `eos` are the texts of the tokens that it may name.
    ///
    /// # Errors
    /// When the text is no Jinja template.
    pub fn new(source: &str, bos: impl Into<String>, eos: impl Into<String>) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| failed(&e))?);
        // A template that loops on and on is an error, not a cell that never ends.
        environment.set_fuel(Some(FUEL));
        jinja::extend(&mut environment);
        environment.add_template_owned(NAME, source.to_owned()).map_err(|e| failed(&e))?;
        let (source, bos, eos) = (source.to_owned(), bos.into(), eos.into());
        Ok(Self { source, environment, bos, eos, broken: None })
    }

    /// As [`ChatTemplate::new`], but what is no template fails only when it is rendered: a model can
    /// still go on from plain text, and its file be written again.
    pub(crate) fn of_model(source: &str, bos: String, eos: String) -> Self {
        Self::new(source, bos.clone(), eos.clone()).unwrap_or_else(|error| {
            let broken = match error {
                LlmError::Template(reason) => reason,
                other => other.to_string(),
            };
            let environment = Environment::new();
            Self { source: source.to_owned(), environment, bos, eos, broken: Some(broken) }
        })
    }

    /// The template's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The prompt for a conversation; with `answer` it ends where the model's answer starts.
    ///
    /// # Errors
    /// When the template refuses the conversation, for example the order of its roles.
    pub fn render(&self, messages: &[Message], answer: bool) -> Result<String> {
        if let Some(reason) = &self.broken {
            return Err(LlmError::Template(reason.clone()));
        }
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| {
                Value::from_pairs([
                    ("role", Value::from(message.role.clone())),
                    ("content", Value::from(message.content.clone())),
                ])
            })
            .collect();
        let context = Value::from_pairs([
            ("messages", Value::from(messages)),
            ("add_generation_prompt", Value::from(answer)),
            ("bos_token", Value::from(self.bos.clone())),
            ("eos_token", Value::from(self.eos.clone())),
        ]);
        let template = self.environment.get_template(NAME).map_err(|e| failed(&e))?;
        template.render(context).map_err(|e| failed(&e))
    }
}

/// The template of a model's folder: `chat_template.jinja`, or what `tokenizer_config.json` says, one text or
/// a list of named ones, of which `default` is the one for conversations.
pub(crate) fn of_folder(folder: &Path) -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    if let Some(source) = read("chat_template.jinja") {
        return Some(source);
    }
    let config: Json = serde_json::from_str(&read("tokenizer_config.json")?).ok()?;
    let template = match config.get("chat_template")? {
        Json::Array(named) => named.iter().find(|one| one["name"] == "default")?.get("template")?,
        single => single,
    };
    template.as_str().map(str::to_owned)
}

fn failed(error: &Error) -> LlmError {
    LlmError::Template(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_python_strings_work_and_blocks_leave_no_lines() -> Result<()> {
        let source = "{% for m in messages %}\n    {% if m.content.startswith('h') %}\n\
                      {{ m['content'].strip() | upper }}|{{ m.get('name', 'none') }}\n    {% endif %}\n\
                      {% endfor %}\n{{ eos_token }}";
        let template = ChatTemplate::new(source, "<s>", "</s>")?;
        assert_eq!(template.render(&[Message::user("hi ")], true)?, "HI|none\n</s>");
        Ok(())
    }

    #[test]
    fn a_template_that_refuses_is_an_error_with_its_message() -> Result<()> {
        let source = "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}";
        let template = ChatTemplate::new(source, "", "")?;
        let error =
            template.render(&[Message::system("x")], true).expect_err("refused").to_string();
        assert!(error.contains("no system here"), "{error}");
        assert!(ChatTemplate::new("{% for %}", "", "").is_err());
        Ok(())
    }
}
