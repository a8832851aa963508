//! The routes: [`router`]. All protocols end in [`answer`], on the same predictor.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::{get, post};
use oxilab_serve::{Predictor, ServeError, Signature, body, infer_request, infer_response};
use polars::prelude::DataFrame;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::app::{App, Slot};
use crate::pages;

type Shared = State<Arc<App>>;
type Body = Result<Bytes, BytesRejection>;

/// All routes with their limits.
pub(crate) fn router(app: Arc<App>) -> Router {
    let limit = DefaultBodyLimit::max(app.args.body_limit);
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, app.args.timeout());
    let panic = CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
        problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why", None)
    });
    Router::new()
        .route("/ping", get(|| async { "\n" }).post(|| async { "\n" }))
        .route("/health", get(health))
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/invocations", post(invocations))
        .route("/invocations/{model}", post(invocations))
        .route("/predict", post(predict))
        .route("/predict/{model}", post(predict))
        .route("/predictions/{model}", post(torch))
        .route("/v1/models/{call}", get(tensorflow_status).post(tensorflow))
        .route("/v2", get(v2_server))
        .route("/v2/health/live", get(|| async { Json(json!({"live": true})) }))
        .route("/v2/health/ready", get(|| async { Json(json!({"ready": true})) }))
        .route("/v2/models/{model}", get(v2_model))
        .route("/v2/models/{model}/ready", get(v2_ready))
        .route("/v2/models/{model}/infer", post(v2_infer))
        .route("/v2/models/{model}/versions/{version}", get(v2_model_version))
        .route("/v2/models/{model}/versions/{version}/ready", get(v2_model_version))
        .route("/v2/models/{model}/versions/{version}/infer", post(v2_infer_version))
        .route("/metrics", get(metrics))
        .route("/monitor", get(monitor_page))
        .route("/monitor.json", get(monitor))
        .route("/openapi.json", get(openapi))
        .route("/docs", get(docs))
        .route("/admin/stop", post(stop))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is no such page", None) })
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this page takes another method", None)
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), authorised))
        .layer((panic, timeout, limit))
        .with_state(app)
}

/// An error as clients of all protocols can read it.
pub(crate) fn problem(status: StatusCode, message: &str, field: Option<&str>) -> Response {
    let mut body = json!({"error": message, "message": message});
    if let Some(field) = field {
        body["field"] = json!(field);
    }
    let mut response = (status, Json(body)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn refused(error: &ServeError) -> Response {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_server_error() {
        tracing::error!(%error, "cannot answer");
    }
    problem(status, &error.public(), error.blamed())
}

/// Asks for the API key, if there are any, of all but the pages that tell whether the server lives.
async fn authorised(State(app): Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let open = matches!(path, "/ping" | "/health" | "/version" | "/admin/stop")
        || path.starts_with("/v2/health/");
    if open || app.args.api_key_hash.is_empty() {
        return next.run(request).await;
    }
    let hash = presented(request.headers()).map(|key| <[u8; 32]>::from(Sha256::digest(key)));
    if hash.is_some_and(|hash| app.args.api_key_hash.contains(&hash)) {
        return next.run(request).await;
    }
    let mut response =
        problem(StatusCode::UNAUTHORIZED, "an API key is needed, as `Authorization: Bearer`", None);
    let scheme = header::HeaderValue::from_static("Bearer");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
    response
}

fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    match headers.get("x-api-key") {
        Some(key) => Some(key.as_bytes()),
        None => headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer "),
    }
}

/// How an answer is written.
enum Form {
    Mlflow,
    Typed { single: bool },
    Torch,
    V2 { id: Option<Value> },
}

/// Reads, predicts, takes note, writes; on a thread that may be busy.
async fn answer(
    app: &Arc<App>,
    model: Option<&str>,
    route: &'static str,
    body: Body,
    read: impl FnOnce(&[u8], &Predictor) -> Result<(DataFrame, Form), ServeError> + Send + 'static,
) -> Response {
    let Some(slot) = app.slot(model) else {
        return problem(StatusCode::NOT_FOUND, "there is no such model", None);
    };
    let begun = Instant::now();
    let (response, rows) = match (body, Arc::clone(&app.room).try_acquire_owned()) {
        (Err(rejection), _) => (problem(rejection.status(), &rejection.body_text(), None), 0),
        (_, Err(_)) => {
            (problem(StatusCode::SERVICE_UNAVAILABLE, "too many requests are under way", None), 0)
        }
        (Ok(bytes), Ok(permit)) => {
            let worker = Arc::clone(&slot);
            let work = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                work(&worker, &bytes, read)
            });
            match work.await {
                Ok(Ok((value, rows))) => (Json(value).into_response(), rows),
                Ok(Err(error)) => (refused(&error), 0),
                Err(error) => {
                    tracing::error!(%error, "the model failed");
                    let message = "the model failed; the server's log says why";
                    (problem(StatusCode::INTERNAL_SERVER_ERROR, message, None), 0)
                }
            }
        }
    };
    slot.metrics().record(route, response.status().as_u16(), rows, begun.elapsed());
    response
}

fn work(
    slot: &Slot,
    bytes: &[u8],
    read: impl FnOnce(&[u8], &Predictor) -> Result<(DataFrame, Form), ServeError>,
) -> Result<(Value, usize), ServeError> {
    let predictor = slot.current();
    let (frame, form) = read(bytes, &predictor)?;
    let predictions = predictor.predict(&frame)?;
    slot.note(&frame, &predictions);
    let value = match form {
        Form::Mlflow => predictions.mlflow(),
        Form::Typed { single } => predictions.typed(single),
        Form::Torch => Value::Array(predictions.json_values()),
        Form::V2 { id } => infer_response(
            &predictions,
            predictor.schema(),
            &slot.name,
            predictor.version(),
            id.as_ref(),
        ),
    };
    Ok((value, frame.height()))
}

async fn invocations(
    State(app): Shared,
    model: Option<Path<String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let limit = app.args.row_limit;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let csv = kind.to_ascii_lowercase().starts_with("text/csv");
    answer(&app, model.as_deref().map(String::as_str), "/invocations", body, move |bytes, p| {
        let frame = if csv {
            body::csv(bytes, p.schema(), limit)?
        } else {
            body::invocations(body::json(bytes)?, p.schema(), limit)?
        };
        Ok((frame, Form::Mlflow))
    })
    .await
}

async fn predict(State(app): Shared, model: Option<Path<String>>, body: Body) -> Response {
    let limit = app.args.row_limit;
    answer(&app, model.as_deref().map(String::as_str), "/predict", body, move |bytes, p| {
        let (frame, single) = body::predict(body::json(bytes)?, p.schema(), limit)?;
        Ok((frame, Form::Typed { single }))
    })
    .await
}

async fn torch(State(app): Shared, Path(model): Path<String>, body: Body) -> Response {
    let limit = app.args.row_limit;
    answer(&app, Some(&model), "/predictions", body, move |bytes, p| {
        Ok((body::rows(body::json(bytes)?, p.schema(), limit)?, Form::Torch))
    })
    .await
}

async fn tensorflow(State(app): Shared, Path(call): Path<String>, body: Body) -> Response {
    let Some(model) = call.strip_suffix(":predict") else {
        return problem(StatusCode::NOT_FOUND, "the verb must be `:predict`", None);
    };
    let limit = app.args.row_limit;
    answer(&app, Some(model), "/v1/models:predict", body, move |bytes, p| {
        Ok((body::rows(body::json(bytes)?, p.schema(), limit)?, Form::Mlflow))
    })
    .await
}

async fn tensorflow_status(State(app): Shared, Path(model): Path<String>) -> Response {
    let Some(slot) = app.slot(Some(&model)) else {
        return problem(StatusCode::NOT_FOUND, "there is no such model", None);
    };
    let version = slot.current().version().to_owned();
    let status = json!({"error_code": "OK", "error_message": ""});
    Json(json!({"model_version_status": [
        {"version": version, "state": "AVAILABLE", "status": status}
    ]}))
    .into_response()
}

async fn v2_infer(State(app): Shared, Path(model): Path<String>, body: Body) -> Response {
    infer(app, model, None, body).await
}

async fn v2_infer_version(
    State(app): Shared,
    Path((model, version)): Path<(String, String)>,
    body: Body,
) -> Response {
    infer(app, model, Some(version), body).await
}

async fn infer(app: Arc<App>, model: String, version: Option<String>, body: Body) -> Response {
    if let (Some(slot), Some(version)) = (app.slot(Some(&model)), version)
        && slot.current().version() != version
    {
        return problem(StatusCode::NOT_FOUND, "this version of the model is not loaded", None);
    }
    let limit = app.args.row_limit;
    answer(&app, Some(&model), "/v2/infer", body, move |bytes, p| {
        let value = body::json(bytes)?;
        let frame = infer_request(&value, p.schema(), limit)?;
        Ok((frame, Form::V2 { id: value.get("id").cloned() }))
    })
    .await
}

async fn v2_server() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({"name": "oxilab", "version": version, "extensions": []})).into_response()
}

async fn v2_model(State(app): Shared, Path(model): Path<String>) -> Response {
    let Some(slot) = app.slot(Some(&model)) else {
        return problem(StatusCode::NOT_FOUND, "there is no such model", None);
    };
    let predictor = slot.current();
    Json(Signature::new(predictor.schema()).v2(&model, predictor.version())).into_response()
}

async fn v2_model_version(
    state: Shared,
    Path((model, version)): Path<(String, String)>,
) -> Response {
    match state.0.slot(Some(&model)) {
        Some(slot) if slot.current().version() == version => v2_model(state, Path(model)).await,
        _ => problem(StatusCode::NOT_FOUND, "this version of the model is not loaded", None),
    }
}

async fn v2_ready(State(app): Shared, Path(model): Path<String>) -> Response {
    match app.slot(Some(&model)) {
        Some(_) => Json(json!({"name": model, "ready": true})).into_response(),
        None => problem(StatusCode::NOT_FOUND, "there is no such model", None),
    }
}

async fn health(State(app): Shared) -> Response {
    let name = &app.args.name;
    Json(json!({"status": "ok", "name": name, "pid": std::process::id()})).into_response()
}

/// Runs what may take a while away from the threads that listen.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "cannot answer");
        problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why", None)
    })
}

async fn metrics(State(app): Shared) -> Result<Response, Response> {
    let text = aside(move || app.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

async fn monitor(State(app): Shared) -> Result<Response, Response> {
    Ok(Json(aside(move || app.monitor()).await?).into_response())
}

async fn monitor_page(State(app): Shared) -> Result<Response, Response> {
    Ok(Html(aside(move || pages::monitor(&app.monitor())).await?).into_response())
}

async fn openapi(State(app): Shared) -> Response {
    Json(pages::openapi(&app)).into_response()
}

async fn docs(State(app): Shared) -> Response {
    Html(pages::docs(&app)).into_response()
}

async fn stop(State(app): Shared, headers: HeaderMap) -> Response {
    let hash = presented(&headers).map(|token| <[u8; 32]>::from(Sha256::digest(token)));
    if app.admin.is_none() || hash != app.admin {
        return problem(StatusCode::UNAUTHORIZED, "only its owner stops the server", None);
    }
    app.stop.notify_one();
    Json(json!({"stopping": true})).into_response()
}
