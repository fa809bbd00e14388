//! Directory: look an NPI up as routing would, probe an address as sending would, and see what is loaded.

use axum::extract::{Query, State};
use serde::Deserialize;

use super::{
    Page,
    deliveries::organizations,
    sheet::{Cell, Field, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    domain::{DirectAddress, Npi, OrgId, directory::Says, person::Right},
    observe::chain,
    store::directory::{Snapshot, SnapshotState},
    trust::discovery::Freshness,
    web::{Problem, Web, auth::Person},
};

/// The form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    npi: String,
    address: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    let store = web.intake.store();
    let now = store.clock().now();
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    // Directories and trust are seen through an organization's eyes.
    let mut named: Vec<(&String, OrgId)> = slugs.iter().map(|(org, slug)| (slug, *org)).collect();
    named.sort();
    let eyes = person.scope.org().or_else(|| named.first().map(|(_, org)| *org));
    let mut fields: Vec<Field> =
        Field::choice("organization", "Seen by", organizations(&web, &person).await?).into_iter().collect();
    fields.extend([Field::word("npi", "NPI", &asked.npi), Field::word("address", "Direct address to probe", &asked.address)]);
    let mut problem = None;
    let mut sheet = Sheet::new("Directory", "Look an NPI up as routing would; probe an address as sending would.");
    let mut found = Vec::new();
    if let (Some(org), false) = (eyes, asked.npi.trim().is_empty()) {
        match asked.npi.trim().parse::<Npi>() {
            Ok(npi) => found.push(look_up(&web, org, &npi).await?),
            Err(_) => {
                problem = Some(format!("{:?} is not an NPI: ten digits, the last of which checks the others.", asked.npi.trim()));
            }
        }
    }
    if let (Some(org), false) = (eyes, asked.address.trim().is_empty()) {
        match asked.address.trim().parse::<DirectAddress>() {
            Ok(address) if person.may(Right::TrustRead) => found.push(probe(&web, org, &address).await?),
            Ok(_) => problem = Some("Your role does not include probing.".to_owned()),
            Err(_) => problem = Some(format!("{:?} is not a Direct address.", asked.address.trim())),
        }
    }
    sheet = sheet.filtered("/directory", fields, problem);
    for section in found {
        sheet = sheet.and(section);
    }
    let snapshots = store.snapshots(person.scope.org()).await.map_err(Page::store)?;
    let row = |one: Snapshot| {
        let tone = match one.state {
            SnapshotState::Active if one.is_overdue(now) => "warn",
            SnapshotState::Active => "good",
            SnapshotState::Loading => "info",
            SnapshotState::Retired | SnapshotState::Gone => "calm",
        };
        vec![
            Cell::from(words::plain(one.source.as_str())).with(one.file.clone()),
            Badge { tone, words: one.state.to_string() }.into(),
            Cell::number(one.entries),
            Cell::number(format!("{} d", one.age_days(now))),
            Cell::time(words::when(one.loaded_at)),
        ]
    };
    let empty =
        ("Nothing is loaded", "Recipients who are named by an NPI alone cannot be found: postern directory import nppes FILE");
    let table = Section::table("What is loaded", &["Source", "State", "#Entries", "#Age", "Loaded (UTC)"], empty);
    Ok(sheet.and(table.rows(snapshots.into_iter().map(row))).show(&person))
}

async fn look_up(web: &Web, org: OrgId, npi: &Npi) -> Result<Section, Page> {
    let findings = web.intake.store().directory_findings(org, npi, web.routing.max_age).await.map_err(Page::store)?;
    let mut rows = Vec::new();
    for finding in findings {
        let says = match &finding.says {
            Says::Addresses(entries) => {
                for entry in entries {
                    rows.push(vec![
                        Cell::from(words::plain(finding.source.as_str())).with(finding.name.clone()),
                        Cell::from(entry.address.to_string()),
                        Cell::time(words::when(finding.as_of)),
                    ]);
                }
                continue;
            }
            other => words::plain(other.word()),
        };
        rows.push(vec![
            Cell::from(words::plain(finding.source.as_str())).with(finding.name.clone()),
            says.into(),
            Cell::time(words::when(finding.as_of)),
        ]);
    }
    let empty = ("No directory is loaded", "postern directory import nppes FILE");
    Ok(Section::table(&format!("What is known about NPI {npi}"), &["Source", "Says", "As of (UTC)"], empty).rows(rows))
}

async fn probe(web: &Web, org: OrgId, address: &DirectAddress) -> Result<Section, Page> {
    let Some(prober) = &web.prober else {
        return Ok(Section::facts("Probe", vec![("Answer", "nobody answers probes in this process".to_owned())]));
    };
    let _turn = web.turns.take(org).await.map_err(Page::from)?;
    let probed = prober.probe(org, address, Freshness::Kept).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a probe could not be made");
        Page::from(Problem::unavailable_now("the probe could not be made; ask again later"))
    })?;
    let can = if probed.sendable { "can" } else { "cannot" };
    let told = serde_json::to_value(&probed).unwrap_or_default();
    let mut rows = Vec::new();
    for step in list(&told["steps"]) {
        let end = word(&step["end"]);
        let tone = if end == "valid" { "good" } else { "warn" };
        for asked in list(&step["asked"]) {
            let certificates: Vec<String> = list(&asked["certificates"]).map(judged).collect();
            rows.push(vec![
                words::plain(&word(&step["place"])).into(),
                Badge { tone, words: words::plain(&end) }.into(),
                Cell::from(word(&asked["what"])).with(word(&asked["of"])),
                Cell::from(words::plain(&word(&asked["said"]))).with(certificates.join("; ")),
            ]);
        }
    }
    let path: Vec<String> = list(&told["path"]).map(word).collect();
    if !path.is_empty() {
        rows.push(vec![
            "path".into(),
            Badge { tone: "good", words: "valid".into() }.into(),
            path.join(", then ").into(),
            Cell::from("").with(format!("until {}", word(&told["valid_until"]))),
        ]);
    }
    let empty = ("Nobody was asked", "The organization's identities are in edge mode: its HISP finds certificates.");
    Ok(Section::table(&format!("{address} {can} be sent to now"), &["Where", "End", "Asked", "Said"], empty).rows(rows))
}

fn list(value: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A certificate, and which checks it did not pass.
fn judged(one: &serde_json::Value) -> String {
    let failed: Vec<String> = list(&one["checks"])
        .filter(|check| check["result"] != "pass")
        .map(|check| format!("{} {}", word(&check["check"]), word(&check["result"])))
        .collect();
    let verdict = if failed.is_empty() { "every check passed".to_owned() } else { failed.join(", ") };
    format!("{}, until {}: {verdict}", word(&one["subject"]), word(&one["last_day"]))
}
