//! Organizations and sites: who they are, by which rules, from which addresses and at what price.

use axum::extract::{Path, State};

use super::{
    Page,
    sheet::{Cell, Section, Sheet},
    words::Badge,
};
use crate::{
    domain::{
        organization::{ConfiguredTarget, Mode},
        person::Right,
    },
    source::Refusal,
    store::organization::Organization,
    web::{Problem, Web, auth::Person},
};

fn mode(mode: Mode) -> Badge {
    let tone = if mode == Mode::Test { "warn" } else { "good" };
    Badge { tone, words: mode.to_string() }
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
    let empty =
        ("No organization yet", "An organization is a file: postern org apply FILE --dry-run shows what it would change.");
    let table = Section::table("", &["Name", "Slug", "Mode", "#Sites", "#Identities"], empty).rows(all.into_iter().map(row));
    Ok(Sheet::new("Organizations", "The customers: their sites, rules and prices.").and(table).show(&person))
}

pub(super) async fn show(State(web): State<Web>, person: Person, Path(slug): Path<String>) -> Result<Page, Page> {
    let missing = || Page::from(Problem::from(Refusal::not_found("organization")));
    let store = web.intake.store();
    let one = store.organization_by_slug(person.scope, &slug).await.map_err(Page::store)?.ok_or_else(missing)?;
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
        let one = |target: &ConfiguredTarget| format!("{} ({})", target.direct, target.when);
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
            identity.mode.to_string().into(),
            or_none(identity.relay.clone()).into(),
            if identity.has_secret {
                Badge { tone: "good", words: "yes".into() }
            } else {
                Badge { tone: "warn", words: "no".into() }
            }
            .into(),
        ]
    });
    let configured = file.targets.iter().map(|target| vec![target.direct.to_string().into(), target.when.to_string().into()]);
    let mut sheet = Sheet::new(file.name.clone(), "What is in force now. It is changed with its file: postern org apply FILE.")
        .under("/organizations", "Organizations")
        .and(Section::facts("Facts", facts))
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
        let rows = prices.into_iter().map(|price| {
            vec![
                price.rate.fee_code.clone().into(),
                Cell::number(price.rate.amount),
                price.currency.to_string().into(),
                price.rate.billable.to_string().into(),
                price.rate.from.to_string().into(),
            ]
        });
        sheet = sheet.leading(format!("/fees/{}{}", file.slug, person.about(one.id)), "Fees").and(
            Section::table(
                "Prices",
                &["Fee code", "#Amount", "Currency", "Charged when", "From"],
                (
                    "No price in force",
                    "Deliveries go on and are charged 0, marked unpriced: add [price] to the organization file.",
                ),
            )
            .rows(rows),
        );
    }
    if person.may(Right::DeliveriesRead) {
        sheet = sheet.leading(format!("/deliveries?organization={}", file.slug), "Deliveries");
    }
    let text = toml::to_string_pretty(file).unwrap_or_default();
    Ok(sheet.and(Section::verbatim("The whole file, without secrets", text)).show(&person))
}
