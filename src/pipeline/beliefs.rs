//! What is believed for a few seconds, so that a batch of deliveries does not ask the same thing again and again:
//! organizations with their rules, opened signing keys, and certificates already judged.
//!
//! A judged certificate is still checked against the clock at the moment of sending.

use std::{collections::HashMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::Gateway;
use crate::{
    domain::{Class, DirectAddress, IdentityId, OrgId, OrgScope, Timestamp},
    observe::events,
    seal::KeySigner,
    store::{
        StoreError,
        organization::{Identity, Organization},
        trust::AnchorKind,
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
    anchors: Known<OrgId, Believed>,
    recipients: Mutex<HashMap<(OrgId, String), Judged>>,
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
    Signer(KeySigner),
    /// A mailbox password (edge mode).
    Password(SecretString),
    /// Nothing: the relay knows our client certificate (edge mode).
    None,
}

/// The authorities an organization believes.
struct Believed {
    anchors: Anchors,
    intermediates: Vec<Certificate>,
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the identity has no certificate and key to sign with")]
    Missing,
    #[error("the identity's certificate or key cannot be used")]
    Unusable(#[source] crate::seal::SealError),
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
        let organization = Arc::new(self.store.organization(id).await?.ok_or(StoreError::NoOrganization)?);
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
        let secret = self.store.identity_secret(org, identity.id).await?;
        let credential = match (&identity.certificate, secret) {
            (Some(certificate), Some(key)) => {
                Credential::Signer(KeySigner::read(certificate.as_bytes(), &key).map_err(CredentialError::Unusable)?)
            }
            (None, Some(password)) => Credential::Password(String::from_utf8_lossy(&password).trim_end().to_owned().into()),
            (None, None) if identity.mode == crate::domain::organization::SendMode::Edge => Credential::None,
            _ => return Err(CredentialError::Missing),
        };
        let credential = Arc::new(credential);
        known.insert((org, identity.id), (now, Arc::clone(&credential)));
        Ok(credential)
    }

    /// A certificate of the recipient that is valid, trusted, not revoked and bound to the address at this moment.
    pub(super) async fn recipient(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Trusted>, TrustError> {
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
        let believed = self.believed(org, now).await?;
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
        self.beliefs.recipients.lock().await.retain(|(_, known), _| *known != address.key());
        if let Err(error) = self.discovery.forget(address, LASTS).await {
            tracing::warn!(%error, "what was found for a recipient could not be forgotten");
        }
    }

    async fn believed(&self, org: OrgId, now: Timestamp) -> Result<Arc<Believed>, TrustError> {
        let mut known = self.beliefs.anchors.lock().await;
        if let Some((at, believed)) = known.get(&org)
            && now.since(*at) < LASTS
        {
            return Ok(Arc::clone(believed));
        }
        let stored = self.store.anchors(OrgScope::One(org)).await.map_err(|error| TrustError::Unavailable(error.to_string()))?;
        let (mut anchors, mut intermediates) = (Vec::new(), Vec::new());
        for row in stored {
            let certificate = Certificate::from_der(&row.der)?;
            if row.name == AnchorKind::Anchor.as_str() { anchors.push(certificate) } else { intermediates.push(certificate) }
        }
        let believed = Arc::new(Believed { anchors: Anchors::new(anchors), intermediates });
        known.insert(org, (now, Arc::clone(&believed)));
        Ok(believed)
    }
}
