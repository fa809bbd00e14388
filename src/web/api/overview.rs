//! `GET /v1/overview`: what is stuck, how much went through, and what ends soon.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::{
    domain::{Timestamp, person::Right},
    store::figures::{Hour, Standing},
    web::{
        Problem, Web,
        auth::Caller,
        console::{COUNTED, Counted, SOON},
    },
};

/// How many results and deliveries stand where, whether the totals tie, what waits for a person, the last day hour by hour, and
/// our certificates that end soon. Figures but the counts are those of the console: counted anew after a while.
///
/// # Errors
/// 401, 403, 503.
pub async fn show(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let store = web.intake.store();
    let counts = store.counts(caller.scope).await?;
    let counted = web.figures.of(store, caller.scope).await?;
    // Whoever may not see certificates does not see when they end either.
    let expiries = if caller.may(Right::TrustRead) { Some(expiries(&web, &caller).await?) } else { None };
    Ok(Json(json!({ "results": counts.results, "held": counts.held, "deliveries": counts.deliveries,
        "dispositions": counts.dispositions, "charged": counts.charged, "ties": counts.untied == 0,
        "counted_at": counted.at.to_string(), "waiting": waiting(&counted),
        "moving": counted.standing.iter().map(standing).collect::<Vec<_>>(),
        "last_day": { "from": counted.from.to_string(), "made": counted.hours.iter().map(hour).collect::<Vec<_>>() },
        "expiries": expiries })))
}

fn waiting(counted: &Counted) -> Value {
    json!({ "count": counted.work, "at_least": counted.work >= COUNTED as usize, "oldest": text(counted.oldest_work) })
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

fn standing(level: &Standing) -> Value {
    json!({ "state": level.state, "count": level.count, "oldest": text(level.oldest) })
}

fn hour(hour: &Hour) -> Value {
    json!({ "hour": hour.at.to_string(), "state": hour.state, "disposition": hour.disposition, "reason": hour.reason,
        "count": hour.count })
}

async fn expiries(web: &Web, caller: &Caller) -> Result<Vec<Value>, Problem> {
    let store = web.intake.store();
    let (now, mut keys) = (store.clock().now(), store.identity_keys(caller.scope).await?);
    keys.sort_by_key(|key| key.term.until);
    let soon = keys.into_iter().take_while(|key| key.term.until < now.plus(SOON));
    Ok(soon
        .map(|key| json!({ "address": key.address, "valid_until": key.term.until.to_string(), "days_left": key.term.days_left(now) }))
        .collect())
}
