//! `/v1/worklist`: what needs a person, and what a person does about it.

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_query, on_record};
use crate::{
    domain::{DeliveryId, DirectAddress, OrgScope, Reason, ResultId, choice::Suppressed, report::ResultState},
    resolve::{
        decisions,
        worklist::{self, Ask, Settled, WorklistError, open},
    },
    source::Refusal,
    store::worklist::{WorkCursor, WorkFilter, WorkItem, WorkKind},
    web::{Problem, Web, auth::Caller, upload},
};

/// Items of a page, when nobody says.
const PAGE: u32 = 100;

/// Which part is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    reason: Option<Reason>,
    kind: Option<WorkKind>,
    after: Option<String>,
    limit: Option<u32>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The worklist, oldest first, in parts: `next` is the `after` of the next one.
///
/// # Errors
/// 400, 401.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let sender = caller.sender()?;
    let Query(part) = part.map_err(bad_query)?;
    let store = web.intake.store();
    let bad = |_| Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", "after is not a cursor of the worklist");
    let after: Option<WorkCursor> = part.after.as_deref().map(str::parse).transpose().map_err(bad)?;
    let limit = part.limit.unwrap_or(PAGE).clamp(1, 1_000);
    let filter = WorkFilter { kind: part.kind, reason: part.reason, after, limit: Some(limit) };
    let items = store.work_items(OrgScope::One(sender.org), &filter).await?;
    let full = items.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = items.last().filter(|_| full).map(|item| item.cursor().to_string());
    let mut shown = Vec::with_capacity(items.len());
    for item in &items {
        shown.push(show(&web, item).await?);
    }
    Ok(Json(json!({ "items": shown, "next": next })))
}

async fn show(web: &Web, item: &WorkItem) -> Result<Value, Problem> {
    let state = match item.kind {
        WorkKind::Result => Some(ResultState::Held),
        WorkKind::Recipient => Some(ResultState::Routed),
        WorkKind::Delivery | WorkKind::Parked => None,
    };
    let recipients = match (state, item.id.parse::<ResultId>()) {
        (Some(state), Ok(id)) => open(state, &web.intake.store().trace(item.org, id).await?),
        _ => Vec::new(),
    };
    Ok(json!({ "kind": item.kind, "id": item.id, "order_id": item.order_id, "reason": item.reason,
        "meaning": item.reason.map(Reason::meaning), "remedy": item.reason.map(Reason::remedy), "since": item.since.to_string(),
        "recipients": recipients }))
}

/// What is to be done about an item.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    action: Action,
    /// With `pin` and `address`.
    address: Option<DirectAddress>,
    /// With `suppress`: what; the delivery's address or the recipient's NPI otherwise.
    what: Option<Suppressed>,
    /// Which recipient, when several wait.
    recipient: Option<String>,
    /// Why.
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Pin,
    Address,
    Suppress,
    Reroute,
    Dismiss,
}

impl Decided {
    fn ask(&self) -> Result<Ask, Problem> {
        let address = || {
            let missing = || Refusal::field("/address", "missing", "is needed for this action");
            self.address.clone().ok_or_else(missing)
        };
        Ok(match self.action {
            Action::Pin => Ask::Pin(address()?),
            Action::Address => Ask::Address(address()?),
            Action::Suppress => Ask::Suppress(self.what.clone()),
            Action::Reroute => Ask::Reroute,
            Action::Dismiss => Ask::Dismiss,
        })
    }
}

/// Does what a person decided about a result or a delivery of the worklist. With `dry_run` it only says what would come of it.
/// `pin` and `suppress` bind all results to come: they need the right to decide about addresses, too.
///
/// # Errors
/// 401, 403, 404, 409 (nothing can be decided, or several recipients wait), 413, 415, 422, 503.
pub async fn resolve(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Settled>, Problem> {
    let steward = caller.steward()?;
    let upload = upload::read(&web, steward.org, request, false).await?;
    let unreadable = |error| Refusal::field("", "invalid", format!("does not say what is decided: {error}"));
    let decided: Decided = serde_json::from_slice(&upload.json).map_err(unreadable)?;
    let whom = decisions::whom(&steward.name, &decided.reason)
        .map_err(|error| Refusal::field("/reason", "invalid", error.to_string()))?;
    let (scope, ask) = (OrgScope::One(steward.org), decided.ask()?);
    caller.needs(ask.needs())?;
    let (store, recipient) = (web.intake.store(), decided.recipient.as_deref());
    // What goes on record is an id of ours, not whatever the path said.
    let known: ResultId = id.parse().map_err(|_| problem(WorklistError::NotFound))?;
    let delivery = || async { store.delivery_view(scope, DeliveryId(known.0)).await };
    if store.result_view(scope, known).await?.is_none() && delivery().await?.is_none() {
        return Err(problem(WorklistError::NotFound));
    }
    let settled = if decided.dry_run {
        worklist::foresee(store, scope, &id, recipient, &ask, whom).await
    } else {
        on_record(&web, &caller, Some(steward.org), "worklist", &known.to_string()).await?;
        worklist::resolve(store, scope, &id, recipient, &ask, whom).await
    };
    settled.map(Json).map_err(problem)
}

/// Routes again everything that waits for one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Again {
    waiting_for: Reason,
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

/// Has everything routed again that waits for one reason.
///
/// # Errors
/// 401, 403, 413, 415, 422, 503.
pub async fn reroute(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let steward = caller.steward()?;
    let upload = upload::read(&web, steward.org, request, false).await?;
    let unreadable = |error| Refusal::field("", "invalid", format!("does not say what is routed again: {error}"));
    let again: Again = serde_json::from_slice(&upload.json).map_err(unreadable)?;
    let whom =
        decisions::whom(&steward.name, &again.reason).map_err(|error| Refusal::field("/reason", "invalid", error.to_string()))?;
    let scope = OrgScope::One(steward.org);
    if !again.dry_run {
        on_record(&web, &caller, Some(steward.org), "worklist", again.waiting_for.as_str()).await?;
    }
    let results =
        worklist::reroute_all(web.intake.store(), scope, again.waiting_for, again.dry_run, whom).await.map_err(problem)?;
    Ok(Json(json!({ "results": results, "dry_run": again.dry_run })))
}

fn problem(error: WorklistError) -> Problem {
    let (status, code) = match error {
        WorklistError::Store(cause) => return cause.into(),
        WorklistError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        WorklistError::NotOpen => (StatusCode::CONFLICT, "not_open"),
        WorklistError::Several(_) => (StatusCode::CONFLICT, "several_recipients"),
        WorklistError::NoRecipient(_) => (StatusCode::CONFLICT, "no_such_recipient"),
        WorklistError::NoNpi => (StatusCode::CONFLICT, "no_npi"),
    };
    Problem::new(status, code, error.to_string())
}
