//! `GET /v1/deliveries`, `GET /v1/deliveries/{id}` and `GET /v1/deliveries/{id}/receipt`.

/// Trying again, cancelling, sending once more.
mod acts;
/// All there is to tell of one.
mod open;
/// By what people remember.
mod search;

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use acts::{cancel, once_more, retry, retry_several};
pub use open::{document, path};
pub use search::find as search;

use super::{bad_query, parameter};
use crate::{
    domain::{DeliveryId, OffsetTime},
    source::{Refusal, Sender, SourceError},
    store::delivery_list::{DeliveryEntry, Wanted},
    track::receipt::Receipted,
    web::{Problem, Web, auth::Caller},
};

/// Most of one page, and how many there are unless somebody says.
const MOST: u32 = 200;
const USUAL: u32 = 50;

/// What is asked for: all that is said must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    state: Option<String>,
    disposition: Option<String>,
    reason: Option<String>,
    site: Option<String>,
    order_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
    after: Option<String>,
    limit: Option<String>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

#[derive(Serialize)]
struct Page {
    deliveries: Vec<Value>,
    /// What to send as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<DeliveryId>,
}

/// The newest first, page by page.
///
/// # Errors
/// 400, 401, 503.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let sender = caller.sender()?;
    let Query(asked) = asked.map_err(bad_query)?;
    let time = |name, text: Option<&str>| {
        let at: Option<OffsetTime> = parameter(name, text, "a time like 2026-01-15T08:45:00-05:00")?;
        Ok::<_, Problem>(at.map(|at| at.at))
    };
    let wanted = Wanted {
        state: parameter("state", asked.state.as_deref(), "a state like held")?,
        disposition: parameter("disposition", asked.disposition.as_deref(), "a disposition like failed")?,
        reason: parameter("reason", asked.reason.as_deref(), "a reason like no_cert")?,
        site: asked.site,
        order_id: asked.order_id,
        since: time("since", asked.since.as_deref())?,
        until: time("until", asked.until.as_deref())?,
        after: parameter("after", asked.after.as_deref(), "what `next` said")?,
    };
    let limit: u32 = parameter("limit", asked.limit.as_deref(), "a number of deliveries")?.unwrap_or(USUAL).clamp(1, MOST);
    let mut found = web.intake.store().delivery_entries(sender.org, &wanted, limit + 1).await.map_err(SourceError::from)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| last.id);
    Ok(Json(Page { deliveries: found.iter().map(as_json).collect(), next }).into_response())
}

fn as_json(entry: &DeliveryEntry) -> Value {
    json!({
        "id": entry.id, "result": entry.result, "order_id": entry.order_id, "site": entry.site, "version": entry.version,
        "address": entry.target.address, "rule": entry.target.rule, "message_id": entry.message_id, "state": entry.state,
        "reason": entry.reason, "disposition": entry.disposition, "fee": entry.fee, "test": entry.test,
        "attempts": entry.attempts, "created_at": entry.created_at.to_string(), "updated_at": entry.updated_at.to_string(),
        "accepted_at": entry.accepted_at.map(|at| at.to_string()),
    })
}

/// One with everything that is kept about it: history, evidence, notices, and the route that led there.
///
/// # Errors
/// 401; 404 also for another organization's delivery; 503.
pub async fn show(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let sender = caller.sender()?;
    let entry = look(&web, &sender, &id).await?;
    Ok(Json(open::whole(&web, &entry).await?).into_response())
}

/// The receipt that consumers of an existing interface read.
///
/// # Errors
/// As [`show`].
pub async fn receipt(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let entry = look(&web, &caller.sender()?, &id).await?;
    let receipted = Receipted {
        delivery: entry.id,
        at: entry.updated_at,
        order_id: Some(&entry.order_id),
        target: Some(&entry.target),
        state: entry.state,
        disposition: entry.disposition,
        reason: entry.reason,
        wants_dispatched: entry.wants_dispatched,
        accepted_at: entry.accepted_at,
    };
    Ok(Json(receipted.receipt()).into_response())
}

async fn look(web: &Web, sender: &Sender, id: &str) -> Result<DeliveryEntry, Problem> {
    let id: DeliveryId = id.parse().map_err(|_| Refusal::not_found("delivery"))?;
    let found = web.intake.store().delivery_entry(sender.org, id).await.map_err(SourceError::from)?;
    Ok(found.ok_or_else(|| Refusal::not_found("delivery"))?)
}
