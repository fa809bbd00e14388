//! `GET /v1/fees/lines`: what a row of a statement is made of, line by line and page by page.

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ledgers, bad_query, nothing, parameter};
use crate::{
    bill::export::ExportedLine,
    domain::{DeliveryId, Month, prices::EntryType},
    store::ledger::read::LineQuery,
    web::{Problem, Web, api::page, auth::Caller},
};

/// Most of one page, and how many there are unless somebody says.
const MOST: u32 = 1_000;
const USUAL: u32 = 100;

/// Which of them: all that is said must hold.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    month: Option<String>,
    site: Option<String>,
    entry_type: Option<String>,
    channel: Option<String>,
    status: Option<String>,
    delivery: Option<String>,
    /// Who pays, by slug.
    bill_to: Option<String>,
    /// Whose ledger, by slug, when it is another's.
    ledger: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// Lines that the caller pays, in the order in which they were written.
///
/// # Errors
/// 400, 401, 403, 404, 503.
pub async fn list(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let (store, scope) = (web.intake.store(), caller.scope);
    let month: Option<Month> = parameter("month", asked.month.as_deref(), "a month like 2026-01")?;
    let entry_type: Option<EntryType> = parameter("entry_type", asked.entry_type.as_deref(), "an entry type like charge")?;
    let delivery: Option<DeliveryId> = parameter("delivery", asked.delivery.as_deref(), "the id of a delivery")?;
    let after: i64 = parameter("after", asked.after.as_deref(), "the number of a line")?.unwrap_or(0);
    let limit = asked.limit.unwrap_or(USUAL).clamp(1, MOST);
    let ledgers = Ledgers::of(store, scope, None).await?;
    let whose = if let Some(slug) = asked.ledger.as_deref() {
        ledgers.all.iter().find(|known| known.file.slug == slug)
    } else {
        let own = caller.sender()?.org;
        ledgers.all.iter().find(|known| known.id == own)
    };
    let (whose, bill_to) = (whose.ok_or_else(nothing)?, ledgers.payer(scope, asked.bill_to.as_deref())?);
    let query = LineQuery {
        period: month,
        bill_to,
        site: asked.site.as_deref(),
        entry_type,
        channel: asked.channel.as_deref(),
        status: asked.status.as_deref(),
        delivery,
        ..LineQuery::of(whose.id)
    };
    let found = store.ledger_page(scope, &query, after, limit + 1).await?;
    let (lines, next) = page(found, limit, |last| last.seq.to_string());
    let slugs = ledgers.names();
    let lines: Vec<Value> = lines.iter().map(|line| json!(ExportedLine::of(line, &slugs))).collect();
    Ok(Json(json!({ "lines": lines, "next": next })))
}
