//! `POST /v1/deliveries/search`: deliveries by what people remember. In the body, since all of it may be about a patient.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::wish, MOST, USUAL, as_json};
use crate::{
    domain::{
        DeliveryId, DirectAddress, Npi, OffsetTime, OrderKey, Reason,
        delivery::{Disposition, State as Stands},
        person::Right,
    },
    observe::{events::DataExported, facts::Configured},
    store::{browse::Sought, delivery_list::Wanted},
    web::{Problem, Web, auth::Caller},
};

/// What is sought: all that is said must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Question {
    address: Option<DirectAddress>,
    npi: Option<Npi>,
    message_id: Option<String>,
    order_id: Option<String>,
    /// `local_id` or the health plan's member number, for who may see patients.
    patient: Option<String>,
    state: Option<Stands>,
    disposition: Option<Disposition>,
    reason: Option<Reason>,
    site: Option<String>,
    since: Option<OffsetTime>,
    until: Option<OffsetTime>,
    after: Option<DeliveryId>,
    limit: Option<u32>,
}

/// The newest first.
///
/// # Errors
/// 401, 403 (a patient, without the right to see one), 413, 415, 422, 503.
pub async fn find(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let asked: Question = wish(&web, caller.scope, request).await?;
    let store = web.intake.store();
    let mut orders: Option<Vec<OrderKey>> = None;
    if let Some(key) = &asked.patient {
        // Whoever may not see a patient may not find out either whether there is one.
        if !caller.may(Right::PatientsReveal) {
            let detail = "to look for a patient the token needs the right patients:reveal";
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        let event = DataExported { org: caller.scope.org(), what: Configured("search_by_patient_key") };
        store.witness(&caller.actor, &event).await?;
        orders = Some(store.orders_of_patient(caller.scope, key.trim()).await?);
    }
    if let Some(order_id) = &asked.order_id {
        // The sender's key of an order is its own in each organization.
        let mut named = Vec::new();
        for org in store.slugs(caller.scope).await?.into_keys() {
            named.extend(store.find_order(org, order_id).await?.map(|(key, _)| key));
        }
        orders = Some(match orders {
            Some(known) => known.into_iter().filter(|key| named.contains(key)).collect(),
            None => named,
        });
    }
    if orders.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Json(json!({ "deliveries": [], "next": null })));
    }
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let sought = Sought {
        wanted: Wanted {
            state: asked.state,
            disposition: asked.disposition,
            reason: asked.reason,
            site: asked.site,
            order_id: None,
            since: asked.since.map(|at| at.at),
            until: asked.until.map(|at| at.at),
            after: asked.after,
        },
        address: asked.address,
        npi: asked.npi,
        message_id: asked.message_id.map(|id| if id.starts_with('<') { id } else { format!("<{id}>") }),
        orders,
    };
    let mut found = store.browse(caller.scope, &sought, limit + 1).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let slugs = store.slugs(caller.scope).await?;
    let next = found.last().filter(|_| more).map(|last| last.id);
    let lines: Vec<Value> = found
        .iter()
        .map(|entry| {
            let mut line = as_json(entry);
            line["organization"] = json!(slugs.get(&entry.org));
            line
        })
        .collect();
    Ok(Json(json!({ "deliveries": lines, "next": next })))
}
