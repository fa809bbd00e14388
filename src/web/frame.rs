//! What every request and answer passes through: an id, a log line, and headers that keep answers out of caches.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

/// What the log calls a request.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Frames one request. The id is ours: one that a caller chose could carry anything into the log.
pub(super) async fn around(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    let method = request.method().as_str().to_owned();
    // The route, not the path: a path may carry anything a caller types.
    let route = request.extensions().get::<MatchedPath>().map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned());
    let span = tracing::info_span!("request", %id);
    let mut request = request;
    request.extensions_mut().insert(RequestId(id.clone()));
    let begun = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed().as_millis());
    span.in_scope(|| tracing::info!(method, route, status, took, "answered"));
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    // What holds nothing about anybody may say otherwise.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
