//! One month line by line: what a row of the statement is made of.

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{head, line::entry, period};
use crate::{
    domain::{OrgScope, person::Right, prices::EntryType},
    store::ledger::{LedgerLine, read::LineQuery},
    web::{
        Web,
        auth::Person,
        console::{
            Page,
            sheet::{Cell, Section},
            words,
        },
    },
};

/// Lines of a page.
const LINES: u32 = 100;

/// Which of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::console) struct Asked {
    site: String,
    entry: String,
    channel: String,
    status: String,
    after: i64,
}

/// The end of an id: its beginning is the time, which is nearly the same for all of a page.
fn ending(id: &str) -> String {
    id.rsplit('-').next().unwrap_or(id).to_owned()
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let (one, period) = period(&web, &person, &slug, &month).await?;
    let given = |text: &'static str, value: &str| (!value.is_empty()).then(|| format!("{text} {value}"));
    let word = |value: &str| if value.is_empty() { None } else { Some(value.to_owned()) };
    let (site, channel, status) = (word(&asked.site), word(&asked.channel), word(&asked.status));
    let query = LineQuery {
        period: Some(period.bounds.month),
        site: site.as_deref(),
        channel: channel.as_deref(),
        status: status.as_deref(),
        entry_type: asked.entry.parse::<EntryType>().ok(),
        ..LineQuery::of(one.id)
    };
    let mut lines = store.ledger_page(person.scope, &query, asked.after, LINES + 1).await.map_err(Page::store)?;
    let more = lines.len() > LINES as usize;
    lines.truncate(LINES as usize);
    let slugs = store.slugs(OrgScope::All).await.map_err(Page::store)?;
    let about = person.about(one.id);
    let deliveries = person.may(Right::DeliveriesRead);
    let row = |line: &LedgerLine| {
        let delivery = line.delivery.map_or_else(|| Cell::from("-"), |id| Cell::code(ending(&id.to_string())));
        let delivery = match line.delivery {
            Some(id) if deliveries => delivery.to(format!("/deliveries/{id}{about}")),
            _ => delivery,
        };
        let why = [line.note.as_str(), line.reason.as_str(), line.entered_by.as_str()];
        let from = line.relates_to.map(|month| format!("belongs to {month}")).unwrap_or_default();
        let why: Vec<&str> = why.into_iter().chain([from.as_str()]).filter(|text| !text.is_empty()).collect();
        vec![
            Cell::number(line.seq).to(format!("/fees/{slug}/{month}/lines/{}{about}", line.id)),
            Cell::time(words::when_in(line.occurred_at, &period.zone)),
            Cell::from(entry(line.entry_type)).with(why.join("; ")),
            Cell::from(line.site.clone()).with(line.cost_center.clone()),
            Cell::from(line.fee_code.clone()).with([line.channel.as_str(), line.status.as_str()].join(" ")),
            Cell::number(line.quantity),
            Cell::number(line.amount).with(line.currency.to_string()),
            Cell::from(slugs.get(&line.bill_to).cloned().unwrap_or_default()),
            delivery,
        ]
    };
    let fields = [("site", &asked.site), ("entry", &asked.entry), ("channel", &asked.channel), ("status", &asked.status)];
    let here = format!("/fees/{slug}/{month}");
    let chosen = person.chosen.map_or_else(String::new, |org| format!("organization={org}&"));
    let next =
        lines.last().filter(|_| more).map(|last| format!("{here}/lines?{chosen}{}after={}", words::said(&fields), last.seq));
    let which =
        [given("site", &asked.site), given("entry", &asked.entry), given("by", &asked.channel), given("status", &asked.status)];
    let which: Vec<String> = which.into_iter().flatten().collect();
    let lead = if which.is_empty() {
        "Every line, in the order in which it was written; each has a page of its own.".to_owned()
    } else {
        format!("Only: {}.", which.join(", "))
    };
    let columns = ["#Line", "Billable since", "Entry", "Site", "For", "#Quantity", "#Amount", "Paid by", "Delivery"];
    let empty = ("No line is like that", "Go back to the month and choose a row.");
    let mut sheet = head(&one, &period, &about, format!("Lines of {} {month}", one.file.name), lead);
    if !which.is_empty() {
        sheet = sheet.leading(format!("{here}/lines{about}"), "All lines");
    }
    Ok(sheet.and(Section::table("", &columns, empty).rows(lines.iter().map(row))).next_as(next, "Next lines").show(&person))
}
