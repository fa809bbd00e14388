//! Directory: look an NPI up as routing would, see what is decided about addresses, and what is loaded.

/// A list's beginning.
mod beginning;
/// A directory from a file.
pub(super) mod import;
/// Whether an address can be sent to.
pub(super) mod probe;
/// Who cares for which member.
pub(super) mod rosters;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Page, Told,
    deliveries::organizations,
    form::{Form, Input},
    sheet::{Cell, Field, Section, Sheet},
    told::told,
    whose,
    words::{self, Badge},
};
use crate::{
    domain::{
        Npi, OrgId,
        choice::{Pin, Suppressed, Suppression},
        directory::{Says, answer},
        person::Right,
        time::Span,
    },
    resolve::{
        deciding::{self, Ask, Came},
        decisions::{self, DecisionError},
        directory::{findings, told::shortfall},
    },
    source::Refusal,
    store::{
        directory::{Snapshot, SnapshotState},
        organization::Organization,
    },
    web::{
        Problem, Web,
        auth::{Fields, Person},
    },
};

fn missing(what: &'static str) -> Page {
    Problem::from(Refusal::not_found(what)).into()
}

/// The filter bar.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    npi: String,
    done: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    let (mut found, mut problem) = (Vec::new(), None);
    let npi = asked.npi.trim();
    match (eyes(&web, &person).await?, npi.parse::<Npi>()) {
        _ if npi.is_empty() => {}
        (Some(one), Ok(npi)) => found = look_up(&web, one.id, &npi).await?,
        (None, _) => problem = Some("There is no organization yet: a look-up is made for one.".to_owned()),
        (_, Err(_)) => problem = Some(format!("{npi:?} is not an NPI: ten digits, the last of which checks the others.")),
    }
    let sheet = page(&web, &person, npi, found, problem).await?;
    Ok(sheet.told(Told::of(&asked.done)).show(&person))
}

/// Directories and trust are seen through an organization's eyes: the chosen one, or the first.
pub(super) async fn eyes(web: &Web, person: &Person) -> Result<Option<Organization>, Page> {
    let store = web.intake.store();
    if let Some(org) = person.scope.org() {
        return store.organization(org).await.map_err(Page::store);
    }
    let mut all = store.organizations(person.scope).await.map_err(Page::store)?;
    all.sort_by(|a, b| a.file.slug.cmp(&b.file.slug));
    Ok(all.into_iter().next())
}

async fn page(web: &Web, person: &Person, npi: &str, found: Vec<Section>, problem: Option<String>) -> Result<Sheet, Page> {
    let store = web.intake.store();
    let eyes = eyes(web, person).await?;
    let mut choices = organizations(web, person).await?;
    for choice in &mut choices {
        // Who chose nobody sees it as the first does.
        choice.chosen = eyes.as_ref().is_some_and(|one| one.file.slug == choice.value);
    }
    let mut fields: Vec<Field> = Field::choice("organization", "Seen by", choices).into_iter().collect();
    fields.push(Field::word("npi", "NPI", npi));
    let mut sheet = Sheet::new("Directory", "Who is where, and what is decided about it.").filtered("/directory", fields, None);
    sheet = sheet.wrong(problem);
    for section in found {
        sheet = sheet.and(section);
    }
    if let (Some(one), true) = (&eyes, person.may(Right::TrustRead)) {
        sheet = sheet.and(probe::section(&one.file.slug));
    }
    if let Some(one) = &eyes {
        let acts = person.may(Right::AddressesAct);
        let (pins, suppressions) =
            (store.pins(one.id, None).await.map_err(Page::store)?, store.suppressions(one.id).await.map_err(Page::store)?);
        let (pins, suppressions) = (pinned(one, pins, acts), suppressed(one, suppressions, acts));
        sheet = sheet.and(pins).and(suppressions);
        sheet = sheet.leading(format!("/directory/rosters?organization={}", one.file.slug), "Rosters");
    }
    if person.may(Right::DirectoryAct) {
        sheet = sheet.leading("/directory/import", "Load a directory");
    }
    let snapshots = store.snapshots(person.scope.org()).await.map_err(Page::store)?;
    let now = store.clock().now();
    let row = |one: Snapshot| {
        let tone = match one.state {
            SnapshotState::Active if one.is_overdue(now) => "warn",
            SnapshotState::Active => "good",
            SnapshotState::Loading => "info",
            SnapshotState::Retired | SnapshotState::Gone => "calm",
        };
        let overdue = one.state == SnapshotState::Active && one.is_overdue(now);
        vec![
            Cell::from(words::plain(one.source.as_str())).with(one.file.clone()),
            Cell::from(Badge { tone, words: one.state.to_string() }).with(if overdue { "older than it should get" } else { "" }),
            Cell::number(one.entries),
            Cell::number(format!("{} d", one.age_days(now))),
            Cell::time(words::when(one.loaded_at)),
            Cell::code(one.id.to_string()),
        ]
    };
    let empty = (
        "Nothing is loaded",
        "Recipients who are named by an NPI alone cannot be found: load a directory, by the button above or postern directory import.",
    );
    let columns = ["Source", "State", "#Entries", "#Age", "Loaded (UTC)", "Snapshot"];
    let table = Section::table("What is loaded", &columns, empty)
        .lead("A route names the snapshot that answered. The one before stays, and can answer again.");
    Ok(sheet.and(table.rows(snapshots.into_iter().map(row))))
}

fn pinned(one: &Organization, pins: Vec<Pin>, acts: bool) -> Section {
    let slug = &one.file.slug;
    let row = |pin: Pin| {
        let off = Form::new("/directory/decisions", "Take the pin away")
            .folded("Unpin")
            .about(pin.npi.to_string())
            .lead("The directory decides again about this NPI.")
            .hidden("for", slug)
            .hidden("action", "unpin")
            .hidden("npi", pin.npi.to_string())
            .why();
        vec![
            Cell::code(pin.npi.to_string()),
            Cell::code(pin.address.to_string()),
            Cell::from(pin.decided.by.clone()).with(pin.decided.why.clone()),
            Cell::time(words::when(pin.decided.at)),
            if acts { Cell::doing([off]) } else { Cell::default() },
        ]
    };
    let empty = ("Nothing is pinned", "A pin says which address of an NPI is meant, whatever the directory says.");
    let mut section = Section::table(&format!("Pins of {slug}"), &["NPI", "Address", "Decided by", "When (UTC)", ""], empty)
        .rows(pins.into_iter().map(row));
    if acts {
        section = section.and(
            Form::new("/directory/decisions", "Pin it")
                .folded("Pin an address")
                .lead("From now on results for this NPI go to this address, and what waited for that is routed again.")
                .hidden("for", slug)
                .hidden("action", "pin")
                .and(Input::line("npi", "NPI").needed())
                .and(Input::line("address", "Direct address").needed())
                .why(),
        );
    }
    section
}

fn suppressed(one: &Organization, known: Vec<Suppression>, acts: bool) -> Section {
    let slug = &one.file.slug;
    let row = |one: Suppression| {
        let lift = Form::new("/directory/decisions", "Use it again")
            .folded("Lift")
            .about(one.what.to_string())
            .lead("It may be used again by what is routed from now on.")
            .hidden("for", slug)
            .hidden("action", "unsuppress")
            .hidden("what", one.what.to_string())
            .why();
        vec![
            Cell::code(one.what.to_string()).with(one.what.kind()),
            Cell::time(one.until.map_or_else(|| "until it is lifted".to_owned(), words::when)),
            Cell::from(one.decided.by.clone()).with(one.decided.why.clone()),
            Cell::time(words::when(one.decided.at)),
            if acts { Cell::doing([lift]) } else { Cell::default() },
        ]
    };
    let in_file = one.file.choice.suppress.iter().map(|what| {
        let from = Cell::from("the organization's file").with("changed there");
        vec![
            Cell::code(what.to_string()).with(what.kind()),
            Cell::from("as long as it stands there"),
            from,
            Cell::default(),
            Cell::default(),
        ]
    });
    let empty = ("Nothing is suppressed", "What is suppressed gets nothing: an address, an NPI, or a whole domain.");
    let columns = ["What is not used", "Until (UTC)", "Decided by", "When (UTC)", ""];
    let mut section =
        Section::table(&format!("Suppressions of {slug}"), &columns, empty).rows(known.into_iter().map(row).chain(in_file));
    if acts {
        section = section.and(
            Form::new("/directory/decisions", "Suppress it")
                .folded("Suppress something")
                .lead("Nothing new is sent there. What is on its way is not called back.")
                .hidden("for", slug)
                .hidden("action", "suppress")
                .and(Input::line("what", "Direct address, NPI or domain").needed())
                .and(Input::line("lasting", "For how long").hint("as in 30d; empty: until it is lifted"))
                .why(),
        );
    }
    section
}

async fn look_up(web: &Web, org: OrgId, npi: &Npi) -> Result<Vec<Section>, Page> {
    let (store, live) = (web.intake.store(), &web.routing.live);
    // Strangers may be asked: so many at a time.
    let _turn = if live.is_empty() { None } else { Some(web.turns.take(org).await.map_err(Page::from)?) };
    let found = findings(store, live, org, npi, web.routing.max_age).await.map_err(Page::store)?;
    let together = answer(found.clone());
    let mut rows = Vec::new();
    for finding in &found {
        let source = || Cell::from(words::plain(finding.source.as_str())).with(finding.name.clone());
        let as_of = || Cell::time(words::when(finding.as_of));
        if let Says::Addresses(entries) = &finding.says {
            for entry in entries {
                let at = &entry.affiliation;
                let place = [at.name.clone(), at.state.clone(), at.postal_code.clone()];
                let last = entry.last_success.map_or_else(
                    || "never delivered to".to_owned(),
                    |at| format!("last delivered to {}", words::when(crate::domain::Timestamp(at))),
                );
                rows.push(vec![
                    source(),
                    Cell::code(entry.address.to_string()).with(last),
                    Cell::from(place.into_iter().flatten().collect::<Vec<_>>().join(", ")),
                    as_of(),
                ]);
            }
            continue;
        }
        let why = if let Says::Unavailable(why) = &finding.says { why.clone() } else { String::new() };
        rows.push(vec![source(), Cell::from(words::plain(finding.says.word())).with(why), Cell::default(), as_of()]);
    }
    let sentence = shortfall(&together).map_or_else(
        || {
            "It has an address. Of several, a pin comes first, then the place the order names, then the last that worked."
                .to_owned()
        },
        |(reason, why)| format!("{reason}: {why}. What to do: {}.", reason.remedy()),
    );
    let empty = ("No directory is loaded", "Load one: postern directory import nppes FILE");
    let table = Section::table(&format!("NPI {npi}"), &["Source", "Address, or what it says", "At", "As of (UTC)"], empty);
    Ok(vec![table.lead(sentence).rows(rows)])
}

/// Pins, suppresses, and takes both back.
pub(super) async fn decide(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let ask = match ask(&fields) {
        Ok(ask) => ask,
        Err(why) => return wrong(&web, &person, why).await,
    };
    let name = format!("{} {}", person.actor.kind, person.actor.name);
    let whom = match decisions::whom(&name, fields.text("why")) {
        Ok(whom) => whom,
        Err(error) => return wrong(&web, &person, format!("Say why: {error}.")).await,
    };
    whose::on_record(&web, &person, Some(one.id), "directory_decision", &one.file.slug).await?;
    let came = deciding::carry_out(store, &one, &ask, false, whom).await.map_err(|error| match error {
        DecisionError::Store(cause) => Page::store(cause),
        text @ DecisionError::Text { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", text.to_string()).into(),
    })?;
    let done = match came {
        Came::Pinned { .. } => "pinned",
        Came::Unpinned { before: None, .. } => "not-unpinned",
        Came::Unpinned { .. } => "unpinned",
        Came::Suppressed { .. } => "suppressed",
        Came::Lifted { lifted: true, .. } => "unsuppressed",
        Came::Lifted { .. } => "not-unsuppressed",
    };
    let back: Redirect = told(&format!("/directory?organization={}", one.file.slug), done);
    Ok(back.into_response())
}

async fn wrong(web: &Web, person: &Person, why: String) -> Result<Response, Page> {
    let sheet = page(web, person, "", Vec::new(), Some(format!("Nothing was changed. {why}"))).await?;
    Ok(sheet.show_as(StatusCode::UNPROCESSABLE_ENTITY, person).into_response())
}

fn ask(fields: &Fields) -> Result<Ask, String> {
    let npi = || {
        let text = fields.text("npi");
        text.parse::<Npi>().map_err(|_| format!("{text:?} is not an NPI: ten digits, the last of which checks the others."))
    };
    let what = || {
        let text = fields.text("what");
        text.parse::<Suppressed>().map_err(|error| format!("{text:?} {error}."))
    };
    Ok(match fields.text("action") {
        "pin" => {
            let text = fields.text("address");
            Ask::Pin(npi()?, text.parse().map_err(|_| format!("{text:?} is not a Direct address."))?)
        }
        "unpin" => Ask::Unpin(npi()?),
        "suppress" => {
            let lasting = fields.given("lasting").map(str::parse::<Span>).transpose();
            Ask::Suppress(what()?, lasting.map_err(|_| "A length of time is written as in 30d.".to_owned())?)
        }
        "unsuppress" => Ask::Unsuppress(what()?),
        _ => return Err("Choose what is to be done.".to_owned()),
    })
}
