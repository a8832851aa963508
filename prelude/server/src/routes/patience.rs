//! How long a request may take, its body included: [`within`].

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The answer, or after the limit what `late` says of its seconds.
pub(super) async fn within<R: IntoResponse>(
    limit: Duration,
    late: fn(u64) -> R,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => late(limit.as_secs()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
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
