//! `POST /v1/results` and `GET /v1/results/{id}`.

/// Who it is about.
mod reveal;

use axum::{
    extract::{Path, Request, State},
    http::{HeaderValue, header},
    response::Response,
};

pub use reveal::{document, patient};

use super::{answer, idempotency_key};
use crate::{
    domain::ResultId,
    source::Refusal,
    web::{Problem, Web, auth::Caller, upload},
};

/// Takes a result: JSON with the PDF inside, or a form with the parts `result` and `pdf`.
///
/// # Errors
/// 401, 408, 409, 413, 415, 422, 429, 503.
pub async fn submit(State(web): State<Web>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let sender = caller.sender()?;
    let repeat = idempotency_key(request.headers())?.map(str::to_owned);
    let upload = upload::read(&web, sender.org, request, true).await?;
    let accepted = web.intake.result(&sender, upload.json.clone(), upload.pdf.clone(), repeat.as_deref()).await?;
    let place = HeaderValue::from_str(&format!("/v1/results/{}", accepted.id));
    let mut response = answer(accepted);
    if let Ok(place) = place {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// Where a result stands.
///
/// # Errors
/// 401; 404 also for another organization's result.
pub async fn show(State(web): State<Web>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: ResultId = id.parse().map_err(|_| Refusal::not_found("result"))?;
    Ok(answer(web.intake.look(caller.scope, id).await?))
}
