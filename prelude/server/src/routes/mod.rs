//! The routes: [`router`].
//!
//! [`predict`]: `MLflow`, typed JSON, `TensorFlow` Serving, `TorchServe`; [`v2`]: Open Inference
//! Protocol; all end in [`answer::answer`], on the same predictor. [`openai`]: language models.
//! [`admin`]: labels, pushed models, stopping. [`pages`]: what people and tools read; [`document`]: `OpenAPI`.

mod admin;
mod answer;
mod document;
pub(crate) mod openai;
mod pages;
mod patience;
mod predict;
mod v2;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use self::admin::count_labels;
use self::patience::{Unbegun, within};
use crate::app::App;
use crate::limits;

pub(super) type Shared = State<Arc<App>>;
pub(super) type Body = Result<Bytes, BytesRejection>;

/// The header that names a request.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Most bytes of a pushed model.
const PUSH_LIMIT: usize = 4 << 30;

/// How long a push may take: it is gigabytes, loaded before it is answered, and its client waits as long.
const PUSH_TIME: Duration = Duration::from_mins(10);

/// All routes with their limits.
pub(crate) fn router(app: Arc<App>) -> Router {
    let limit = app.args.timeout();
    let timeout = middleware::from_fn(move |request, next| within(limit, late, request, next));
    let routes = Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .route("/ping", get(|| async { "\n" }).post(|| async { "\n" }))
        .route("/health", get(pages::health))
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/invocations", post(predict::invocations))
        .route("/invocations/{model}", post(predict::invocations))
        .route("/predict", post(predict::predict))
        .route("/predict/{model}", post(predict::predict))
        .route("/predict/{model}/versions/{version}", post(predict::predict_version))
        .route("/predictions/{model}", post(predict::torch))
        .route("/predictions/{model}/{version}", post(predict::torch_version))
        .route("/v1/models/{call}", get(predict::tensorflow_status).post(predict::tensorflow))
        .route("/v1/models/{call}/versions/{version}", post(predict::tensorflow_version))
        .merge(v2::routes())
        .route("/feedback", post(admin::feedback))
        .route("/feedback/{model}", post(admin::feedback))
        .route("/admin/stop", post(admin::stop))
        .route("/metrics", get(pages::metrics))
        .route("/monitor", get(pages::monitor_page))
        .route("/monitor.json", get(pages::monitor))
        .route("/openapi.json", get(pages::openapi))
        .route("/docs", get(pages::docs))
        .layer(timeout)
        .merge(pushes(limit))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "there is no such page", None) })
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this page takes another method", None)
        })
        .merge(openai::routes(&app));
    guarded(routes, app)
}

/// Models that others send have a limit of bytes and one of time of their own.
fn pushes(limit: Duration) -> Router<Arc<App>> {
    let longest = limit.max(PUSH_TIME);
    let push = post(admin::push).layer(DefaultBodyLimit::max(PUSH_LIMIT));
    Router::new()
        .route("/admin/models/{model}", get(admin::pushed).merge(push))
        .layer(middleware::from_fn(move |request, next| within(longest, late_push, request, next)))
}

fn late(seconds: u64) -> Response {
    let message = format!(
        "the request took too long, its body included; the server's --timeout is {seconds} s"
    );
    problem(StatusCode::REQUEST_TIMEOUT, &message, None)
}

fn late_push(seconds: u64) -> Response {
    let message =
        format!("the model did not come, or was not loaded, within {seconds} s; send it again");
    problem(StatusCode::REQUEST_TIMEOUT, &message, None)
}

/// Routes behind what holds for all of them.
fn guarded(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    let limit = DefaultBodyLimit::max(app.args.body_limit);
    routes
        // Within what names a request and writes the log: an answer to a panic is one as well.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), admit))
        .layer(limit)
        .with_state(app)
}

/// The log has the panic's own words.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why", None)
}

/// An error as clients of all protocols can read it.
pub(crate) fn problem(status: StatusCode, message: &str, field: Option<&str>) -> Response {
    let mut body = json!({"error": message, "message": message});
    if let Some(field) = field {
        body["field"] = json!(field);
    }
    let mut response = (status, Json(body)).into_response();
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// What to say of a body that was not read.
pub(super) fn unread(rejection: &BytesRejection, limit: usize) -> Response {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let message = format!(
            "the body is larger than the limit of {limit} bytes; send the rows in parts, or start the server \
             with a larger --body-limit"
        );
        return problem(status, &message, None);
    }
    problem(status, &rejection.body_text(), None)
}

/// The name of a request, which [`admit`] has made sure of.
pub(super) fn id_of(headers: &HeaderMap) -> String {
    headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
}

/// What the log says of a request that reached a model.
#[derive(Clone)]
struct Noted {
    model: String,
    rows: usize,
}

/// Notes on an answer what [`admit`] writes to the log, if it does.
fn note(app: &App, response: &mut Response, model: &str, rows: usize) {
    if app.args.log_requests {
        response.extensions_mut().insert(Noted { model: model.to_owned(), rows });
    }
}

/// Names the request, asks for the API key, keeps to the rate, and writes the log.
async fn admit(State(app): Shared, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .filter(|id| id.len() <= 128 && id.to_str().is_ok())
        .cloned()
        .or_else(|| HeaderValue::from_str(&app.new_id()).ok())
        .unwrap_or_else(|| HeaderValue::from_static("-"));
    request.headers_mut().insert(REQUEST_ID.clone(), id.clone());
    let logged = app.args.log_requests;
    let line = (logged || tracing::enabled!(tracing::Level::DEBUG))
        .then(|| (request.method().clone(), request.uri().path().to_owned()));
    let mut response = match refusal(&app, &request) {
        Some(response) => {
            app.refused.count(response.status());
            response
        }
        None => next.run(request).await,
    };
    let is_late = response.status() == StatusCode::REQUEST_TIMEOUT;
    if is_late && response.extensions_mut().remove::<Unbegun>().is_some() {
        app.refused.count(StatusCode::REQUEST_TIMEOUT);
    }
    if let Some((method, path)) = line {
        let ms = begun.elapsed().as_secs_f64() * 1e3;
        let (id, status) = (id.to_str().unwrap_or_default(), response.status().as_u16());
        if logged {
            let noted = response.extensions_mut().remove::<Noted>();
            let (model, rows) = noted.map(|noted| (noted.model, noted.rows)).unzip();
            tracing::info!(%method, path, model, status, ms, rows, id, "answered");
        } else {
            tracing::debug!(%method, path, status, ms, id, "answered");
        }
    }
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    response
}

fn refusal(app: &App, request: &Request) -> Option<Response> {
    let path = request.uri().path();
    let open = matches!(path, "/ping" | "/health" | "/version" | "/admin/stop")
        || path.starts_with("/v2/health/");
    if open {
        return None;
    }
    let keys = &app.args.api_key_hash;
    let key = limits::key(request.headers(), keys);
    if !keys.is_empty() && key.is_none() && !is_open_page(request) {
        let message = "an API key is needed, as `Authorization: Bearer KEY`";
        let mut response = problem(StatusCode::UNAUTHORIZED, message, None);
        let scheme = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        return Some(response);
    }
    if !app.rates.take(key) {
        let message = format!("more than {} requests a second", app.args.rate_limit);
        return Some(problem(StatusCode::TOO_MANY_REQUESTS, &message, None));
    }
    None
}

/// What a browser opens before anybody can give it the key: pages that hold nothing of what was asked and
/// answered. A key that is wrong is told of on them as well.
fn is_open_page(request: &Request) -> bool {
    matches!(request.uri().path(), "/" | "/docs" | "/openapi.json" | "/monitor")
        && limits::presented(request.headers()).is_none()
}

/// Runs what may take a while away from the threads that listen.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "cannot answer");
        problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log says why", None)
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use clap::Parser as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::args::Args;
    use crate::last::Last;
    use crate::testing::MODEL;

    async fn broken() -> &'static str {
        panic!("/home/ann/secret.txt")
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_that_tells_nothing() {
        let args = Args::parse_from(["oxilab-server", MODEL]);
        let app = App::load(args, None, &Last::default()).expect("a model");
        let routes = Router::new().route("/broken", get(broken));
        let routes = routes.route("/whole", get(|| async { "yes" }));
        let router = guarded(routes, Arc::new(app));
        for (path, status) in [("/broken", 500), ("/whole", 200)] {
            let asked = axum::http::Request::get(path).header("x-request-id", "mine");
            let asked = asked.body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(asked).await.expect("an answer");
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["x-request-id"], "mine");
            let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("a body");
            let text = String::from_utf8_lossy(&body);
            assert!(!text.contains("ann"), "{text}");
            assert_eq!(text.contains("its log says why"), status == 500, "{text}");
        }
    }
}
