//! How long a request may take, its body included: [`within`]. Whoever answers counts what it took:
//! [`Answering`].

use std::cell::Cell;
use std::pin::pin;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::locks::locked;
use crate::monitoring::metrics::Metrics;

thread_local! {
    /// Set while a request is let go of because its time is over, until its [`Answering`] has counted that.
    static LATE: Cell<bool> = const { Cell::new(false) };
}

/// Marks the answer to a request that was over before a model was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unbegun;

/// A request that a model answers. It is counted when it is answered, or its time is over.
pub(super) struct Answering<'a> {
    metrics: &'a Mutex<Metrics>,
    route: &'static str,
    begun: Instant,
    answered: bool,
}

impl<'a> Answering<'a> {
    pub(super) fn new(metrics: &'a Mutex<Metrics>, route: &'static str) -> Self {
        Self { metrics, route, begun: Instant::now(), answered: false }
    }

    pub(super) fn done(mut self, response: &Response, rows: usize) {
        self.answered = true;
        self.record(response.status(), rows);
    }

    fn record(&self, status: StatusCode, rows: usize) {
        let took = self.begun.elapsed();
        locked(self.metrics).record(self.route, status.as_u16(), rows, took);
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        // A client that is gone before its answer waits no more.
        if !self.answered && LATE.take() {
            self.record(StatusCode::REQUEST_TIMEOUT, 0);
        }
    }
}

/// The answer, or after the limit what `late` says of its seconds.
pub(super) async fn within<R: IntoResponse>(
    limit: Duration,
    late: fn(u64) -> R,
    request: Request,
    next: Next,
) -> Response {
    let mut answer = pin!(Some(next.run(request)));
    if let Some(answer) = answer.as_mut().as_pin_mut()
        && let Ok(response) = tokio::time::timeout(limit, answer).await
    {
        return response;
    }
    LATE.set(true);
    answer.set(None);
    let mut response = late(limit.as_secs()).into_response();
    if LATE.take() {
        response.extensions_mut().insert(Unbegun);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    fn late(seconds: u64) -> (StatusCode, String) {
        (StatusCode::REQUEST_TIMEOUT, format!("{seconds} s"))
    }

    #[tokio::test]
    async fn what_takes_longer_is_given_up() {
        let limit = Duration::from_secs(1);
        let router = Router::new()
            .route("/quick", get(|| async { "yes" }))
            .route("/never", get(std::future::pending::<()>))
            .layer(middleware::from_fn(move |asked, next| within(limit, late, asked, next)));
        for (path, status, text) in [("/quick", 200, "yes"), ("/never", 408, "1 s")] {
            let asked = Request::get(path).body(Body::empty()).expect("a request");
            let answer = router.clone().oneshot(asked).await.expect("an answer");
            assert_eq!(answer.status(), status);
            let body = axum::body::to_bytes(answer.into_body(), 100).await.expect("a body");
            assert_eq!(body, text);
        }
    }
}
