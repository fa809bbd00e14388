//! `POST /v1/orders`: new, change or cancel.

use axum::{
    extract::{Request, State},
    response::Response,
};

use crate::web::{Problem, Web, api::answer, auth::Caller, upload};

/// Takes an order.
///
/// # Errors
/// 401, 404 (change or cancel of an unknown order), 408, 409, 413, 415, 422, 429, 503.
pub async fn submit(State(web): State<Web>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let sender = caller.sender()?;
    let upload = upload::read(&web, sender.org, request, false).await?;
    Ok(answer(web.intake.order(&sender, upload.json.clone()).await?))
}
