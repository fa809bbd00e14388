//! `GET /v1/probe/{address}`: whether an address can be sent to, and why.

use axum::{
    Json,
    extract::{Path, Query, State},
    http::StatusCode,
};
use serde::Deserialize;

use crate::{
    domain::DirectAddress,
    observe::chain,
    pipeline::probing::{ProbeError, Probed},
    trust::discovery::Freshness,
    web::{Problem, Web, auth::Caller},
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
    let sender = caller.sender()?;
    let bad = |detail| Problem::new(StatusCode::BAD_REQUEST, "malformed", detail);
    let address: DirectAddress = address.parse().map_err(|_| bad("the path must end with a Direct address"))?;
    let Query(wish) = wish.map_err(|_| bad("the query may say fresh=true, and nothing else"))?;
    let nobody = || Problem::new(StatusCode::NOT_FOUND, "not_found", "nobody answers probes here");
    let prober = web.prober.as_ref().ok_or_else(nobody)?;
    let _turn = web.turns.take(sender.org).await?;
    let freshness = if wish.fresh { Freshness::Asked } else { Freshness::Kept };
    prober.probe(sender.org, &address, freshness).await.map(Json).map_err(|error| {
        tracing::error!(error = chain(&error), "a probe could not be made");
        match error {
            ProbeError::Store(_) => Problem::unavailable_now("the probe could not be made; ask again later"),
            ProbeError::Anchors(_) => Problem::internal(),
        }
    })
}
