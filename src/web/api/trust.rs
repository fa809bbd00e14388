//! `/v1/trust`: whom an organization believes, whom it knows, and which certificates its own addresses have.

/// Sets of anchors that somebody else keeps.
mod bundles;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

pub use bundles::{import as import_bundle, list as bundles, refresh as refresh_bundle, remove as remove_bundle};

use super::wish;
use crate::{
    crypto::Hex,
    domain::{DirectAddress, OrgId, OrgScope, Timestamp, audit::Witness},
    source::Refusal,
    store::trust::{AnchorKind, AnchorUse, StoredCertificate},
    trust::{
        Certificate,
        identity::signing,
        taking::{authority_problem, names},
    },
    web::{
        Problem, Web,
        auth::Caller,
        record::{believe, changed, know},
    },
};

fn as_json(row: &StoredCertificate, now: Timestamp) -> Value {
    let subject = Certificate::from_der(&row.der).map(|certificate| certificate.subject()).unwrap_or_default();
    json!({ "name": row.name, "subject": subject, "fingerprint": row.fingerprint, "valid_until": row.not_after.to_string(),
        "expired": row.not_after <= now, "use": row.used_for, "bundle": row.bundle })
}

/// The anchors and intermediates, imported ones and those of bundles.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn anchors(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let (store, scope) = (web.intake.store(), OrgScope::One(caller.sender()?.org));
    let now = store.clock().now();
    let all: Vec<Value> = store.anchors(scope).await?.iter().map(|row| as_json(row, now)).collect();
    Ok(Json(json!({ "anchors": all })))
}

/// The recipients' certificates that were imported.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn certificates(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let (store, scope) = (web.intake.store(), OrgScope::One(caller.sender()?.org));
    let now = store.clock().now();
    let all: Vec<Value> = store.certificates(scope).await?.iter().map(|row| as_json(row, now)).collect();
    Ok(Json(json!({ "certificates": all })))
}

/// The certificates of its own addresses: which one signs now, and how long each lasts. Keys never leave the machine.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn identities(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let (store, scope) = (web.intake.store(), OrgScope::One(caller.sender()?.org));
    let now = store.clock().now();
    let keys = store.identity_keys(scope).await?;
    let signs = signing(&keys, now);
    let all: Vec<Value> = keys
        .iter()
        .zip(signs)
        .map(|(key, signs)| {
            json!({ "address": key.address, "use": key.term.used_for, "fingerprint": key.fingerprint, "signs_now": signs,
                "valid_from": key.term.from.to_string(), "valid_until": key.term.until.to_string(),
                "days_left": key.term.days_left(now), "on_token": key.token.is_some() })
        })
        .collect();
    Ok(Json(json!({ "identities": all })))
}

/// What is to be believed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAnchors {
    /// PEM, one or several.
    certificates: String,
    #[serde(default = "anchor")]
    kind: AnchorKind,
    #[serde(default = "both", rename = "use")]
    used_for: AnchorUse,
    #[serde(default)]
    dry_run: bool,
}

const fn anchor() -> AnchorKind {
    AnchorKind::Anchor
}

const fn both() -> AnchorUse {
    AnchorUse::Both
}

/// What is to be known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCertificates {
    /// PEM, one or several.
    certificates: String,
    /// Only for this address, which it must be bound to.
    pin: Option<DirectAddress>,
    #[serde(default)]
    dry_run: bool,
}

fn read(pem: &str) -> Result<Vec<Certificate>, Problem> {
    let bad = |error: crate::trust::TrustError| Refusal::field("/certificates", "invalid", format!("cannot be used: {error}"));
    let all = Certificate::read_all(pem.as_bytes()).map_err(bad)?;
    if all.is_empty() {
        return Err(Refusal::field("/certificates", "missing", "has no certificate in it").into());
    }
    Ok(all)
}

fn refused(why: String) -> Problem {
    Refusal::field("/certificates", "refused", why).into()
}

fn fingerprint(certificate: &Certificate) -> String {
    Hex(&certificate.fingerprint()).to_string()
}

fn taken(name: &str, certificate: &Certificate) -> Value {
    json!({ "name": name, "subject": certificate.subject(), "fingerprint": fingerprint(certificate),
        "valid_until": certificate.valid_until().to_string() })
}

/// Believes authorities: all of them, or when one will not do, none.
///
/// # Errors
/// 400, 401, 403, 413, 415, 422, 503.
pub async fn import_anchors(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let new: NewAnchors = wish(&web, caller.scope, request).await?;
    let (store, all) = (web.intake.store(), read(&new.certificates)?);
    let now = store.clock().now();
    if let Some(why) = all.iter().find_map(|certificate| authority_problem(certificate, new.kind, now)) {
        return Err(refused(why));
    }
    let told: Vec<Value> = all.iter().map(|certificate| taken(new.kind.as_str(), certificate)).collect();
    if !new.dry_run {
        believe(store, &caller.actor, org, new.kind, new.used_for, &all).await?;
    }
    Ok(Json(json!({ "imported": told, "dry_run": new.dry_run })))
}

/// Knows recipients' certificates: all of them, or when one will not do, none.
///
/// # Errors
/// 400, 401, 403, 413, 415, 422, 503.
pub async fn import_certificates(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let new: NewCertificates = wish(&web, caller.scope, request).await?;
    let (store, all) = (web.intake.store(), read(&new.certificates)?);
    let now = store.clock().now();
    let mut known = Vec::new();
    for certificate in all.iter().filter(|certificate| !certificate.is_authority()) {
        for name in names(certificate, new.pin.as_ref(), now).map_err(refused)? {
            known.push((name, certificate));
        }
    }
    if known.is_empty() {
        return Err(refused("there is no recipient's certificate in there: authorities go to /v1/trust/anchors".to_owned()));
    }
    let told: Vec<Value> = known.iter().map(|(name, certificate)| taken(name, certificate)).collect();
    if !new.dry_run {
        know(store, &caller.actor, org, &known).await?;
    }
    Ok(Json(json!({ "imported": told, "dry_run": new.dry_run })))
}

/// Believes an authority no more. What came with a bundle goes with it.
///
/// # Errors
/// 400, 401, 403, 404, 503.
pub async fn remove_anchor(
    State(web): State<Web>,
    caller: Caller,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Problem> {
    let org = caller.sender()?.org;
    let all = web.intake.store().anchors(OrgScope::One(org)).await?;
    remove(&web, &caller, org, &fingerprint, "trust_anchor_removed", &all).await
}

/// Knows a recipient's certificate no more.
///
/// # Errors
/// 400, 401, 403, 404, 503.
pub async fn remove_certificate(
    State(web): State<Web>,
    caller: Caller,
    Path(fingerprint): Path<String>,
) -> Result<StatusCode, Problem> {
    let org = caller.sender()?.org;
    let all = web.intake.store().certificates(OrgScope::One(org)).await?;
    remove(&web, &caller, org, &fingerprint, "certificate_removed", &all).await
}

async fn remove(
    web: &Web,
    caller: &Caller,
    org: OrgId,
    fingerprint: &str,
    what: &'static str,
    all: &[StoredCertificate],
) -> Result<StatusCode, Problem> {
    let wanted = fingerprint.replace(':', "").to_ascii_lowercase();
    let missing = || Problem::from(Refusal::not_found("certificate"));
    let known = all.iter().find(|row| row.bundle.is_none() && row.fingerprint == wanted).ok_or_else(missing)?;
    let event = changed(Some(org), what, &known.fingerprint);
    let witness = Witness::new(&caller.actor, &event);
    let removed = web.intake.store().remove_certificate_as(org, &known.fingerprint, witness).await?;
    if removed == 0 { Err(missing()) } else { Ok(StatusCode::NO_CONTENT) }
}
