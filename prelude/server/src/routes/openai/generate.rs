//! `/v1/chat/completions` and `/v1/completions`, whole or streamed.
//!
//! A thread of its own generates and sends pieces; when the client is gone nobody takes them, and it
//! ends. It also ends when a client takes none for as long as a request may take: others wait for the model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Json, Response};
use oxilab_llm::text::Tokenizer;
use oxilab_llm::{Finish, Llm, LlmError, Pieces};
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::reply::{Reply, Scored, usage};
use super::request::{Ask, Prompt};
use super::{Fault, find, object};
use crate::app::App;
use crate::llm::{LlmSlot, Model};
use crate::routes::patience::Answering;
use crate::routes::{Body, Shared, note};

/// Pieces that may wait for a slow client.
const AHEAD: usize = 64;

/// Between two looks whether a slow client has taken something.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) async fn chat(State(app): Shared, body: Body) -> Response {
    respond(&app, body, true).await
}

pub(super) async fn completions(State(app): Shared, body: Body) -> Response {
    respond(&app, body, false).await
}

async fn respond(app: &Arc<App>, body: Body, chat: bool) -> Response {
    let found = object(body).and_then(|value| Ok((find(app, &value)?, value)));
    let (slot, value) = match found {
        Ok(found) => found,
        Err(fault) => return fault.into_response(),
    };
    let route = if chat { "/v1/chat/completions" } else { "/v1/completions" };
    let answering = Answering::new(slot.metered(), route);
    let mut response = match generate(app, &slot, &value, chat).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    };
    answering.done(&response, 1);
    note(app, &mut response, &slot.name, 1);
    response
}

async fn generate(
    app: &Arc<App>,
    slot: &Arc<LlmSlot>,
    value: &Value,
    chat: bool,
) -> Result<Response, Fault> {
    let Model::Text(llm) = slot.model() else {
        return Err(Fault::new("model", "this model makes embeddings; it generates no text"));
    };
    let (id, limit) = (app.new_id(), app.args.token_limit.max(1));
    let seed = app.new_seed();
    let ask =
        if chat { Ask::chat(value, limit, seed)? } else { Ask::completion(value, limit, seed)? };
    let permit = Arc::clone(&app.room).try_acquire_owned().map_err(|_| Fault::busy())?;
    let reply = Reply {
        chat,
        id: format!("{}-{id}", if chat { "chatcmpl" } else { "cmpl" }),
        model: slot.name.clone(),
        created: app.now(),
        logprobs: ask.logprobs,
    };
    let stream = ask.stream;
    let llm = llm.lock_owned().await;
    let (sender, mut events) = mpsc::channel(AHEAD);
    let work = Work { slot: Arc::clone(slot), ask, reply, sender, patience: app.args.timeout() };
    tokio::task::spawn_blocking(move || work.run(llm, permit));
    if !stream {
        // One event: the whole.
        return match events.recv().await {
            Some(Event::Value(answer)) => Ok(Json(answer).into_response()),
            Some(Event::Fault(fault)) => Err(fault),
            Some(Event::End) | None => Err(Fault::internal()),
        };
    }
    // What is wrong with the request is known before the first piece, and is an answer of its own.
    let first = match events.recv().await {
        Some(Event::Fault(fault)) => return Err(fault),
        first => first,
    };
    let rest = tokio_stream::iter(first).chain(ReceiverStream::new(events)).map(|event| {
        let text = match event {
            Event::Value(chunk) => format!("data: {chunk}\n\n"),
            Event::Fault(fault) => format!("data: {}\n\n", fault.body()),
            Event::End => "data: [DONE]\n\n".to_owned(),
        };
        Ok::<_, std::convert::Infallible>(text)
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, HttpBody::from_stream(rest)).into_response())
}

enum Event {
    Value(Value),
    Fault(Fault),
    /// Everything was said. A stream that was broken off does not end with it.
    End,
}

/// A generation and who waits for it.
struct Work {
    slot: Arc<LlmSlot>,
    ask: Ask,
    reply: Reply,
    sender: mpsc::Sender<Event>,
    /// How long a client may take nothing.
    patience: Duration,
}

impl Work {
    fn run(self, mut llm: OwnedMutexGuard<Llm>, _permit: OwnedSemaphorePermit) {
        let begun = Instant::now();
        let made =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.generate(&mut llm)));
        let heard = match made {
            Ok(Ok((tokens, heard))) => {
                self.slot.metrics().generated(tokens, begun.elapsed());
                heard
            }
            Ok(Err(error)) => self.send(Event::Fault(Fault::of(&error, self.reply.place()))),
            Err(_) => {
                llm.reset();
                tracing::error!("a language model panicked");
                self.send(Event::Fault(Fault::internal()))
            }
        };
        if heard {
            self.send(Event::End);
        }
    }

    /// Whether it was taken. Whoever asked may be gone, or have stopped to read.
    fn send(&self, mut event: Event) -> bool {
        let begun = Instant::now();
        loop {
            match self.sender.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(_)) if begun.elapsed() >= self.patience => {
                    let (model, seconds) = (&self.slot.name, self.patience.as_secs());
                    tracing::warn!(%model, seconds, "a client has stopped to read; its answer ends");
                    return false;
                }
                Err(TrySendError::Full(back)) => event = back,
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The choices one after the other: a model has one cache, and a prompt's further answers find it
    /// there. Gives the number of tokens that were drawn, and whether somebody still reads.
    fn generate(&self, llm: &mut Llm) -> Result<(usize, bool), LlmError> {
        // What is wrong with any prompt is known before the first is answered.
        let prompts = &self.ask.prompts;
        for prompt in prompts.iter().filter(|_| prompts.len() > 1) {
            match prompt {
                Prompt::Text(text) => llm.check_prompt(&llm.tokenizer().encode(text, true)?)?,
                Prompt::Tokens(tokens) => llm.check_prompt(tokens)?,
                Prompt::Chat(_) => {}
            }
        }
        let mut made = Made::default();
        for (at, prompt) in prompts.iter().enumerate() {
            let before = self.before(llm, prompt)?;
            if self.ask.only_echo {
                made.prompt += before.count;
            }
            for answer in 0..self.ask.answers {
                let index = at * self.ask.answers + answer;
                if self.ask.only_echo {
                    if !self.repeated(index, &before, llm.tokenizer(), &mut made.choices) {
                        return Ok((made.tokens, false));
                    }
                    continue;
                }
                let seed = self.ask.seed.wrapping_add(answer as u64);
                let sampling = self.ask.sampling.clone().with_seed(seed);
                let mut pieces = match prompt {
                    Prompt::Chat(messages) => llm.answer_pieces(messages, &sampling)?,
                    Prompt::Text(text) => llm.pieces(text, &sampling)?,
                    Prompt::Tokens(tokens) => llm.token_pieces(tokens, &sampling)?,
                };
                if answer == 0 {
                    made.prompt += pieces.prompt_tokens();
                }
                let heard = if self.ask.stream {
                    self.streamed(index, &mut pieces, &before)?
                } else {
                    self.whole(index, &mut pieces, &before, &mut made.choices)?
                };
                made.tokens += pieces.completion_tokens();
                if !heard {
                    return Ok((made.tokens, false));
                }
            }
        }
        let counts = usage(made.prompt, made.tokens);
        let heard = if !self.ask.stream {
            self.send(Event::Value(self.reply.whole(made.choices, counts)))
        } else if self.ask.usage {
            self.send(Event::Value(self.reply.counts(counts)))
        } else {
            true
        };
        Ok((made.tokens, heard))
    }

    /// The prompt, if it is to be repeated, with its log-probabilities if those are asked for.
    fn before(&self, llm: &Llm, prompt: &Prompt) -> Result<Before, LlmError> {
        let tokenizer = llm.tokenizer();
        let (text, ids) = match prompt {
            Prompt::Text(text) if self.ask.echo => (text.clone(), tokenizer.encode(text, true)?),
            Prompt::Tokens(ids) if self.ask.echo => (tokenizer.decode(ids)?, ids.clone()),
            _ => return Ok(Before::default()),
        };
        llm.check_prompt(&ids)?;
        let count = ids.len();
        if !self.reply.logprobs {
            return Ok(Before { text, tokens: Vec::new(), count });
        }
        let first = ids.first().map(|id| Scored { id: *id, logprob: None, top: Vec::new() });
        // A start token that the text does not hold is no part of it.
        let written = matches!(prompt, Prompt::Tokens(_));
        let first = first.filter(|first| written || Some(first.id) != tokenizer.bos());
        let rest = llm.score_tokens(&ids, self.ask.top)?.into_iter().map(Scored::from);
        Ok(Before { text, tokens: first.into_iter().chain(rest).collect(), count })
    }

    /// Answers with the prompt alone. Whether somebody still waits.
    fn repeated(
        &self,
        index: usize,
        before: &Before,
        tokenizer: &Tokenizer,
        choices: &mut Vec<Value>,
    ) -> bool {
        let logprobs = self.reply.logprobs(&before.tokens, tokenizer, 0);
        let finish = Some(Finish::Length);
        if self.ask.stream {
            return self.send(Event::Value(self.reply.chunk(index, &before.text, &logprobs)))
                && self.send(Event::Value(self.reply.closing(index, finish)));
        }
        choices.push(self.reply.choice(index, &before.text, &logprobs, finish));
        !self.sender.is_closed()
    }

    /// Whether somebody still waits.
    fn whole(
        &self,
        index: usize,
        pieces: &mut Pieces<'_>,
        before: &Before,
        choices: &mut Vec<Value>,
    ) -> Result<bool, LlmError> {
        let (mut text, mut tokens) = (before.text.clone(), before.tokens.clone());
        for piece in pieces.by_ref() {
            let piece = piece?;
            text.push_str(&piece.text);
            tokens.extend(piece.tokens.into_iter().map(Scored::from));
            if self.sender.is_closed() {
                return Ok(false);
            }
        }
        let logprobs = self.reply.logprobs(&tokens, pieces.tokenizer(), 0);
        choices.push(self.reply.choice(index, &text, &logprobs, pieces.finish()));
        Ok(true)
    }

    /// Whether somebody still reads.
    fn streamed(
        &self,
        index: usize,
        pieces: &mut Pieces<'_>,
        before: &Before,
    ) -> Result<bool, LlmError> {
        if let Some(opening) = self.reply.opening(index)
            && !self.send(Event::Value(opening))
        {
            return Ok(false);
        }
        if !before.text.is_empty() {
            let logprobs = self.reply.logprobs(&before.tokens, pieces.tokenizer(), 0);
            if !self.send(Event::Value(self.reply.chunk(index, &before.text, &logprobs))) {
                return Ok(false);
            }
        }
        let mut offset = before.text.chars().count();
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            let tokens: Vec<Scored> = piece.tokens.into_iter().map(Scored::from).collect();
            let logprobs = self.reply.logprobs(&tokens, pieces.tokenizer(), offset);
            offset += piece.text.chars().count();
            if !self.send(Event::Value(self.reply.chunk(index, &piece.text, &logprobs))) {
                return Ok(false);
            }
        }
        Ok(self.send(Event::Value(self.reply.closing(index, pieces.finish()))))
    }
}

/// A prompt that is repeated before its answer.
#[derive(Default)]
struct Before {
    text: String,
    tokens: Vec<Scored>,
    /// How many tokens the model reads of it.
    count: usize,
}

/// What was made so far.
#[derive(Default)]
struct Made {
    choices: Vec<Value>,
    /// Tokens of the prompts, and of the answers.
    prompt: usize,
    tokens: usize,
}
