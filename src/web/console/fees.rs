//! Fees: each organization's months at a glance, one month in rows, and its statement.

/// A month is closed.
pub(super) mod close;
/// A line is taken back, and entered again.
pub(super) mod correct;
/// What is handed out.
pub(super) mod exports;
/// One line.
pub(super) mod line;
/// Line by line.
pub(super) mod lines;
/// What the HISP has counted.
pub(super) mod reconcile;

pub use reconcile::Comparisons;

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{
    Page, Told,
    sheet::{Cell, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    bill::{BillError, Statement, statement::StatementRow},
    domain::{
        Currency, Money, OrgScope, Timestamp,
        period::{GRACE, Month, PeriodState},
        person::Right,
        prices::EntryType,
    },
    observe::chain,
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
    let words = match state {
        PeriodState::Open => "open",
        PeriodState::Grace => "ended",
        PeriodState::Closed => "closed",
    };
    Badge { tone, words: words.to_owned() }
}

/// What is to be done about a month, and when.
fn next_step(period: &BillingPeriod, now: Timestamp) -> String {
    match period.state(now) {
        PeriodState::Open => format!("ends {}", words::minute_in(period.bounds.ends_at, &period.zone)),
        PeriodState::Grace => {
            let until = period.bounds.ends_at.plus(GRACE);
            if until > now {
                format!("what belongs to it may come until {}", words::minute_in(until, &period.zone))
            } else {
                "it can be closed".to_owned()
            }
        }
        PeriodState::Closed => period.closed_by.clone().map_or_else(String::new, |by| format!("by {by}")),
    }
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
            Cell::from(state(period.state(now))).with(next_step(&period, now)),
            Cell::time(words::minute_in(period.bounds.starts_at, &period.zone)),
            Cell::time(words::minute_in(period.bounds.ends_at, &period.zone)),
        ])
    };
    let empty = ("No month has begun", "A month begins with its organization's first charge.");
    let rows = periods.into_iter().filter_map(row).take(MONTHS * 8);
    let table = Section::table("Months", &["Month", "Organization", "State", "Begins", "Ends"], empty).rows(rows);
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
        let totals = match Statement::glance(store, &one, month, &one).await {
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
            Cell::from(state(period.state(now))).with(next_step(&period, now)),
            Cell::number(totals),
            Cell::time(period.closed_at.map_or_else(|| "-".to_owned(), |at| words::minute_in(at, &period.zone))),
        ]);
    }
    let empty = ("No month has begun", "A month begins with the first charge.");
    let table = Section::table("Months", &["Month", "State", "#Total", "Closed"], empty).rows(rows);
    let lead = format!("Months as they are in {}.", one.file.time_zone);
    Ok(Sheet::new(format!("Fees of {}", one.file.name), lead).under("/fees", "Fees").and(table).show(&person))
}

/// The month of an organization that was asked for.
async fn period(web: &Web, person: &Person, slug: &str, month: &str) -> Result<(Organization, BillingPeriod), Page> {
    let one = find(web, person, slug).await?;
    let month: Month = month.parse().map_err(|_| missing("month"))?;
    let found = web.intake.store().period(person.scope, one.id, month).await.map_err(Page::store)?;
    Ok((one, found.ok_or_else(|| missing("month"))?))
}

/// The head of a page about one month, and the way up from it.
fn head(one: &Organization, period: &BillingPeriod, about: &str, title: String, lead: impl Into<String>) -> Sheet {
    let (slug, month) = (&one.file.slug, period.bounds.month);
    Sheet::new(title, lead)
        .under("/fees", "Fees")
        .under(format!("/fees/{slug}/{month}{about}"), format!("{} {month}", one.file.name))
}

/// What went wrong with fees, for people.
fn failed(error: BillError) -> Page {
    match error {
        BillError::Store(cause) => Page::store(cause),
        error => Problem::from(error).into(),
    }
}

/// Quantities and amounts of one way and kind of result.
#[derive(Default)]
struct Glance {
    charges: i64,
    charged: Money,
    credited: Money,
    other: Money,
}

/// A month by the way results went and by their status: what was charged, what was given back.
fn glance(rows: &[StatementRow]) -> Section {
    let mut sums: BTreeMap<(String, String, Currency), Glance> = BTreeMap::new();
    let plus = |sum: Money, amount: Money| sum.plus(amount).unwrap_or(sum);
    for row in rows {
        let sum = sums.entry((row.channel.clone(), row.status.clone(), row.currency.clone())).or_default();
        match row.entry_type {
            EntryType::Charge => {
                sum.charges += row.quantity;
                sum.charged = plus(sum.charged, row.amount);
            }
            EntryType::Credit => sum.credited = plus(sum.credited, row.amount),
            _ => sum.other = plus(sum.other, row.amount),
        }
    }
    let row = |((channel, status, currency), sum): ((String, String, Currency), Glance)| {
        let whole = channel.is_empty();
        vec![
            if whole { "the whole month".to_owned() } else { channel }.into(),
            words::plain(&status).into(),
            Cell::number(sum.charges),
            Cell::number(sum.charged),
            Cell::number(sum.credited),
            Cell::number(sum.other),
            Cell::number(plus(plus(sum.charged, sum.credited), sum.other)),
            currency.to_string().into(),
        ]
    };
    let empty = ("Nothing was charged", "No delivery of this month was billable.");
    let columns = ["Channel", "Status", "#Charges", "#Charged", "#Given back", "#Other", "#Total", "Currency"];
    Section::table("At a glance", &columns, empty).rows(sums.into_iter().map(row))
}

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
}

pub(super) async fn month(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let (one, period) = period(&web, &person, &slug, &month).await?;
    let now = store.now().await.map_err(Page::store)?;
    let statement = Statement::glance(store, &one, period.bounds.month, &one).await.map_err(failed)?;
    let (about, here) = (person.about(one.id), format!("/fees/{slug}/{month}"));
    let and = if about.is_empty() { '?' } else { '&' };
    let totals = statement.totals.iter().map(|total| {
        vec![
            total.currency.to_string().into(),
            Cell::number(total.charges),
            Cell::number(total.charged),
            Cell::number(total.credited),
            Cell::number(total.adjusted),
            Cell::number(total.minimum),
            Cell::number(total.total),
        ]
    });
    let rows = statement.rows.iter().map(|row| {
        let lines = format!(
            "{here}/lines{about}{and}site={}&entry={}&channel={}&status={}",
            words::query(&row.site),
            row.entry_type,
            words::query(&row.channel),
            words::query(&row.status)
        );
        vec![
            row.place().into(),
            Cell::from(row.words()).to(lines),
            Cell::number(row.quantity),
            Cell::number(row.unit_price),
            Cell::number(row.amount),
            row.currency.to_string().into(),
        ]
    });
    let mut facts = vec![
        ("State", state(period.state(now)).words),
        ("From", words::minute_in(period.bounds.starts_at, &period.zone)),
        ("Until before", words::minute_in(period.bounds.ends_at, &period.zone)),
        ("Time zone", period.zone.to_string()),
    ];
    if let Some(controls) = &statement.controls {
        let ties = if controls.ties { "yes" } else { "NO: do not send it out; postern verify says what differs" };
        facts.push(("Ties to the deliveries", ties.to_owned()));
        if controls.billed_to_others > 0 {
            facts.push(("Charges that others pay", controls.billed_to_others.to_string()));
        }
    }
    facts.extend(statement.last_hash.clone().map(|hash| ("Hash of the last line", hash)));
    let open = period.closed_at.is_none();
    let lead = match period.state(now) {
        PeriodState::Closed => "Closed: it does not change any more.".to_owned(),
        PeriodState::Grace => format!("It has ended; {}. A draft until it is closed.", next_step(&period, now)),
        PeriodState::Open => "A draft: rows may be added; tiers, minimum and cap come when it is closed.".to_owned(),
    };
    let empty = ("Nothing was charged", "No delivery of this month was billable.");
    let mut sheet = Sheet::new(format!("{} {month}", one.file.name), lead)
        .under("/fees", "Fees")
        .under(format!("/fees/{slug}{about}"), one.file.name.clone())
        .told(Told::of(&asked.done))
        .leading(format!("{here}/statement{about}"), "Statement")
        .leading(format!("{here}/lines{about}"), "Lines");
    if person.may(Right::FeesAct) {
        sheet = sheet.leading(format!("{here}/reconcile{about}"), "Reconcile");
        if open {
            let (place, words) = (format!("{here}/close{about}"), "Close the month");
            // Before it has ended there is nothing to close.
            sheet =
                if period.state(now) == PeriodState::Grace { sheet.mainly(place, words) } else { sheet.leading(place, words) };
        }
    }
    let columns = ["Currency", "#Charges", "#Charged", "#Given back", "#Corrected", "#Minimum", "#Total"];
    sheet = sheet
        .and(Section::table("Totals", &columns, empty).rows(totals))
        .and(glance(&statement.rows))
        .and(Section::table("Rows", &["Site", "For", "#Quantity", "#Price", "#Amount", "Currency"], empty).rows(rows));
    if person.may(Right::FeesAct) {
        sheet = sheet.and(exports::section(&person, &here, &about, &period));
    }
    let signed = store.reconciliations(person.scope, one.id, period.bounds.month).await.map_err(Page::store)?;
    Ok(sheet.and(reconcile::signed(signed)).and(Section::facts("The period", facts)).show(&person))
}
