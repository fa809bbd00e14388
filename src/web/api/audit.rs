//! `/v1/audit`: who did what, and whether somebody has changed what is written about it.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_query, parameter};
use crate::{
    domain::{OffsetTime, id::AuditId},
    observe::{events::DataExported, facts::Configured},
    store::audit::AuditFilter,
    web::{Problem, Web, auth::Caller},
};

/// Most lines of one page, and how many there are unless somebody says.
const MOST: u32 = 1_000;
const USUAL: u32 = 100;

/// What is asked for: all that is said must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    since: Option<String>,
    until: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    object: Option<String>,
    after: Option<String>,
    limit: Option<String>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The newest first. That somebody reads it is a line of it, too.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let time = |name, text: Option<&str>| {
        let at: Option<OffsetTime> = parameter(name, text, "a time like 2026-01-15T08:45:00-05:00")?;
        Ok::<_, Problem>(at.map(|at| at.at))
    };
    let limit: u32 = parameter("limit", asked.limit.as_deref(), "a number of lines")?.unwrap_or(USUAL).clamp(1, MOST);
    let before: Option<AuditId> = parameter("after", asked.after.as_deref(), "what `next` said")?;
    let filter = AuditFilter {
        from: time("since", asked.since.as_deref())?,
        to: time("until", asked.until.as_deref())?,
        actor: asked.actor,
        action: asked.action,
        object: asked.object,
        before,
        limit: limit + 1,
    };
    let store = web.intake.store();
    store.witness(&caller.actor, &DataExported { org: caller.scope.org(), what: Configured("audit_trail") }).await?;
    let mut found = store.audit_events(caller.scope, &filter).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| last.id);
    Ok(Json(json!({ "events": found, "next": next })))
}

/// Whether a chain is as it was written: of the organization, or of the installation when none is named.
///
/// # Errors
/// 401, 403, 503.
pub async fn verify(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let verified = web.intake.store().verify_audit(caller.scope.org()).await?;
    Ok(Json(match verified {
        Ok(lines) => json!({ "verified": true, "lines": lines, "broken_at": null }),
        Err(place) => json!({ "verified": false, "lines": null, "broken_at": place }),
    }))
}
