//! What is handed out: statements to read, print and send, and the ledger for other programs. Each is on record first.

use std::collections::HashMap;

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Deserialize;

use super::{failed, missing, period};
use crate::{
    bill::{
        BillError, Statement,
        export::{self, LineFormat, iif},
        statement::{csv, html, pdf},
    },
    domain::{OrgId, OrgScope},
    observe::{chain, events::DataExported, facts::Configured},
    store::{Store, ledger::read::LineQuery, organization::Organization, period::BillingPeriod},
    web::{
        Problem, Web,
        auth::Person,
        console::{Page, sheet::Section},
    },
};

/// Lines that are read together.
const TOGETHER: u32 = 5_000;

/// The statement is one page with its own style: nothing else may come with it.
const STATEMENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Which one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::console) struct Asked {
    format: String,
    /// Who pays, by slug; the organization itself without it.
    bill_to: String,
}

/// What can be taken out of a month.
pub(super) fn section(person: &Person, here: &str, about: &str, period: &BillingPeriod) -> Section {
    let and = if about.is_empty() { '?' } else { '&' };
    let ledger = |format: &str| format!("{here}/export{about}{and}format={format}");
    let statement = |format: &str, payer: &str| format!("{here}/statement{about}{and}format={format}&bill_to={payer}");
    let all = person.known.reach.payer_in(period.org).is_none();
    let what = if all {
        "A statement is for whoever pays. The ledger has every line, each with an id that names it for ever."
    } else {
        "What the organization pays itself. The ledger has each such line, with an id that names it for ever."
    };
    let invoices = match (period.closed_at.is_some(), all) {
        (true, true) => "The invoices for QuickBooks (IIF) have one for each payer; loading a file twice enters them twice.",
        (true, false) => "The invoice for QuickBooks (IIF) is entered twice when the file is loaded twice.",
        (false, _) => "Invoices for QuickBooks (IIF) are written once the month is closed.",
    };
    let mut section = Section::lines("Exports", vec![what.to_owned(), invoices.to_owned()])
        .leading(statement("pdf", ""), "Statement as PDF")
        .leading(statement("csv", ""), "Statement as CSV")
        .leading(ledger("csv"), "Ledger as CSV")
        .leading(ledger("jsonl"), "Ledger as JSON lines");
    if period.closed_at.is_some() {
        section = section.leading(ledger("iif"), "Invoices for QuickBooks (IIF)");
    }
    let payers = period.record.as_ref().map(|record| record.payers.as_slice()).unwrap_or_default();
    for payer in payers.iter().filter(|payer| all && payer.id != period.org) {
        section = section.leading(statement("pdf", &payer.slug), format!("Statement of {} as PDF", payer.name));
    }
    section
}

async fn on_record(web: &Web, person: &Person, org: OrgId, what: &'static str) -> Result<(), Page> {
    let event = DataExported { org: Some(org), what: Configured(what) };
    web.intake.store().witness(&person.actor, &event).await.map_err(Page::store)
}

/// A file to be kept, under a name that says what it is.
fn file(kind: &'static str, name: &str, content: impl Into<Body>) -> Response {
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect();
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, content.into()).into_response()
}

/// Who pays: the organization itself, or one that the month's record names. To whoever is confined there is nobody else.
async fn payer(
    store: &Store,
    person: &Person,
    one: &Organization,
    period: &BillingPeriod,
    slug: &str,
) -> Result<Organization, Page> {
    if slug.is_empty() || slug == one.file.slug {
        return Ok(one.clone());
    }
    let payers = period.record.as_ref().map(|record| record.payers.as_slice()).unwrap_or_default();
    let only = person.known.reach.payer_in(one.id);
    let seen = payers.iter().filter(|payer| only.is_none_or(|only| only == payer.id));
    let known = seen.into_iter().find(|payer| payer.slug == slug).ok_or_else(|| missing("payer"))?;
    store.organization(known.id).await.map_err(Page::store)?.ok_or_else(|| missing("payer"))
}

/// The statement: a page to read and print, or a file to send.
pub(in crate::web::console) async fn statement(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let (one, period) = period(&web, &person, &slug, &month).await?;
    let payer = payer(store, &person, &one, &period, &asked.bill_to).await?;
    let statement = Statement::glance(store, &one, period.bounds.month, &payer).await.map_err(failed)?;
    on_record(&web, &person, one.id, "statement").await?;
    let name = format!("statement-{}", statement.number);
    match asked.format.as_str() {
        "" | "html" => {
            let page = html::write(&statement).map_err(failed)?;
            let headers =
                [(header::CONTENT_SECURITY_POLICY, STATEMENT_POLICY), (HeaderName::from_static("cache-control"), "no-store")];
            Ok((headers, Html(page)).into_response())
        }
        "pdf" => Ok(file("application/pdf", &format!("{name}.pdf"), pdf::write(&statement).map_err(failed)?)),
        "csv" => {
            let mut out = Vec::new();
            csv::write(&statement, &mut out).map_err(failed)?;
            Ok(file("text/csv; charset=utf-8", &format!("{name}.csv"), out))
        }
        _ => Err(unknown()),
    }
}

fn unknown() -> Page {
    Problem::new(StatusCode::BAD_REQUEST, "bad_query", "There is no such format of it.").into()
}

/// The ledger of a month, line by line as it is read, or the invoices of a closed one.
pub(in crate::web::console) async fn ledger(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let (one, period) = period(&web, &person, &slug, &month).await?;
    let name = format!("ledger-{slug}-{month}");
    match asked.format.as_str() {
        "iif" => {
            // Whoever is confined has its own invoice, and those of nobody else.
            let payer = person.known.reach.payer_in(one.id).map(|_| &one);
            let invoices = Statement::all(store, &one, period.bounds.month, payer).await.map_err(failed)?;
            let accounts = iif::Accounts { receivable: &web.fees.receivable, income: &web.fees.income };
            let mut out = Vec::new();
            iif::write(&invoices, accounts, &mut out).map_err(failed)?;
            on_record(&web, &person, one.id, "invoices").await?;
            Ok(file("text/plain; charset=utf-8", &format!("invoices-{slug}-{month}.iif"), out))
        }
        format @ ("csv" | "jsonl") => {
            let (format, kind) = match format {
                "csv" => (LineFormat::Csv, "text/csv; charset=utf-8"),
                _ => (LineFormat::Jsonl, "application/jsonl"),
            };
            let slugs: HashMap<OrgId, String> = store.slugs(OrgScope::All).await.map_err(Page::store)?.into_iter().collect();
            on_record(&web, &person, one.id, "ledger").await?;
            let reading =
                Reading { store: store.clone(), scope: person.scope, org: one.id, period, slugs, format, after: Some(0) };
            let body = Body::from_stream(stream::try_unfold(reading, Reading::next));
            Ok(file(kind, &format!("{name}.{}", if format == LineFormat::Csv { "csv" } else { "jsonl" }), body))
        }
        _ => Err(unknown()),
    }
}

/// A ledger that is read while it is sent: as much memory as one page of it, however long it is.
struct Reading {
    store: Store,
    scope: OrgScope,
    org: OrgId,
    period: BillingPeriod,
    slugs: HashMap<OrgId, String>,
    format: LineFormat,
    after: Option<i64>,
}

impl Reading {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BillError> {
        let Some(after) = self.after else { return Ok(None) };
        let query = LineQuery { period: Some(self.period.bounds.month), ..LineQuery::of(self.org) };
        let mut out = Vec::new();
        let read = export::page(&self.store, self.scope, &query, after, TOGETHER, &self.slugs, self.format, &mut out).await;
        let read = read.inspect_err(|error| tracing::error!(error = chain(error), "an export was broken off"))?;
        self.after = (read.lines == u64::from(TOGETHER)).then_some(read.last);
        Ok(Some((Bytes::from(out), self)))
    }
}
