//! What the operator on call looks at: how the gateway is, how much there is of what, and what is wrong.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_cursor, bad_query, page};
use crate::{
    domain::{Timestamp, alert::Alert, audit::Witness, id::AlertId, person::Right},
    source::Refusal,
    web::{Problem, Web, auth::Caller, record::changed},
};

/// How this process and its parts are, and what fails it from outside.
///
/// # Errors
/// 401, 403, 503.
pub async fn health(State(web): State<Web>, _: Caller) -> Result<Json<Value>, Problem> {
    let report = web.health.report();
    let depth = web.intake.store().depth().await?;
    let queue: Vec<Value> = depth
        .deliveries
        .iter()
        .map(|level| json!({ "state": level.state, "count": level.count, "oldest_seconds": level.oldest.as_secs() }))
        .collect();
    let troubles: Vec<Value> = web
        .health
        .troubles()
        .iter()
        .map(|trouble| json!({ "kind": trouble.kind, "subject": trouble.subject, "detail": trouble.detail }))
        .collect();
    Ok(Json(json!({ "ready": report.ready, "stopping": report.stopping, "parts": report.parts, "queue": queue,
        "troubles": troubles })))
}

fn as_json(alert: &Alert) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let condition = &alert.condition;
    json!({ "id": alert.id, "kind": condition.kind, "severity": condition.kind.severity(), "organization_id": condition.org,
        "subject": condition.subject, "measured": condition.measured(), "detail": condition.detail,
        "meaning": condition.kind.meaning(), "remedy": condition.kind.remedy(), "first_seen": alert.first_seen.to_string(),
        "opened_at": at(alert.opened_at), "escalated_at": at(alert.escalated_at), "acked_at": at(alert.acked_at),
        "acked_by": alert.acked_by, "resolved_at": at(alert.resolved_at) })
}

/// Which alerts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Those that are over, too.
    #[serde(default)]
    all: bool,
    after: Option<AlertId>,
    limit: Option<u32>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// What is wrong, the newest first.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn alerts(
    State(web): State<Web>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(which) = which.map_err(bad_query)?;
    let (store, limit) = (web.intake.store(), which.limit.unwrap_or(200).clamp(1, 1_000));
    let after = match which.after {
        Some(id) => Some(seen(&web, &caller, id).await?.ok_or_else(bad_cursor)?),
        None => None,
    };
    let found = store.alerts(caller.scope, which.all, limit + 1, after.as_ref()).await?;
    let (all, next) = page(found, limit, |last| last.id);
    Ok(Json(json!({ "alerts": all.iter().map(as_json).collect::<Vec<_>>(), "next": next })))
}

/// Alerts are of the whole installation: whoever is confined to some organizations sees none.
async fn seen(web: &Web, caller: &Caller, id: AlertId) -> Result<Option<Alert>, Problem> {
    let found = web.intake.store().alert(id).await?;
    Ok(found.filter(|alert| caller.may(Right::HealthRead) && alert.condition.org.is_none_or(|org| caller.reach.covers(org))))
}

/// Says that somebody cares: nobody else is told until it is over.
///
/// # Errors
/// 401, 403, 404, 409 (it is over, or somebody cares already), 503.
pub async fn care(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let missing = || Problem::from(Refusal::not_found("alert"));
    let store = web.intake.store();
    let id: AlertId = id.parse().map_err(|_| missing())?;
    seen(&web, &caller, id).await?.ok_or_else(missing)?;
    let (text, actor) = (id.to_string(), &caller.actor);
    if !store.ack_alert(id, &actor.name, Some(Witness::new(actor, &changed(None, "alert_cared_for", &text)))).await? {
        let detail = "it is over already, or somebody else cares for it";
        return Err(Problem::new(StatusCode::CONFLICT, "not_open", detail));
    }
    let alert = store.alert(id).await?.ok_or_else(missing)?;
    Ok(Json(as_json(&alert)))
}
