//! What a client asks of a language model: [`Ask`].

use oxilab_llm::{Message, Sampling};
use serde_json::{Value, json};

use super::Fault;

/// A request, checked.
#[expect(clippy::struct_excessive_bools, reason = "the protocol's own switches")]
pub(super) struct Ask {
    pub(super) prompt: Prompt,
    pub(super) sampling: Sampling,
    pub(super) stream: bool,
    /// Whether a stream ends with the counts of tokens.
    pub(super) usage: bool,
    pub(super) logprobs: bool,
    /// Whether the prompt is repeated before the text.
    pub(super) echo: bool,
}

/// What a text goes on from.
pub(super) enum Prompt {
    Chat(Vec<Message>),
    Text(String),
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
        let mut ask = Self::new(value, Prompt::Chat(messages), most.unwrap_or(limit), limit, seed)?;
        ask.logprobs = flag(value, "logprobs")?;
        let top = count(value, "top_logprobs")?.unwrap_or(0);
        if top > 20 || (top > 0 && !ask.logprobs) {
            return Err(Fault::new("top_logprobs", "it must be at most 20, with `logprobs` true"));
        }
        ask.sampling = ask.sampling.with_top_logprobs(top);
        Ok(ask)
    }

    /// A request to `/v1/completions`.
    pub(super) fn completion(value: &Value, limit: usize, seed: u64) -> Result<Self, Fault> {
        let wrong = || Fault::new("prompt", "`prompt` must be a text");
        let prompt = match value.get("prompt") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(items)) if items.len() == 1 => {
                items[0].as_str().ok_or_else(wrong)?.to_owned()
            }
            _ => return Err(wrong()),
        };
        let most = count(value, "max_tokens")?.unwrap_or(16);
        let mut ask = Self::new(value, Prompt::Text(prompt), most, limit, seed)?;
        ask.echo = flag(value, "echo")?;
        if let Some(top) = count(value, "logprobs")? {
            if top > 5 {
                return Err(Fault::new("logprobs", "it must be at most 5"));
            }
            ask.logprobs = true;
            ask.sampling = ask.sampling.with_top_logprobs(top);
        }
        Ok(ask)
    }

    fn new(
        value: &Value,
        prompt: Prompt,
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
        if count(value, "n")?.is_some_and(|n| n != 1) {
            return Err(Fault::new("n", "one answer is given; ask again for another"));
        }
        if most == 0 {
            return Err(Fault::new("max_tokens", "it must be 1 at least"));
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
            .with_seed(count(value, "seed")?.map_or(seed, |seed| seed as u64));
        for stop in stops(value)? {
            sampling = sampling.with_stop(stop);
        }
        if let Some(schema) = schema(value)? {
            sampling = sampling.with_json_schema(schema);
        }
        let usage = value.pointer("/stream_options/include_usage") == Some(&json!(true));
        let stream = flag(value, "stream")?;
        Ok(Self { prompt, sampling, stream, usage, logprobs: false, echo: false })
    }
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
        assert_eq!(with("n", json!(2)), Some("n"));
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
}
