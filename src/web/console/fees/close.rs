//! A month is closed: what would be written is shown first, with what stands in the way. That counts every delivery of the month, so it is
//! done when somebody asks for it.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use serde::Deserialize;

use super::{failed, head, next_step, period};
use crate::{
    bill::{Statement, closing},
    domain::{prices::closing::Row, time::TimeZone},
    store::{
        ledger::close::{Close, Closing, Controls, Refusal},
        organization::Organization,
        period::BillingPeriod,
    },
    web::{
        Problem, Web,
        auth::{Fields, Person},
        console::{
            Page,
            form::{Form, Input},
            sheet::{Cell, Section, Sheet},
            told::told,
            whose,
            words::{self, Badge},
        },
    },
};

fn page(one: &Organization, period: &BillingPeriod, about: &str) -> Sheet {
    let lead = "What closing would write. Nothing has happened yet; a closed month never opens again.";
    head(one, period, about, format!("Close {} of {}?", period.bounds.month, one.file.name), lead)
}

async fn tried(web: &Web, one: &Organization, period: &BillingPeriod, close: &Close) -> Result<Result<Closing, Refusal>, Page> {
    closing::close(web.intake.store(), one, period.bounds.month, close).await.map_err(failed)
}

/// Why it is not closed, with what can be done about it here.
fn said(refusal: &Refusal, zone: &TimeZone) -> String {
    match refusal {
        Refusal::Grace(until) => {
            format!("what belongs to it may come until {}; it can be closed before", words::minute_in(*until, zone))
        }
        Refusal::Unsettled(count) => {
            let (are, fees) = if *count == 1 { ("delivery is", "its fee goes") } else { ("deliveries are", "their fees go") };
            format!("{count} {are} still on the way; it can be closed all the same, and {fees} to the month it arises in")
        }
        Refusal::NotEnded(at) => format!("it ends on {}", words::minute_in(*at, zone)),
        other => other.to_string(),
    }
}

/// What the page is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::console) struct Asked {
    /// Not empty: to count.
    count: String,
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let (one, period) = period(&web, &person, &slug, &month).await?;
    if asked.count.is_empty() && period.closed_at.is_none() {
        return begun(&web, &person, &one, &period).await.map(|sheet| sheet.show(&person));
    }
    shown(&web, &person, &one, &period, None).await.map(|sheet| sheet.show(&person))
}

/// What is known without counting.
async fn begun(web: &Web, person: &Person, one: &Organization, period: &BillingPeriod) -> Result<Sheet, Page> {
    let (store, about, month) = (web.intake.store(), person.about(one.id), period.bounds.month);
    let now = store.now().await.map_err(Page::store)?;
    let statement = Statement::glance(store, one, month, one).await.map_err(failed)?;
    let charged = statement.totals.iter().map(|total| format!("{} {} for {}", total.total, total.currency, total.charges));
    let facts = vec![
        ("State", period.state(now).to_string()),
        ("What is next", next_step(period, now)),
        ("Charged so far, for so many deliveries", charged.collect::<Vec<_>>().join(", ")),
    ];
    let and = if about.is_empty() { '?' } else { '&' };
    let lead = "Closing counts every delivery of the month against its charge. What it would write is shown first; with very many \
        deliveries that takes some seconds.";
    Ok(head(one, period, &about, format!("Closing {month} of {}", one.file.name), lead)
        .mainly(format!("/fees/{}/{month}/close{about}{and}count=yes", one.file.slug), "Count, and show what closing would write")
        .and(Section::facts("As it stands", facts)))
}

async fn shown(
    web: &Web,
    person: &Person,
    one: &Organization,
    period: &BillingPeriod,
    problem: Option<String>,
) -> Result<Sheet, Page> {
    let about = person.about(one.id);
    let close = Close { dry_run: true, force: false, by: person.known.login.clone() };
    let page = page(one, period, &about).wrong(problem);
    let closing = match tried(web, one, period, &close).await? {
        Ok(closing) => closing,
        Err(refusal) => return Ok(page.and(Section::lines("It cannot be closed", vec![said(&refusal, &period.zone)]))),
    };
    let stands = closing.refusals.iter().any(|refusal| !refusal.gives_way());
    let mut page = page;
    if !closing.refusals.is_empty() {
        let heading = if stands { "It cannot be closed yet" } else { "It can be closed by force" };
        page = page.and(Section::lines(heading, closing.refusals.iter().map(|one| said(one, &period.zone)).collect()));
    }
    page = page.and(written(person, &closing)).and(controls(&closing.controls));
    if stands {
        return Ok(page);
    }
    let month = period.bounds.month;
    let mut form = Form::new(format!("/fees/{}/{month}/close{about}", one.file.slug), format!("Close {month}"))
        .hidden("sure", "yes")
        .back(format!("/fees/{}/{month}{about}", one.file.slug));
    if !closing.refusals.is_empty() {
        form = form.and(
            Input::tick("force", "Close it all the same")
                .hint("what comes later goes into the open month and names this one")
                .needed(),
        );
    }
    Ok(page.and(Section::form("Close it?", form.bad()).lead("The end of its ledger is signed, and its statements are kept.")))
}

/// What there is, and what closing adds; to whoever is confined, of what its organization pays.
fn written(person: &Person, closing: &Closing) -> Section {
    let payer = person.known.reach.payer_in(closing.period.org);
    let seen = |row: &&Row| payer.is_none_or(|payer| row.group.bill_to == payer);
    let row = |added: bool, row: &Row| {
        let group = &row.group;
        let note = group.relates_to.map_or_else(|| group.note.clone(), |month| format!("{} of {month}", group.note));
        let badge = if added {
            Badge { tone: "info", words: "added by closing".to_owned() }
        } else {
            Badge { tone: "calm", words: "stand there".to_owned() }
        };
        vec![
            badge.into(),
            Cell::from(group.site.clone()).with(group.cost_center.clone()),
            Cell::from(group.entry_type.to_string()).with(note),
            Cell::from(group.fee_code.clone()).with([group.channel.as_str(), group.status.as_str()].join(" ")),
            Cell::number(row.quantity),
            Cell::number(group.unit_price),
            Cell::number(row.amount),
            group.currency.to_string().into(),
        ]
    };
    let (rows, added) = (closing.rows.iter().filter(seen), closing.added.iter().filter(seen));
    let rows = rows.map(|one| row(false, one)).chain(added.map(|one| row(true, one)));
    let columns = ["Lines", "Site", "Entry", "Fee code", "#Quantity", "#Price", "#Amount", "Currency"];
    let empty = ("Nothing was charged in this month", "It can be closed all the same.");
    Section::table("What will stand in it", &columns, empty).rows(rows)
}

fn controls(all: &Controls) -> Section {
    let mut facts = vec![
        (
            "Ties",
            if all.tie() {
                "yes: every delivery is charged once or says why not"
            } else {
                "NO: postern verify says what differs"
            }
            .to_owned(),
        ),
        ("Deliveries made in it", all.deliveries.to_string()),
        ("Of these charged in it", all.charged.to_string()),
        ("Of these charged later", all.charged_later.to_string()),
        ("Charges in it", all.charges.to_string()),
        ("Of deliveries made before", all.from_before.to_string()),
        ("At no price: test traffic", all.test.to_string()),
        ("At no price: none in force", all.unpriced.to_string()),
        ("Deliveries still on their way", all.unsettled.to_string()),
    ];
    facts.extend(all.not_charged.iter().map(|(reason, count)| ("Not charged", format!("{count}: {reason}"))));
    Section::facts("What ties it to the deliveries", facts)
}

pub(in crate::web::console) async fn close(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Page> {
    let (one, period) = period(&web, &person, &slug, &month).await?;
    if !fields.ticked("sure") {
        let detail = "Look at what would be written first.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail).into());
    }
    whose::on_record(&web, &person, Some(one.id), "month_closed", &period.bounds.month.to_string()).await?;
    let close = Close { dry_run: false, force: fields.ticked("force"), by: person.known.login.clone() };
    let why = match tried(&web, &one, &period, &close).await? {
        Ok(closing) if closing.closed => {
            let place = format!("/fees/{slug}/{}{}", period.bounds.month, person.about(one.id));
            return Ok(told(&place, "closed").into_response());
        }
        Ok(closing) => closing.refusals.iter().map(|one| said(one, &period.zone)).collect::<Vec<_>>().join("; "),
        Err(refusal) => said(&refusal, &period.zone),
    };
    let page = shown(&web, &person, &one, &period, Some(format!("It was not closed: {why}."))).await?;
    Ok(page.show_as(StatusCode::CONFLICT, &person).into_response())
}
