//! `/v1/parked`: items of a feed that could not be taken: what is wrong with each, taking it after all, throwing it away.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, bad_query, on_record, page, wish};
use crate::{
    domain::{OrgId, audit::Witness, id::ParkedId},
    observe::events::{ParkedItemDiscarded, ParkedItemRead},
    source::{Refusal, parked, wire::Unknown},
    store::{Store, feed::Parked},
    web::{Problem, Web, auth::Caller},
};

fn as_json(item: &Parked, slugs: &BTreeMap<OrgId, String>) -> Value {
    json!({ "id": item.id, "organization": slugs.get(&item.org), "feed": item.source, "cursor": item.cursor,
        "since": item.at.to_string(), "problems": item.problems, "says": parked::problems(item) })
}

fn missing() -> Problem {
    Refusal::not_found("item").into()
}

async fn find(web: &Web, caller: &Caller, id: &str) -> Result<Parked, Problem> {
    let id: ParkedId = id.parse().map_err(|_| missing())?;
    web.intake.store().parked_item(caller.scope, id).await?.ok_or_else(missing)
}

async fn shown(web: &Web, caller: &Caller, item: &Parked) -> Result<Value, Problem> {
    Ok(as_json(item, &web.intake.store().slugs(caller.scope).await?))
}

/// Which of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    after: Option<ParkedId>,
    limit: Option<u32>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The oldest first, page by page: what is wrong with each, never what it says.
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
    let found = store.parked_after(caller.scope, which.after, limit + 1).await?;
    let (items, next) = page(found, limit, |last| last.id);
    let slugs = store.slugs(caller.scope).await?;
    Ok(Json(json!({ "items": items.iter().map(|item| as_json(item, &slugs)).collect::<Vec<_>>(), "next": next })))
}

/// One, without what it says.
///
/// # Errors
/// 401, 403, 404, 503.
pub async fn show(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let item = find(&web, &caller, &id).await?;
    Ok(Json(shown(&web, &caller, &item).await?))
}

/// What it says, as it came: it is about a patient, so that somebody reads it is on record before it is opened.
///
/// # Errors
/// 401, 403, 404, 503.
pub async fn read(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let item = find(&web, &caller, &id).await?;
    let event = ParkedItemRead { org: item.org, item: item.id };
    let opened = web.intake.store().reveal(&caller.actor, &event, async |store: &Store| store.open_parked(&item).await).await?;
    let mut told = shown(&web, &caller, &item).await?;
    told["content"] = String::from_utf8_lossy(opened.shown()).into_owned().into();
    Ok(Json(told))
}

/// Has it taken, now that what was wrong is mended: it goes the way in once more, as its feed is set now. What is refused again
/// stays, with what is wrong now.
///
/// # Errors
/// 401, 403, 404, 409 (refused again: `detail` says why), 503.
pub async fn replay(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let item = find(&web, &caller, &id).await?;
    let (org, text) = (Some(item.org), item.id.to_string());
    on_record(&web, &caller, org, "parked_item_replay_asked", &text).await?;
    let unknown = if web.lenient.contains(&item.source) { Unknown::Ignore } else { Unknown::Refuse };
    let came = parked::replay(&web.intake, &item, unknown).await?;
    on_record(&web, &caller, org, if came.is_ok() { "parked_item_taken" } else { "parked_item_refused" }, &text).await?;
    match came {
        Ok(accepted) => Ok(answer(accepted)),
        Err(problems) => {
            let now = Parked { problems, ..item };
            let detail = format!("it is refused again, and stays parked: {}", parked::problems(&now).join("; "));
            Err(Problem::new(StatusCode::CONFLICT, "refused_again", detail))
        }
    }
}

/// That it is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meant {
    sure: bool,
}

/// Throws it away, for good: the feed will not give it again.
///
/// # Errors
/// 401, 403, 404, 413, 415, 422 (it must be meant), 503.
pub async fn discard(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let item = find(&web, &caller, &id).await?;
    let Meant { sure } = wish(&web, caller.scope, request).await?;
    if !sure {
        return Err(Refusal::field("/sure", "invalid", "must be true: what is thrown away cannot be had back").into());
    }
    let event = ParkedItemDiscarded { org: item.org, item: item.id };
    if web.intake.store().discard_parked(&item, Witness::new(&caller.actor, &event)).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(missing())
    }
}
