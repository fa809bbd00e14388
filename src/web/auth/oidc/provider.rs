//! The provider: what it says about itself, its keys, and the exchange of a code.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{sync::Mutex, time::Instant};

use super::{
    OidcError,
    claims::{Awaited, Claims},
    passage::{Back, Passage},
};
use crate::{
    config::oidc::OidcSection,
    crypto::jws::{JwkSet, JwsError},
    domain::Timestamp,
    net::fetch::{FetchError, FetchRules, Fetched, Fetcher},
    observe::chain,
};

/// Nothing it says is larger, in octets.
const MOST_OCTETS: usize = 1 << 20;
/// Nobody waits longer for it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What it says about itself, and its keys, are asked for again after so long.
const KEPT: Duration = Duration::from_hours(1);
/// A key that is not known is looked for again, but not more often than this: tokens may name whatever they like.
const KEYS_APART: Duration = Duration::from_mins(1);
/// After a failure it is left alone for so long.
const REST: Duration = Duration::from_secs(5);

/// One OpenID provider.
#[derive(Debug)]
pub struct Provider {
    settings: OidcSection,
    fetcher: Fetcher,
    known: Mutex<Known>,
}

/// What is known about it.
#[derive(Debug, Default)]
struct Known {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, JwkSet)>,
    /// When a key was last looked for that was not among them.
    looked: Option<Instant>,
    failed: Option<Instant>,
}

/// What it says about itself (OpenID Connect Discovery 1.0, 3).
#[derive(Debug, Deserialize)]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

impl Provider {
    /// The one that is set; none when there is none.
    ///
    /// # Errors
    /// When its authorities cannot be read.
    pub fn of(settings: &OidcSection) -> Result<Option<Self>, FetchError> {
        if settings.issuer.is_none() {
            return Ok(None);
        }
        // Whoever runs this gateway named it: it may be in their own network.
        let rules = FetchRules {
            allow_http: settings.is_local(),
            allow_private: true,
            max_bytes: MOST_OCTETS,
            connect_timeout: PATIENCE,
            timeout: PATIENCE,
            ca_file: settings.ca_file.clone(),
            ..FetchRules::default()
        };
        Ok(Some(Self { settings: settings.clone(), fetcher: Fetcher::new(rules)?, known: Mutex::default() }))
    }

    /// How it is set.
    #[must_use]
    pub const fn settings(&self) -> &OidcSection {
        &self.settings
    }

    /// Where a visitor is led to (OpenID Connect Core 1.0, 3.1.2.1).
    pub(in crate::web) async fn way_to(&self, passage: &Passage, back: &str, next: &str) -> Result<String, OidcError> {
        let metadata = self.metadata().await?;
        let (scopes, state) = (self.settings.scopes.join(" "), passage.state(next)?);
        let challenge = passage.challenge();
        let fields = [
            ("response_type", "code"),
            ("client_id", &self.settings.client_id),
            ("redirect_uri", back),
            ("scope", &scopes),
            ("state", &state),
            ("nonce", &passage.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        Ok(with(&metadata.authorization_endpoint, &fields))
    }

    /// Where a visitor signs out there, too; nothing when it has no such place.
    pub(in crate::web) async fn way_out(&self, back: &str) -> Result<Option<String>, OidcError> {
        let metadata = self.metadata().await?;
        let fields = [("client_id", self.settings.client_id.as_str()), ("post_logout_redirect_uri", back)];
        Ok(metadata.end_session_endpoint.as_deref().map(|place| with(place, &fields)))
    }

    /// Whom it means, by what a visitor has brought back.
    pub(super) async fn ask(&self, passage: &Passage, back: &Back, uri: &str, now: Timestamp) -> Result<Claims, OidcError> {
        let metadata = self.metadata().await?;
        // RFC 9207 2.4: the answer of another provider, slipped in (mix-up).
        let named = !back.iss.is_empty() || metadata.authorization_response_iss_parameter_supported;
        if named && back.iss != metadata.issuer {
            return Err(OidcError::Passage("another provider has answered"));
        }
        if !back.error.is_empty() {
            return Err(OidcError::Refused(
                back.error.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect(),
            ));
        }
        if back.code.is_empty() || back.code.len() > 4_000 {
            return Err(OidcError::Passage("it brings no code"));
        }
        let tokens = self.exchange(&metadata, passage, &back.code, uri).await?;
        let payload = self.verify(&metadata, &tokens.id_token).await?;
        let access_token = tokens.access_token.as_deref();
        let awaited = Awaited { settings: &self.settings, nonce: &passage.nonce, access_token, now };
        let mut said = awaited.check(&payload)?;
        if let (false, Some(place), Some(token)) = (awaited.is_enough(&said), &metadata.userinfo_endpoint, access_token) {
            self.more(place, token, &mut said).await?;
        }
        Ok(Claims::of(&said, &self.settings))
    }

    async fn exchange(&self, metadata: &Metadata, passage: &Passage, code: &str, uri: &str) -> Result<Tokens, OidcError> {
        let OidcSection { client_id, client_secret, .. } = &self.settings;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", uri),
            ("code_verifier", &passage.verifier),
        ];
        let methods = &metadata.token_endpoint_auth_methods_supported;
        // What says nothing about it takes client_secret_basic (OpenID Connect Discovery 1.0, 3).
        let basic = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        let mut headers = vec![("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
        let shown;
        match client_secret {
            Some(secret) if basic => {
                // RFC 6749 2.3.1: both are written as in a form first.
                shown =
                    format!("Basic {}", BASE64_STANDARD.encode(format!("{}:{}", escaped(client_id), escaped(secret.expose()))));
                headers.push(("authorization", &shown));
            }
            Some(secret) => fields.extend([("client_id", client_id.as_str()), ("client_secret", secret.expose())]),
            None => fields.push(("client_id", client_id)),
        }
        let answer = self.fetcher.post(&metadata.token_endpoint, &headers, form(&fields).into_bytes()).await;
        let answer = good("the token", answer)?;
        serde_json::from_slice(&answer.body).map_err(|_| OidcError::Token("the answer has no ID token in it"))
    }

    /// What the token says, if one of its keys has signed it. A key that is not known may be new.
    async fn verify(&self, metadata: &Metadata, token: &str) -> Result<Vec<u8>, OidcError> {
        let mut known = self.known.lock().await;
        let fresh = known.keys.as_ref().filter(|(at, _)| at.elapsed() < KEPT);
        let verified = fresh.map(|(_, keys)| keys.verify(token));
        let may_look = known.looked.is_none_or(|at| at.elapsed() > KEYS_APART);
        match verified {
            Some(Err(JwsError::UnknownKey)) if may_look => known.looked = Some(Instant::now()),
            Some(verified) => return Ok(verified?),
            None => {}
        }
        let keys = self.keys(metadata).await?;
        let verified = keys.verify(token);
        known.keys = Some((Instant::now(), keys));
        Ok(verified?)
    }

    async fn keys(&self, metadata: &Metadata) -> Result<JwkSet, OidcError> {
        let answer = good("its keys", self.fetcher.get(&metadata.jwks_uri, &[("accept", "application/json")]).await)?;
        let keys = JwkSet::read(&answer.body).map_err(|_| OidcError::Metadata("its keys cannot be read"))?;
        if keys.is_empty() { Err(OidcError::Metadata("it has no key for RS256 or ES256")) } else { Ok(keys) }
    }

    /// Asks for what the token does not say (OpenID Connect Core 1.0, 5.3.2).
    async fn more(&self, place: &str, token: &str, said: &mut Map<String, Value>) -> Result<(), OidcError> {
        let shown = format!("Bearer {token}");
        let answer = good("more about somebody", self.fetcher.get(place, &[("authorization", &shown)]).await)?;
        let more: Map<String, Value> =
            serde_json::from_slice(&answer.body).map_err(|_| OidcError::Token("what it says besides is no JSON object"))?;
        if more.get("sub") != said.get("sub") {
            return Err(OidcError::Token("what it says besides is about somebody else"));
        }
        for (name, value) in more {
            said.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// What it says about itself, asked for now and then.
    ///
    /// # Errors
    /// When it does not answer, or says what cannot be.
    pub async fn metadata(&self) -> Result<Arc<Metadata>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &known.metadata
            && at.elapsed() < KEPT
        {
            return Ok(Arc::clone(metadata));
        }
        if known.failed.is_some_and(|at| at.elapsed() < REST) {
            return Err(OidcError::Resting);
        }
        match self.discover().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                known.metadata = Some((Instant::now(), Arc::clone(&metadata)));
                known.failed = None;
                Ok(metadata)
            }
            Err(error) => {
                known.failed = Some(Instant::now());
                // What it said an hour ago most likely holds still.
                match &known.metadata {
                    Some((_, metadata)) => {
                        tracing::warn!(
                            error = chain(&error),
                            "the OpenID provider says nothing about itself; what it said before is used"
                        );
                        Ok(Arc::clone(metadata))
                    }
                    None => Err(error),
                }
            }
        }
    }

    /// Whether somebody could sign in through it now: what it says about itself can be used, and it has keys.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn examine(&self) -> Result<(), OidcError> {
        let metadata = self.metadata().await?;
        self.keys(&metadata).await.map(drop)
    }

    async fn discover(&self) -> Result<Metadata, OidcError> {
        let issuer = self.settings.issuer.as_deref().unwrap_or_default();
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let answer = good("what it can do", self.fetcher.get(&place, &[("accept", "application/json")]).await)?;
        let metadata: Metadata =
            serde_json::from_slice(&answer.body).map_err(|_| OidcError::Metadata("it does not name its endpoints and keys"))?;
        // OpenID Connect Discovery 1.0, 4.3: otherwise anybody could speak for anybody.
        if metadata.issuer != issuer {
            return Err(OidcError::Metadata("it calls itself something else than issuer in [oidc]"));
        }
        let usable = |place: &str| {
            let plain = place.bytes().all(|b| b.is_ascii_graphic()) && !place.contains('#');
            plain && (place.starts_with("https://") || (self.settings.is_local() && place.starts_with("http://")))
        };
        let named = [Some(&metadata.authorization_endpoint), Some(&metadata.token_endpoint), Some(&metadata.jwks_uri)];
        let optional = [metadata.userinfo_endpoint.as_ref(), metadata.end_session_endpoint.as_ref()];
        if named.into_iter().chain(optional).flatten().all(|place| usable(place)) {
            Ok(metadata)
        } else {
            Err(OidcError::Metadata("one of its endpoints is not an https address"))
        }
    }
}

/// An answer of 2xx.
fn good(what: &'static str, answer: Result<Fetched, FetchError>) -> Result<Fetched, OidcError> {
    let answer = answer.map_err(|cause| OidcError::Fetch { what, cause })?;
    if answer.is_success() { Ok(answer) } else { Err(OidcError::Status { what, status: answer.status }) }
}

fn with(place: &str, fields: &[(&str, &str)]) -> String {
    let and = if place.contains('?') { '&' } else { '?' };
    format!("{place}{and}{}", form(fields))
}

fn form(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
