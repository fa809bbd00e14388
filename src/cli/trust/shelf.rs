//! What is imported: listed with what expires, removed by fingerprint.

use serde_json::json;

use super::{List, Remove, Shelf};
use crate::{
    cli::{
        Exit,
        context::{self, Global, scope, slugs, with_store},
        expiry::{last_day, mark},
        say,
        table::{Rows, print_json, word},
    },
    domain::OrgScope,
    store::{Store, StoreError, trust::StoredCertificate},
};

async fn all(store: &Store, shelf: Shelf, scope: OrgScope) -> Result<Vec<StoredCertificate>, StoreError> {
    match shelf {
        Shelf::Anchors => store.anchors(scope).await,
        Shelf::Certificates => store.certificates(scope).await,
    }
}

pub(super) fn list(args: &List, shelf: Shelf, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs, now) = with_store(global, async |context, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((all(store, shelf, scope).await?, slugs(store).await?, context.clock.now()))
    })?;
    let slug = |row: &StoredCertificate| slugs.get(&row.org).cloned().unwrap_or_default();
    if args.output.json {
        let rows: Vec<_> = found
            .iter()
            .map(|row| {
                json!({ "organization": slug(row), "name": row.name, "fingerprint": row.fingerprint,
                        "valid_until": row.not_after.to_string(), "mark": mark(row.not_after, now),
                        "use": row.used_for, "bundle": row.bundle })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if found.is_empty() {
        say("none is imported");
        return Ok(Exit::Good);
    }
    if shelf == Shelf::Anchors {
        let mut rows = Rows::new(&["organization", "kind", "use", "bundle", "last day", "", "fingerprint"]);
        for row in &found {
            let last = last_day(row.not_after).to_string();
            let (used_for, bundle) = (word(row.used_for), word(row.bundle.as_ref()));
            let marked = mark(row.not_after, now).to_owned();
            rows.push([slug(row), row.name.clone(), used_for, bundle, last, marked, row.fingerprint.clone()]);
        }
        rows.print()?;
    } else {
        let mut rows = Rows::new(&["organization", "name", "last day", "", "fingerprint"]);
        for row in &found {
            let last = last_day(row.not_after).to_string();
            rows.push([slug(row), row.name.clone(), last, mark(row.not_after, now).to_owned(), row.fingerprint.clone()]);
        }
        rows.print()?;
    }
    let expired = found.iter().filter(|row| row.not_after <= now).count();
    let soon = found.iter().filter(|row| mark(row.not_after, now) == "expires soon").count();
    if expired + soon > 0 {
        say(&format!("{expired} expired, {soon} expire within 60 days"));
    }
    Ok(Exit::Good)
}

/// A fingerprint as other tools print it (AB:CD:...), or its beginning.
pub(super) fn digits(fingerprint: &str) -> anyhow::Result<String> {
    let wanted = fingerprint.replace([':', ' '], "").to_ascii_lowercase();
    let shaped = wanted.len() >= 8 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
    anyhow::ensure!(shaped, "a fingerprint is hexadecimal, and needs at least 8 digits here");
    Ok(wanted)
}

pub(super) fn remove(args: &Remove, shelf: Shelf, global: &Global) -> anyhow::Result<Exit> {
    let wanted = digits(&args.fingerprint)?;
    with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        let mut found = all(store, shelf, OrgScope::One(organization.id)).await?;
        // What came with a bundle goes with it.
        found.retain(|row| row.bundle.is_none());
        let mut meant: Vec<&StoredCertificate> = found.iter().filter(|row| row.fingerprint.starts_with(&wanted)).collect();
        meant.dedup_by(|a, b| a.fingerprint == b.fingerprint);
        let Some(first) = meant.first() else {
            say(&format!("{} has none with the fingerprint {wanted}", args.organization));
            return Ok(Exit::Bad);
        };
        if meant.iter().any(|row| row.fingerprint != first.fingerprint) {
            say("several begin like that; give more digits");
            return Ok(Exit::Bad);
        }
        let names: Vec<&str> =
            found.iter().filter(|row| row.fingerprint == first.fingerprint).map(|row| row.name.as_str()).collect();
        store.remove_certificate(organization.id, &first.fingerprint).await?;
        say(&format!("removed {} ({})", first.fingerprint, names.join(", ")));
        Ok(Exit::Good)
    })
}
