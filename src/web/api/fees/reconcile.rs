//! `POST /v1/fees/reconcile`: a HISP's usage file, held against what was handed over; `GET` tells who has signed.

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{bad_query, bounds, nothing, parameter};
use crate::{
    bill::reconcile::{
        Comparison, Difference,
        mapping::{Mapped, Separator},
        reconcile,
    },
    crypto::{Hex, sha256},
    domain::{Money, Month, OrgScope, audit::Witness, text},
    observe::{events::ReconciliationSigned, facts::Configured},
    store::reconciliation::Signed,
    web::{Problem, Web, auth::Caller, upload},
};

/// So many differences are told in one answer; the totals count them all.
const TOLD: usize = 10_000;

/// How it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    month: String,
    /// `message_id=Message-ID,price=Charge`
    map: Option<String>,
    /// `comma`, `semicolon` or `tab`; without it the header shows.
    separator: Option<String>,
    /// Only messages handed to this relay, or to `mx`.
    relay: Option<String>,
    tolerance: Option<String>,
    #[serde(default)]
    sign_off: bool,
    note: Option<String>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// Compares; prices for tokens of the installation alone, since others are not told what HISPs ask. The body is the file,
/// `text/csv`. It takes a place among the uploads of its organization, as every other does;
/// who has a file longer than the door takes runs the command.
///
/// # Errors
/// 400, 401, 403, 404 (no such month), 408, 413, 415, 422 (the file), 429, 503.
pub async fn run(
    State(web): State<Web>,
    caller: Caller,
    how: Result<Query<How>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let steward = caller.steward()?;
    let Query(how) = how.map_err(bad_query)?;
    let month: Month = how.month.parse().map_err(|_| nothing())?;
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad_query", detail.to_owned());
    let mapping: Result<Vec<Mapped>, _> = how.map.as_deref().into_iter().flat_map(|all| all.split(',')).map(str::parse).collect();
    let mapping = mapping.map_err(|error| bad(&format!("map {error}")))?;
    let tolerance: Option<Money> = parameter("tolerance", how.tolerance.as_deref(), "an amount like 0.01")?;
    let separator: Option<Separator> = parameter("separator", how.separator.as_deref(), "comma, semicolon or tab")?;
    let note = match &how.note {
        Some(note) => text::line(note, 500).map_err(|error| bad(&format!("note {error}")))?,
        None if how.sign_off => return Err(bad("a sign-off needs a note")),
        None => "",
    };
    let store = web.intake.store();
    let period = bounds(store, steward.org, month).await?;
    let upload = upload::csv(&web, steward.org, request).await?;
    let mut told: Vec<Difference> = Vec::new();
    let comparison = Comparison {
        org: steward.org,
        bounds: period.bounds,
        zone: &period.zone,
        mapping: &mapping,
        costs: web.costs(&caller.reach),
        tolerance: tolerance.unwrap_or(web.fees.tolerance),
        separator,
        relay: how.relay.as_deref(),
    };
    let tell = |difference| {
        if told.len() < TOLD {
            told.push(difference);
        }
        Ok(())
    };
    let compared = reconcile(store, comparison, &*upload.json, tell).await?;
    let digest = Hex(&sha256(&upload.json)).to_string();
    let mut signed_at = None;
    if how.sign_off {
        let (counts, note, signed_by) = (compared.counts.clone(), note.to_owned(), steward.name.clone());
        let now = store.now().await?;
        let signed = Signed { month, file_sha256: digest.clone(), counts, signed_by, note, signed_at: now };
        let text = month.to_string();
        let (matched, differences) = (signed.counts.matched, signed.counts.differences());
        let event = ReconciliationSigned { org: steward.org, month: Configured(&text), matched, differences };
        let at = store.sign_reconciliation(steward.org, &signed, Witness::new(&caller.actor, &event)).await?;
        signed_at = Some(at.to_string());
    }
    let answer =
        json!({ "month": month, "file_sha256": digest, "totals": compared, "differences": told, "signed_at": signed_at });
    Ok(Json(answer).into_response())
}

/// Which month.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    month: String,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// Who has signed for a month.
///
/// # Errors
/// 400, 401, 403, 404, 503.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Response, Problem> {
    let org = caller.sender()?.org;
    let Query(which) = which.map_err(bad_query)?;
    let month: Month = which.month.parse().map_err(|_| nothing())?;
    let signed = web.intake.store().reconciliations(OrgScope::One(org), org, month).await?;
    Ok(Json(json!({ "month": month, "signed": signed })).into_response())
}
