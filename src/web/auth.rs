//! Who is calling: a bearer token speaks for one organization (RFC 6750).

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};

use super::{Problem, Web};
use crate::{
    domain::OrgId,
    observe::facts::Door,
    source::{Sender, SourceError, wire::Unknown},
    store::token::TokenHolder,
};

/// The organization a request speaks for. It is known before any of the body is read.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub Sender);

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let holder = holder(parts, web).await?;
        let unknown = if holder.ignore_unknown { Unknown::Ignore } else { Unknown::Refuse };
        Ok(Self(Sender { org: holder.org, unknown, door: Door::Api }))
    }
}

/// Somebody who looks after an organization: the console, or an administrator's program.
#[derive(Debug, Clone)]
pub struct Steward {
    /// Whose.
    pub org: OrgId,
    /// What the token is called: stands beside what it decides.
    pub name: String,
}

impl FromRequestParts<Web> for Steward {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let holder = holder(parts, web).await?;
        if !holder.admin {
            let detail = "this token sends results and may not change the organization: make one with --admin";
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        Ok(Self { org: holder.org, name: format!("token {}", holder.name) })
    }
}

async fn holder(parts: &Parts, web: &Web) -> Result<TokenHolder, Problem> {
    let refused = |detail| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    let Some(token) = bearer(parts) else {
        return Err(refused("send the organization's token: Authorization: Bearer ..."));
    };
    // Stored and looked up as a hash: how long it takes says nothing about how near a guess was.
    let holder = web.intake.store().token_holder(token).await.map_err(SourceError::from)?;
    holder.ok_or_else(|| refused("the token is not known, or was revoked"))
}

/// The one token of the request; the scheme's case does not matter (RFC 9110 11.1).
fn bearer(parts: &Parts) -> Option<&str> {
    let mut all = parts.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=200).contains(&token.len())).then_some(token)
}
