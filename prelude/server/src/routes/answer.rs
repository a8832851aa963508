//! From the body of a request to its answer: [`answer`].

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use oxilab_serve::{Predictions, Predictor, ServeError, infer_response};
use polars::prelude::DataFrame;
use serde_json::Value;
use tokio::sync::oneshot;

use super::patience::Answering;
use super::{Body, aside, id_of, note, problem, unread};
use crate::app::App;
use crate::batch::Job;
use crate::llm::Model;
use crate::monitoring::ledger::Answered;
use crate::slot::Slot;

/// Bodies up to this many bytes are read where they arrive: waking another thread takes longer.
const SMALL: usize = 32 << 10;

/// Which model is asked, and on which route.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) model: Option<&'a str>,
    /// Any, if `None`.
    pub(super) version: Option<&'a str>,
    /// As it stands in the metrics.
    pub(super) route: &'static str,
}

/// How an answer is written.
pub(super) enum Form {
    Mlflow,
    Typed { single: bool },
    Torch,
    Columnar,
    V2 { id: Option<Value> },
}

/// Reads, predicts together with others, writes.
pub(super) async fn answer(
    app: &Arc<App>,
    asked: Asked<'_>,
    headers: &HeaderMap,
    body: Body,
    read: impl FnOnce(&[u8], &Predictor) -> Result<(DataFrame, Form), ServeError> + Send + 'static,
) -> Response {
    let slot = match find(app, asked) {
        Ok(slot) => slot,
        Err(response) => return response,
    };
    let answering = Answering::new(slot.metered(), asked.route);
    let (mut response, rows) = match body {
        Ok(bytes) => respond(app, &slot, headers, bytes, read).await,
        Err(rejection) => (unread(&rejection, app.args.body_limit), 0),
    };
    answering.done(&response, rows);
    note(app, &mut response, &slot.name, rows);
    response
}

/// The model that is asked, or what to say if there is none.
#[expect(clippy::result_large_err, reason = "what callers do with the error is to return it")]
pub(super) fn find(app: &App, asked: Asked<'_>) -> Result<Arc<Slot>, Response> {
    let missing = |what: &str| problem(StatusCode::NOT_FOUND, what, None);
    let slot = app.slot(asked.model).ok_or_else(|| match language_model(app, asked.model) {
        Some(said) => missing(&said),
        None => missing("there is no such model"),
    })?;
    match asked.version {
        None => Ok(slot),
        Some(version) => app
            .version(&slot.name, version)
            .ok_or_else(|| missing("this version of the model is not loaded")),
    }
}

/// Where to ask instead if what is asked for is a language model: it reads text, not rows.
fn language_model(app: &App, name: Option<&str>) -> Option<String> {
    let llm = match name {
        Some(name) => app.llm(name)?,
        None => app.llms.first().cloned()?,
    };
    let (kind, route) = match llm.model() {
        Model::Text(_) => ("a language model", "/v1/chat/completions or /v1/completions"),
        Model::Embed(_) => ("a model of embeddings", "/v1/embeddings"),
    };
    Some(format!("`{}` is {kind}: use {route}", llm.name))
}

async fn respond(
    app: &Arc<App>,
    slot: &Arc<Slot>,
    headers: &HeaderMap,
    bytes: Bytes,
    read: impl FnOnce(&[u8], &Predictor) -> Result<(DataFrame, Form), ServeError> + Send + 'static,
) -> (Response, usize) {
    let Ok(_permit) = Arc::clone(&app.room).try_acquire_owned() else {
        let message = "too many requests are under way";
        return (problem(StatusCode::SERVICE_UNAVAILABLE, message, None), 0);
    };
    let coming = app.batcher.coming();
    let predictor = slot.current();
    let request = if bytes.len() <= SMALL {
        read(&bytes, &predictor)
    } else {
        let predictor = Arc::clone(&predictor);
        match aside(move || read(&bytes, &predictor)).await {
            Ok(request) => request,
            Err(response) => return (response, 0),
        }
    };
    let (frame, form) = match request {
        Ok(request) => request,
        Err(error) => return (refused(&error), 0),
    };
    let rows = frame.height();
    let id = id_of(headers);
    if let Some(said) = app.batcher.at_once(slot, &predictor, &frame) {
        drop(coming);
        return match said {
            Ok(said) => {
                let answer = written(&said, &form, slot, &predictor);
                let parts = vec![(id, rows, said.clone())];
                slot.ledger.note(Answered { input: frame, said, parts });
                let (slot, batcher) = (Arc::clone(slot), Arc::clone(&app.batcher));
                // This thread comes to it when the answer is sent.
                tokio::spawn(async move {
                    slot.ledger.keep();
                    batcher.look_out().await;
                });
                (answer, rows)
            }
            Err(error) => (refused(&error), 0),
        };
    }
    let (reply, said) = oneshot::channel();
    let job = Job { slot: Arc::clone(slot), predictor: Arc::clone(&predictor), frame, id, reply };
    app.batcher.push(job);
    drop(coming);
    match said.await {
        Ok(Ok(said)) => (written(&said, &form, slot, &predictor), rows),
        Ok(Err(error)) => (refused(&error), 0),
        Err(_) => (refused(&ServeError::Panicked), 0),
    }
}

fn written(said: &Predictions, form: &Form, slot: &Slot, predictor: &Predictor) -> Response {
    let value = match form {
        Form::Mlflow => said.mlflow(),
        Form::Typed { single } => said.typed(*single),
        Form::Columnar => said.columnar(),
        Form::Torch => Value::Array(said.json_values()),
        Form::V2 { id } => {
            let schema = predictor.schema();
            infer_response(said, schema, &slot.name, predictor.version(), id.as_ref())
        }
    };
    Json(value).into_response()
}

fn refused(error: &ServeError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(%error, "cannot answer");
    }
    problem(status, &error.public(), error.blamed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_fails_on_our_side_tells_nothing_of_this_machine() {
        let source = std::io::Error::other("/home/ann/secret.txt");
        let file = ServeError::Io { doing: "loading", path: "/home/ann".into(), source };
        for error in [file, ServeError::Panicked] {
            let answer = refused(&error);
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("a body");
            let value: Value = serde_json::from_slice(&body).expect("JSON");
            let said = "the model could not answer; the server's log says why";
            assert_eq!(value, serde_json::json!({"error": said, "message": said}));
        }
    }
}
