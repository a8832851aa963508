//! Chat templates: the Jinja text that a model brings, rendered as transformers does.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde::{Deserialize, Serialize};

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
        environment.set_unknown_method_callback(string_method);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        // A fixed date: the same conversation always gives the same prompt.
        environment.add_function("strftime_now", |_format: String| "26 Jul 2024");
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

fn failed(error: &Error) -> LlmError {
    LlmError::Template(error.to_string())
}

/// The methods of Python's strings that templates use.
fn string_method(
    _state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let unknown = || Error::new(ErrorKind::UnknownMethod, format!("no method {method}"));
    if let Some(text) = value.as_str() {
        let argument = |number: usize| args.get(number).and_then(Value::as_str);
        let set: Vec<char> = argument(0).unwrap_or(" \t\r\n").chars().collect();
        return Ok(match method {
            "strip" => text.trim_matches(&set[..]).into(),
            "lstrip" => text.trim_start_matches(&set[..]).into(),
            "rstrip" => text.trim_end_matches(&set[..]).into(),
            "upper" => text.to_uppercase().into(),
            "lower" => text.to_lowercase().into(),
            "title" | "capitalize" => {
                let mut rest = text.chars();
                let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
                (first + &rest.as_str().to_lowercase()).into()
            }
            "startswith" => text.starts_with(argument(0).ok_or_else(unknown)?).into(),
            "endswith" => text.ends_with(argument(0).ok_or_else(unknown)?).into(),
            "replace" => {
                let (from, to) =
                    (argument(0).ok_or_else(unknown)?, argument(1).ok_or_else(unknown)?);
                text.replace(from, to).into()
            }
            "split" => match argument(0) {
                Some(separator) => {
                    text.split(separator).map(Value::from).collect::<Vec<_>>().into()
                }
                None => text.split_whitespace().map(Value::from).collect::<Vec<_>>().into(),
            },
            _ => return Err(unknown()),
        });
    }
    match method {
        "get" => {
            let found = args.first().map(|key| value.get_item(key)).transpose()?;
            let missing = || args.get(1).cloned().unwrap_or_else(|| Value::from(()));
            Ok(found.filter(|found| !found.is_undefined()).unwrap_or_else(missing))
        }
        "keys" => Ok(value.try_iter()?.collect::<Vec<_>>().into()),
        "items" => {
            let pairs = value.try_iter()?.map(|key| {
                let item = value.get_item(&key)?;
                Ok(Value::from(vec![key, item]))
            });
            Ok(pairs.collect::<Result<Vec<_>, Error>>()?.into())
        }
        _ => Err(unknown()),
    }
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
