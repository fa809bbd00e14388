//! Whom we believe is changed: each with the checks the command makes, and on record with what is done.

use std::time::Duration;

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::page;
use crate::{
    domain::{OrgScope, audit::Witness},
    observe::chain,
    store::{
        bundle::{BundleAnchor, NewBundle},
        organization::Organization,
        trust::{AnchorKind, AnchorUse},
    },
    trust::{
        Certificate,
        bundle::{self, refresh},
        taking,
    },
    web::{
        Web,
        auth::{Fields, Person},
        console::{Page, told::told, whose},
        record,
    },
};

/// How often a bundle is fetched, unless the command says otherwise.
const DAILY: Duration = Duration::from_hours(24);
/// Percent of its anchors that may go without a person.
const MOST_LOST: u8 = 20;

/// What comes of something that is asked for: a word for the page, or why not.
type Came = Result<&'static str, String>;

async fn answer(web: &Web, person: &Person, one: &Organization, came: Came) -> Result<Response, Page> {
    match came {
        Ok(done) => {
            let chosen = person.chosen.map_or_else(String::new, |_| format!("?organization={}", one.file.slug));
            Ok(told(&format!("/trust{chosen}"), done).into_response())
        }
        Err(why) => {
            let page = page(web, person, Some(format!("Nothing was changed: {why}."))).await?;
            Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, person).into_response())
        }
    }
}

/// The certificates of a file or of what was pasted.
fn certificates(fields: &Fields) -> Result<Vec<Certificate>, String> {
    let octets = fields.bytes("file").or_else(|| fields.bytes("pem"));
    let octets = octets.ok_or_else(|| "choose a file, or paste a certificate".to_owned())?;
    let all = Certificate::read_all(octets).map_err(|error| chain(&error))?;
    if all.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(all) }
}

fn direction(fields: &Fields) -> AnchorUse {
    fields.text("use").parse().unwrap_or(AnchorUse::Both)
}

pub(in crate::web::console) async fn believe(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let kind: AnchorKind = fields.text("kind").parse().unwrap_or(AnchorKind::Anchor);
    let now = store.clock().now();
    let all = match certificates(&fields) {
        Ok(all) => all,
        Err(why) => return answer(&web, &person, &one, Err(why)).await,
    };
    // All of them or none: half of a file would be a surprise.
    if let Some(why) = all.iter().find_map(|certificate| taking::authority_problem(certificate, kind, now)) {
        return answer(&web, &person, &one, Err(why)).await;
    }
    record::believe(store, &person.actor, one.id, kind, direction(&fields), &all).await.map_err(Page::store)?;
    answer(&web, &person, &one, Ok("anchor-kept")).await
}

pub(in crate::web::console) async fn keep(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let now = store.clock().now();
    let named = certificates(&fields).and_then(|all| {
        let ends = all.into_iter().filter(|certificate| !certificate.is_authority());
        let named: Result<Vec<_>, String> =
            ends.map(|certificate| Ok((taking::names(&certificate, None, now)?, certificate))).collect();
        named
    });
    let named = match named {
        Ok(named) if named.is_empty() => {
            let why = "there are only authorities in it: add them as anchors".to_owned();
            return answer(&web, &person, &one, Err(why)).await;
        }
        Ok(named) => named,
        Err(why) => return answer(&web, &person, &one, Err(why)).await,
    };
    let known: Vec<(String, &Certificate)> =
        named.iter().flat_map(|(names, certificate)| names.iter().map(move |name| (name.clone(), certificate))).collect();
    record::know(store, &person.actor, one.id, &known).await.map_err(Page::store)?;
    answer(&web, &person, &one, Ok("certificate-kept")).await
}

/// Removes an anchor or a recipient's certificate that was imported by itself; what came with a bundle goes with it.
async fn remove(web: &Web, person: &Person, fields: &Fields, what: &'static str) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = whose::organization(web, person, fields.text("for")).await?;
    let scope = OrgScope::One(one.id);
    let all = if what == "trust_anchor_removed" { store.anchors(scope).await } else { store.certificates(scope).await };
    let all = all.map_err(Page::store)?;
    let found = all.iter().find(|known| known.bundle.is_none() && known.fingerprint == fields.text("fingerprint"));
    let Some(found) = found else { return answer(web, person, &one, Ok("gone")).await };
    let event = record::changed(Some(one.id), what, &found.fingerprint);
    let witness = Witness::new(&person.actor, &event);
    let removed = store.remove_certificate_as(one.id, &found.fingerprint, witness).await.map_err(Page::store)?;
    answer(web, person, &one, Ok(if removed == 0 { "gone" } else { "removed" })).await
}

pub(in crate::web::console) async fn disbelieve(
    State(web): State<Web>,
    person: Person,
    fields: Fields,
) -> Result<Response, Page> {
    remove(&web, &person, &fields, "trust_anchor_removed").await
}

pub(in crate::web::console) async fn drop(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    remove(&web, &person, &fields, "certificate_removed").await
}

pub(in crate::web::console) async fn bundle(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let name = fields.text("name");
    if let Err(why) = askable(&fields) {
        return answer(&web, &person, &one, Err(why)).await;
    }
    whose::on_record(&web, &person, Some(one.id), "trust_bundle_asked_for", name).await?;
    let new = match fetched(&web, &one, &fields).await {
        Ok(new) => new,
        Err(why) => return answer(&web, &person, &one, Err(why)).await,
    };
    let event = record::changed(Some(one.id), "trust_bundle_added", name);
    let witness = Some(Witness::new(&person.actor, &event));
    store.import_bundle(one.id, &new.0, &new.1, witness).await.map_err(Page::store)?;
    answer(&web, &person, &one, Ok("bundle-kept")).await
}

/// Whether there is somebody who may be asked for it.
fn askable(fields: &Fields) -> Result<(), String> {
    let (name, url) = (fields.text("name"), fields.text("url"));
    if name.is_empty() || name.len() > 100 {
        return Err("its name must have 1 to 100 octets".to_owned());
    }
    if !url.starts_with("https://") || url.contains('@') {
        return Err("the place must begin with https:// and carry no password".to_owned());
    }
    Ok(())
}

async fn fetched(web: &Web, one: &Organization, fields: &Fields) -> Result<(NewBundle, Vec<BundleAnchor>), String> {
    let store = web.intake.store();
    let (name, url, now) = (fields.text("name"), fields.text("url"), store.clock().now());
    let signer = fields.bytes("signer").map(|octets| Certificate::read_all(octets)).transpose();
    let signer = signer.map_err(|error| format!("the signer: {}", chain(&error)))?.and_then(|all| all.into_iter().next());
    // Strangers are asked: so many at a time.
    let _turn = web.turns.take(one.id).await.map_err(|problem| problem.detail().to_owned())?;
    let octets = refresh::fetch(url, false).await.map_err(|error| chain(&error))?;
    let content = bundle::read(&octets, signer.as_ref(), now).map_err(|error| chain(&error))?;
    let offered: Vec<BundleAnchor> = content.anchors.iter().map(bundle::stored).collect();
    let known = store.bundles(OrgScope::One(one.id)).await.map_err(|error| chain(&error))?;
    if let Some(known) = known.into_iter().find(|known| known.name == name) {
        let in_force = store.bundle_anchors(known.org, known.id).await.map_err(|error| chain(&error))?;
        refresh::guard(&in_force, &offered, MOST_LOST, now).map_err(|error| chain(&error))?;
    }
    let new = NewBundle {
        name: name.to_owned(),
        used_for: direction(fields),
        url: Some(url.to_owned()),
        internal: false,
        signer: signer.map(|signer| signer.der().to_vec()),
        refresh: DAILY,
        most_lost: MOST_LOST,
    };
    Ok((new, offered))
}

pub(in crate::web::console) async fn refresh_bundle(
    State(web): State<Web>,
    person: Person,
    fields: Fields,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let all = store.bundles(OrgScope::One(one.id)).await.map_err(Page::store)?;
    let Some(known) = all.into_iter().find(|known| known.name == fields.text("name")) else {
        return answer(&web, &person, &one, Ok("gone")).await;
    };
    whose::on_record(&web, &person, Some(one.id), "trust_bundle_refresh_asked", &known.name).await?;
    let _turn = web.turns.take(one.id).await.map_err(Page::from)?;
    let came = refresh::refresh(store, &known, fields.ticked("accept")).await;
    let outcome = if came.is_ok() { "trust_bundle_refreshed" } else { "trust_bundle_not_refreshed" };
    whose::on_record(&web, &person, Some(one.id), outcome, &known.name).await?;
    answer(&web, &person, &one, came.map(|_| "refreshed").map_err(|error| chain(&error))).await
}

pub(in crate::web::console) async fn remove_bundle(
    State(web): State<Web>,
    person: Person,
    fields: Fields,
) -> Result<Response, Page> {
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let name = fields.text("name");
    let event = record::changed(Some(one.id), "trust_bundle_removed", name);
    let witness = Some(Witness::new(&person.actor, &event));
    let removed = web.intake.store().remove_bundle(one.id, name, witness).await.map_err(Page::store)?;
    answer(&web, &person, &one, Ok(if removed { "removed" } else { "gone" })).await
}
