//! The JSON API: one file per noun. It holds no rules: those are in `source`.

/// `/v1/explain`.
pub mod explain;
/// `/v1/orders`.
pub mod orders;
/// `/v1/organization`.
pub mod organization;
/// `/v1/results`.
pub mod results;
/// `/v1/worklist`.
pub mod worklist;

use axum::{
    Json,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};

use super::Problem;
use crate::source::{Accepted, Kind};

/// 201 new, 200 the same (or changed), 202 waiting for its order.
fn answer(accepted: Accepted) -> Response {
    let status = match accepted.kind {
        Kind::New => StatusCode::CREATED,
        Kind::Same => StatusCode::OK,
        Kind::Waiting => StatusCode::ACCEPTED,
    };
    (status, Json(accepted)).into_response()
}

/// What names one request among its repeats.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut all = headers.get_all("idempotency-key").iter();
    let Some(value) = all.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=255).contains(&key.len()) && all.next().is_none());
    let bad = || {
        Problem::new(StatusCode::BAD_REQUEST, "bad_idempotency_key", "Idempotency-Key must be 1 to 255 plain characters, once")
    };
    key.map(Some).ok_or_else(bad)
}
