//! `GET /v1/probe/{address}` and `POST /v1/probe`: whether an address can be sent to, and why.
//!
//! The address of a clinician is in every directory, so it may stand in a URL, which proxies write down. A patient may have a
//! Direct address too, and there it may not: then the address goes in the body, as `postern probe --url` always sends it.

use axum::{
    Json,
    extract::{Path, Query, Request, State},
    http::StatusCode,
};
use serde::Deserialize;

use crate::{
    domain::DirectAddress,
    observe::chain,
    pipeline::probing::{ProbeError, Probed},
    trust::discovery::Freshness,
    web::{Problem, Web, auth::Caller, upload},
};

/// What may be asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// Ask everybody anew, whatever was answered lately.
    fresh: bool,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The same in a body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// Who is asked about.
    address: String,
    /// Ask everybody anew, whatever was answered lately.
    #[serde(default)]
    fresh: bool,
}

/// Takes the steps a delivery of the caller's organization would take, and tells all that came of them. That an address
/// cannot be sent to is an answer: 200 with `sendable: false`.
///
/// # Errors
/// 400, 401, 404, 429, 500, 503.
pub async fn show(
    State(web): State<Web>,
    caller: Caller,
    Path(address): Path<String>,
    wish: Result<Query<Wish>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Probed>, Problem> {
    let address = address.parse().map_err(|_| malformed("the path must end with a Direct address"))?;
    let Query(wish) = wish.map_err(|_| malformed("the query may say fresh=true, and nothing else"))?;
    probed(&web, &caller, &address, wish.fresh).await.map(Json)
}

/// The same, for an address that must not stand in a URL.
///
/// # Errors
/// 400, 401, 404, 408, 413, 415, 429, 500, 503.
pub async fn ask(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Probed>, Problem> {
    let upload = upload::read(&web, caller.sender()?.org, request, false).await?;
    let unreadable = |_| malformed("the body must be an object with address, and fresh if everybody is to be asked anew");
    let question: Question = serde_json::from_slice(&upload.json).map_err(unreadable)?;
    // A probe takes its time, and the question none of it.
    drop(upload);
    let address = question.address.parse().map_err(|_| malformed("address must be a Direct address"))?;
    probed(&web, &caller, &address, question.fresh).await.map(Json)
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
}

async fn probed(web: &Web, caller: &Caller, address: &DirectAddress, fresh: bool) -> Result<Probed, Problem> {
    let sender = caller.sender()?;
    let nobody = || Problem::new(StatusCode::NOT_FOUND, "not_found", "nobody answers probes here");
    let prober = web.prober.as_ref().ok_or_else(nobody)?;
    let _turn = web.turns.take(sender.org).await?;
    let freshness = if fresh { Freshness::Asked } else { Freshness::Kept };
    prober.probe(sender.org, address, freshness).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a probe could not be made");
        match error {
            ProbeError::Store(_) => Problem::unavailable_now("the probe could not be made; ask again later"),
            ProbeError::Anchors(_) => Problem::internal(),
        }
    })
}
