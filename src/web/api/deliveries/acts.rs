//! What is done about deliveries: one or several tried again, one cancelled or sent once more. On record before it is answered.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{answer, idempotency_key, wish},
    as_json,
};
use crate::{
    domain::{
        DeliveryId, OrgScope,
        audit::{Actor, Witness},
        delivery::{Event, State as Stands},
        text,
    },
    observe::{events::DeliveryAsked, facts::Configured},
    source::{Accepted, Refusal, Sender, wire::Unknown},
    store::{Store, StoreError, delivery_list::DeliveryEntry},
    web::{Problem, Web, auth::Caller},
};

/// Most deliveries of one request.
const AT_ONCE: usize = 200;

/// What is asked of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Ask {
    /// Back into the queue.
    Retry,
    /// Nothing further.
    Cancel,
}

impl Ask {
    const fn event(self) -> Event {
        match self {
            Self::Retry => Event::Retry,
            Self::Cancel => Event::Cancel,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }

    /// Why it is not done to one that stands so.
    const fn refused(self, from: Stands) -> &'static str {
        match (self, from) {
            (Self::Retry, Stands::Accepted) => "it was accepted: to send it once more, ask for a resend",
            (Self::Retry, Stands::Queued | Stands::Claimed | Stands::OnWire) => "it is on its way already",
            (Self::Retry, Stands::Unknown) => "it may have arrived: wait until that is settled",
            (Self::Retry, Stands::Cancelled | Stands::Superseded) => "it was stopped, and stays so: ask for a resend",
            (Self::Retry, Stands::Refused | Stands::Held) => "it was closed, or a newer version exists: it is not sent any more",
            (Self::Cancel, Stands::Accepted) => "it cannot be called back: it was handed over",
            (Self::Cancel, _) => "there is nothing to cancel: it is not being sent",
        }
    }
}

/// What came of it.
pub(in crate::web) enum Came {
    /// It was done.
    Done(Box<DeliveryEntry>),
    /// It was not, and this is why.
    Not(&'static str),
    /// The scope has no such delivery.
    Nowhere,
}

/// Asks one thing of a delivery that the scope may see; on record in the same transaction, and `why` stands in its history.
///
/// # Errors
/// When it cannot be stored.
pub(in crate::web) async fn ask(
    store: &Store,
    scope: OrgScope,
    actor: &Actor,
    id: DeliveryId,
    ask: Ask,
    why: Option<&str>,
) -> Result<Came, StoreError> {
    let Some(entry) = store.delivery_in(scope, id).await? else { return Ok(Came::Nowhere) };
    let record = DeliveryAsked { org: entry.org, delivery: id, asked: Configured(ask.word()) };
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    let note = format!("{} {} asked for it{why}", actor.kind, actor.name);
    match store.ask_delivery_as(scope, id, ask.event(), &note, Witness::new(actor, &record)).await {
        Ok(moved) => {
            // What is on the wire cannot be called back: no further attempt is made, and that is all.
            let state = moved.delivery.state;
            if ask == Ask::Cancel && !matches!(state, Stands::Cancelled | Stands::Held | Stands::Refused) {
                return Ok(Came::Not("it may have been handed over already; no further attempt is made"));
            }
            Ok(store.delivery_in(scope, id).await?.map_or(Came::Nowhere, |entry| Came::Done(Box::new(entry))))
        }
        Err(StoreError::Illegal(illegal)) => Ok(Came::Not(ask.refused(illegal.from))),
        Err(StoreError::Lost) => Ok(Came::Nowhere),
        Err(error) => Err(error),
    }
}

/// Sends the latest version of the delivery's result once more, as new deliveries. That it is asked for is on record first.
///
/// # Errors
/// What a resend handed in by its sender would be told.
pub(in crate::web) async fn resend(
    web: &Web,
    actor: &Actor,
    entry: &DeliveryEntry,
    repeat: Option<&str>,
) -> Result<Accepted, Problem> {
    let event = DeliveryAsked { org: entry.org, delivery: entry.id, asked: Configured("resend") };
    web.intake.store().witness(actor, &event).await?;
    let sender = Sender { org: entry.org, unknown: Unknown::Refuse, door: crate::observe::facts::Door::Api };
    let wish = json!({ "order_id": entry.order_id, "site": entry.site, "status": "resend" });
    Ok(web.intake.result(&sender, Bytes::from(wish.to_string()), None, repeat).await?)
}

fn which(id: &str) -> Result<DeliveryId, Problem> {
    Ok(id.parse().map_err(|_| Refusal::not_found("delivery"))?)
}

/// Why it is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Why {
    /// One line; never about a patient.
    reason: Option<String>,
}

fn line(reason: Option<&str>) -> Result<Option<&str>, Problem> {
    let bad = |problem: text::BadText| Refusal::field("/reason", "invalid", problem.to_string());
    Ok(reason.map(|reason| text::line(reason, text::FIELD_LIMIT)).transpose().map_err(bad)?)
}

async fn one(web: &Web, caller: &Caller, id: &str, asked: Ask, request: Request) -> Result<Json<Value>, Problem> {
    let id = which(id)?;
    // Whoever has nothing to say sends no body.
    let said = request.headers().contains_key(header::CONTENT_TYPE);
    let why: Why = if said { wish(web, caller.scope, request).await? } else { Why::default() };
    match ask(web.intake.store(), caller.scope, &caller.actor, id, asked, line(why.reason.as_deref())?).await? {
        Came::Done(entry) => Ok(Json(as_json(&entry))),
        Came::Not(why) => Err(Problem::new(StatusCode::CONFLICT, "not_possible", why)),
        Came::Nowhere => Err(Refusal::not_found("delivery").into()),
    }
}

/// Puts a refused or held delivery back into the queue.
///
/// # Errors
/// 401, 403, 404, 409 (its state does not allow it), 413, 415, 422, 503.
pub async fn retry(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    one(&web, &caller, &id, Ask::Retry, request).await
}

/// Stops a delivery that has not left.
///
/// # Errors
/// 401, 403, 404, 409 (it is too late; no further attempt is made), 413, 415, 422, 503.
pub async fn cancel(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    one(&web, &caller, &id, Ask::Cancel, request).await
}

/// Sends its result once more.
///
/// # Errors
/// 400, 401, 403, 404, 409 (nothing to resend), 503.
pub async fn once_more(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let repeat = idempotency_key(request.headers())?;
    let entry = web.intake.store().delivery_in(caller.scope, which(&id)?).await?;
    let entry = entry.ok_or_else(|| Refusal::not_found("delivery"))?;
    Ok(answer(resend(&web, &caller.actor, &entry, repeat).await?))
}

/// Several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    ids: Vec<DeliveryId>,
    /// Why; never about a patient.
    reason: Option<String>,
}

/// Puts several back into the queue: each by itself, whatever becomes of the others.
///
/// # Errors
/// 401, 403, 413, 415, 422, 503.
pub async fn retry_several(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let Several { ids, reason } = wish(&web, caller.scope, request).await?;
    let why = line(reason.as_deref())?;
    if ids.is_empty() || ids.len() > AT_ONCE {
        return Err(Refusal::field("/ids", "invalid", format!("must name 1 to {AT_ONCE} deliveries")).into());
    }
    let (mut told, mut done) = (Vec::with_capacity(ids.len()), 0);
    for id in ids {
        let came = ask(web.intake.store(), caller.scope, &caller.actor, id, Ask::Retry, why).await?;
        told.push(match came {
            Came::Done(entry) => {
                done += 1;
                json!({ "id": id, "retried": true, "state": entry.state })
            }
            Came::Not(why) => json!({ "id": id, "retried": false, "why": why }),
            Came::Nowhere => json!({ "id": id, "retried": false, "why": "there is no such delivery" }),
        });
    }
    Ok(Json(json!({ "retried": done, "deliveries": told })))
}
