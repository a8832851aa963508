//! Labels for earlier requests, models that others push, and stopping.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use oxilab_serve::body;
use serde_json::{Value, json};

use super::answer::{Asked, find};
use super::{Body, PUSH_LIMIT, Shared, aside, problem, unread};
use crate::limits::allowed;
use crate::monitoring::labels::Fit;
use crate::pushed;
use crate::slot::Slot;

/// `{"id": "…", "label": 1}`, `{"id": "…", "labels": [1, 0]}`, or `{"feedback": [such, …]}`; `id` is what
/// the answer's `x-request-id` said, of whatever version of the model. Nothing is taken where one of them
/// cannot be: who sends them again sends all of them.
pub(super) async fn feedback(
    State(app): Shared,
    model: Option<Path<String>>,
    body: Body,
) -> Response {
    let model = model.as_deref().map(String::as_str);
    let slot = match find(&app, Asked { model, version: None, route: "" }) {
        Ok(slot) => slot,
        Err(response) => return response,
    };
    let bytes = match body {
        Ok(bytes) => bytes,
        Err(rejection) => return unread(&rejection, app.args.body_limit),
    };
    let value = match body::json(&bytes) {
        Ok(value) => value,
        Err(error) => return problem(StatusCode::BAD_REQUEST, &error.public(), None),
    };
    let items = match items(&value) {
        Ok(items) => items,
        Err(unfit) => return unfit.into_response(),
    };
    let slots = app.of_name(&slot.name);
    let mut waiting = Vec::new();
    for item in &items {
        match takers(&slots, item) {
            Ok(takers) => waiting.push(takers),
            Err(why) => return Unfit::new("labels", why).into_response(),
        }
    }
    let (mut taken, mut unknown) = (0, Vec::new());
    for (Item { id, labels }, takers) in items.into_iter().zip(waiting) {
        // Who asked several versions under one id has one truth for all of them.
        let counts = takers.iter().map(|slot| slot.ledger.label(&id, &labels));
        match counts.max() {
            Some(0) if labels.iter().all(Value::is_null) => {}
            None | Some(0) => unknown.push(id),
            Some(count) => taken += count,
        }
    }
    Json(json!({"taken": taken, "unknown": unknown})).into_response()
}

/// The labels of a request.
struct Item {
    id: String,
    labels: Vec<Value>,
}

/// What of a request is no label.
struct Unfit {
    field: &'static str,
    message: String,
}

impl Unfit {
    const STATUS: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

    fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

impl IntoResponse for Unfit {
    fn into_response(self) -> Response {
        problem(Self::STATUS, &self.message, Some(self.field))
    }
}

/// How many labels a body has; or the status and the message of the refusal.
pub(crate) fn count_labels(body: &[u8]) -> Result<usize, (u16, String)> {
    let value = body::json(body).map_err(|error| (400, error.public()))?;
    let items = items(&value).map_err(|unfit| (Unfit::STATUS.as_u16(), unfit.message))?;
    Ok(items.iter().map(|item| item.labels.len()).sum())
}

fn items(value: &Value) -> Result<Vec<Item>, Unfit> {
    match value.get("feedback") {
        Some(Value::Array(items)) => items.iter().map(item).collect(),
        Some(_) => Err(Unfit::new("feedback", "`feedback` must be a list")),
        None => item(value).map(|item| vec![item]),
    }
}

fn item(value: &Value) -> Result<Item, Unfit> {
    let Some(id) = value.get("id").and_then(Value::as_str) else {
        return Err(Unfit::new("id", "`id` must be the text of the answer's x-request-id"));
    };
    let labels = match (value.get("label"), value.get("labels")) {
        (Some(label), None) => vec![label.clone()],
        (None, Some(Value::Array(labels))) => labels.clone(),
        _ => return Err(Unfit::new("label", "there must be a `label` or a list of `labels`")),
    };
    if let Some(wrong) = labels.iter().find(|label| label.is_array() || label.is_object()) {
        let message = format!("a label is a number, text or boolean, not {wrong}");
        return Err(Unfit::new("labels", message));
    }
    Ok(Item { id: id.to_owned(), labels })
}

/// The versions that wait for labels. Those that know the request may all find that these do not fit it.
fn takers(slots: &[Arc<Slot>], Item { id, labels }: &Item) -> Result<Vec<Arc<Slot>>, String> {
    let (mut takers, mut misfit) = (Vec::new(), None);
    for slot in slots {
        let task = slot.current().model().task();
        match slot.ledger.fit(task, id, labels) {
            Fit::Fits => takers.push(Arc::clone(slot)),
            Fit::Unfit(why) => misfit = Some(why),
            Fit::Unknown => {}
        }
    }
    match misfit {
        Some(why) if takers.is_empty() => Err(why),
        _ => Ok(takers),
    }
}

/// Takes a model: the body is its file, `x-oxilab-sha256` its checksum.
pub(super) async fn push(
    State(app): Shared,
    Path(model): Path<String>,
    request: Request,
) -> Response {
    // Before anything of the body is read: it may be gigabytes.
    let Some(folder) = app.args.accept.clone() else {
        let message = "this server takes no models; start it with --accept FOLDER";
        return problem(StatusCode::FORBIDDEN, message, None);
    };
    let headers = request.headers().clone();
    if announced(&headers).is_some_and(|bytes| bytes > PUSH_LIMIT as u64) {
        return oversized();
    }
    let bytes = match Bytes::from_request(request, &()).await {
        Ok(bytes) => bytes,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return oversized();
        }
        Err(rejection) => return problem(rejection.status(), &rejection.body_text(), None),
    };
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (sum, size) = (text("x-oxilab-sha256"), text("x-oxilab-model-bytes"));
    let taken = {
        let (app, model) = (Arc::clone(&app), model.clone());
        // A checksum of gigabytes takes seconds.
        aside(move || {
            let parcel = pushed::Parcel::open(&model, bytes, sum.as_deref(), size.as_deref())?;
            pushed::take(&app, &folder, &parcel)
        })
        .await
    };
    match taken {
        Ok(Ok((slot, new))) => {
            if new {
                slot.follow(&app);
            }
            let version = slot.current().version().to_owned();
            Json(json!({"model": model, "version": version, "new": new})).into_response()
        }
        Ok(Err(refusal)) => problem(refusal.status, &refusal.message, None),
        Err(response) => response,
    }
}

/// How long the body is, as its sender says.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn oversized() -> Response {
    let message = format!("a pushed model has at most {PUSH_LIMIT} bytes, its reference included");
    problem(StatusCode::PAYLOAD_TOO_LARGE, &message, None)
}

/// What a push would replace.
pub(super) async fn pushed(State(app): Shared, Path(model): Path<String>) -> Response {
    let accepts = app.args.accept.is_some();
    let versions = app.versions(&model);
    Json(json!({"model": model, "versions": versions, "accepts": accepts})).into_response()
}

pub(super) async fn stop(State(app): Shared, headers: HeaderMap) -> Response {
    if !app.admin.is_some_and(|admin| allowed(&headers, &[admin])) {
        return problem(StatusCode::UNAUTHORIZED, "only its owner stops the server", None);
    }
    app.stop.notify_one();
    Json(json!({"stopping": true})).into_response()
}
