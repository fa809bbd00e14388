//! One line of a ledger: everything it says, what has become of it, and the form to correct it.

use axum::extract::{Path, Query, State};

use super::{Asked, correct, missing, period};
use crate::{
    domain::{OrgScope, id::LedgerLineId, person::Right, prices::EntryType},
    store::{
        ledger::{LedgerLine, read::LineQuery},
        organization::Organization,
        period::BillingPeriod,
    },
    web::{
        Web,
        auth::Person,
        console::{
            Page, Told,
            sheet::{Section, Sheet},
            words::{self, Badge},
        },
    },
};

/// A line, and whose month it stands in.
pub(super) struct Found {
    pub(super) one: Organization,
    pub(super) period: BillingPeriod,
    pub(super) line: LedgerLine,
    /// What follows paths about the organization.
    pub(super) about: String,
}

impl Found {
    /// Where it is shown.
    pub(super) fn place(&self) -> String {
        format!("/fees/{}/{}/lines/{}", self.one.file.slug, self.period.bounds.month, self.line.id)
    }
}

/// The colour and the word of an entry.
pub(super) fn entry(entry: EntryType) -> Badge {
    let tone = match entry {
        EntryType::Charge => "good",
        EntryType::Credit => "warn",
        _ => "calm",
    };
    Badge { tone, words: words::plain(entry.as_str()) }
}

/// The line of that id in the month and the ledger it is asked for in; of another's ledger it looks as if there were none.
pub(super) async fn find(web: &Web, person: &Person, slug: &str, month: &str, id: &str) -> Result<Found, Page> {
    let (one, period) = period(web, person, slug, month).await?;
    let id: LedgerLineId = id.parse().map_err(|_| missing("ledger line"))?;
    let query = LineQuery { period: Some(period.bounds.month), line: Some(id), ..LineQuery::of(one.id) };
    let lines = web.intake.store().ledger_page(person.scope, &query, 0, 1).await.map_err(Page::store)?;
    let line = lines.into_iter().next().ok_or_else(|| missing("ledger line"))?;
    let about = person.about(one.id);
    Ok(Found { one, period, line, about })
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Path((slug, month, id)): Path<(String, String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let found = find(&web, &person, &slug, &month, &id).await?;
    Ok(page(&web, &person, &found, None).await?.told(Told::of(&asked.done)).show(&person))
}

/// The head of every page about a line.
pub(super) fn about_line(found: &Found, title: String, lead: impl Into<String>) -> Sheet {
    let (slug, month, about) = (&found.one.file.slug, found.period.bounds.month, &found.about);
    super::head(&found.one, &found.period, about, title, lead).under(format!("/fees/{slug}/{month}/lines{about}"), "Lines")
}

/// What was entered in the place of what `back` takes back: right behind it, in one transaction; nothing when it was given back.
pub(super) async fn entered_again(web: &Web, scope: OrgScope, back: &LedgerLine) -> Result<Option<LedgerLine>, Page> {
    let query = LineQuery { delivery: back.delivery, ..LineQuery::of(back.org) };
    let next = web.intake.store().ledger_page(scope, &query, back.seq, 1).await.map_err(Page::store)?;
    let again = |next: &LedgerLine| next.seq == back.seq + 1 && next.reverses.is_none() && next.entered_by == back.entered_by;
    Ok(next.into_iter().next().filter(again))
}

pub(super) async fn page(web: &Web, person: &Person, found: &Found, problem: Option<String>) -> Result<Sheet, Page> {
    let store = web.intake.store();
    let (line, slug) = (&found.line, &found.one.file.slug);
    let slugs = store.slugs(OrgScope::All).await.map_err(Page::store)?;
    let title = format!("Line {} of {} {}", line.seq, found.one.file.name, found.period.bounds.month);
    let mut sheet =
        about_line(found, title, "A line is never changed: it is taken back by another, and entered again.").wrong(problem);
    let mut facts = vec![
        ("Entry", words::plain(line.entry_type.as_str())),
        ("Amount", format!("{} {}", line.amount, line.currency)),
        ("Made of", format!("{} × {}", line.quantity, line.unit_price)),
        ("Fee code", line.fee_code.clone()),
        ("Paid by", slugs.get(&line.bill_to).cloned().unwrap_or_default()),
        ("Billable since", words::when_in(line.occurred_at, &found.period.zone)),
        ("Written", words::when_in(line.recorded_at, &found.period.zone)),
        ("Id", line.id.to_string()),
    ];
    let mut say = |what, text: &str| {
        if !text.is_empty() {
            facts.push((what, text.to_owned()));
        }
    };
    say("Channel", &line.channel);
    say("Status", &words::plain(&line.status));
    say("Site", &line.site);
    say("Cost centre", &line.cost_center);
    say("Note", &line.note);
    say("Why", &line.reason);
    say("Entered by", &line.entered_by);
    facts.extend(line.delivery.map(|delivery| ("Delivery", delivery.to_string())));
    facts.extend(line.relates_to.map(|month| ("Belongs to", month.to_string())));
    sheet = sheet.and(Section::facts("What it says", facts));
    if let Some(delivery) = line.delivery.filter(|_| person.may(Right::DeliveriesRead)) {
        sheet = sheet.leading(format!("/deliveries/{delivery}{}", found.about), "The delivery");
    }
    let place = |line: &LedgerLine| format!("/fees/{slug}/{}/lines/{}{}", line.period, line.id, found.about);
    let other = async |query: LineQuery<'_>| store.ledger_page(person.scope, &query, 0, 1).await.map_err(Page::store);
    for back in other(LineQuery { reverses: Some(line.id), ..LineQuery::of(found.one.id) }).await? {
        let mut said =
            vec![format!("Taken back by line {} in {}, by {}: {}.", back.seq, back.period, back.entered_by, back.reason)];
        let mut became = Section::default().leading(place(&back), format!("Line {}", back.seq));
        if let Some(again) = entered_again(web, person.scope, &back).await? {
            said.push(format!("Entered again as line {}, at {} {}.", again.seq, again.amount, again.currency));
            became = became.leading(place(&again), format!("Line {}", again.seq));
        }
        sheet = sheet.and(became.saying("What became of it", said));
    }
    if let Some(reversed) = line.reverses {
        for before in other(LineQuery { line: Some(reversed), ..LineQuery::of(found.one.id) }).await? {
            let words = format!("It takes line {} back: {} {} in {}.", before.seq, before.amount, before.currency, before.period);
            sheet = sheet
                .and(Section::lines("What it is about", vec![words]).leading(place(&before), format!("Line {}", before.seq)));
        }
    }
    if person.may(Right::FeesAct)
        && let Some(section) = correct::section(web, person, found).await?
    {
        sheet = sheet.and(section);
    }
    Ok(sheet)
}
