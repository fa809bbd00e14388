//! `GET /v1/reports/{report}`: what payers ask back, month by month. No patient's data but the sender's keys of orders.

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{bad_query, parameter};
use crate::{
    domain::Month,
    observe::{chain, events::DataExported, facts::Configured},
    resolve::report::csv::{Part, write},
    source::Refusal,
    store::StoreError,
    web::{
        Problem, Web,
        auth::Caller,
        reports::{of_month, what},
    },
};

/// Most rows of one answer, and how many there are unless somebody says.
const MOST: u32 = 10_000;
const USUAL: u32 = 1_000;

/// Of which month, and how.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    month: String,
    format: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// One report; as CSV all of its rows, as JSON a page of them. That data are taken out is on record first.
///
/// # Errors
/// 400, 401, 403, 404 (no such report), 503.
pub async fn show(
    State(web): State<Web>,
    caller: Caller,
    Path(report): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let org = caller.sender()?.org;
    let part: Part = report.parse().map_err(|_| Refusal::not_found("report"))?;
    let Query(asked) = asked.map_err(bad_query)?;
    let month: Option<Month> = parameter("month", Some(asked.month.as_str()), "a month like 2026-01")?;
    let month = month.ok_or_else(|| Refusal::not_found("month"))?;
    let after: usize = parameter("after", asked.after.as_deref(), "what `next` said")?.unwrap_or(0);
    let csv = match asked.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_query", "format must be json or csv")),
    };
    let store = web.intake.store();
    let organization = store.organization(org).await?.ok_or(StoreError::NoOrganization)?;
    store.witness(&caller.actor, &DataExported { org: Some(org), what: Configured(what(part)) }).await?;
    let found = of_month(&web, &organization, month).await?;
    if csv {
        let mut out = Vec::new();
        write(&found, part, &mut out).map_err(|error| {
            tracing::error!(error = chain(&error), "a report could not be written");
            Problem::internal()
        })?;
        return Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], out).into_response());
    }
    let limit = usize::try_from(asked.limit.unwrap_or(USUAL).clamp(1, MOST)).unwrap_or(usize::MAX);
    let rows = found.rows(part, after, limit);
    let end = after.saturating_add(rows.len());
    let next = (end < found.len(part)).then(|| end.to_string());
    Ok(Json(json!({ "report": part, "organization": organization.file.slug, "month": month, "from": month.first(),
        "to": month.next().first(), "rows": rows, "next": next, "totals": found.totals }))
    .into_response())
}
