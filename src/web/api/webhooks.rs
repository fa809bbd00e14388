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
    domain::{OffsetTime, OrgId, OrgScope, audit::Witness, event::Cursor, time::Span},
    observe::chain,
    pipeline::trying::{Tried, TryError, try_out},
    source::Refusal,
    store::{
        Store,
        event::FeedError,
        webhook::{Again, OVERLAP, WebhookView},
    },
    track::webhook::SigningSecret,
    web::{Problem, Web, auth::Caller, record::changed},
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
    /// A test event, now; whether it is on does not matter.
    Test,
}

async fn find(store: &Store, org: OrgId, name: &str) -> Result<WebhookView, Problem> {
    let found = store.webhooks(OrgScope::One(org)).await?.into_iter().find(|view| view.rules.name == name);
    found.ok_or_else(missing)
}

fn missing() -> Problem {
    Refusal::not_found("webhook").into()
}

/// Switches one on or off, has it told again, gives it another secret, which is shown this once, or tries it out. That it does
/// not take the test event is an answer.
///
/// # Errors
/// 400, 401, 403, 404, 409 (the feed has no such place), 413, 415, 422, 429, 503.
pub async fn act(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let wanted: Wish = wish(&web, caller.scope, request).await?;
    let store = web.intake.store();
    find(store, org, &name).await?;
    let mut told = json!({});
    match wanted {
        Wish::Enable | Wish::Disable => {
            let on = matches!(wanted, Wish::Enable);
            let event = changed(Some(org), if on { "webhook_enabled" } else { "webhook_disabled" }, &name);
            store.switch_webhook(org, &name, on, Some(Witness::new(&caller.actor, &event))).await?;
        }
        Wish::Replay { since, from, dry_run } => {
            let again = again(since, from)?;
            let replayed = if dry_run {
                store.look_at_replay(org, again).await.map_err(nowhere)?
            } else {
                let event = changed(Some(org), "webhook_replayed", &name);
                let witness = Some(Witness::new(&caller.actor, &event));
                store.replay_webhook(org, &name, again, witness).await.map_err(nowhere)?.ok_or_else(missing)?
            };
            told = json!({ "told": replayed.told, "waiting": replayed.waiting, "dry_run": dry_run });
        }
        Wish::RotateSecret { keep } => {
            let (overlap, event) = (keep.map_or(OVERLAP, |keep| keep.0), changed(Some(org), "webhook_secret_rotated", &name));
            let witness = Some(Witness::new(&caller.actor, &event));
            let secret = store.rotate_webhook_secret(org, &name, overlap, witness).await?.ok_or_else(missing)?;
            let secret = SigningSecret::from_octets(secret).map_err(|_| Problem::internal())?;
            told = json!({ "secret": &*secret.reveal(), "old_signs_for": Span(overlap) });
        }
        Wish::Test => {
            let tried = test(&web, &caller, org, &name).await?;
            told = json!({ "taken": tried.taken, "answer": tried.answer });
        }
    }
    let mut shown = as_json(&find(store, org, &name).await?);
    if let (Value::Object(shown), Value::Object(told)) = (&mut shown, told) {
        shown.extend(told);
    }
    Ok(Json(shown))
}

/// From where it is told again.
fn again(since: Option<OffsetTime>, from: Option<Cursor>) -> Result<Again, Problem> {
    match (from, since) {
        (Some(from), None) => Ok(Again::Behind(from)),
        (None, Some(since)) => Ok(Again::Since(since.at)),
        _ => Err(Refusal::field("/since", "missing", "or from: say one of them").into()),
    }
}

fn nowhere(error: FeedError) -> Problem {
    if let FeedError::Store(error) = error {
        return error.into();
    }
    let detail = "the feed has no such place any more: say since, or from=0 for all that is kept";
    Problem::new(StatusCode::CONFLICT, "cursor_unknown", detail)
}

/// Others are asked: so many at a time, on record before, and again with what came of it.
async fn test(web: &Web, caller: &Caller, org: OrgId, name: &str) -> Result<Tried, Problem> {
    let store = web.intake.store();
    let slug = store.slugs(OrgScope::One(org)).await?.remove(&org).ok_or_else(missing)?;
    on_record(web, caller, Some(org), "webhook_test_asked", name).await?;
    let _turn = web.turns.take(org).await?;
    let tried = try_out(&web.events, store, org, &slug, name).await.map_err(|error| match error {
        TryError::Store(error) => error.into(),
        error => {
            tracing::error!(error = chain(&error), "a webhook could not be tried out");
            Problem::internal()
        }
    })?;
    let tried = tried.ok_or_else(missing)?;
    let came = if tried.taken { "webhook_test_taken" } else { "webhook_test_not_taken" };
    on_record(web, caller, Some(org), came, name).await?;
    Ok(tried)
}
