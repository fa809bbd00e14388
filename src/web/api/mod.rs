//! The JSON API: one file per noun. It holds no rules: those are in `source`.

/// `/v1/deliveries`.
pub mod deliveries;
/// `/v1/directory`.
pub mod directory;
/// `/v1/events`.
pub mod events;
/// `/v1/explain`.
pub mod explain;
/// `/v1/fees`.
pub mod fees;
/// `/v1/orders`.
pub mod orders;
/// `/v1/organization`.
pub mod organization;
/// `/v1/probe`.
pub mod probe;
/// `/v1/results`.
pub mod results;
/// `/v1/worklist`.
pub mod worklist;

use axum::{
    Json,
    extract::rejection::QueryRejection,
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

/// A query that cannot be read. What was sent is not repeated.
fn bad_query(_: QueryRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_query", "the query has a parameter nobody knows, or one that cannot be read")
}

/// A parameter of a query as its type.
fn parameter<T: std::str::FromStr>(name: &str, text: Option<&str>, what: &str) -> Result<Option<T>, Problem> {
    let bad = |_| Problem::new(StatusCode::BAD_REQUEST, "bad_query", format!("{name} must be {what}"));
    text.map(|text| text.parse().map_err(bad)).transpose()
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
