//! `/v1/webhooks`: how far each has been told, and what can be done about it. They stand in the organization's document.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{on_record, wish};
use crate::{
    domain::{OffsetTime, OrgId, OrgScope, event::Cursor, time::Span},
    source::Refusal,
    store::{
        Store, StoreError,
        event::FeedError,
        webhook::{OVERLAP, WebhookView},
    },
    track::webhook::SigningSecret,
    web::{Problem, Web, auth::Caller},
};

fn as_json(view: &WebhookView) -> Value {
    let at = |at: Option<crate::domain::Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": view.id, "name": view.rules.name, "url": view.rules.url, "events": view.rules.events, "format": view.rules.format,
        "on": view.off.is_none(), "off_because": view.off, "told": view.told, "waiting": view.newest.saturating_sub(view.told),
        "failures": view.attempts, "failing_since": at(view.failing_since), "problem": view.problem,
        "last_taken_at": at(view.taken_at), "next_attempt_at": view.next_attempt_at.to_string(),
    })
}

/// Each with its place in the feed.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn list(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let all = web.intake.store().webhooks(OrgScope::One(caller.sender()?.org)).await?;
    Ok(Json(json!({ "webhooks": all.iter().map(as_json).collect::<Vec<_>>() })))
}

/// What is to be done.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Wish {
    /// Tell it on, from where it stood.
    Enable,
    /// Tell it nothing further; its place is kept.
    Disable,
    /// Tell it again what happened since, or what stands behind a cursor.
    Replay {
        since: Option<OffsetTime>,
        from: Option<Cursor>,
        #[serde(default)]
        dry_run: bool,
    },
    /// Another secret; the one before signs beside it for a while.
    RotateSecret { keep: Option<Span> },
}

impl Wish {
    const fn word(&self) -> &'static str {
        match self {
            Self::Enable => "webhook_enabled",
            Self::Disable => "webhook_disabled",
            Self::Replay { .. } => "webhook_replayed",
            Self::RotateSecret { .. } => "webhook_secret_rotated",
        }
    }
}

async fn find(store: &Store, org: OrgId, name: &str) -> Result<WebhookView, Problem> {
    let found = store.webhooks(OrgScope::One(org)).await?.into_iter().find(|view| view.rules.name == name);
    Ok(found.ok_or_else(|| Refusal::not_found("webhook"))?)
}

/// Switches one on or off, has it told again, or gives it another secret, which is shown this once.
///
/// # Errors
/// 400, 401, 403, 404, 409 (the feed has no such place), 413, 415, 422, 503.
pub async fn act(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let wanted: Wish = wish(&web, caller.scope, request).await?;
    let store = web.intake.store();
    let view = find(store, org, &name).await?;
    if !matches!(wanted, Wish::Replay { dry_run: true, .. }) {
        on_record(&web, &caller, Some(org), wanted.word(), &view.rules.name).await?;
    }
    let lost = || Problem::from(Refusal::not_found("webhook"));
    let mut told = json!({});
    match wanted {
        Wish::Enable | Wish::Disable => {
            store.switch_webhook(org, &name, matches!(wanted, Wish::Enable)).await?;
        }
        Wish::Replay { since, from, dry_run } => {
            let place = place(store, org, since, from).await?;
            let waiting = store.event_head(org).await?.seq.saturating_sub(place);
            if !dry_run {
                store.place_webhook(org, &name, place).await?;
            }
            told = json!({ "told": place, "waiting": waiting, "dry_run": dry_run });
        }
        Wish::RotateSecret { keep } => {
            let overlap = keep.map_or(OVERLAP, |keep| keep.0);
            let secret = store.rotate_webhook_secret(org, &name, overlap).await?.ok_or_else(lost)?;
            let secret = SigningSecret::from_octets(secret).map_err(|_| Problem::internal())?;
            told = json!({ "secret": &*secret.reveal(), "old_signs_for": Span(overlap) });
        }
    }
    let mut shown = as_json(&find(store, org, &name).await?);
    if let (Value::Object(shown), Value::Object(told)) = (&mut shown, told) {
        shown.extend(told);
    }
    Ok(Json(shown))
}

/// The place in the feed behind which it is told.
async fn place(store: &Store, org: OrgId, since: Option<OffsetTime>, from: Option<Cursor>) -> Result<u64, Problem> {
    let head = store.event_head(org).await?;
    match (from, since) {
        (Some(from), None) => match store.events_after(org, from, 1).await {
            Ok(_) => Ok(from.seq.max(head.forgotten)),
            Err(FeedError::Store(error)) => Err(StoreError::into(error)),
            Err(_) => {
                let detail = "the feed has no such place any more: say since, or from=0 for all that is kept";
                Err(Problem::new(StatusCode::CONFLICT, "cursor_unknown", detail))
            }
        },
        (None, Some(since)) => {
            Ok(store.first_event_since(org, since.at).await?.map_or(head.seq, |first| first.saturating_sub(1)))
        }
        _ => Err(Refusal::field("/since", "missing", "or from: say one of them").into()),
    }
}
