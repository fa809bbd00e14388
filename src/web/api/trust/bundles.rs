//! `/v1/trust/bundles`: sets of anchors that somebody else keeps.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{on_record, wish};
use crate::{
    domain::{OrgId, OrgScope, Timestamp, audit::Witness, person::Reach, text, time::Span},
    observe::chain,
    source::Refusal,
    store::{
        Store,
        bundle::{Bundle, BundleAnchor, NewBundle},
        trust::AnchorUse,
    },
    trust::{
        Certificate,
        bundle::{
            read,
            refresh::{self, RefreshError, guard},
            stored,
        },
    },
    web::{Problem, Web, auth::Caller, record::changed},
};

fn as_json(bundle: &Bundle) -> Value {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({ "name": bundle.name, "use": bundle.used_for, "url": bundle.url, "signed": bundle.signer.is_some(),
        "anchors": bundle.anchors, "refreshed_at": text(bundle.refreshed_at), "tried_at": text(bundle.tried_at),
        "next_at": bundle.url.as_ref().map(|_| bundle.next_at.to_string()), "error": bundle.error, "shrunk_to": bundle.shrunk_to })
}

/// Each with its age and what went wrong last.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn list(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let all = web.intake.store().bundles(OrgScope::One(caller.sender()?.org)).await?;
    Ok(Json(json!({ "bundles": all.iter().map(as_json).collect::<Vec<_>>() })))
}

/// A bundle to be believed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    /// Where it is published.
    url: Option<String>,
    /// The bundle itself: certificates or PKCS#7 in PEM.
    content: Option<String>,
    /// The certificate that must have signed it, PEM.
    signer: Option<String>,
    #[serde(default = "both", rename = "use")]
    used_for: AnchorUse,
    #[serde(default = "daily")]
    refresh: Span,
    /// Percent of its anchors that may go at once.
    #[serde(default = "fifth")]
    most_lost: u8,
    /// A server on the same network, which only the installation may name.
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    accept_shrink: bool,
    #[serde(default)]
    dry_run: bool,
}

const fn both() -> AnchorUse {
    AnchorUse::Both
}

const fn daily() -> Span {
    Span::seconds(24 * 3600)
}

const fn fifth() -> u8 {
    20
}

impl New {
    fn check(&self, reach: &Reach) -> Result<(), Problem> {
        let bad = |field: &str, why: &str| Err(Refusal::field(field, "invalid", why).into());
        if text::line(&self.name, 100).is_err() {
            return bad("/name", "must be one line of 1 to 100 characters");
        }
        if self.refresh.0.as_secs() < 60 {
            return bad("/refresh", "must be at least 60s");
        }
        if self.most_lost > 100 {
            return bad("/most_lost", "must be 0 to 100 percent");
        }
        if self.url.is_some() == self.content.is_some() {
            return bad("/url", "or content: say one of them");
        }
        // Whoever speaks for one customer does not make us ask servers of our own network.
        if self.internal && *reach != Reach::Installation {
            return bad("/internal", "is for a token of the installation");
        }
        match &self.url {
            Some(url) if !self.internal && !url.starts_with("https://") => bad("/url", "must begin with https://"),
            Some(url) if url.contains('@') => bad("/url", "must not carry a password"),
            _ => Ok(()),
        }
    }
}

fn problem(error: RefreshError) -> Problem {
    match error {
        RefreshError::Store(error) => error.into(),
        RefreshError::Shrunk { .. } => Problem::new(
            StatusCode::CONFLICT,
            "shrunk",
            "it would lose more of its anchors than it may: look at it, then take it with accept_shrink",
        ),
        error => Problem::new(StatusCode::CONFLICT, "bundle_refused", chain(&error)),
    }
}

/// Takes a bundle, in the place of one of that name.
///
/// # Errors
/// 400, 401, 403, 409 (it cannot be had or used, or has shrunk), 413, 415, 422, 429, 503.
pub async fn import(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let new: New = wish(&web, caller.scope, request).await?;
    new.check(&caller.reach)?;
    let store = web.intake.store();
    let unusable = |error: crate::trust::TrustError| Refusal::field("/signer", "invalid", format!("cannot be used: {error}"));
    let signer = new.signer.as_ref().map(|pem| Certificate::read_all(pem.as_bytes())).transpose().map_err(unusable)?;
    let signer = signer.and_then(|all| all.into_iter().next());
    let octets = match (&new.url, &new.content) {
        (Some(url), _) => {
            on_record(&web, &caller, Some(org), "trust_bundle_asked_for", &new.name).await?;
            let _turn = web.turns.take(org).await?;
            refresh::fetch(url, new.internal).await.map_err(problem)?
        }
        (None, content) => content.clone().unwrap_or_default().into_bytes(),
    };
    let now = store.clock().now();
    let content = read(&octets, signer.as_ref(), now).map_err(|error| problem(error.into()))?;
    let offered: Vec<BundleAnchor> = content.anchors.iter().map(stored).collect();
    if let Some(known) = find(store, org, &new.name).await?.filter(|_| !new.accept_shrink) {
        let in_force = store.bundle_anchors(known.org, known.id).await?;
        guard(&in_force, &offered, new.most_lost, now).map_err(problem)?;
    }
    if !new.dry_run {
        let event = changed(Some(org), "trust_bundle_added", &new.name);
        let kept = NewBundle {
            name: new.name.clone(),
            used_for: new.used_for,
            url: new.url.clone(),
            internal: new.internal,
            signer: signer.as_ref().map(|signer| signer.der().to_vec()),
            refresh: new.refresh.0,
            most_lost: new.most_lost,
        };
        store.import_bundle(org, &kept, &offered, Some(Witness::new(&caller.actor, &event))).await?;
    }
    Ok(Json(json!({ "name": new.name, "use": new.used_for, "anchors": offered.len(), "left_out": content.left_out,
        "dry_run": new.dry_run })))
}

async fn find(store: &Store, org: OrgId, name: &str) -> Result<Option<Bundle>, Problem> {
    Ok(store.bundles(OrgScope::One(org)).await?.into_iter().find(|known| known.name == name))
}

async fn known(store: &Store, org: OrgId, name: &str) -> Result<Bundle, Problem> {
    Ok(find(store, org, name).await?.ok_or_else(|| Refusal::not_found("bundle"))?)
}

/// How it is fetched again.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Again {
    /// Though it has lost more anchors than it may.
    accept_shrink: bool,
}

/// Fetches one now.
///
/// # Errors
/// 400, 401, 403, 404, 409 (what is in force stays), 413, 415, 422, 429, 503.
pub async fn refresh(
    State(web): State<Web>,
    caller: Caller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let again: Again = wish(&web, caller.scope, request).await?;
    let store = web.intake.store();
    let bundle = known(store, org, &name).await?;
    on_record(&web, &caller, Some(org), "trust_bundle_refresh_asked", &bundle.name).await?;
    let _turn = web.turns.take(org).await?;
    let done = refresh::refresh(store, &bundle, again.accept_shrink).await;
    let came = if done.is_ok() { "trust_bundle_refreshed" } else { "trust_bundle_not_refreshed" };
    on_record(&web, &caller, Some(org), came, &bundle.name).await?;
    let done = done.map_err(problem)?;
    Ok(Json(json!({ "name": bundle.name, "anchors": done.anchors, "added": done.added, "removed": done.removed,
        "left_out": done.left_out })))
}

/// Takes one away with its anchors.
///
/// # Errors
/// 400, 401, 403, 404, 503.
pub async fn remove(State(web): State<Web>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let org = caller.sender()?.org;
    let store = web.intake.store();
    let bundle = known(store, org, &name).await?;
    let event = changed(Some(org), "trust_bundle_removed", &bundle.name);
    if store.remove_bundle(org, &bundle.name, Some(Witness::new(&caller.actor, &event))).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found("bundle").into())
    }
}
