//! `/v1/inbox/unmatched`: mail that matches no organization, for tokens of the installation. Reading one is on record before it is
//! opened.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_cursor, bad_query, page};
use crate::{
    domain::id::InboundId,
    observe::events::UnmatchedRead,
    source::Refusal,
    store::{Store, StoreError, unmatched::UnmatchedView},
    web::{Problem, Web, auth::Caller},
};

fn as_json(one: &UnmatchedView) -> Value {
    json!({ "id": one.id, "received_at": one.received_at.to_string(), "from": one.from, "to": one.to, "way": one.way,
        "bytes": one.bytes, "verdict": one.verdict, "detail": one.detail, "kept": one.kept })
}

/// Which of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    after: Option<InboundId>,
    limit: Option<u32>,
    /// Such mail is nobody's, so naming somebody changes nothing.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The newest first: who handed it over and what came of it, never what it says.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn list(
    State(web): State<Web>,
    _: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(which) = which.map_err(bad_query)?;
    let (store, limit) = (web.intake.store(), which.limit.unwrap_or(100).clamp(1, 1_000));
    let after = match which.after {
        Some(id) => Some(store.unmatched_message(id).await?.ok_or_else(bad_cursor)?),
        None => None,
    };
    let (all, next) = page(store.unmatched(after.as_ref(), limit + 1).await?, limit, |last| last.id);
    Ok(Json(json!({ "messages": all.iter().map(as_json).collect::<Vec<_>>(), "next": next })))
}

/// What one says, as it came.
///
/// # Errors
/// 401, 403, 404 (also when it is no longer kept), 503.
pub async fn read(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let missing = || Problem::from(Refusal::not_found("message"));
    let (id, store): (InboundId, _) = (id.parse().map_err(|_| missing())?, web.intake.store());
    let known = store.unmatched_message(id).await?.filter(|known| known.kept).ok_or_else(missing)?;
    let event = UnmatchedRead { inbound: id };
    let opened = store.reveal(&caller.actor, &event, async |store: &Store| store.open_unmatched(id).await).await;
    let opened = opened.map_err(|error| if matches!(error, StoreError::Lost) { missing() } else { error.into() })?;
    let mut told = as_json(&known);
    told["content"] = String::from_utf8_lossy(opened.shown()).into_owned().into();
    Ok(Json(told))
}
