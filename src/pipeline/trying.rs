//! A webhook is tried out: a test event, signed like every other, sent now and once. It has no place in the feed, and whether
//! the webhook is on does not matter.

use serde_json::json;
use uuid::Uuid;

use super::telling::fetcher;
use crate::{
    config::events::EventsSection,
    domain::{OrgId, OrgScope, event::EventKind},
    net::fetch::FetchError,
    store::{Store, StoreError},
    track::webhook::{Answer, Post, SigningSecret, post},
};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Where it was sent.
    pub url: String,
    /// Whether the other end took it.
    pub taken: bool,
    /// What it answered, in one sentence; holds nothing the other end has written.
    pub answer: String,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum TryError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The authorities that are to be believed cannot be read.
    #[error("setting up [events]")]
    Authorities(#[from] FetchError),
    /// The event could not be written.
    #[error("writing the test event")]
    Event(#[from] serde_json::Error),
}

/// Sends the webhook `name` of the organization that is called `slug` a test event. `None` when there is none of that name.
///
/// # Errors
/// [`TryError`]; that the other end does not take it is an answer.
pub async fn try_out(
    settings: &EventsSection,
    store: &Store,
    org: OrgId,
    slug: &str,
    name: &str,
) -> Result<Option<Tried>, TryError> {
    let known = store.webhooks(OrgScope::One(org)).await?.into_iter().find(|known| known.rules.name == name);
    let (Some(known), Some(secrets)) = (known, store.webhook_secrets(org, name).await?) else { return Ok(None) };
    let secrets: Vec<SigningSecret> = secrets.into_iter().filter_map(|secret| SigningSecret::from_octets(secret).ok()).collect();
    let (fetcher, id, at) = (fetcher(settings)?, Uuid::now_v7().to_string(), store.clock().now());
    let body = json!({ "id": id, "type": EventKind::WebhookTest, "timestamp": at.to_string(),
        "data": { "organization": slug, "webhook": name } });
    let (url, body) = (known.rules.url, serde_json::to_vec(&body)?);
    let answer = post(&fetcher, Post { url: &url, id: &id, at, body: &body, secrets: &secrets }).await;
    let (taken, answer) = match answer {
        Answer::Taken => (true, "taken".to_owned()),
        Answer::Gone => (false, "answered 410: it wants nothing more, and would be switched off".to_owned()),
        Answer::NotNow { why, .. } => (false, why),
    };
    Ok(Some(Tried { url, taken, answer }))
}
