//! Programs that use the API: a bearer token (RFC 6750) speaks for one organization, or for the installation.

use std::collections::BTreeSet;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

use super::{actor, problem, scope};
use crate::{
    domain::{
        OrgId, OrgScope,
        audit::Actor,
        person::{Reach, Right},
    },
    observe::{events::RightMissing, facts::Door},
    source::{Sender, wire::Unknown},
    web::{Problem, Web},
};

/// Who calls. It is known before any of the body is read, and that it may do what the route does.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who goes on record.
    pub actor: Actor,
    /// Whose rows it may see.
    pub reach: Reach,
    /// The same, for every call to the store; narrowed to the organization that the request chose, if it did.
    pub scope: OrgScope,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    unknown: Unknown,
}

/// Somebody who looks after an organization: the name stands beside what is decided.
#[derive(Debug, Clone)]
pub struct Steward {
    /// Whose.
    pub org: OrgId,
    /// What they are called.
    pub name: String,
}

impl Caller {
    /// Who hands something in.
    ///
    /// # Errors
    /// 400 when it speaks for the installation and chose no organization.
    pub fn sender(&self) -> Result<Sender, Problem> {
        let OrgScope::One(org) = self.scope else {
            let detail = "this token speaks for every organization: say which one, ?organization=SLUG";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "organization_needed", detail));
        };
        Ok(Sender { org, unknown: self.unknown, door: Door::Api })
    }

    /// Who looks after an organization.
    ///
    /// # Errors
    /// As [`Caller::sender`].
    pub fn steward(&self) -> Result<Steward, Problem> {
        Ok(Steward { org: self.sender()?.org, name: format!("{} {}", self.actor.kind, self.actor.name) })
    }

    /// Makes sure that it has this right besides that of the route.
    ///
    /// # Errors
    /// 403.
    pub fn needs(&self, right: Option<Right>) -> Result<(), Problem> {
        match right {
            Some(right) if !self.may(right) => {
                Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("the token has not the right {right}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether it may do that, too.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right) && self.reach.allows(right)
    }
}

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Problem> {
        // A route that names no right has nobody to show.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "forbidden", "this route names no right, so nobody has it"))
    }
}

/// Lets programs through that have the right.
pub(super) async fn gate(State((web, right)): State<(Web, Right)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match admit(&web, right, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn admit(web: &Web, right: Right, request: &Parts) -> Result<Caller, Problem> {
    let refused = |detail| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    let Some(token) = bearer(request) else {
        return Err(refused("send the organization's token: Authorization: Bearer ..."));
    };
    let store = web.intake.store();
    // Stored and looked up as a hash: how long it takes says nothing about how near a guess was.
    let holder = store.token_holder(token).await.map_err(problem)?;
    let Some(holder) = holder else { return Err(refused("the token is not known, has ended, or was revoked")) };
    web.paces.take(holder.id.0, web.console.requests_per_minute)?;
    store.touch_token(&holder).await.map_err(problem)?;
    let reach = holder.reach();
    let actor = actor(web, request, Actor::token(holder.id, &holder.name));
    if !holder.rights.contains(&right) || !reach.allows(right) {
        store.witness(&actor, &RightMissing { right }).await.map_err(problem)?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("the token has not the right {right}")));
    }
    let (_, scope) = scope(web, &request.uri, &reach).await?;
    let unknown = if holder.ignore_unknown { Unknown::Ignore } else { Unknown::Refuse };
    Ok(Caller { actor, reach, scope, rights: holder.rights, unknown })
}

/// The one token of the request; the scheme's case does not matter (RFC 9110 11.1).
fn bearer(request: &Parts) -> Option<&str> {
    let mut all = request.headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && (1..=200).contains(&token.len())).then_some(token)
}
