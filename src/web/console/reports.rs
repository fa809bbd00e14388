//! Reports for payers, month by month: what reached which provider, what did not and why, and for whom no address is known. No
//! patient's data but the sender's keys of orders.

use axum::{
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    Page,
    deliveries::organizations,
    sheet::{Cell, Field, Section, Sheet},
    words,
};
use crate::{
    domain::{Month, OrgId, person::Right},
    observe::{chain, events::DataExported, facts::Configured},
    resolve::report::{
        ByPcp, NoAddress, Report, Totals, Undeliverable,
        csv::{Part, write},
    },
    source::Refusal,
    store::organization::Organization,
    web::{
        Problem, Web,
        auth::Person,
        reports::{of_month, what},
    },
};

/// Most rows of a table; the file has all.
const ROWS: usize = 200;

/// Of which month.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    month: String,
    part: String,
}

/// The organization that is looked at, when that is one.
async fn chosen(web: &Web, person: &Person) -> Result<Option<Organization>, Page> {
    let store = web.intake.store();
    let org: Option<OrgId> = if let Some(org) = person.scope.org() {
        Some(org)
    } else {
        let all = store.slugs(person.scope).await.map_err(Page::store)?;
        all.keys().next().copied().filter(|_| all.len() == 1)
    };
    match org {
        Some(org) => store.organization(org).await.map_err(Page::store),
        None => Ok(None),
    }
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Response, Page> {
    let choices = organizations(&web, &person).await?;
    let one = chosen(&web, &person).await?;
    let now = web.intake.store().clock().now();
    let current = one.as_ref().map(|one| Month::of(one.file.time_zone.date_at(now)).to_string());
    // It reads every result of the month, so nobody waits for one that was not asked for.
    let (month, wrong) = match asked.month.trim() {
        "" => (None, None),
        text => match text.parse::<Month>() {
            Ok(month) => (Some(month), None),
            Err(why) => (None, Some(format!("{text:?} {why}."))),
        },
    };
    let mut fields: Vec<Field> = Field::choice("organization", "Organization", choices).into_iter().collect();
    let shown = if asked.month.trim().is_empty() { current.unwrap_or_default() } else { asked.month.clone() };
    fields.push(Field::word("month", "Month (2026-01)", &shown));
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let lead = "What became of the results that came in within a month, as they stand now. Nothing here names a patient.";
    let mut sheet = Sheet::new("Reports", lead).filtered("/reports", fields, wrong);
    match (one, month) {
        (Some(one), Some(month)) => {
            let report = of_month(&web, &one, month).await?;
            for section in sections(&person, &one, month, &report) {
                sheet = sheet.and(section);
            }
        }
        (None, _) => {
            let lines = vec!["Choose an organization above: a report is of one.".to_owned()];
            sheet = sheet.and(Section::lines("Whose results", lines));
        }
        (Some(one), None) => {
            let lines = vec![format!("Choose a month above, of {}'s time zone, and press Show.", one.file.name)];
            sheet = sheet.and(Section::lines("Of which month", lines));
        }
    }
    Ok(sheet.show_as(status, &person).into_response())
}

fn sections(person: &Person, one: &Organization, month: Month, report: &Report) -> [Section; 4] {
    let file = |part: Part| {
        let organization = words::query(&one.file.slug);
        format!("/reports/export?organization={organization}&month={month}&part={part}")
    };
    let about = person.about(one.id);
    let results = person.may(Right::ResultsRead);
    let columns =
        ["Provider (NPI)", "Name", "#Results", "#Delivered", "#Pending", "#Failed", "#Not sent", "#No address", "#Median min"];
    let empty = ("No result was for a provider", "Results whose order names a primary care provider stand here.");
    let delivered = Section::table("By provider", &columns, empty)
        .rows(report.by_pcp.iter().take(ROWS).map(by_provider))
        .leading(file(Part::Delivered), "By provider as CSV");
    let columns = ["Since (UTC)", "Order", "Provider (NPI)", "Address", "Why", "What to do next"];
    let empty = ("Nothing failed", "Every result for a provider has arrived, or is on its way.");
    let failed = Section::table("What could not be delivered", &columns, empty)
        .rows(report.undeliverable.iter().take(ROWS).map(|row| undeliverable(row, results, &about)))
        .leading(file(Part::Undeliverable), "What could not be delivered as CSV");
    let empty = ("Every provider has an address", "Providers for whom no Direct address was found stand here.");
    let missing = Section::table("No address is known", &["Provider (NPI)", "Why", "#Results", "Oldest (UTC)"], empty)
        .rows(report.no_address.iter().take(ROWS).map(no_address))
        .leading(file(Part::NoAddress), "No address as CSV");
    let more = report.by_pcp.len().max(report.undeliverable.len()).max(report.no_address.len()) > ROWS;
    let mut totals = Section::facts(&format!("{} in {month}", one.file.name), totals(&report.totals));
    if more {
        totals = totals.lead(format!("The tables show the first {ROWS} rows; the files have all."));
    }
    [totals, delivered, failed, missing]
}

fn totals(totals: &Totals) -> Vec<(&'static str, String)> {
    let counts = [
        ("Results that came in", totals.results),
        ("Of these for no provider", totals.without_pcp),
        ("Results times providers", totals.pcp_results),
        ("Delivered", totals.delivered),
        ("Pending", totals.pending),
        ("Failed", totals.failed),
        ("Not sent", totals.not_sent),
        ("Without an address", totals.no_address),
    ];
    counts.map(|(name, count)| (name, count.to_string())).to_vec()
}

fn by_provider(row: &ByPcp) -> Vec<Cell> {
    let counts = [row.results, row.delivered, row.pending, row.failed, row.not_sent, row.no_address];
    let addresses: Vec<&str> = row.addresses.iter().map(String::as_str).collect();
    let mut cells = vec![Cell::code(or_dash(&row.pcp_npi)), Cell::from(row.pcp_name.clone()).with(addresses.join(", "))];
    cells.extend(counts.map(Cell::number));
    cells.push(Cell::number(row.median_minutes.map_or_else(|| "-".to_owned(), |minutes| minutes.to_string())));
    cells
}

fn undeliverable(row: &Undeliverable, results: bool, about: &str) -> Vec<Cell> {
    let order = Cell::from(row.order_id.clone());
    let order = match row.delivery {
        Some(id) => order.to(format!("/deliveries/{id}{about}")),
        None if results => order.to(format!("/results/{}{about}", row.result)),
        None => order,
    };
    vec![
        Cell::time(words::when(row.since)),
        order,
        Cell::code(or_dash(&row.pcp_npi)),
        Cell::code(or_dash(&row.address)),
        Cell::from(row.reason.map_or_else(|| "-".to_owned(), |reason| words::plain(reason.as_str()))),
        Cell::from(row.next_action),
    ]
}

fn no_address(row: &NoAddress) -> Vec<Cell> {
    vec![
        Cell::code(or_dash(&row.pcp_npi)),
        Cell::from(words::plain(row.reason.as_str())).with(row.reason.meaning()),
        Cell::number(row.results),
        Cell::time(words::when(row.oldest)),
    ]
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// The rows as a file. That somebody takes them out is on record first.
pub(super) async fn export(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Response, Page> {
    let missing = |what| Page::from(Problem::from(Refusal::not_found(what)));
    let one = chosen(&web, &person).await?.ok_or_else(|| missing("organization"))?;
    let part: Part = asked.part.parse().map_err(|_| missing("report"))?;
    let month: Month = asked.month.parse().map_err(|_| missing("month"))?;
    let event = DataExported { org: Some(one.id), what: Configured(what(part)) };
    web.intake.store().witness(&person.actor, &event).await.map_err(Page::store)?;
    let report = of_month(&web, &one, month).await?;
    let mut out = Vec::new();
    write(&report, part, &mut out).map_err(|error| {
        tracing::error!(error = chain(&error), "a report could not be written");
        Page::from(Problem::internal())
    })?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{part}-{}-{month}.csv\"", one.file.slug)),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, out).into_response())
}
