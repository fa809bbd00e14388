//! `/v1/inbox`: messages for people that are no notices. Reading one is on record before it is opened.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_cursor, bad_query, page};
use crate::{
    domain::id::LetterId,
    observe::events::LetterRead,
    source::Refusal,
    store::letter::LetterView,
    web::{Problem, Web, auth::Caller},
};

fn as_json(letter: &LetterView) -> Value {
    json!({ "id": letter.id, "received_at": letter.received_at.to_string(), "from": letter.sender, "to": letter.identity,
        "message_id": letter.message_id, "answers": letter.answers, "vouched_for_by": letter.source, "bytes": letter.bytes })
}

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    after: Option<LetterId>,
    limit: Option<u32>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The newest first: who wrote, never what.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(which) = which.map_err(bad_query)?;
    let (store, limit) = (web.intake.store(), which.limit.unwrap_or(100).clamp(1, 1_000));
    let after = match which.after {
        Some(id) => Some(store.letter(caller.scope, id).await?.ok_or_else(bad_cursor)?),
        None => None,
    };
    let found = store.letters_after(caller.scope, after.as_ref(), limit + 1).await?;
    let (all, next) = page(found, limit, |last| last.id);
    Ok(Json(json!({ "letters": all.iter().map(as_json).collect::<Vec<_>>(), "next": next })))
}

async fn find(web: &Web, caller: &Caller, id: &str) -> Result<LetterView, Problem> {
    let missing = || Refusal::not_found("message");
    let id: LetterId = id.parse().map_err(|_| missing())?;
    Ok(web.intake.store().letter(caller.scope, id).await?.ok_or_else(missing)?)
}

/// One, without what it says.
///
/// # Errors
/// 401, 403, 404, 503.
pub async fn show(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(as_json(&find(&web, &caller, &id).await?)))
}

/// What it says, as it was written.
///
/// # Errors
/// 401, 403, 404, 503.
pub async fn read(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let letter = find(&web, &caller, &id).await?;
    let event = LetterRead { org: letter.org, letter: letter.id };
    let content = web.intake.store().reveal_letter(&caller.actor, &event, caller.scope, letter.org, letter.id).await?;
    let mut shown = as_json(&letter);
    shown["content"] = String::from_utf8_lossy(content.shown()).into_owned().into();
    Ok(Json(shown))
}
