//! The Open Inference Protocol v2 over REST, as `KServe` and Triton speak it, binary tensors included.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use oxilab_serve::{Signature, body, infer_request, with_binary};
use serde_json::{Value, json};

use super::answer::{Asked, Form, answer, find};
use super::{Body, Shared, problem};
use crate::app::App;

/// How many bytes of a body are JSON; the rest are tensors.
const HEADER_LENGTH: &str = "inference-header-content-length";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(|| async { Json(json!({"live": true})) }))
        .route("/v2/health/ready", get(|| async { Json(json!({"ready": true})) }))
        .route("/v2/repository/index", post(index))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(ready))
        .route("/v2/models/{model}/config", get(config))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version))
}

async fn server() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    let extensions = ["binary_tensor_data", "model_repository"];
    Json(json!({"name": "oxilab", "version": version, "extensions": extensions})).into_response()
}

async fn index(State(app): Shared) -> Response {
    let entry = |slot: &Arc<crate::slot::Slot>| {
        let version = slot.current().version().to_owned();
        json!({"name": slot.name, "version": version, "state": "READY", "reason": ""})
    };
    Json(Value::Array(app.slots().iter().map(entry).collect())).into_response()
}

async fn model(State(app): Shared, Path(model): Path<String>) -> Response {
    metadata(&app, &model, None)
}

async fn version(State(app): Shared, Path((model, version)): Path<(String, String)>) -> Response {
    metadata(&app, &model, Some(&version))
}

fn metadata(app: &App, model: &str, version: Option<&str>) -> Response {
    match find(app, Asked { model: Some(model), version, route: "" }) {
        Ok(slot) => {
            let predictor = slot.current();
            let signature = Signature::new(predictor.schema());
            Json(signature.v2(model, &app.versions(model))).into_response()
        }
        Err(response) => response,
    }
}

async fn config(State(app): Shared, Path(model): Path<String>) -> Response {
    match find(&app, Asked { model: Some(&model), version: None, route: "" }) {
        Ok(_) => {
            let rows = app.args.batch_rows;
            let config = json!({"name": model, "platform": "oxilab", "backend": "oxilab",
                "max_batch_size": 0, "dynamic_batching": {"preferred_batch_size": [rows]}});
            Json(config).into_response()
        }
        Err(response) => response,
    }
}

async fn ready(State(app): Shared, Path(model): Path<String>) -> Response {
    readiness(&app, &model, None)
}

async fn version_ready(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    readiness(&app, &model, Some(&version))
}

fn readiness(app: &App, model: &str, version: Option<&str>) -> Response {
    match find(app, Asked { model: Some(model), version, route: "" }) {
        Ok(_) => Json(json!({"name": model, "ready": true})).into_response(),
        Err(response) => response,
    }
}

async fn infer(
    State(app): Shared,
    Path(model): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    ask(&app, &model, None, &headers, body).await
}

async fn infer_version(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    ask(&app, &model, Some(&version), &headers, body).await
}

async fn ask(
    app: &Arc<App>,
    model: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let limit = app.args.row_limit;
    let length = match headers.get(HEADER_LENGTH).map(|length| length.to_str()) {
        None => None,
        Some(text) => {
            let Some(length) = text.ok().and_then(|text| text.parse::<usize>().ok()) else {
                let message = format!("{HEADER_LENGTH} must be a number of bytes");
                return problem(StatusCode::BAD_REQUEST, &message, None);
            };
            Some(length)
        }
    };
    let asked = Asked { model: Some(model), version, route: "/v2/infer" };
    answer(app, asked, headers, body, move |bytes, p| {
        let value = match length {
            None => body::json(bytes)?,
            Some(length) => with_binary(bytes, length)?,
        };
        let frame = infer_request(&value, p.schema(), limit)?;
        Ok((frame, Form::V2 { id: value.get("id").cloned() }))
    })
    .await
}
