//! `POST /v1/organization/test-message`: a made-up patient's report, sent as every other is.

use axum::{
    extract::{Request, State},
    response::Response,
};
use serde::Deserialize;

use super::{answer, idempotency_key, on_record, wish};
use crate::{
    domain::DirectAddress,
    source::test_message::{self, TestMessage},
    web::{Problem, Web, auth::Caller},
};

/// From where, and where to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    site: String,
    address: DirectAddress,
}

/// Takes a test message in.
///
/// # Errors
/// 400, 401, 403, 413, 415, 422 (no such site), 503.
pub async fn send(State(web): State<Web>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let org = caller.sender()?.org;
    let repeat = idempotency_key(request.headers())?.map(str::to_owned);
    let Wanted { site, address } = wish(&web, caller.scope, request).await?;
    on_record(&web, &caller, Some(org), "test_message", "").await?;
    let message = TestMessage { site: &site, address: &address, repeat: repeat.as_deref() };
    Ok(answer(test_message::take(&web.intake, org, &message).await?))
}
