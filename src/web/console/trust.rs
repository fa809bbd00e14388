//! Trust: our identities, whom we believe, and when that ends.

use axum::extract::State;

use super::{
    Page,
    overview::until,
    sheet::{Cell, Section, Sheet},
    words,
};
use crate::{
    store::{bundle::Bundle, identity_key::StoredKey, trust::StoredCertificate},
    web::{Web, auth::Person},
};

pub(super) async fn show(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let store = web.intake.store();
    let now = store.clock().now();
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let slug = |org| slugs.get(&org).cloned().unwrap_or_default();
    let mut keys = store.identity_keys(person.scope).await.map_err(Page::store)?;
    keys.sort_by_key(|key| key.term.until);
    let mut anchors = store.anchors(person.scope).await.map_err(Page::store)?;
    anchors.sort_by_key(|anchor| anchor.not_after);
    let mut certificates = store.certificates(person.scope).await.map_err(Page::store)?;
    certificates.sort_by_key(|certificate| certificate.not_after);
    let bundles = store.bundles(person.scope).await.map_err(Page::store)?;
    let key = |key: StoredKey| {
        vec![
            Cell::from(key.address.to_string()).with(slug(key.org)),
            key.term.used_for.to_string().into(),
            Cell::time(words::when(key.term.until)),
            until(key.term.until, now).into(),
            Cell::from("").with(key.fingerprint),
        ]
    };
    let certificate = |one: StoredCertificate| {
        vec![
            Cell::from(one.name).with(slug(one.org)),
            one.used_for.map_or_else(|| "-".to_owned(), |used| used.to_string()).into(),
            Cell::time(words::when(one.not_after)),
            until(one.not_after, now).into(),
            Cell::from("").with(one.fingerprint),
        ]
    };
    let bundle = |one: Bundle| {
        vec![
            Cell::from(one.name).with(slug(one.org)),
            one.used_for.to_string().into(),
            Cell::number(one.anchors),
            Cell::time(words::when_if(one.refreshed_at)),
            one.error.unwrap_or_default().into(),
        ]
    };
    let columns = ["For", "Use", "Ends (UTC)", "Left", "SHA-256"];
    Ok(Sheet::new("Trust", "From which addresses we send, whom we believe, and when that ends; what ends first stands first.")
        .and(Section::table("Our identities", &columns, ("No key is kept here", "Identities whose key came with the organization file stand with the organization; import others: postern trust identities import")).rows(keys.into_iter().map(key)))
        .and(Section::table("Anchors", &columns, ("Nobody is believed", "Nothing can be sealed without an anchor: postern trust anchors import")).rows(anchors.into_iter().map(certificate)))
        .and(Section::table("Bundles", &["Name", "Use", "#Anchors", "Refreshed (UTC)", "What went wrong"], ("No bundle", "postern trust bundles import")).rows(bundles.into_iter().map(bundle)))
        .and(Section::table("Recipients' certificates kept by hand", &columns, ("None", "Certificates are found in DNS and LDAP; keep one by hand: postern trust certificates import")).rows(certificates.into_iter().take(500).map(certificate)))
        .show(&person))
}
