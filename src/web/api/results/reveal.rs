//! `POST /v1/results/{id}/patient` and `GET /v1/results/{id}/document`: who it is about. Each look is on record before anything is
//! opened.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

use crate::{
    domain::ResultId,
    observe::{
        chain,
        events::{DocumentRevealed, PatientRevealed},
    },
    source::Refusal,
    store::browse::Shelf,
    web::{Problem, Web, auth::Caller},
};

async fn shelf(web: &Web, caller: &Caller, id: &str) -> Result<(ResultId, Shelf), Problem> {
    let missing = || Refusal::not_found("result");
    let id: ResultId = id.parse().map_err(|_| missing())?;
    let found = web.intake.store().shelf(caller.scope, id).await?;
    Ok((id, found.ok_or_else(missing)?))
}

/// The order with its patient.
///
/// # Errors
/// 401, 403, 404, 409 (its order has not come), 503.
pub async fn patient(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let (_, shelf) = shelf(&web, &caller, &id).await?;
    let waits = || {
        let detail = "its order has not come, so nothing is known about the patient";
        Problem::new(StatusCode::CONFLICT, "waiting_for_order", detail)
    };
    let key = shelf.order.ok_or_else(waits)?;
    let event = PatientRevealed { org: shelf.org, order: key };
    let order = web.intake.store().reveal_order(&caller.actor, &event, caller.scope, shelf.org, key).await?;
    let order = order.shown();
    let mut told = json!(order.patient);
    // What no wire shape has: how a code was read.
    told["gender"] = json!(order.patient.gender.sent);
    Ok(Json(json!({ "order_id": order.order_id, "site": order.site, "patient": told, "health_plan": order.health_plan,
        "procedure": order.procedure, "encounter": order.encounter })))
}

/// The PDF.
///
/// # Errors
/// 401, 403, 404, 503 (missing or damaged).
pub async fn document(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let (id, shelf) = shelf(&web, &caller, &id).await?;
    let store = web.intake.store();
    let key = store.key(shelf.org).await?;
    store.witness(&caller.actor, &DocumentRevealed { org: shelf.org, result: id }).await?;
    let pdf = web.intake.blobs().get(shelf.org, &key, &shelf.pdf).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a document could not be read");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "document_unavailable", "the stored document is missing or damaged")
    })?;
    let named = HeaderValue::from_static("attachment; filename=\"result.pdf\"");
    let kind = HeaderValue::from_static("application/pdf");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, named)], pdf).into_response())
}
