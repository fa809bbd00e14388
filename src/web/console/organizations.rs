//! Organizations and sites: who they are, by which rules, from which addresses and at what price.

/// Its file is changed.
pub(super) mod edit;
/// Its rules in words.
mod policies;
/// A message to see whether messages arrive.
pub(super) mod test_message;

use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::{
    Page, Told,
    sheet::{Cell, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    domain::{
        organization::{ConfiguredTarget, Mode, When},
        person::Right,
    },
    source::Refusal,
    store::{changes, organization::Organization},
    web::{Problem, Web, auth::Person},
};

fn mode(mode: Mode) -> Badge {
    let tone = if mode == Mode::Test { "warn" } else { "good" };
    Badge { tone, words: mode.to_string() }
}

/// What an address is for.
const fn when(when: When) -> &'static str {
    match when {
        When::Always => "every result",
        When::OnlyIfNone => "results whose order names nobody who can be reached",
    }
}

pub(super) async fn list(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let all = web.intake.store().organizations(person.scope).await.map_err(Page::store)?;
    let row = |one: Organization| {
        vec![
            Cell::from(one.file.name.clone()).to(format!("/organizations/{}{}", one.file.slug, person.about(one.id))),
            one.file.slug.clone().into(),
            mode(one.file.mode).into(),
            Cell::number(one.file.sites.len()),
            Cell::number(one.identities.len()),
        ]
    };
    let empty = ("No organization yet", "An organization is a file: begin one above, or with postern org apply FILE.");
    let table = Section::table("", &["Name", "Slug", "Mode", "#Sites", "#Identities"], empty).rows(all.into_iter().map(row));
    let mut sheet = Sheet::new("Organizations", "The customers: their sites, rules and prices.");
    if person.may(Right::OrganizationsAct) {
        sheet = sheet.mainly("/new-organization", "New organization");
    }
    Ok(sheet.and(table).show(&person))
}

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
}

async fn find(web: &Web, person: &Person, slug: &str) -> Result<Organization, Page> {
    let found = web.intake.store().organization_by_slug(person.scope, slug).await.map_err(Page::store)?;
    found.ok_or_else(|| Problem::from(Refusal::not_found("organization")).into())
}

pub(super) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(slug): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let one = find(&web, &person, &slug).await?;
    let suffix = person.about(one.id);
    let file = &one.file;
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let facts = vec![
        ("Slug", file.slug.clone()),
        ("Mode", file.mode.to_string()),
        ("NPI", or_none(file.npi.as_ref().map(ToString::to_string))),
        ("Telephone", or_none(file.phone.clone())),
        ("Time zone", file.time_zone.to_string()),
        ("Address", file.address.as_ref().map_or_else(|| "-".to_owned(), |place| place.lines.join(", "))),
    ];
    let targets = |all: &[ConfiguredTarget]| {
        let one = |target: &ConfiguredTarget| format!("{}: {}", target.direct, when(target.when));
        all.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let sites = file.sites.iter().map(|site| {
        vec![
            Cell::from(site.local_id.clone()).with(site.name.clone().unwrap_or_default()),
            mode(one.mode(&site.local_id)).into(),
            targets(&site.targets).into(),
            or_none(site.identity.as_ref().map(ToString::to_string)).into(),
            or_none(site.npi.as_ref().map(ToString::to_string)).into(),
        ]
    });
    let identities = one.identities.iter().chain(&one.installation).map(|identity| {
        vec![
            identity.address.to_string().into(),
            words::sends(identity.mode).into(),
            or_none(identity.relay.clone()).into(),
            if identity.has_secret {
                Badge { tone: "good", words: "yes".into() }
            } else {
                Badge { tone: "warn", words: "no".into() }
            }
            .into(),
        ]
    });
    let configured = file.targets.iter().map(|target| vec![target.direct.to_string().into(), when(target.when).into()]);
    let mut sheet = Sheet::new(file.name.clone(), "What is in force now.")
        .under("/organizations", "Organizations")
        .told(Told::of(&asked.done));
    if person.may(Right::OrganizationsAct) {
        sheet = sheet.mainly(format!("/organizations/{slug}/edit{suffix}"), "Edit");
    }
    let mut sheet = sheet
        .and(Section::facts("Facts", facts))
        .and(Section::lines("What it goes by", policies::sentences(file)))
        .and(
            Section::table(
                "Its own addresses",
                &["Address", "When"],
                ("No address of its own", "A result whose order names nobody is held (no_target)."),
            )
            .rows(configured),
        )
        .and(
            Section::table(
                "Sites",
                &["Site", "Mode", "Addresses", "Sends from", "NPI"],
                ("No site", "An order names the site it is of: add [[site]] to the organization file."),
            )
            .rows(sites),
        )
        .and(
            Section::table(
                "Identities",
                &["Address", "Mode", "Relay", "Key or password"],
                (
                    "Nothing to send from",
                    "Add [[identity]] to the organization file; until then deliveries are held (no_identity).",
                ),
            )
            .rows(identities),
        );
    if person.may(Right::FeesRead) {
        let prices = store.prices(one.id).await.map_err(Page::store)?;
        let terms = store.terms(one.id).await.map_err(Page::store)?;
        let mut rows: Vec<Vec<Cell>> = prices
            .iter()
            .map(|price| {
                let words = changes::word_of(&price.rate, &price.currency);
                vec![price.rate.fee_code.clone().into(), words.into(), price.rate.from.to_string().into()]
            })
            .collect();
        rows.extend(terms.iter().map(|listed| {
            let words = changes::words_of(&listed.terms, &listed.currency);
            vec!["terms".into(), words.into(), listed.terms.from.to_string().into()]
        }));
        let empty =
            ("No price in force", "Deliveries go on and are charged 0, marked unpriced: add [price] to the organization file.");
        sheet = sheet
            .leading(format!("/fees/{}{suffix}", file.slug), "Fees")
            .and(Section::table("Price list", &["Fee code", "Price", "From"], empty).rows(rows));
    }
    if person.may(Right::DeliveriesRead) {
        sheet = sheet.leading(format!("/deliveries?organization={}", file.slug), "Deliveries");
    }
    if person.may(Right::ResultsWrite) {
        sheet = sheet.and(test_message::section(&one, &suffix));
    }
    let text = toml::to_string_pretty(file).unwrap_or_default();
    Ok(sheet.and(Section::verbatim("The whole file", text).folded("Show it, without secrets")).show(&person))
}
