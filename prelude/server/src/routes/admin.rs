//! Labels for earlier requests, models that others push, and stopping.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use oxilab_serve::body;
use serde_json::{Value, json};

use super::answer::{Asked, find};
use super::{Body, PUSH_LIMIT, Shared, aside, problem, unread};
use crate::limits::allowed;
use crate::pushed;

/// `{"id": "…", "label": 1}`, `{"id": "…", "labels": [1, 0]}`, or `{"feedback": [such, …]}`; `id` is what
/// the answer's `x-request-id` said.
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
    let items = match value.get("feedback") {
        Some(Value::Array(items)) => items.clone(),
        Some(_) => return unfit("feedback", "`feedback` must be a list"),
        None => vec![value],
    };
    let (mut taken, mut unknown) = (0, Vec::new());
    for item in items {
        let Some(id) = item.get("id").and_then(Value::as_str) else {
            return unfit("id", "`id` must be the text of the answer's x-request-id");
        };
        let labels = match (item.get("label"), item.get("labels")) {
            (Some(label), None) => vec![label.clone()],
            (None, Some(Value::Array(labels))) => labels.clone(),
            _ => return unfit("label", "there must be a `label` or a list of `labels`"),
        };
        if let Some(wrong) = labels.iter().find(|label| label.is_array() || label.is_object()) {
            return unfit("labels", &format!("a label is a number, text or boolean, not {wrong}"));
        }
        match slot.ledger.label(id, &labels) {
            0 => unknown.push(id.to_owned()),
            count => taken += count,
        }
    }
    Json(json!({"taken": taken, "unknown": unknown})).into_response()
}

fn unfit(field: &str, message: &str) -> Response {
    problem(StatusCode::UNPROCESSABLE_ENTITY, message, Some(field))
}

/// Takes a model: the body is its file, `x-oxilab-sha256` its checksum.
pub(super) async fn push(
    State(app): Shared,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(folder) = app.args.accept.clone() else {
        let message = "this server takes no models; start it with --accept FOLDER";
        return problem(StatusCode::FORBIDDEN, message, None);
    };
    let bytes = match body {
        Ok(bytes) => bytes,
        Err(rejection) => return unread(&rejection, PUSH_LIMIT),
    };
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (sum, size) = (text("x-oxilab-sha256"), text("x-oxilab-model-bytes"));
    let taken = {
        let (app, model) = (std::sync::Arc::clone(&app), model.clone());
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
