//! `/v1/tokens`: of an organization with `?organization=`, of the installation without. Nobody gives a right they have not.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wish;
use crate::{
    domain::{
        OrgScope, Timestamp,
        audit::Witness,
        id::TokenId,
        person::Right,
        text::{FIELD_LIMIT, line},
        time::Span,
    },
    observe::{
        events::{TokenMade, TokenRevoked, TokenRotated},
        facts::Named,
    },
    source::Refusal,
    store::token::{NewToken, TokenView},
    web::{Problem, Web, auth::Caller},
};

fn as_json(token: &TokenView, slug: Option<&String>, now: Timestamp) -> Value {
    let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let good = token.revoked_at.is_none() && token.expires_at.is_none_or(|at| at > now);
    json!({ "id": token.id, "organization": slug, "name": token.name, "scopes": token.rights,
        "created_at": token.created_at.to_string(), "expires_at": at(token.expires_at), "used_at": at(token.used_at),
        "revoked_at": at(token.revoked_at), "good": good })
}

/// Every token: what it may do, when it ends, when it was last used. Never its text.
///
/// # Errors
/// 401, 403, 503.
pub async fn list(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let store = web.intake.store();
    let (all, slugs, now) = (store.tokens(caller.scope).await?, store.slugs(OrgScope::All).await?, store.clock().now());
    let slug = |token: &TokenView| token.org.and_then(|org| slugs.get(&org));
    Ok(Json(json!({ "tokens": all.iter().map(|token| as_json(token, slug(token), now)).collect::<Vec<_>>() })))
}

/// A token to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    name: String,
    /// Rights, nouns or `admin`, as at the shell; without them a sender's.
    #[serde(default)]
    scopes: Vec<String>,
    expires: Option<Span>,
    #[serde(default)]
    ignore_unknown: bool,
}

fn name(text: &str) -> Result<&str, Problem> {
    Ok(line(text, FIELD_LIMIT).map_err(|problem| Refusal::field("/name", "invalid", problem.to_string()))?)
}

/// What the scopes mean, of what the caller may give.
fn rights(scopes: &[String], caller: &Caller) -> Result<BTreeSet<Right>, Problem> {
    let mut all = if scopes.is_empty() { Right::of_a_sender() } else { BTreeSet::new() };
    for (i, word) in scopes.iter().enumerate() {
        let meant = Right::meant_by(word);
        if meant.is_empty() {
            return Err(
                Refusal::field(&format!("/scopes/{i}"), "unknown", "is no right, no noun of rights, and not admin").into()
            );
        }
        all.extend(meant);
    }
    if caller.scope.org().is_some() {
        all.retain(|right| !right.of_the_installation());
    }
    if all.is_empty() {
        return Err(Refusal::field("/scopes", "invalid", "can only be had by a token of the installation").into());
    }
    if let Some(lacking) = all.iter().find(|right| !caller.rights.contains(right)) {
        let detail = format!("this token has not the right {lacking} itself, so it cannot give it");
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    Ok(all)
}

fn ends(now: Timestamp, after: Option<Span>) -> Result<Option<Timestamp>, Problem> {
    if after.is_some_and(|after| after.0 == Duration::ZERO) {
        return Err(Refusal::field("/expires", "invalid", "must be longer than nothing").into());
    }
    Ok(after.map(|after| now.plus(after.0)))
}

/// Makes a token, and shows it this once.
///
/// # Errors
/// 401, 403, 413, 415, 422, 503.
pub async fn create(State(web): State<Web>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let new: New = wish(&web, caller.scope, request).await?;
    let (name, rights) = (name(&new.name)?, rights(&new.scopes, &caller)?);
    let (store, org, id) = (web.intake.store(), caller.scope.org(), TokenId::new());
    let expires_at = ends(store.clock().now(), new.expires)?;
    let event = TokenMade { org, token: id, name: Named(name), rights: rights.len() };
    let made = NewToken { id, org, name, rights: rights.clone(), ignore_unknown: new.ignore_unknown, expires_at };
    let token = store.make_token(&made, Witness::new(&caller.actor, &event)).await?;
    let told =
        json!({ "id": id, "name": name, "scopes": rights, "expires_at": expires_at.map(|at| at.to_string()), "token": token });
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

/// Which tokens take the place of which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    name: String,
    /// How long the ones before go on.
    #[serde(default = "a_day")]
    overlap: Span,
    expires: Option<Span>,
}

const fn a_day() -> Span {
    Span::seconds(24 * 3600)
}

/// Makes a token in the place of those of its name, which go on for a while; it has the rights of the newest of them.
///
/// # Errors
/// 401, 403, 404 (none of that name lets anybody in), 413, 415, 422, 503.
pub async fn rotate(State(web): State<Web>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let asked: Rotation = wish(&web, caller.scope, request).await?;
    let name = name(&asked.name)?;
    let (store, org, id) = (web.intake.store(), caller.scope.org(), TokenId::new());
    let now = store.clock().now();
    let missing = || Problem::from(Refusal::not_found("token"));
    let good = |token: &&TokenView| {
        token.org == org && token.name == name && token.revoked_at.is_none() && token.expires_at.is_none_or(|at| at > now)
    };
    let all = store.tokens(caller.scope).await?;
    // Newest first: its rights are what the new one will have.
    let newest = all.iter().find(good).ok_or_else(missing)?;
    if newest.rights.iter().any(|right| !caller.rights.contains(right)) {
        let detail = "the token may do what this one may not, so this one cannot make its successor";
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let rights = newest.rights.clone();
    let expires_at = ends(now, asked.expires)?;
    let event = TokenRotated { org, token: id, name: Named(name) };
    let made = NewToken { id, org, name, rights: BTreeSet::new(), ignore_unknown: false, expires_at };
    let token = store.rotate_token(&made, asked.overlap.0, Witness::new(&caller.actor, &event)).await?.ok_or_else(missing)?;
    let told = json!({ "id": id, "name": name, "scopes": rights, "expires_at": expires_at.map(|at| at.to_string()), "token": token,
        "old_until": now.plus(asked.overlap.0).to_string() });
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

/// Which tokens end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    name: String,
}

/// Ends every token of a name, at once.
///
/// # Errors
/// 401, 403, 404, 413, 415, 422, 503.
pub async fn revoke(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let asked: Revocation = wish(&web, caller.scope, request).await?;
    let (name, org) = (name(&asked.name)?, caller.scope.org());
    let event = TokenRevoked { org, name: Named(name) };
    let ended = web.intake.store().end_tokens(org, name, Witness::new(&caller.actor, &event)).await?;
    if ended == 0 {
        return Err(Refusal::not_found("token").into());
    }
    Ok(Json(json!({ "name": name, "revoked": ended })))
}
