//! The JSON API: one file per noun. It holds no rules: those are in `source`.

/// `/v1/audit`.
pub mod audit;
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
/// `/v1/inbox`.
pub mod inbox;
/// `/v1/openapi.json`.
pub mod openapi;
/// `/v1/health` and `/v1/alerts`.
pub mod operators;
/// `/v1/orders`.
pub mod orders;
/// `/v1/organization`.
pub mod organization;
/// `/v1/organizations`.
pub mod organizations;
/// `/v1/overview`.
pub mod overview;
/// `/v1/parked`.
pub mod parked;
/// `/v1/people`.
pub mod people;
/// `/v1/probe`.
pub mod probe;
/// `/v1/reports`.
pub mod reports;
/// `/v1/results`.
pub mod results;
/// `/v1/rosters`.
pub mod rosters;
/// `/v1/directory/snapshots`.
pub mod snapshots;
/// `/v1/organization/test-message`.
pub mod test_message;
/// `/v1/tokens`.
pub mod tokens;
/// `/v1/trust`.
pub mod trust;
/// `/v1/inbox/unmatched`.
pub mod unmatched;
/// `/v1/webhooks`.
pub mod webhooks;
/// `/v1/worklist`.
pub mod worklist;

use axum::{
    Json,
    extract::{Request, rejection::QueryRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{Problem, Web, auth::Caller, record::changed, upload};
use crate::{
    domain::{OrgId, OrgScope},
    source::{Accepted, Kind, Refusal},
};

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

/// What stood there is gone, or never was a place of this list.
fn bad_cursor() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_cursor",
        "after is not a cursor of this list, or what it named is gone: begin anew",
    )
}

/// What a request says in its body, read under the places and the pace of whoever it is about.
async fn wish<T: DeserializeOwned>(web: &Web, scope: OrgScope, request: Request) -> Result<T, Problem> {
    // What is about no organization has the places of nobody.
    let org = scope.org().unwrap_or(OrgId(Uuid::nil()));
    let upload = upload::read(web, org, request, false).await?;
    let unreadable = |error| Refusal::field("", "invalid", format!("does not say what is wanted: {error}"));
    Ok(serde_json::from_slice(&upload.json).map_err(unreadable)?)
}

/// Puts on record that something is asked for, or what came of it: where that cannot be, nothing is done or said.
async fn on_record(web: &Web, caller: &Caller, org: Option<OrgId>, what: &'static str, which: &str) -> Result<(), Problem> {
    Ok(web.intake.store().witness(&caller.actor, &changed(org, what, which)).await?)
}

/// One page of what was read with one more than its `limit`, and where the next one begins.
fn page<T, C>(mut found: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> C) -> (Vec<T>, Option<C>) {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > most;
    found.truncate(most);
    let next = found.last().filter(|_| more).map(cursor);
    (found, next)
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
