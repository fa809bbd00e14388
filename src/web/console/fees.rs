//! Fees: each organization's months at a glance, one month in rows, and its statement.

use axum::{
    extract::{Path, State},
    http::{HeaderName, header},
    response::{Html, IntoResponse as _, Response},
};

use super::{
    Page,
    sheet::{Cell, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    bill::statement::{Statement, html},
    domain::{
        OrgScope,
        audit::Witness,
        period::{Month, PeriodState},
    },
    observe::{chain, events::DataExported, facts::Configured},
    source::Refusal,
    store::{organization::Organization, period::BillingPeriod},
    web::{Problem, Web, auth::Person},
};

/// Months of the list for all.
const MONTHS: usize = 24;

fn missing(what: &'static str) -> Page {
    Problem::from(Refusal::not_found(what)).into()
}

fn state(state: PeriodState) -> Badge {
    let tone = match state {
        PeriodState::Open => "info",
        PeriodState::Grace => "warn",
        PeriodState::Closed => "good",
    };
    Badge { tone, words: state.to_string() }
}

pub(super) async fn list(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let store = web.intake.store();
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let now = store.now().await.map_err(Page::store)?;
    let mut periods = store.periods(person.scope).await.map_err(Page::store)?;
    periods.sort_by_key(|period| std::cmp::Reverse(period.bounds.month));
    let row = |period: BillingPeriod| {
        let slug = slugs.get(&period.org)?;
        let month = period.bounds.month;
        let about = person.about(period.org);
        Some(vec![
            Cell::from(month.to_string()).to(format!("/fees/{slug}/{month}{about}")),
            Cell::from(slug.clone()).to(format!("/fees/{slug}{about}")),
            state(period.state(now)).into(),
            Cell::time(words::when(period.bounds.starts_at)),
            Cell::time(words::when(period.bounds.ends_at)),
            period.closed_by.clone().unwrap_or_default().into(),
        ])
    };
    let empty = ("No month has begun", "A month begins with its organization's first charge.");
    let rows = periods.into_iter().filter_map(row).take(MONTHS * 8);
    let table = Section::table("Months", &["Month", "Organization", "State", "Begins (UTC)", "Ends (UTC)", "Closed by"], empty)
        .rows(rows);
    Ok(Sheet::new("Fees", "What was charged, by month and organization. Nothing here is about a patient.")
        .and(table)
        .show(&person))
}

async fn find(web: &Web, person: &Person, slug: &str) -> Result<Organization, Page> {
    let found = web.intake.store().organization_by_slug(person.scope, slug).await.map_err(Page::store)?;
    found.ok_or_else(|| missing("organization"))
}

pub(super) async fn organization(State(web): State<Web>, person: Person, Path(slug): Path<String>) -> Result<Page, Page> {
    let store = web.intake.store();
    let one = find(&web, &person, &slug).await?;
    let now = store.now().await.map_err(Page::store)?;
    let mut periods = store.periods(OrgScope::One(one.id)).await.map_err(Page::store)?;
    periods.sort_by_key(|period| std::cmp::Reverse(period.bounds.month));
    let mut rows = Vec::new();
    for period in periods.into_iter().take(MONTHS) {
        let month = period.bounds.month;
        let totals = match Statement::make(store, &one, month, &one).await {
            Ok(statement) => {
                statement.totals.iter().map(|total| format!("{} {}", total.total, total.currency)).collect::<Vec<_>>().join(", ")
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "a statement could not be made");
                "cannot be made".to_owned()
            }
        };
        rows.push(vec![
            Cell::from(month.to_string()).to(format!("/fees/{slug}/{month}{}", person.about(one.id))),
            state(period.state(now)).into(),
            Cell::number(totals),
            Cell::time(words::when_if(period.closed_at)),
        ]);
    }
    let empty = ("No month has begun", "A month begins with the first charge.");
    let table = Section::table("Months", &["Month", "State", "#Total", "Closed (UTC)"], empty).rows(rows);
    Ok(Sheet::new(format!("Fees of {}", one.file.name), "").under("/fees", "Fees").and(table).show(&person))
}

async fn made(web: &Web, person: &Person, slug: &str, month: &str) -> Result<(Organization, Statement), Page> {
    let one = find(web, person, slug).await?;
    let month: Month = month.parse().map_err(|_| missing("month"))?;
    let store = web.intake.store();
    store.period(person.scope, one.id, month).await.map_err(Page::store)?.ok_or_else(|| missing("month"))?;
    let statement = Statement::make(store, &one, month, &one).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a statement could not be made");
        Page::from(Problem::internal())
    })?;
    Ok((one, statement))
}

pub(super) async fn month(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
) -> Result<Page, Page> {
    let (one, statement) = made(&web, &person, &slug, &month).await?;
    let totals = statement.totals.iter().map(|total| {
        vec![
            total.currency.to_string().into(),
            Cell::number(total.charges),
            Cell::number(total.charged),
            Cell::number(total.credited),
            Cell::number(total.adjusted),
            Cell::number(total.total),
        ]
    });
    let rows = statement.rows.iter().map(|row| {
        vec![
            row.place().into(),
            row.words().into(),
            Cell::number(row.quantity),
            Cell::number(row.unit_price),
            Cell::number(row.amount),
            row.currency.to_string().into(),
        ]
    });
    let mut facts = vec![
        ("State", statement.state.to_string()),
        ("From", statement.from.to_string()),
        ("Until before", statement.to.to_string()),
        ("Time zone", statement.time_zone.to_string()),
    ];
    if let Some(controls) = &statement.controls {
        facts.push((
            "Ties to the deliveries",
            if controls.ties { "yes" } else { "NO: do not send it out; postern verify says what differs" }.to_owned(),
        ));
    }
    facts.extend(statement.last_hash.clone().map(|hash| ("Hash of the last line", hash)));
    let lead = if statement.closed_at.is_some() {
        "Closed: it does not change any more."
    } else {
        "A draft: rows may be added; tiers, minimum and cap come when it is closed."
    };
    let empty = ("Nothing was charged", "No delivery of this month was billable.");
    Ok(Sheet::new(format!("{} {month}", one.file.name), lead)
        .under("/fees", "Fees")
        .leading(format!("/fees/{slug}/{month}/statement{}", person.about(one.id)), "Statement to print")
        .and(
            Section::table("Totals", &["Currency", "#Charges", "#Charged", "#Given back", "#Corrected", "#Total"], empty)
                .rows(totals),
        )
        .and(Section::table("Rows", &["Site", "For", "#Quantity", "#Price", "#Amount", "Currency"], empty).rows(rows))
        .and(Section::facts("The period", facts))
        .show(&person))
}

/// The statement is one page with its own style: nothing else may come with it.
const STATEMENT_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The statement as it is handed out. On record, as every export is.
pub(super) async fn statement(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
) -> Result<Response, Page> {
    let (one, statement) = made(&web, &person, &slug, &month).await?;
    let event = DataExported { org: Some(one.id), what: Configured("statement") };
    let witness = Witness::new(&person.actor, &event);
    web.intake.store().witness(witness.actor, witness.event).await.map_err(Page::store)?;
    let page = html::write(&statement).map_err(|error| {
        tracing::error!(error = chain(&error), "a statement could not be drawn");
        Page::from(Problem::internal())
    })?;
    let headers = [(header::CONTENT_SECURITY_POLICY, STATEMENT_POLICY), (HeaderName::from_static("cache-control"), "no-store")];
    Ok((headers, Html(page)).into_response())
}
