//! What is believed for a few seconds, so that a batch of deliveries does not ask the same thing again and again:
//! organizations with their rules, opened signing keys, and certificates already judged.
//!
//! A judged certificate is still checked against the clock at the moment of sending.

use std::{collections::HashMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::{Gateway, tokens};
use crate::{
    crypto::token::TokenError,
    domain::{
        Class, DirectAddress, IdentityId, OrgId, OrgScope, Timestamp,
        identity::{KeyUse, Term, signs_at},
        organization::SendMode,
        profile::Shown,
        tracking::Habit,
    },
    observe::{chain, events},
    seal::{self, KeySigner, Own, OwnKey, Signer, TokenSigner},
    store::{
        Store, StoreError,
        identity_key::StoredKey,
        organization::{Identity, Organization},
        trust::{AnchorKind, AnchorUse},
    },
    trust::{
        Anchors, Certificate, Policy, TrustError, Trusted,
        discovery::{Believing, Freshness},
    },
};

/// How long a belief lasts. A change of rules or anchors takes effect within this time.
const LASTS: Duration = Duration::from_secs(5);
/// Most recipients remembered.
const MOST_RECIPIENTS: usize = 20_000;

/// Something believed, and since when.
type Fresh<T> = (Timestamp, Arc<T>);
type Known<K, T> = Mutex<HashMap<K, Fresh<T>>>;

#[derive(Default)]
pub(super) struct Beliefs {
    organizations: Known<OrgId, Organization>,
    keys: Known<(OrgId, IdentityId), Credential>,
    own: Known<(OrgId, String), Vec<Own>>,
    shown: Known<(OrgId, String), Shown>,
    tokens: tokens::TokenKeys,
    anchors: Known<(OrgId, AnchorUse), Believed>,
    recipients: Mutex<HashMap<(OrgId, String), Judged>>,
    habits: Known<(OrgId, String), Habit>,
}

/// A certificate judged: when, and what was known about revocation then.
#[derive(Clone)]
struct Judged {
    at: Timestamp,
    news: u64,
    trusted: Arc<Trusted>,
}

/// What an identity proves itself with.
pub(super) enum Credential {
    /// A signing key (sta modes).
    Signer(Box<dyn Signer>),
    /// A mailbox password (edge mode).
    Password(SecretString),
    /// Nothing: the relay knows our client certificate (edge mode).
    None,
}

/// The authorities an organization believes.
pub(super) struct Believed {
    pub(super) anchors: Anchors,
    pub(super) intermediates: Vec<Certificate>,
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the identity has no certificate and key to sign with: postern trust identities import brings them")]
    Missing,
    #[error("every certificate of the identity is out of date or may not sign: postern trust identities import brings a new one")]
    OutOfDate,
    #[error("the identity's key on the token cannot be used")]
    Token(#[source] TokenError),
    #[error("the identity's certificate or key cannot be used")]
    Unusable(#[source] crate::seal::SealError),
}

impl Believed {
    /// What an organization believes in one direction, imported or out of its bundles.
    pub(super) async fn read(store: &Store, org: OrgId, direction: AnchorUse) -> Result<Self, TrustError> {
        let stored = store.anchors_for(OrgScope::One(org), direction).await;
        let stored = stored.map_err(|error| TrustError::Unavailable(error.to_string()))?;
        let (mut anchors, mut intermediates) = (Vec::new(), Vec::new());
        for row in stored {
            let certificate = Certificate::from_der(&row.der)?;
            if row.name == AnchorKind::Anchor.as_str() { anchors.push(certificate) } else { intermediates.push(certificate) }
        }
        Ok(Self { anchors: Anchors::new(anchors), intermediates })
    }
}

/// A certificate with its key. The first is its own; the others are its chain.
fn read_own(pem: &str, key: &[u8]) -> Result<Option<Own>, CredentialError> {
    let all = Certificate::read_all(pem.as_bytes()).map_err(|error| CredentialError::Unusable(error.into()))?;
    let key: OwnKey = seal::read_key(key).map_err(CredentialError::Unusable)?.into();
    Ok(all.into_iter().next().map(|certificate| Own { certificate, key }))
}

impl Gateway {
    /// An organization, as it was at most a few seconds ago.
    pub(super) async fn organization(&self, id: OrgId) -> Result<Arc<Organization>, StoreError> {
        let now = self.clock.now();
        let mut known = self.beliefs.organizations.lock().await;
        if let Some((at, organization)) = known.get(&id)
            && now.since(*at) < LASTS
        {
            return Ok(Arc::clone(organization));
        }
        let mut organization = self.store.organization(id).await?.ok_or(StoreError::NoOrganization)?;
        organization.installation = self.post.identities();
        let organization = Arc::new(organization);
        known.insert(id, (now, Arc::clone(&organization)));
        Ok(organization)
    }

    /// What an identity proves itself with.
    pub(super) async fn credential(&self, org: OrgId, identity: &Identity) -> Result<Arc<Credential>, CredentialError> {
        let now = self.clock.now();
        let mut known = self.beliefs.keys.lock().await;
        if let Some((at, credential)) = known.get(&(org, identity.id))
            && now.since(*at) < LASTS
        {
            return Ok(Arc::clone(credential));
        }
        let generations = if identity.mode == SendMode::Edge || self.post.own(identity.id).is_some() {
            Vec::new()
        } else {
            self.store.identity_keys_of(org, &identity.address).await?
        };
        let secret = match self.post.own(identity.id) {
            Some(own) => own.secret.clone(),
            None => self.store.identity_secret(org, identity.id).await?,
        };
        let credential = match (&identity.certificate, secret) {
            _ if !generations.is_empty() => Credential::Signer(self.newest_signer(&generations, now).await?),
            (Some(certificate), Some(key)) => {
                Credential::Signer(Box::new(KeySigner::read(certificate.as_bytes(), &key).map_err(CredentialError::Unusable)?))
            }
            (None, Some(password)) => Credential::Password(String::from_utf8_lossy(&password).trim_end().to_owned().into()),
            (None, None) if identity.mode == SendMode::Edge => Credential::None,
            _ => return Err(CredentialError::Missing),
        };
        let credential = Arc::new(credential);
        known.insert((org, identity.id), (now, Arc::clone(&credential)));
        Ok(credential)
    }

    /// The newest of an address's generations that is valid signs: a new one takes over by itself.
    async fn newest_signer(&self, generations: &[StoredKey], now: Timestamp) -> Result<Box<dyn Signer>, CredentialError> {
        let terms: Vec<Term> = generations.iter().map(|generation| generation.term).collect();
        let newest = signs_at(&terms, now).and_then(|place| generations.get(place)).ok_or(CredentialError::OutOfDate)?;
        if let Some(uri) = &newest.token {
            let key = self.beliefs.tokens.key(&self.settings.token, uri).await.map_err(CredentialError::Token)?;
            let mut chain =
                Certificate::read_all(newest.certificate.as_bytes()).map_err(|error| CredentialError::Unusable(error.into()))?;
            let own = chain.remove(0);
            return Ok(Box::new(TokenSigner::new(own, chain, key).map_err(CredentialError::Unusable)?));
        }
        let key = self.store.identity_key_secret(newest.org, newest.id).await?.ok_or(CredentialError::Missing)?;
        Ok(Box::new(KeySigner::read(newest.certificate.as_bytes(), &key).map_err(CredentialError::Unusable)?))
    }

    /// Every certificate and key with which mail to `address`, one of ours, is opened: all generations that are kept and did
    /// not end too long ago, the newest first, for mail sealed to an older one may still come in. One that cannot be used now
    /// is left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn own(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Vec<Own>>, StoreError> {
        let now = self.clock.now();
        let place = (org, address.key());
        if let Some((at, own)) = self.beliefs.own.lock().await.get(&place)
            && now.since(*at) < LASTS
        {
            return Ok(Arc::clone(own));
        }
        let mut own = Vec::new();
        let overlap = self.settings.track.open_after_end.0;
        let opens = |used_for: KeyUse, until: Timestamp| used_for.decrypts() && now < until.plus(overlap);
        let generations = self.store.identity_keys_of(org, address).await?;
        for generation in generations.iter().filter(|key| opens(key.term.used_for, key.term.until)) {
            match self.opener(generation).await {
                Ok(found) => own.push(found),
                Err(error) => {
                    tracing::error!(%org, certificate = %generation.id, error = chain(&error), "one of our own keys cannot be used");
                }
            }
        }
        match self.first_key(org, address).await {
            Ok(found) => own.extend(found.filter(|found| opens(KeyUse::Both, found.certificate.valid_until()))),
            Err(error) => tracing::error!(%org, error = chain(&error), "one of our own keys cannot be used"),
        }
        let own = Arc::new(own);
        self.beliefs.own.lock().await.insert(place, (now, Arc::clone(&own)));
        Ok(own)
    }

    /// The certificate and key that lie with the identity itself, where nobody has imported generations.
    async fn first_key(&self, org: OrgId, address: &DirectAddress) -> Result<Option<Own>, CredentialError> {
        let organization = self.organization(org).await?;
        let identity = organization.identities.iter().find(|identity| identity.address == *address);
        let Some(identity) = identity else { return self.installation_key(address) };
        let Some(pem) = &identity.certificate else { return Ok(None) };
        let Some(key) = self.store.identity_secret(org, identity.id).await? else { return Ok(None) };
        read_own(pem, &key)
    }

    /// The certificate and key of one of the installation's own addresses.
    pub(super) fn installation_key(&self, address: &DirectAddress) -> Result<Option<Own>, CredentialError> {
        let own = self.post.own_at(address);
        let pair = own.and_then(|own| own.identity.certificate.as_ref().zip(own.secret.as_ref()));
        pair.map_or(Ok(None), |(pem, key)| read_own(pem, key))
    }

    async fn opener(&self, generation: &StoredKey) -> Result<Own, CredentialError> {
        let all = Certificate::read_all(generation.certificate.as_bytes());
        let certificate = all.map_err(|error| CredentialError::Unusable(error.into()))?.swap_remove(0);
        let key = if let Some(uri) = &generation.token {
            OwnKey::Token(self.beliefs.tokens.key(&self.settings.token, uri).await.map_err(CredentialError::Token)?)
        } else {
            let key = self.store.identity_key_secret(generation.org, generation.id).await?.ok_or(CredentialError::Missing)?;
            seal::read_key(&key).map_err(CredentialError::Unusable)?.into()
        };
        Ok(Own { certificate, key })
    }

    /// What the domain of `address` has shown the organization it understands.
    pub(super) async fn shown(&self, org: OrgId, address: &DirectAddress) -> Result<Shown, StoreError> {
        let now = self.clock.now();
        let key = (org, address.domain_key());
        if let Some((at, shown)) = self.beliefs.shown.lock().await.get(&key)
            && now.since(*at) < LASTS
        {
            return Ok(**shown);
        }
        let shown = self.store.peer(org, &key.1).await?.map(|peer| peer.shown).unwrap_or_default();
        let mut known = self.beliefs.shown.lock().await;
        if known.len() >= MOST_RECIPIENTS {
            known.clear();
        }
        known.insert(key, (now, Arc::new(shown)));
        Ok(shown)
    }

    /// A certificate of the recipient that is valid, trusted, not revoked and bound to the address at this moment.
    ///
    /// # Errors
    /// Why there is none to believe.
    pub async fn recipient(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Trusted>, TrustError> {
        let trusted = self.believed_now(org, address).await?;
        if !trusted.unchecked().is_empty() {
            events::RevocationUnchecked { org }.emit();
        }
        Ok(trusted)
    }

    async fn believed_now(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Trusted>, TrustError> {
        match self.still_believed(org, address).await {
            Some(trusted) => Ok(trusted),
            None => self.judged(org, address).await,
        }
    }

    /// The cheap check: nothing that a verdict of a moment ago went by has changed.
    async fn still_believed(&self, org: OrgId, address: &DirectAddress) -> Option<Arc<Trusted>> {
        let now = self.clock.now();
        let judged = self.beliefs.recipients.lock().await.get(&(org, address.key())).cloned()?;
        let fresh = now.since(judged.at) < LASTS && judged.news == self.inquirer.news() && judged.trusted.is_valid_at(now);
        fresh.then_some(judged.trusted)
    }

    /// Whether a verdict still stands: asked once more when the recipient's server waits for the message.
    pub(super) async fn still_stands(&self, org: OrgId, address: &DirectAddress, trusted: &Trusted) -> bool {
        match self.believed_now(org, address).await {
            Ok(now) => now.fingerprint() == trusted.fingerprint(),
            // What cannot be told at this instant was told a moment ago.
            Err(error) => error.class() == Class::Retry && trusted.is_valid_at(self.clock.now()),
        }
    }

    async fn judged(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Trusted>, TrustError> {
        let now = self.clock.now();
        let believed = self.believed(org, AnchorUse::Send, now).await?;
        let organization = self.organization(org).await.map_err(|error| TrustError::Unavailable(error.to_string()))?;
        let strictness = organization.file.trust.sending();
        let policy = Policy::under(&strictness, &believed.anchors, &believed.intermediates);
        // Asked before judging: what becomes known meanwhile may have been missed.
        let news = self.inquirer.news();
        let judge = Believing { inquirer: &self.inquirer, policy, address, at: now };
        let trusted = Arc::new(self.discovery.find(org, address, &judge, Freshness::Kept).await.outcome?);
        let mut known = self.beliefs.recipients.lock().await;
        if known.len() >= MOST_RECIPIENTS {
            known.clear();
        }
        known.insert((org, address.key()), Judged { at: now, news, trusted: Arc::clone(&trusted) });
        Ok(trusted)
    }

    /// After a failure that a replaced certificate would explain (the receiving side refused, or could not open): what was
    /// found for the address is forgotten, here and by every other worker, so that the next try looks again.
    pub async fn forget_recipient(&self, address: &DirectAddress) {
        // A domain's certificate is that of all its addresses.
        let domain = address.domain_key();
        let same = |known: &str| known.rsplit_once('@').is_some_and(|(_, theirs)| theirs == domain);
        self.beliefs.recipients.lock().await.retain(|(_, known), _| !same(known));
        if let Err(error) = self.discovery.forget(address, LASTS).await {
            tracing::warn!(%error, "what was found for a recipient could not be forgotten");
        }
    }

    /// How a recipient's domain answers.
    pub(super) async fn habit(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Habit>, StoreError> {
        let (now, key) = (self.clock.now(), (org, address.domain_key()));
        if let Some((at, habit)) = self.beliefs.habits.lock().await.get(&key)
            && now.since(*at) < LASTS
        {
            return Ok(Arc::clone(habit));
        }
        let habit = Arc::new(self.store.habit(org, address).await?);
        let mut known = self.beliefs.habits.lock().await;
        if known.len() >= MOST_RECIPIENTS {
            known.clear();
        }
        known.insert(key, (now, Arc::clone(&habit)));
        Ok(habit)
    }

    /// The authorities an organization believes in one direction; of both, those it believes in either.
    pub(super) async fn believed(&self, org: OrgId, direction: AnchorUse, now: Timestamp) -> Result<Arc<Believed>, TrustError> {
        let mut known = self.beliefs.anchors.lock().await;
        if let Some((at, believed)) = known.get(&(org, direction))
            && now.since(*at) < LASTS
        {
            return Ok(Arc::clone(believed));
        }
        let believed = Arc::new(Believed::read(&self.store, org, direction).await?);
        known.insert((org, direction), (now, Arc::clone(&believed)));
        Ok(believed)
    }
}
