//! Who is asking, what they may do and whose rows they may see: a [`Person`] with a session, or a [`Caller`] with an API
//! token. A route that needs either is made by [`Routes`], which wants to know the right it takes.

/// Giving and taking access.
pub(crate) mod access;
/// Programs: a bearer token (RFC 6750).
mod caller;
/// The cookie of a session, and forms that are ours.
mod cookie;
/// What a form says.
mod fields;
/// What pages tell browsers about themselves.
mod headers;
/// Signing in through an OpenID provider.
#[cfg(feature = "oidc")]
pub mod oidc;
/// How many requests with one token.
mod pace;
/// People: a session.
mod person;
/// Every route names who may take it.
pub mod routes;
/// Letting people in.
pub mod sign_in;

use std::net::IpAddr;

use axum::http::{Uri, request::Parts};

pub use caller::Caller;
pub(in crate::web) use cookie::Cookies;
pub use cookie::Visitor;
#[cfg(feature = "oidc")]
pub(in crate::web) use cookie::fresh;
pub(in crate::web) use fields::Fields;
pub(in crate::web) use pace::Paces;
pub use person::Person;
pub use routes::{Named, Routes, Who};

use super::{Problem, Web, frame::RequestId, serve::Peer};
use crate::{
    domain::{
        OrgId, OrgScope,
        audit::Actor,
        person::{OutOfReach, Reach},
    },
    source::{Refusal, SourceError},
    store::StoreError,
};

/// Where a request came from, as far as it can be known: the other end of the connection, or whom a proxy we believe says it
/// speaks for.
fn address(web: &Web, request: &Parts) -> Option<IpAddr> {
    let Peer(peer) = request.extensions.get::<Peer>().copied()?;
    let believed = |address: IpAddr| web.console.proxies.iter().any(|proxy| proxy.contains(address));
    if !believed(peer) {
        return Some(peer.to_canonical());
    }
    // Each proxy adds whom it heard it from at the end; what stands before the last one we do not believe, anybody wrote.
    let all = request.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let said: Vec<&str> = all.flat_map(|value| value.split(',')).collect();
    let client = said.iter().rev().map_while(|part| part.trim().parse().ok()).find(|address| !believed(*address));
    Some(client.unwrap_or(peer).to_canonical())
}

/// The same actor, from where this request came.
fn actor(web: &Web, request: &Parts, actor: Actor) -> Actor {
    let id = request.extensions.get::<RequestId>().map(|RequestId(id)| id.clone());
    actor.from(address(web, request), id)
}

/// The organization that the request chooses (`?organization=`, its id or its slug), and the scope that follows.
async fn scope(web: &Web, uri: &Uri, reach: &Reach) -> Result<(Option<OrgId>, OrgScope), Problem> {
    let missing = |OutOfReach| Problem::from(Refusal::not_found("organization"));
    let chosen = match chosen(uri) {
        None => None,
        Some(word) => match word.parse() {
            Ok(id) => Some(id),
            Err(_) => Some(called(web, &word).await?.ok_or(OutOfReach).map_err(missing)?),
        },
    };
    Ok((chosen, reach.scope(chosen).map_err(missing)?))
}

async fn called(web: &Web, slug: &str) -> Result<Option<OrgId>, Problem> {
    let found = web.intake.store().organization_by_slug(OrgScope::All, slug).await.map_err(problem)?;
    Ok(found.map(|organization| organization.id))
}

fn chosen(uri: &Uri) -> Option<String> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?.0;
    pairs.into_iter().find(|(name, value)| name == "organization" && !value.is_empty()).map(|(_, value)| value)
}

/// Where somebody tries to get in from, but for the browser, which is given besides.
pub(in crate::web) struct From {
    address: Option<IpAddr>,
    request: Option<String>,
}

impl From {
    /// The whole of it.
    pub(in crate::web) fn with<'a>(&self, agent: &'a str) -> sign_in::Whence<'a> {
        sign_in::Whence { address: self.address, agent, request: self.request.clone(), before: None }
    }
}

/// Where a request comes from, and the browser as it says.
pub(in crate::web) fn whence(web: &Web, request: &Parts) -> (From, String) {
    let agent = request.headers.get(axum::http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let id = request.extensions.get::<RequestId>().map(|RequestId(id)| id.clone());
    (From { address: address(web, request), request: id }, agent.unwrap_or_default().to_owned())
}

/// What is said when the store fails.
fn problem(error: StoreError) -> Problem {
    Problem::from(SourceError::from(error))
}
