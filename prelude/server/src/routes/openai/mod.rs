//! `OpenAI`'s API for language models: [`routes`].
//!
//! [`request`]: what is asked; [`reply`]: how it is answered; here: models, embeddings, errors.

mod generate;
mod reply;
mod request;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use oxilab_llm::LlmError;
use serde_json::{Value, json};

use super::patience::{Answering, within};
use super::{Body, Shared, aside, note};
use crate::app::App;
use crate::llm::{LlmSlot, Model};

/// Whole answers of slow models take their time; streams are not bounded by this.
const LONGEST: Duration = Duration::from_mins(10);

/// Texts of one request to `/v1/embeddings`.
const TEXTS: usize = 2_048;

pub(super) fn routes(app: &App) -> Router<Arc<App>> {
    let longest = LONGEST.max(app.args.timeout());
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(generate::chat))
        .route("/v1/completions", post(generate::completions))
        .route("/v1/embeddings", post(embeddings))
        .layer(middleware::from_fn(move |request, next| {
            within(longest, Fault::late, request, next)
        }))
}

/// A model as `/v1/models` describes it.
pub(super) fn card(slot: &LlmSlot, app: &App) -> Value {
    json!({"id": slot.name, "object": "model", "created": app.born, "owned_by": "oxilab"})
}

async fn models(State(app): Shared) -> Response {
    let cards: Vec<Value> = app.llms.iter().map(|slot| card(slot, &app)).collect();
    Json(json!({"object": "list", "data": cards})).into_response()
}

/// Why a request cannot be answered.
#[derive(Debug)]
pub(super) struct Fault {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Fault {
    fn new(param: &'static str, message: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, message: message.into(), param: Some(param), code: None }
    }

    fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let message = "the model failed; the server's log says why".to_owned();
        Self { status, message, param: None, code: None }
    }

    fn late(seconds: u64) -> Self {
        let status = StatusCode::REQUEST_TIMEOUT;
        let message = format!(
            "the request took too long, its body included: language models have {seconds} s; ask for \
             fewer tokens, or for a stream"
        );
        Self { status, message, param: None, code: None }
    }

    fn busy() -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let message = "too many requests are under way".to_owned();
        Self { status, message, param: None, code: None }
    }

    /// What a model says of a request whose text stands in the field `place`.
    fn of(error: &LlmError, place: &'static str) -> Self {
        let param = match error {
            LlmError::PromptTooLong { .. }
            | LlmError::EmptyPrompt
            | LlmError::TokenOutOfRange { .. }
            | LlmError::Template(_)
            | LlmError::NoTemplate => place,
            LlmError::Setting { setting, .. } => *setting,
            LlmError::Schema { .. } => "response_format",
            _ => {
                tracing::error!(%error, "a language model failed");
                return Self::internal();
            }
        };
        let mut fault = Self::new(param, error.to_string());
        if matches!(error, LlmError::PromptTooLong { .. }) {
            fault.code = Some("context_length_exceeded");
        }
        fault
    }

    fn plain(self) -> (u16, String) {
        (self.status.as_u16(), self.message)
    }

    fn body(&self) -> Value {
        let kind =
            if self.status.is_server_error() { "server_error" } else { "invalid_request_error" };
        json!({"error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        }})
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let second = axum::http::HeaderValue::from_static("1");
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, second);
        }
        response
    }
}

/// How many answers a body asks for; or the status and the message of the refusal.
pub(crate) fn count_answers(body: &[u8], chat: bool) -> Result<usize, (u16, String)> {
    const LIMIT: usize = 2_048;
    let ask = parse(body).and_then(|value| {
        if chat {
            request::Ask::chat(&value, LIMIT, 0)
        } else {
            request::Ask::completion(&value, LIMIT, 0)
        }
    });
    ask.map(|ask| ask.prompts.len() * ask.answers).map_err(Fault::plain)
}

/// How many texts a body asks the vectors of; or the status and the message of the refusal.
pub(crate) fn count_texts(body: &[u8]) -> Result<usize, (u16, String)> {
    let asked = parse(body).and_then(|value| Wanted::read(&value));
    asked.map(|wanted| wanted.texts.len()).map_err(Fault::plain)
}

/// The JSON object of a body.
fn object(body: Body) -> Result<Value, Fault> {
    let bytes = body.map_err(|rejection| Fault {
        status: rejection.status(),
        message: rejection.body_text(),
        param: None,
        code: None,
    })?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Value, Fault> {
    let unread = |status, message| Fault { status, message, param: None, code: None };
    let value = oxilab_serve::body::json(bytes)
        .map_err(|error| unread(StatusCode::BAD_REQUEST, error.public()))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(unread(StatusCode::BAD_REQUEST, "the body must be an object".to_owned()))
    }
}

/// The model that a request names.
fn find(app: &App, value: &Value) -> Result<Arc<LlmSlot>, Fault> {
    let Some(name) = value.get("model").and_then(Value::as_str) else {
        return Err(Fault::new("model", "`model` must be the name of a model of /v1/models"));
    };
    app.llm(name).ok_or_else(|| Fault {
        status: StatusCode::NOT_FOUND,
        message: format!("the model `{name}` is not served here; /v1/models lists those that are"),
        param: Some("model"),
        code: Some("model_not_found"),
    })
}

async fn embeddings(State(app): Shared, body: Body) -> Response {
    let value = match object(body) {
        Ok(value) => value,
        Err(fault) => return fault.into_response(),
    };
    let slot = match find(&app, &value) {
        Ok(slot) => slot,
        Err(fault) => return fault.into_response(),
    };
    let answering = Answering::new(slot.metered(), "/v1/embeddings");
    let answer = embed(&app, &slot, value).await;
    let rows = answer.as_ref().map_or(0, |(rows, _)| *rows);
    let mut response = match answer {
        Ok((_, answer)) => Json(answer).into_response(),
        Err(response) => response,
    };
    answering.done(&response, rows);
    note(&app, &mut response, &slot.name, rows);
    response
}

async fn embed(app: &App, slot: &LlmSlot, value: Value) -> Result<(usize, Value), Response> {
    let fault = |fault: Fault| fault.into_response();
    let Model::Embed(embedder) = slot.model() else {
        return Err(fault(Fault::new(
            "model",
            "this model generates text; it makes no embeddings",
        )));
    };
    let Wanted { texts, base64, width } = Wanted::read(&value).map_err(fault)?;
    let there = embedder.width();
    if width.is_some_and(|width| width.as_u64() != Some(there as u64)) {
        return Err(fault(Fault::new("dimensions", format!("this model's vectors have {there}"))));
    }
    let Ok(_permit) = Arc::clone(&app.room).try_acquire_owned() else {
        return Err(fault(Fault::busy()));
    };
    let count = texts.len();
    let vectors = aside(move || {
        let tensor = embedder.embed(&texts)?;
        let tokens = embedder.count_tokens(&texts)?;
        Ok::<(Vec<Vec<f32>>, usize), LlmError>((tensor.to_vec2::<f32>()?, tokens))
    });
    let (vectors, tokens) = vectors.await?.map_err(|error| fault(Fault::of(&error, "input")))?;
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let embedding = if base64 { json!(packed(vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    Ok((count, json!({"object": "list", "data": data, "model": slot.name, "usage": usage})))
}

fn packed(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What a request for vectors asks for.
struct Wanted {
    texts: Vec<String>,
    base64: bool,
    /// How many numbers a vector shall have, if it says so.
    width: Option<Value>,
}

impl Wanted {
    fn read(value: &Value) -> Result<Self, Fault> {
        let texts = texts(value)?;
        let base64 = match value.get("encoding_format").unwrap_or(&Value::Null) {
            Value::Null => false,
            Value::String(format) if format == "float" => false,
            Value::String(format) if format == "base64" => true,
            _ => return Err(Fault::new("encoding_format", "it must be `float` or `base64`")),
        };
        let width = value.get("dimensions").filter(|width| !width.is_null()).cloned();
        Ok(Self { texts, base64, width })
    }
}

fn texts(value: &Value) -> Result<Vec<String>, Fault> {
    let wrong = || Fault::new("input", "`input` must be a text or a list of texts");
    let texts = match value.get("input") {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong()),
    };
    match texts.len() {
        0 => Err(Fault::new("input", "`input` has no texts")),
        n if n > TEXTS => {
            Err(Fault::new("input", format!("`input` has {n} texts, the limit is {TEXTS}")))
        }
        _ => Ok(texts),
    }
}
