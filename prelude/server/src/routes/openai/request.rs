//! What a client asks of a language model: [`Ask`].

use oxilab_llm::{Message, Sampling};
use serde_json::{Value, json};

use super::Fault;

/// Answers of one request, over all its prompts.
const CHOICES: usize = 128;

/// A request, checked.
#[expect(clippy::struct_excessive_bools, reason = "the protocol's own switches")]
pub(super) struct Ask {
    pub(super) prompts: Vec<Prompt>,
    /// Answers to each prompt.
    pub(super) answers: usize,
    /// With the seed of a prompt's first answer; each further one has the next.
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) stream: bool,
    /// Whether a stream ends with the counts of tokens.
    pub(super) usage: bool,
    pub(super) logprobs: bool,
    /// How many of the most likely tokens stand beside each one.
    pub(super) top: usize,
    /// Whether the prompt is repeated before the text.
    pub(super) echo: bool,
    /// Whether the prompt alone is asked for: `echo` with `max_tokens` 0.
    pub(super) only_echo: bool,
}

/// What a text goes on from.
#[derive(Debug, PartialEq)]
pub(super) enum Prompt {
    Chat(Vec<Message>),
    Text(String),
    Tokens(Vec<u32>),
}

/// Settings that change the answer and that these models do not have.
const UNSUPPORTED: [&str; 8] = [
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "logit_bias",
    "audio",
    "suffix",
    "best_of",
];

impl Ask {
    /// A request to `/v1/chat/completions`.
    pub(super) fn chat(value: &Value, limit: usize, seed: u64) -> Result<Self, Fault> {
        let messages = match value.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => messages,
            _ => {
                return Err(Fault::new(
                    "messages",
                    "`messages` must be a list with a message at least",
                ));
            }
        };
        let messages = messages.iter().map(message).collect::<Result<_, _>>()?;
        let most = count(value, "max_completion_tokens")?.or(count(value, "max_tokens")?);
        let prompts = vec![Prompt::Chat(messages)];
        let mut ask = Self::new(value, prompts, most.unwrap_or(limit), limit, seed)?;
        ask.logprobs = flag(value, "logprobs")?;
        let top = count(value, "top_logprobs")?.unwrap_or(0);
        if top > 20 || (top > 0 && !ask.logprobs) {
            return Err(Fault::new("top_logprobs", "it must be at most 20, with `logprobs` true"));
        }
        ask.top = top;
        ask.sampling = ask.sampling.with_top_logprobs(top);
        Ok(ask)
    }

    /// A request to `/v1/completions`.
    pub(super) fn completion(value: &Value, limit: usize, seed: u64) -> Result<Self, Fault> {
        let most = count(value, "max_tokens")?.unwrap_or(16);
        let echo = flag(value, "echo")?;
        let only_echo = echo && most == 0;
        let most = if only_echo { 1 } else { most };
        let mut ask = Self::new(value, prompts(value)?, most, limit, seed)?;
        (ask.echo, ask.only_echo) = (echo, only_echo);
        if let Some(top) = count(value, "logprobs")? {
            if top > 5 {
                return Err(Fault::new("logprobs", "it must be at most 5"));
            }
            (ask.logprobs, ask.top) = (true, top);
            ask.sampling = ask.sampling.with_top_logprobs(top);
        }
        Ok(ask)
    }

    fn new(
        value: &Value,
        prompts: Vec<Prompt>,
        most: usize,
        limit: usize,
        seed: u64,
    ) -> Result<Self, Fault> {
        for name in UNSUPPORTED {
            if value.get(name).is_some_and(|v| !v.is_null() && *v != json!([]) && *v != json!({})) {
                return Err(Fault::new(name, format!("`{name}` is not supported here")));
            }
        }
        for name in ["presence_penalty", "frequency_penalty"] {
            if number(value, name)?.is_some_and(|penalty| penalty != 0.0) {
                return Err(Fault::new(name, format!("`{name}` is not supported here")));
            }
        }
        let answers = count(value, "n")?.unwrap_or(1);
        if answers == 0 || answers.saturating_mul(prompts.len()) > CHOICES {
            let (name, given) = if prompts.len() > CHOICES {
                ("prompt", format!("{} prompts were given", prompts.len()))
            } else {
                ("n", format!("`n` is {answers} for each of {} prompts", prompts.len()))
            };
            let rule = format!("a request has 1 to {CHOICES} answers over all prompts; {given}");
            return Err(Fault::new(name, rule));
        }
        let seed = count(value, "seed")?.map_or(seed, |seed| seed as u64);
        if most == 0 {
            return Err(Fault::new(
                "max_tokens",
                "it must be 1 at least, or 0 with `echo` of `/v1/completions`",
            ));
        }
        let within = |name: &'static str, lowest: f64, highest: f64, default: f64| {
            let found = number(value, name)?.unwrap_or(default);
            if (lowest..=highest).contains(&found) {
                Ok(found)
            } else {
                Err(Fault::new(name, format!("it must be from {lowest} to {highest}")))
            }
        };
        let mut sampling = Sampling::greedy()
            .with_max_tokens(most.min(limit))
            .with_temperature(within("temperature", 0.0, 2.0, 1.0)?)
            .with_top_p(within("top_p", 0.0, 1.0, 1.0)?)
            .with_seed(seed);
        for stop in stops(value)? {
            sampling = sampling.with_stop(stop);
        }
        if let Some(schema) = schema(value)? {
            sampling = sampling.with_json_schema(schema);
        }
        let usage = value.pointer("/stream_options/include_usage") == Some(&json!(true));
        let stream = flag(value, "stream")?;
        let (logprobs, top, echo, only_echo) = (false, 0, false, false);
        Ok(Self { prompts, answers, sampling, seed, stream, usage, logprobs, top, echo, only_echo })
    }
}

/// A text, a list of texts, a list of token ids, or a list of such lists.
fn prompts(value: &Value) -> Result<Vec<Prompt>, Fault> {
    let wrong = |found: &str| {
        let rule = "`prompt` must be a text, a list of texts, a list of token ids, or a list of lists \
                    of token ids";
        Fault::new("prompt", format!("{rule}; {found}"))
    };
    let items = match value.get("prompt") {
        Some(Value::String(text)) => return Ok(vec![Prompt::Text(text.clone())]),
        Some(Value::Array(items)) => items,
        None | Some(Value::Null) => return Err(wrong("it is missing")),
        Some(_) => return Err(wrong("it is none of these")),
    };
    let ids = |items: &[Value]| -> Result<Prompt, Fault> {
        let id = |item: &Value| item.as_u64().and_then(|id| u32::try_from(id).ok());
        let ids = items.iter().map(|item| id(item).ok_or_else(|| wrong(&stranger(item))));
        Ok(Prompt::Tokens(ids.collect::<Result<_, _>>()?))
    };
    match items.first() {
        None => Err(wrong("the list is empty")),
        Some(Value::String(_)) => items
            .iter()
            .map(|item| item.as_str().map(|text| Prompt::Text(text.to_owned())))
            .zip(items)
            .map(|(prompt, item)| prompt.ok_or_else(|| wrong(&stranger(item))))
            .collect(),
        Some(Value::Number(_)) => Ok(vec![ids(items)?]),
        Some(Value::Array(_)) => items
            .iter()
            .map(|item| ids(item.as_array().ok_or_else(|| wrong(&stranger(item)))?))
            .collect(),
        Some(other) => Err(wrong(&stranger(other))),
    }
}

/// What does not belong into a list of prompts, short.
fn stranger(value: &Value) -> String {
    let short: String = value.to_string().chars().take(40).collect();
    format!("{short} does not belong into this list")
}

/// Content is a text or a list of parts of type `text`.
fn message(value: &Value) -> Result<Message, Fault> {
    let Some(role) = value.get("role").and_then(Value::as_str) else {
        return Err(Fault::new("messages", "a message must have a `role`"));
    };
    let role = match role {
        "developer" => "system",
        "system" | "user" | "assistant" => role,
        other => {
            return Err(Fault::new(
                "messages",
                format!("the role `{other}` is not supported here"),
            ));
        }
    };
    let content = match value.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let text = |part: &Value| {
                let is_text = part.get("type").and_then(Value::as_str) == Some("text");
                let text = part.get("text").and_then(Value::as_str).filter(|_| is_text);
                text.map(str::to_owned).ok_or_else(|| {
                    Fault::new("messages", "content must be text; images and sound are not read")
                })
            };
            parts.iter().map(text).collect::<Result<Vec<_>, _>>()?.concat()
        }
        _ => return Err(Fault::new("messages", "`content` must be a text or a list of texts")),
    };
    Ok(Message::new(role, content))
}

fn stops(value: &Value) -> Result<Vec<String>, Fault> {
    let wrong = || Fault::new("stop", "`stop` must be a text or a list of up to 4 texts");
    match value.get("stop") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) if items.len() <= 4 => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn schema(value: &Value) -> Result<Option<Value>, Fault> {
    let Some(format) = value.get("response_format").filter(|format| !format.is_null()) else {
        return Ok(None);
    };
    match format.get("type").and_then(Value::as_str) {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(json!({"type": "object"}))),
        Some("json_schema") => match format.pointer("/json_schema/schema") {
            Some(schema) if schema.is_object() => Ok(Some(schema.clone())),
            _ => Err(Fault::new("response_format", "`json_schema.schema` must be a JSON schema")),
        },
        _ => Err(Fault::new("response_format", "`type` must be text, json_object or json_schema")),
    }
}

fn flag(value: &Value, name: &'static str) -> Result<bool, Fault> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Fault::new(name, format!("`{name}` must be true or false"))),
    }
}

fn number(value: &Value, name: &'static str) -> Result<Option<f64>, Fault> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => match found.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::new(name, format!("`{name}` must be a number"))),
        },
    }
}

fn count(value: &Value, name: &'static str) -> Result<Option<usize>, Fault> {
    match value.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(found) => match found.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(count) => Ok(Some(count)),
            None => Err(Fault::new(name, format!("`{name}` must be a whole number, 0 at least"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(body: Value) -> Option<&'static str> {
        Ask::chat(&body, 100, 0).err().and_then(|fault| fault.param)
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |name: &str, value: Value| {
            let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
            body[name] = value;
            param(body)
        };
        assert_eq!(with("user", json!("me")), None);
        assert_eq!(with("temperature", json!(3)), Some("temperature"));
        assert_eq!(with("top_p", json!("x")), Some("top_p"));
        assert_eq!(with("n", json!(2)), None);
        assert_eq!(with("n", json!(0)), Some("n"));
        assert_eq!(with("n", json!(129)), Some("n"));
        assert_eq!(with("max_tokens", json!(0)), Some("max_tokens"));
        assert_eq!(with("max_tokens", json!(-1)), Some("max_tokens"));
        assert_eq!(with("stop", json!([1])), Some("stop"));
        assert_eq!(with("stream", json!("yes")), Some("stream"));
        assert_eq!(with("tools", json!([{}])), Some("tools"));
        assert_eq!(with("top_logprobs", json!(2)), Some("top_logprobs"));
        assert_eq!(with("response_format", json!({"type": "xml"})), Some("response_format"));
        assert_eq!(with("messages", json!([])), Some("messages"));
        assert_eq!(with("messages", json!([{"role": "tool", "content": ""}])), Some("messages"));
        let parts = json!([{"role": "user", "content": [{"type": "text", "text": "a"}]}]);
        assert_eq!(with("messages", parts), None);
        let image = json!([{"role": "user", "content": [{"type": "image_url"}]}]);
        assert_eq!(with("messages", image), Some("messages"));
    }

    #[test]
    fn prompts_are_texts_or_tokens_one_or_many() {
        let read = |prompt: Value| {
            let ask = Ask::completion(&json!({ "prompt": prompt }), 100, 0);
            ask.map(|ask| ask.prompts).map_err(|fault| (fault.param, fault.message))
        };
        let text = |text: &str| Prompt::Text(text.to_owned());
        assert_eq!(read(json!("a")), Ok(vec![text("a")]));
        assert_eq!(read(json!(["a", "b"])), Ok(vec![text("a"), text("b")]));
        assert_eq!(read(json!([5, 7])), Ok(vec![Prompt::Tokens(vec![5, 7])]));
        let two = vec![Prompt::Tokens(vec![5]), Prompt::Tokens(vec![7, 8])];
        assert_eq!(read(json!([[5], [7, 8]])), Ok(two));
        for (wrong, said) in [
            (Value::Null, "it is missing"),
            (json!(7), "none of these"),
            (json!([]), "empty"),
            (json!(["a", 5]), "5 does not belong"),
            (json!([5, "a"]), "\"a\" does not belong"),
            (json!([[5], "a"]), "\"a\" does not belong"),
            (json!([[5, -1]]), "-1 does not belong"),
            (json!([1.5]), "1.5 does not belong"),
            (json!([4_294_967_296_u64]), "does not belong"),
            (json!([{"text": "a"}]), "does not belong"),
            (json!(vec!["a"; 129]), "129 prompts were given"),
        ] {
            let (param, message) = read(wrong.clone()).expect_err("refused");
            assert_eq!(param, Some("prompt"), "{wrong}");
            assert!(message.contains(said), "{wrong}: {message}");
        }
        let many = json!({ "prompt": ["a", "b"], "n": 65 });
        assert_eq!(Ask::completion(&many, 100, 0).err().and_then(|fault| fault.param), Some("n"));
    }
}
