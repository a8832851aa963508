//! Answers of language models as `OpenAI`'s clients read them: [`Reply`].

use oxilab_llm::text::Tokenizer;
use oxilab_llm::{Finish, Token};
use serde_json::{Map, Value, json};

/// A token and how likely it was: the first of a prompt has nothing before it to say so.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scored {
    pub(super) id: u32,
    pub(super) logprob: Option<f32>,
    pub(super) top: Vec<(u32, f32)>,
}

impl From<Token> for Scored {
    fn from(token: Token) -> Self {
        Self { id: token.id, logprob: Some(token.logprob), top: token.top }
    }
}

/// What stays the same over the pieces of an answer.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) chat: bool,
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created: u64,
    pub(super) logprobs: bool,
}

impl Reply {
    fn object(&self, stream: bool) -> &'static str {
        match (self.chat, stream) {
            (true, true) => "chat.completion.chunk",
            (true, false) => "chat.completion",
            (false, _) => "text_completion",
        }
    }

    /// The field of a request that holds what the model reads.
    pub(super) fn place(&self) -> &'static str {
        if self.chat { "messages" } else { "prompt" }
    }

    fn envelope(&self, stream: bool, choices: &Value) -> Value {
        json!({
            "id": self.id, "object": self.object(stream), "created": self.created,
            "model": self.model, "choices": choices,
        })
    }

    /// One of the choices of a whole answer.
    pub(super) fn choice(
        &self,
        index: usize,
        text: &str,
        logprobs: &Value,
        finish: Option<Finish>,
    ) -> Value {
        let mut choice =
            json!({"index": index, "finish_reason": reason(finish), "logprobs": logprobs});
        if self.chat {
            choice["message"] = json!({"role": "assistant", "content": text, "refusal": null});
        } else {
            choice["text"] = json!(text);
        }
        choice
    }

    /// A whole answer.
    pub(super) fn whole(&self, choices: Vec<Value>, usage: Value) -> Value {
        let mut answer = self.envelope(false, &Value::Array(choices));
        answer["usage"] = usage;
        answer
    }

    /// The first chunk of a choice of a streamed chat.
    pub(super) fn opening(&self, index: usize) -> Option<Value> {
        let delta = json!({"role": "assistant", "content": ""});
        let choice =
            json!({"index": index, "delta": delta, "finish_reason": null, "logprobs": null});
        self.chat.then(|| self.envelope(true, &json!([choice])))
    }

    /// A piece of a streamed answer.
    pub(super) fn chunk(&self, index: usize, text: &str, logprobs: &Value) -> Value {
        let mut choice = json!({"index": index, "finish_reason": null, "logprobs": logprobs});
        if self.chat {
            choice["delta"] = json!({"content": text});
        } else {
            choice["text"] = json!(text);
        }
        self.envelope(true, &json!([choice]))
    }

    /// The chunk that says why a choice of a streamed answer ended.
    pub(super) fn closing(&self, index: usize, finish: Option<Finish>) -> Value {
        let mut choice = json!({"index": index, "finish_reason": reason(finish), "logprobs": null});
        if self.chat {
            choice["delta"] = json!({});
        } else {
            choice["text"] = json!("");
        }
        self.envelope(true, &json!([choice]))
    }

    /// The last chunk, if the client wants the counts.
    pub(super) fn counts(&self, usage: Value) -> Value {
        let mut chunk = self.envelope(true, &json!([]));
        chunk["usage"] = usage;
        chunk
    }

    /// Log-probabilities of tokens; `offset` is where their text begins.
    pub(super) fn logprobs(
        &self,
        tokens: &[Scored],
        tokenizer: &Tokenizer,
        mut offset: usize,
    ) -> Value {
        if !self.logprobs {
            return Value::Null;
        }
        let text = |id: u32| String::from_utf8_lossy(tokenizer.bytes(id)).into_owned();
        if self.chat {
            let one = |id: u32, logprob: Option<f32>| json!({"token": text(id), "logprob": logprob, "bytes": tokenizer.bytes(id)});
            let content: Vec<Value> = tokens
                .iter()
                .map(|token| {
                    let mut entry = one(token.id, token.logprob);
                    entry["top_logprobs"] =
                        token.top.iter().map(|(id, p)| one(*id, Some(*p))).collect();
                    entry
                })
                .collect();
            return json!({"content": content, "refusal": null});
        }
        let (mut texts, mut values, mut tops, mut offsets) = (vec![], vec![], vec![], vec![]);
        // A part of a character has no text: it is told by its bytes, as OpenAI's server does.
        let named = |id: u32| match std::str::from_utf8(tokenizer.bytes(id)) {
            Ok(text) => text.to_owned(),
            Err(_) => format!("bytes:{}", tokenizer.bytes(id).escape_ascii()),
        };
        for token in tokens {
            offsets.push(offset);
            offset += text(token.id).chars().count();
            texts.push(named(token.id));
            values.push(token.logprob);
            let top: Map<String, Value> =
                token.top.iter().map(|(id, p)| (named(*id), json!(p))).collect();
            tops.push(if token.logprob.is_some() { Value::Object(top) } else { Value::Null });
        }
        json!({"tokens": texts, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets})
    }
}

fn reason(finish: Option<Finish>) -> &'static str {
    match finish {
        Some(Finish::Length) => "length",
        _ => "stop",
    }
}

/// Counts of tokens.
pub(super) fn usage(prompt: usize, completion: usize) -> Value {
    json!({
        "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}
