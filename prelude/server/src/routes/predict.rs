//! `MLflow`'s `/invocations`, typed `/predict`, `TensorFlow` Serving's and `TorchServe`'s routes.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use oxilab_serve::body;
use serde_json::json;

use super::answer::{Asked, Form, answer, find};
use super::{Body, Shared, problem};
use crate::app::App;

pub(super) async fn invocations(
    State(app): Shared,
    model: Option<Path<String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let limit = app.args.row_limit;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let csv = kind.to_ascii_lowercase().starts_with("text/csv");
    let model = model.as_deref().map(String::as_str);
    let asked = Asked { model, version: None, route: "/invocations" };
    answer(&app, asked, &headers, body, move |bytes, p| {
        let frame = if csv {
            body::csv(bytes, p.schema(), limit)?
        } else {
            body::invocations(body::json(bytes)?, p.schema(), limit)?
        };
        Ok((frame, Form::Mlflow))
    })
    .await
}

pub(super) async fn predict(
    State(app): Shared,
    model: Option<Path<String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    typed(&app, model.as_deref().map(String::as_str), None, &headers, body).await
}

pub(super) async fn predict_version(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    typed(&app, Some(&model), Some(&version), &headers, body).await
}

async fn typed(
    app: &Arc<App>,
    model: Option<&str>,
    version: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let limit = app.args.row_limit;
    let asked = Asked { model, version, route: "/predict" };
    answer(app, asked, headers, body, move |bytes, p| {
        let (frame, single) = body::predict(body::json(bytes)?, p.schema(), limit)?;
        Ok((frame, Form::Typed { single }))
    })
    .await
}

pub(super) async fn torch(
    State(app): Shared,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    plain(&app, Some(&model), None, "/predictions", &headers, body).await
}

pub(super) async fn torch_version(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    plain(&app, Some(&model), Some(&version), "/predictions", &headers, body).await
}

pub(super) async fn tensorflow(
    State(app): Shared,
    Path(call): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(model) = call.strip_suffix(":predict") else { return no_verb() };
    plain(&app, Some(model), None, "/v1/models:predict", &headers, body).await
}

pub(super) async fn tensorflow_version(
    State(app): Shared,
    Path((model, call)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(version) = call.strip_suffix(":predict") else { return no_verb() };
    plain(&app, Some(&model), Some(version), "/v1/models:predict", &headers, body).await
}

fn no_verb() -> Response {
    problem(StatusCode::NOT_FOUND, "the verb must be `:predict`", None)
}

/// Rows in any plain form; the answer is a list for `TorchServe`. For `TensorFlow` Serving it has the form
/// that was asked in: `{"predictions": …}` for rows, `{"outputs": …}` for columns.
async fn plain(
    app: &Arc<App>,
    model: Option<&str>,
    version: Option<&str>,
    route: &'static str,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let limit = app.args.row_limit;
    let torch = route == "/predictions";
    answer(app, Asked { model, version, route }, headers, body, move |bytes, p| {
        let value = body::json(bytes)?;
        let form = match value.get("inputs") {
            _ if torch => Form::Torch,
            Some(_) => Form::Columnar,
            None => Form::Mlflow,
        };
        Ok((body::rows(value, p.schema(), limit)?, form))
    })
    .await
}

pub(super) async fn tensorflow_status(State(app): Shared, Path(model): Path<String>) -> Response {
    if let Some(slot) = app.llm(&model) {
        return Json(super::openai::card(&slot, &app)).into_response();
    }
    let asked = Asked { model: Some(&model), version: None, route: "" };
    if let Err(response) = find(&app, asked) {
        return response;
    }
    let status = json!({"error_code": "OK", "error_message": ""});
    let versions: Vec<_> = app
        .versions(&model)
        .into_iter()
        .map(|version| json!({"version": version, "state": "AVAILABLE", "status": status}))
        .collect();
    Json(json!({"model_version_status": versions})).into_response()
}
