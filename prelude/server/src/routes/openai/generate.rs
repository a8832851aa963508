//! `/v1/chat/completions` and `/v1/completions`, whole or streamed.
//!
//! A thread of its own generates and sends pieces; when the client is gone nobody takes them, and it
//! ends.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Json, Response};
use oxilab_llm::{Llm, LlmError, Pieces, Token};
use serde_json::Value;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, mpsc};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

use super::reply::{Reply, usage};
use super::request::{Ask, Prompt};
use super::{Fault, find, object};
use crate::app::App;
use crate::llm::{LlmSlot, Model};
use crate::routes::{Body, Shared};

/// Pieces that may wait for a slow client.
const AHEAD: usize = 64;

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
    let begun = Instant::now();
    let route = if chat { "/v1/chat/completions" } else { "/v1/completions" };
    let response = match generate(app, &slot, &value, chat).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    };
    slot.metrics().record(route, response.status().as_u16(), 1, begun.elapsed());
    response
}

async fn generate(
    app: &Arc<App>,
    slot: &Arc<LlmSlot>,
    value: &Value,
    chat: bool,
) -> Result<Response, Fault> {
    let Model::Text(llm) = &slot.model else {
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
    let llm = Arc::clone(llm).lock_owned().await;
    let (sender, mut events) = mpsc::channel(AHEAD);
    let work = Work { slot: Arc::clone(slot), ask, reply, sender };
    tokio::task::spawn_blocking(move || work.run(llm, permit));
    if !stream {
        // One event: the whole.
        return match events.recv().await {
            Some(Event::Value(answer)) => Ok(Json(answer).into_response()),
            Some(Event::Fault(fault)) => Err(fault),
            None => Err(Fault::internal()),
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
        };
        Ok::<_, std::convert::Infallible>(text)
    });
    let end = tokio_stream::once(Ok("data: [DONE]\n\n".to_owned()));
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, HttpBody::from_stream(rest.chain(end))).into_response())
}

enum Event {
    Value(Value),
    Fault(Fault),
}

/// A generation and who waits for it.
struct Work {
    slot: Arc<LlmSlot>,
    ask: Ask,
    reply: Reply,
    sender: mpsc::Sender<Event>,
}

impl Work {
    fn run(self, mut llm: OwnedMutexGuard<Llm>, _permit: OwnedSemaphorePermit) {
        let begun = Instant::now();
        let made =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.generate(&mut llm)));
        match made {
            Ok(Ok(tokens)) => self.slot.metrics().generated(tokens, begun.elapsed()),
            Ok(Err(error)) => self.send(Event::Fault(error.into())),
            Err(_) => {
                llm.reset();
                tracing::error!("a language model panicked");
                self.send(Event::Fault(Fault::internal()));
            }
        }
    }

    /// Whoever asked may be gone; then there is nobody to tell.
    fn send(&self, event: Event) {
        let _ = self.sender.blocking_send(event);
    }

    fn generate(&self, llm: &mut Llm) -> Result<usize, LlmError> {
        let sampling = &self.ask.sampling;
        let mut pieces = match &self.ask.prompt {
            Prompt::Chat(messages) => llm.answer_pieces(messages, sampling)?,
            Prompt::Text(text) => llm.pieces(text, sampling)?,
        };
        let before = match &self.ask.prompt {
            Prompt::Text(text) if self.ask.echo => text.as_str(),
            _ => "",
        };
        if self.ask.stream {
            self.streamed(&mut pieces, before)
        } else {
            self.whole(&mut pieces, before)
        }
    }

    fn whole(&self, pieces: &mut Pieces<'_>, before: &str) -> Result<usize, LlmError> {
        let (mut text, mut tokens) = (before.to_owned(), Vec::<Token>::new());
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            text.push_str(&piece.text);
            tokens.extend(piece.tokens);
            if self.sender.is_closed() {
                return Ok(pieces.completion_tokens());
            }
        }
        let logprobs = self.reply.logprobs(&tokens, pieces.tokenizer(), before.chars().count());
        let made = pieces.completion_tokens();
        let counts = usage(pieces.prompt_tokens(), made);
        self.send(Event::Value(self.reply.whole(&text, &logprobs, pieces.finish(), counts)));
        Ok(made)
    }

    fn streamed(&self, pieces: &mut Pieces<'_>, before: &str) -> Result<usize, LlmError> {
        if let Some(opening) = self.reply.opening() {
            self.send(Event::Value(opening));
        }
        if !before.is_empty() {
            self.send(Event::Value(self.reply.chunk(before, &Value::Null)));
        }
        let mut offset = before.chars().count();
        while let Some(piece) = pieces.next() {
            let piece = piece?;
            let logprobs = self.reply.logprobs(&piece.tokens, pieces.tokenizer(), offset);
            offset += piece.text.chars().count();
            let chunk = Event::Value(self.reply.chunk(&piece.text, &logprobs));
            if self.sender.blocking_send(chunk).is_err() {
                return Ok(pieces.completion_tokens());
            }
        }
        self.send(Event::Value(self.reply.closing(pieces.finish())));
        let made = pieces.completion_tokens();
        if self.ask.usage {
            self.send(Event::Value(self.reply.counts(usage(pieces.prompt_tokens(), made))));
        }
        Ok(made)
    }
}
