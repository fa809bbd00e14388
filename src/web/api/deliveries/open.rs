//! All there is to tell of one delivery: its evidence, its route, its notices; and when somebody asks, its document and the path of
//! the recipient's certificate.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

use super::as_json;
use crate::{
    domain::{DeliveryId, OrgScope, Reason, Timestamp},
    resolve::explain,
    source::Refusal,
    store::{
        browse::Kept,
        delivery_list::DeliveryEntry,
        notice::{NoticeView, Waiting},
    },
    web::{
        Problem, Web,
        auth::Caller,
        opened::{self, Drawn},
    },
};

fn missing() -> Problem {
    Refusal::not_found("delivery").into()
}

async fn find(web: &Web, caller: &Caller, id: &str) -> Result<DeliveryEntry, Problem> {
    let id: DeliveryId = id.parse().map_err(|_| missing())?;
    web.intake.store().delivery_in(caller.scope, id).await?.ok_or_else(missing)
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// What shows that a named document reached a named address.
fn evidence(kept: &Kept) -> Value {
    json!({ "sealed_sha256": kept.sealed_sha256, "sealed_bytes": kept.sealed_bytes, "profile": kept.profile,
        "certificate": kept.certificate, "sent_from": kept.sent_from, "sent_mode": kept.sent_mode, "relay": kept.relay,
        "pdf_sha256": kept.pdf_sha256, "pdf_bytes": kept.pdf_bytes })
}

fn clocks(kept: &Kept, waiting: &Waiting) -> Value {
    json!({ "next_attempt_at": kept.next_attempt_at.to_string(), "tried_until": kept.retry_until.to_string(),
        "answer_until": text(waiting.until), "asked_dispatched": waiting.asked_dispatched })
}

fn notice(notice: &NoticeView) -> Value {
    json!({ "received_at": notice.received_at.to_string(), "form": notice.form, "stated": notice.stated,
        "final_recipient": notice.final_recipient, "from": notice.source, "verdict": notice.verdict, "why": notice.why,
        "status": notice.status, "cause": notice.cause })
}

/// Everything that the page of a delivery says, but what somebody must ask for.
pub(super) async fn whole(web: &Web, entry: &DeliveryEntry) -> Result<Value, Problem> {
    let (store, scope) = (web.intake.store(), OrgScope::One(entry.org));
    let (view, history) = store.delivery_view(scope, entry.id).await?.ok_or_else(missing)?;
    let kept = store.kept_about(entry.org, entry.id).await?;
    let waiting = store.waiting(entry.org, entry.id).await?;
    let notices = store.notices(scope, entry.id).await?;
    let result = store.result_view(scope, entry.result).await?.ok_or_else(missing)?;
    let route = explain::stored(result.state, result.reason, store.trace(entry.org, entry.result).await?);
    let mut told = as_json(entry);
    let history = history
        .iter()
        .map(|line| json!({ "at": line.at.to_string(), "event": line.event, "state": line.state, "detail": line.detail }));
    let more = json!({
        "reply": view.reply, "history": history.collect::<Value>(), "priority": kept.priority,
        "meaning": entry.reason.map(Reason::meaning), "remedy": entry.reason.map(Reason::remedy),
        "recipient": entry.target.recipient, "resend_of": kept.resend_of, "fallback_of": kept.fallback_of, "fallback": waiting.fallback,
        "clocks": clocks(&kept, &waiting), "evidence": evidence(&kept), "notices": notices.iter().map(notice).collect::<Value>(),
        "route": route.as_ref().map(explain::json) });
    if let (Value::Object(told), Value::Object(more)) = (&mut told, more) {
        told.extend(more);
    }
    Ok(told)
}

/// The document as it is made for this recipient, without its PDF. It is about a patient: that somebody looks is on record before
/// anything is opened.
///
/// # Errors
/// 401, 403, 404, 503.
pub async fn document(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let entry = find(&web, &caller, &id).await?;
    let written = opened::document(&web, &caller.actor, &entry).await?;
    let parts = written.parts.iter().map(|part| {
        let facts: Value = part.facts.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        json!({ "heading": part.heading, "facts": facts })
    });
    Ok(Json(json!({ "delivery": entry.id, "parts": parts.collect::<Value>(), "xml": written.xml })))
}

/// The path of the certificate that would be sealed to now, and whether it is the one that was. Others are asked for it.
///
/// # Errors
/// 401, 403, 404, 429, 503.
pub async fn path(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let entry = find(&web, &caller, &id).await?;
    let Drawn { probed, sealed_to, same } = opened::path(&web, &entry).await?;
    Ok(Json(json!({ "delivery": entry.id, "sealed_to": sealed_to, "same": same, "now": probed })))
}
