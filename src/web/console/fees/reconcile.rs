//! A HISP's usage file held against what was handed over: each difference says why it may be and what to do, and somebody stands
//! for it. The file itself is not kept; what was found is, for the session that looked, until it is signed or half an hour old.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{head, period};
use crate::{
    bill::reconcile::{
        Bucket, Compared, Comparison, Difference,
        mapping::{Mapped, Separator},
        reconcile,
    },
    crypto::{Hex, sha256},
    domain::{
        Money, Month, OrgId,
        audit::Witness,
        person::{Reach, Right},
        text,
    },
    observe::{chain, events::ReconciliationSigned, facts::Configured},
    store::{organization::Organization, period::BillingPeriod, reconciliation::Signed},
    web::{
        Web,
        auth::{Fields, Person},
        console::{
            Page, Told,
            desk::Desk,
            form::{Form, Input},
            sheet::{Cell, Section, Sheet},
            told::told,
            whose,
            words::{self, Badge},
        },
    },
};

/// What may part the columns of a file.
const SEPARATORS: [(&str, &str); 4] =
    [("", "what its header shows"), ("comma", "commas"), ("semicolon", "semicolons"), ("tab", "tabs")];

/// So many differences are shown; the totals count them all.
const SHOWN: usize = 500;
/// So many comparisons wait to be signed.
pub(in crate::web) const WAITING: usize = 100;

/// What each session has compared last.
pub type Comparisons = Desk<Kept>;

/// One comparison, as it was found.
#[derive(Debug, Clone)]
pub struct Kept {
    org: OrgId,
    month: Month,
    digest: String,
    relay: Option<String>,
    compared: Arc<(Compared, Vec<Difference>)>,
}

/// What this session has compared for this month, if it is still known.
fn compared_for(web: &Web, person: &Person, org: OrgId, month: Month) -> Option<Kept> {
    web.comparisons.of(person.session).filter(|known| known.org == org && known.month == month)
}

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::console) struct Asked {
    done: String,
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let (one, period) = period(&web, &person, &slug, &month).await?;
    Ok(page(&web, &person, &one, &period, None).await?.told(Told::of(&asked.done)).show(&person))
}

async fn page(
    web: &Web,
    person: &Person,
    one: &Organization,
    period: &BillingPeriod,
    problem: Option<String>,
) -> Result<Sheet, Page> {
    let (slug, month, about) = (&one.file.slug, period.bounds.month, person.about(one.id));
    let here = format!("/fees/{slug}/{month}");
    let lead = "What the HISP has counted in this month, held against what was handed over to it.";
    let mut sheet = head(one, period, &about, format!("Reconcile {month} of {}", one.file.name), lead).wrong(problem);
    if let Some(kept) = compared_for(web, person, one.id, month) {
        let (compared, differences) = &*kept.compared;
        sheet = sheet.and(totals(compared, &kept)).and(explained(person, differences, &about));
        let form = Form::new(format!("{here}/reconcile/sign{about}"), "Sign it off")
            .hidden("digest", kept.digest.clone())
            .and(Input::line("note", "What to write beside it").hint("what was agreed; nothing about patients").needed());
        let lead = "It goes on record that you have looked at the differences and stand for them. That is never changed again.";
        sheet = sheet.and(Section::form("Sign it off", form).lead(lead));
    }
    let form = Form::new(format!("{here}/reconcile{about}"), "Compare")
        .quiet()
        .and(Input::file("file", "The HISP's usage file").hint("CSV with a header").needed())
        .and(
            Input::line("map", "Which column says what")
                .hint("as in message_id=Message-ID,price=Charge; empty: the usual names are looked for"),
        )
        .and(Input::words("separator", "Its columns are parted by", &SEPARATORS, ""))
        .and(Input::line("relay", "Only messages handed to this relay").hint("its name, or mx; empty: to any"))
        .and(
            Input::line("tolerance", "Prices may differ by")
                .hint("for one message, as in 0.01")
                .value(web.fees.tolerance.to_string()),
        );
    let upload =
        Section::form("Compare a usage file", form).lead("The file is read and not kept; nothing is changed by comparing.");
    let signed_by = web.intake.store().reconciliations(person.scope, one.id, month).await.map_err(Page::store)?;
    Ok(sheet.and(upload).and(signed(signed_by)))
}

fn totals(compared: &Compared, kept: &Kept) -> Section {
    let counts = &compared.counts;
    let yes = |is: bool, no: &str| if is { "yes".to_owned() } else { no.to_owned() };
    Section::facts(
        "What was found",
        vec![
            ("Rows of the file", counts.rows.to_string()),
            ("Messages of ours in the month", counts.messages.to_string()),
            ("Matched", counts.matched.to_string()),
            ("With us alone", counts.ours_only.to_string()),
            ("With the HISP alone", counts.theirs_only.to_string()),
            ("Other price", counts.price_differs.to_string()),
            ("Other end", counts.outcome_differs.to_string()),
            ("Asked for in all", compared.asked.to_string()),
            ("Prices compared", yes(compared.prices_compared, "no: the file has none, or what HISPs ask is not known here")),
            ("Ends compared", yes(compared.outcomes_compared, "no: the file has none")),
            ("Prices may differ by", counts.tolerance.to_string()),
            ("Columns parted by", format!("a {}", compared.separator)),
            ("Only messages handed to", kept.relay.clone().unwrap_or_else(|| "any relay".to_owned())),
            ("The file, SHA-256", kept.digest.clone()),
        ],
    )
}

/// How people call a difference; the totals do, too.
const fn found(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::OursOnly => "with us alone",
        Bucket::TheirsOnly => "with the HISP alone",
        Bucket::PriceDiffers => "other price",
        Bucket::OutcomeDiffers => "other end",
    }
}

fn explained(person: &Person, differences: &[Difference], about: &str) -> Section {
    let reads = person.may(Right::DeliveriesRead);
    let row = |one: &Difference| {
        let tone = match one.bucket {
            Bucket::OursOnly => "info",
            Bucket::TheirsOnly => "bad",
            Bucket::PriceDiffers | Bucket::OutcomeDiffers => "warn",
        };
        let message = Cell::code(one.message_id.clone().unwrap_or_else(|| "-".to_owned()));
        let message = match one.delivery {
            Some(id) if reads => message.to(format!("/deliveries/{id}{about}")),
            Some(id) => message.with(format!("delivery {id}")),
            None => message,
        };
        vec![
            Badge { tone, words: found(one.bucket).to_owned() }.into(),
            Cell::number(one.row.map_or_else(|| "-".to_owned(), |row| row.to_string())),
            message,
            Cell::from(one.ours.clone()),
            Cell::from(one.theirs.clone()),
            Cell::from(one.why).with(one.what_to_do),
        ]
    };
    let empty = ("Nothing differs", "Everything the HISP counts was handed over, and the other way round.");
    let columns = ["Difference", "#Row", "Message-ID", "With us", "With the HISP", "Why that may be, and what to do"];
    let table = Section::table("Differences", &columns, empty).rows(differences.iter().map(row));
    if differences.len() == SHOWN {
        table.lead(format!("The first {SHOWN}; the totals count them all, and postern fees reconcile --csv writes them all."))
    } else {
        table
    }
}

/// Who has stood for a comparison of the month.
pub(super) fn signed(all: Vec<Signed>) -> Section {
    let row = |one: Signed| {
        vec![
            Cell::time(words::when(one.signed_at)),
            Cell::from(one.signed_by),
            Cell::number(one.counts.matched),
            Cell::number(one.counts.differences()),
            Cell::from(one.note),
            Cell::code(one.file_sha256.get(..16).unwrap_or_default()),
        ]
    };
    let empty = ("Nobody has signed yet", "Compare the HISP's usage file with the month, then sign it off.");
    let columns = ["When (UTC)", "Who", "#Matched", "#Differences", "Note", "The file, SHA-256"];
    Section::table("Reconciled", &columns, empty).rows(all.into_iter().map(row))
}

pub(in crate::web::console) async fn compare(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Page> {
    let (one, period) = period(&web, &person, &slug, &month).await?;
    if let Some(file) = fields.bytes("file") {
        whose::uploaded(&web, &person, Some(one.id), "usage_file", file).await?;
    }
    match compared(&web, &person.known.reach, &one, &period, &fields).await {
        Ok(kept) => {
            web.comparisons.lay(person.session, kept);
            let place = format!("/fees/{slug}/{}/reconcile{}", period.bounds.month, person.about(one.id));
            Ok(Redirect::to(&place).into_response())
        }
        Err(why) => {
            let page = page(&web, &person, &one, &period, Some(format!("It could not be compared: {why}."))).await?;
            Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, &person).into_response())
        }
    }
}

async fn compared(web: &Web, reach: &Reach, one: &Organization, period: &BillingPeriod, fields: &Fields) -> Result<Kept, String> {
    let file = fields.bytes("file").ok_or_else(|| "choose the HISP's usage file".to_owned())?;
    let mapping: Result<Vec<Mapped>, _> =
        fields.given("map").into_iter().flat_map(|all| all.split(',')).map(str::parse).collect();
    let mapping = mapping.map_err(|error| format!("which column says what {error}"))?;
    let tolerance: Money = match fields.given("tolerance") {
        Some(text) => text.parse().map_err(|_| "the tolerance is an amount like 0.01".to_owned())?,
        None => web.fees.tolerance,
    };
    let separator: Option<Separator> = match fields.given("separator") {
        Some(word) => Some(word.parse().map_err(|_| "columns are parted by commas, semicolons or tabs".to_owned())?),
        None => None,
    };
    let relay = fields.given("relay");
    let mut told: Vec<Difference> = Vec::new();
    let comparison = Comparison {
        org: one.id,
        bounds: period.bounds,
        zone: &period.zone,
        mapping: &mapping,
        costs: web.costs(reach),
        tolerance,
        separator,
        relay,
    };
    let tell = |difference| {
        if told.len() < SHOWN {
            told.push(difference);
        }
        Ok(())
    };
    let compared = reconcile(web.intake.store(), comparison, &**file, tell).await.map_err(|error| chain(&error))?;
    let digest = Hex(&sha256(file)).to_string();
    let (relay, compared) = (relay.map(ToOwned::to_owned), Arc::new((compared, told)));
    Ok(Kept { org: one.id, month: period.bounds.month, digest, relay, compared })
}

pub(in crate::web::console) async fn sign(
    State(web): State<Web>,
    person: Person,
    Path((slug, month)): Path<(String, String)>,
    fields: Fields,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let (one, period) = period(&web, &person, &slug, &month).await?;
    let month = period.bounds.month;
    // What is signed is what was looked at.
    let kept = compared_for(&web, &person, one.id, month).filter(|kept| kept.digest == fields.text("digest"));
    let note = text::line(fields.text("note"), 500);
    let (kept, note) = match (kept, note) {
        (Some(kept), Ok(note)) => (kept, note),
        (None, _) => {
            return again(&web, &person, &one, &period, "it was compared too long ago; compare the file again".to_owned()).await;
        }
        (_, Err(error)) => return again(&web, &person, &one, &period, format!("the note {error}")).await,
    };
    let counts = kept.compared.0.counts.clone();
    let (matched, differences) = (counts.matched, counts.differences());
    let now = store.now().await.map_err(Page::store)?;
    let signed_by = person.known.login.clone();
    let signed = Signed { month, file_sha256: kept.digest, counts, signed_by, note: note.to_owned(), signed_at: now };
    let text = month.to_string();
    let event = ReconciliationSigned { org: one.id, month: Configured(&text), matched, differences };
    store.sign_reconciliation(one.id, &signed, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    web.comparisons.clear(person.session);
    Ok(told(&format!("/fees/{slug}/{month}{}", person.about(one.id)), "signed").into_response())
}

async fn again(web: &Web, person: &Person, one: &Organization, period: &BillingPeriod, why: String) -> Result<Response, Page> {
    let page = page(web, person, one, period, Some(format!("It was not signed: {why}."))).await?;
    Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, person).into_response())
}
