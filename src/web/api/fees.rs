//! `/v1/fees`: what is owed, without a patient in sight. A caller sees the lines its organization pays: in its own ledger, and
//! in those of others that it sponsors. A token for the installation sees all.

/// Closing and correcting.
mod acts;
/// Line by line.
mod lines;
/// What the HISP has counted.
mod reconcile;

use std::collections::{BTreeMap, HashMap};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;

pub use acts::{adjust, close};
pub use lines::list as lines;
pub use reconcile::{list as reconciliations, run as reconcile};

use super::{bad_query, parameter};
use crate::{
    bill::{
        self, BillError, Statement,
        export::{self, LineFormat, iif},
        statement::{csv, html, pdf},
        summary::{self, By, Costs},
    },
    domain::{Month, OrgId, OrgScope, person::Reach, time::Date},
    observe::{chain, events::DataExported, facts::Configured},
    store::{
        Store, StoreError,
        ledger::read::{LineQuery, PaidRow},
        organization::Organization,
    },
    web::{Problem, Web, auth::Caller},
};

/// Most months of one report.
const MONTHS: usize = 36;
/// Most lines of one answer; where to go on stands in a header.
const LINES: u32 = 20_000;

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    month: Option<String>,
    to_month: Option<String>,
    from: Option<String>,
    to: Option<String>,
    by: Option<String>,
    /// Each row a quantity times a price, as the command shows it without --by.
    #[serde(default)]
    priced: bool,
    /// What HISPs ask, and what is left.
    #[serde(default)]
    margin: bool,
    site: Option<String>,
    payer: Option<String>,
    format: Option<String>,
    after: Option<String>,
    /// Who pays, by slug.
    bill_to: Option<String>,
    /// Whose ledger, by slug, when it is another's.
    ledger: Option<String>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// A ledger and what of it the caller may see.
struct Ledgers {
    all: Vec<Organization>,
    slugs: BTreeMap<OrgId, String>,
}

impl Ledgers {
    /// The ledgers that the caller sees lines in; only `named` when one is.
    async fn of(store: &Store, scope: OrgScope, named: Option<&str>) -> Result<Self, Problem> {
        let everybody = store.organizations(OrgScope::All).await?;
        let seen = match scope {
            OrgScope::All => None,
            OrgScope::One(own) => Some([store.sponsored_by(own).await?, vec![own]].concat()),
        };
        let slugs: BTreeMap<OrgId, String> = everybody.iter().map(|known| (known.id, known.file.slug.clone())).collect();
        let sees = |id: OrgId| seen.as_ref().is_none_or(|seen| seen.contains(&id));
        let all: Vec<Organization> =
            everybody.into_iter().filter(|known| sees(known.id) && named.is_none_or(|named| known.file.slug == named)).collect();
        // A ledger that does not concern the caller looks as if it did not exist.
        if named.is_some() && all.is_empty() {
            return Err(nothing());
        }
        Ok(Self { all, slugs })
    }

    /// Whoever is confined sees only what it pays itself; whether there are others is none of its business.
    fn payer(&self, scope: OrgScope, slug: Option<&str>) -> Result<Option<OrgId>, Problem> {
        let Some(slug) = slug else { return Ok(None) };
        let known = self.slugs.iter().find(|(id, known)| *known == slug && scope.org().is_none_or(|own| own == **id));
        known.map(|(id, _)| Some(*id)).ok_or_else(nothing)
    }

    /// What organizations are called. Only those of lines that the caller sees are ever told.
    fn names(&self) -> HashMap<OrgId, String> {
        self.slugs.iter().map(|(id, slug)| (*id, slug.clone())).collect()
    }
}

fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such organization, month or statement")
}

impl From<BillError> for Problem {
    fn from(error: BillError) -> Self {
        match error {
            BillError::Store(error) => error.into(),
            BillError::NoPeriod { .. } => nothing(),
            BillError::Header(_) | BillError::Usage(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_file", chain(&error)),
            BillError::Open { .. } => Self::new(StatusCode::CONFLICT, "month_open", chain(&error)),
            error => {
                tracing::error!(error = chain(&error), "fees cannot be told");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this is our fault; the log says more")
            }
        }
    }
}

/// `GET /v1/fees/report`: what the ledger adds up to, by anything, or with `priced` as quantities times prices. `margin` shows
/// what HISPs ask and what is left: what the operator earns is told to nobody who is confined to an organization.
///
/// # Errors
/// 400, 401, 403, 404, 409 (the cost of a message is not set), 503.
pub async fn report(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let (store, scope) = (web.intake.store(), caller.scope);
    let month: Option<Month> = parameter("month", asked.month.as_deref(), "a month like 2026-01")?;
    let to_month: Option<Month> = parameter("to_month", asked.to_month.as_deref(), "a month like 2026-01")?;
    let from: Option<Date> = parameter("from", asked.from.as_deref(), "a day like 2026-01-01")?;
    let to: Option<Date> = parameter("to", asked.to.as_deref(), "a day like 2026-01-01")?;
    let by = asked.by.as_deref().unwrap_or("organization").split(',').map(str::trim);
    let by: Result<Vec<By>, _> = by.map(str::parse).collect();
    let names: Vec<&str> = By::ALL.iter().map(|by| by.as_str()).collect();
    let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad_query", detail);
    let by = by.map_err(|_| bad(format!("by must be some of {}", names.join(", "))))?;
    if asked.priced && (asked.by.is_some() || asked.margin) {
        return Err(bad("priced has its own rows: leave by and margin out".to_owned()));
    }
    let costs = margin(&web, &caller, asked.margin)?;
    let relays = summary::asks_for_relays(&by, costs);
    let ledgers = Ledgers::of(store, scope, asked.ledger.as_deref()).await?;
    let bill_to = ledgers.payer(scope, asked.bill_to.as_deref())?;
    let mut sums: Vec<(OrgId, PaidRow)> = Vec::new();
    for organization in &ledgers.all {
        let (site, payer) = (asked.site.as_deref(), asked.payer.as_deref());
        let all = LineQuery { bill_to, site, payer, relays, ..LineQuery::of(organization.id) };
        let zone = &organization.file.time_zone;
        let queries: Vec<LineQuery<'_>> = match (month, from, to) {
            (Some(first), None, None) => {
                let last = to_month.unwrap_or(first);
                let months = std::iter::successors(Some(first), |month| Some(month.next()).filter(|next| *next <= last));
                months.take(MONTHS).map(|month| LineQuery { period: Some(month), ..all }).collect()
            }
            (None, Some(from), Some(to)) if from < to => {
                vec![LineQuery { from: Some(zone.start_of(from)), to: Some(zone.start_of(to)), ..all }]
            }
            _ => return Err(bad("say month (and to_month), or from and a later to".to_owned())),
        };
        for query in queries {
            sums.extend(store.ledger_sums(scope, &query).await?.into_iter().map(|sum| (organization.id, sum)));
        }
    }
    let csv = match asked.format.as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(bad("format must be json or csv".to_owned())),
    };
    let mut out = Vec::new();
    if asked.priced {
        let (from, to) = match (from, to, month) {
            (Some(from), Some(to), _) => (from, to),
            (_, _, Some(month)) => (month.first(), to_month.unwrap_or(month).next().first()),
            _ => return Err(bad("say which period".to_owned())),
        };
        let slug = |org: &OrgId| ledgers.slugs.get(org).map_or("", String::as_str);
        let report = bill::report(from, to, sums.iter().map(|(org, sum)| (slug(org), sum)))?;
        if !csv {
            return Ok(Json(report).into_response());
        }
        bill::csv::write(&report, &mut out)?;
    } else {
        let summary = summary::summary(&by, &ledgers.slugs, costs, &sums)?;
        if !csv {
            return Ok(Json(summary).into_response());
        }
        summary::csv(&summary, &mut out)?;
    }
    Ok(file("text/csv; charset=utf-8", out))
}

/// What HISPs ask, for whoever may know it.
fn margin<'w>(web: &'w Web, caller: &Caller, asked: bool) -> Result<Option<&'w Costs>, Problem> {
    if !asked {
        return Ok(None);
    }
    if caller.reach != Reach::Installation {
        let detail = "what the installation pays and earns is told to tokens of the installation alone";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let unknown = "the cost of a message is not known: set cost, or cost_by_relay, in the section [fees] of the configuration";
    web.costs(&caller.reach).map(Some).ok_or_else(|| Problem::new(StatusCode::CONFLICT, "no_cost", unknown))
}

/// `GET /v1/fees/periods`: the months of the ledger, and where they stand.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn periods(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    asked.map_err(bad_query)?;
    let (store, now) = (web.intake.store(), web.intake.store().now().await?);
    let slugs = Ledgers::of(store, caller.scope, None).await?.names();
    let all = store.periods(caller.scope).await?;
    let told: Vec<_> = all
        .iter()
        .map(|period| {
            json!({ "organization": slugs.get(&period.org), "month": period.bounds.month, "state": period.state(now),
                "time_zone": period.zone, "from": period.bounds.starts_at.in_zone(&period.zone),
                "to": period.bounds.ends_at.in_zone(&period.zone), "closed_at": period.closed_at.map(|at| at.in_zone(&period.zone)),
                "closed_by": period.closed_by, "forced": period.forced })
        })
        .collect();
    Ok(Json(json!({ "periods": told })).into_response())
}

/// `GET /v1/fees/statement/{month}`: what a month costs the caller.
///
/// # Errors
/// 400, 401, 403, 404, 503.
pub async fn statement(
    State(web): State<Web>,
    caller: Caller,
    Path(month): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let store = web.intake.store();
    let month: Month = month.parse().map_err(|_| nothing())?;
    let own = caller.sender()?.org;
    let ledgers = Ledgers::of(store, caller.scope, None).await?;
    let whose = match asked.ledger.as_deref() {
        Some(slug) => ledgers.all.iter().find(|known| known.file.slug == slug),
        None => ledgers.all.iter().find(|known| known.id == own),
    };
    let whose = whose.ok_or_else(nothing)?;
    let payer = store.organization(own).await?.ok_or_else(nothing)?;
    let statement = Statement::make(store, whose, month, &payer).await?;
    Ok(match asked.format.as_deref() {
        None | Some("json") => file("application/json", statement.json()?.into_bytes()),
        Some("csv") => {
            let mut out = Vec::new();
            csv::write(&statement, &mut out)?;
            file("text/csv; charset=utf-8", out)
        }
        Some("html") => file("text/html; charset=utf-8", html::write(&statement)?.into_bytes()),
        Some("pdf") => file("application/pdf", pdf::write(&statement)?),
        Some(_) => {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_query", "format must be json, csv, html or pdf"));
        }
    })
}

/// `GET /v1/fees/export`: the ledger of a month line by line. `Postern-Last-Line` says where to go on with `after`; nothing
/// behind it is an empty answer. As IIF it is one invoice for each payer of a closed month that the caller may see. A token for
/// the installation names the `ledger`, and gets all of it; with `organization` what that one pays.
///
/// # Errors
/// 400, 401, 403, 404, 409 (as IIF: the month is open), 503.
pub async fn export(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(bad_query)?;
    let (store, scope) = (web.intake.store(), caller.scope);
    let month: Option<Month> = parameter("month", asked.month.as_deref(), "a month like 2026-01")?;
    let after: i64 = parameter("after", asked.after.as_deref(), "the number of a line")?.unwrap_or(0);
    let ledgers = Ledgers::of(store, scope, None).await?;
    let whose = if let Some(slug) = asked.ledger.as_deref() {
        ledgers.all.iter().find(|known| known.file.slug == slug)
    } else {
        let own = caller.sender()?.org;
        ledgers.all.iter().find(|known| known.id == own)
    };
    let (whose, bill_to) = (whose.ok_or_else(nothing)?, ledgers.payer(scope, asked.bill_to.as_deref())?);
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "bad_query", detail);
    let (format, kind) = match asked.format.as_deref() {
        None | Some("jsonl") => (Some(LineFormat::Jsonl), "application/jsonl"),
        Some("csv") => (Some(LineFormat::Csv), "text/csv; charset=utf-8"),
        Some("iif") => (None, "text/tab-separated-values; charset=utf-8"),
        Some(_) => return Err(bad("format must be jsonl, csv or iif")),
    };
    // Before the first line is told.
    store.witness(&caller.actor, &DataExported { org: scope.org().or(Some(whose.id)), what: Configured("ledger") }).await?;
    let Some(format) = format else {
        let month = month.ok_or_else(|| bad("say which month"))?;
        // Whoever is confined has its own invoice, and those of nobody else.
        let payer = match bill_to.or_else(|| scope.org()) {
            Some(payer) => Some(store.organization(payer).await?.ok_or_else(nothing)?),
            None => None,
        };
        let invoices = Statement::all(store, whose, month, payer.as_ref()).await?;
        let accounts = iif::Accounts { receivable: &web.fees.receivable, income: &web.fees.income };
        let mut out = Vec::new();
        iif::write(&invoices, accounts, &mut out)?;
        return Ok(file(kind, out));
    };
    let query = LineQuery { period: month, bill_to, ..LineQuery::of(whose.id) };
    let mut out = Vec::new();
    let slugs = ledgers.names();
    let exported = export::page(store, scope, &query, after, LINES, &slugs, format, &mut out).await?;
    let mut response = file(kind, out);
    for (name, value) in [("postern-last-line", exported.last.to_string()), ("postern-lines", exported.lines.to_string())] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// An answer that is a file.
fn file(kind: &'static str, content: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}

/// The month and its bounds.
async fn bounds(store: &Store, org: OrgId, month: Month) -> Result<crate::store::period::BillingPeriod, Problem> {
    let found = store.period(OrgScope::One(org), org, month).await.map_err(|error: StoreError| Problem::from(error))?;
    found.ok_or_else(nothing)
}
