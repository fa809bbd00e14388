//! What is believed for a few seconds, so that a batch of deliveries does not ask the same thing again and again:
//! organizations with their rules, opened signing keys, and certificates already judged.
//!
//! A judged certificate is still checked against the clock at the moment of sending.

use std::{collections::HashMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::sync::Mutex;

use super::Gateway;
use crate::{
    domain::{DirectAddress, IdentityId, OrgId, OrgScope, Timestamp},
    seal::KeySigner,
    store::{
        StoreError,
        organization::{Identity, Organization},
        trust::AnchorKind,
    },
    trust::{self, Anchors, Certificate, Crls, Discovery, Found, Policy, Revocation, TrustError, Trusted, discovery::Source},
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
    recipients: Known<(OrgId, String), Trusted>,
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
        let secret = match self.post.own(identity.id) {
            Some(own) => own.secret.clone(),
            None => self.store.identity_secret(org, identity.id).await?,
        };
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

    /// A certificate of the recipient that is valid, trusted and bound to the address at this moment.
    pub(super) async fn recipient(&self, org: OrgId, address: &DirectAddress) -> Result<Arc<Trusted>, TrustError> {
        let now = self.clock.now();
        let key = (org, address.key());
        if let Some((at, trusted)) = self.beliefs.recipients.lock().await.get(&key)
            && now.since(*at) < LASTS
            && trusted.is_valid_at(now)
        {
            return Ok(Arc::clone(trusted));
        }
        let certificates = match LocalStore(self).find(org, address).await {
            Found::Certificates { certificates, .. } => certificates,
            Found::None => Vec::new(),
            Found::Unavailable { why } => return Err(TrustError::Unavailable(why)),
        };
        let believed = self.believed(org, now).await?;
        let policy = Policy {
            intermediates: &believed.intermediates,
            anchors: &believed.anchors,
            crls: &Crls::default(),
            // Fetching revocation lists is not built yet: what no list is at hand for is let pass.
            revocation: Revocation::Soft,
        };
        let trusted = Arc::new(trust::choose(&certificates, policy, address, now)?);
        let mut known = self.beliefs.recipients.lock().await;
        if known.len() >= MOST_RECIPIENTS {
            known.clear();
        }
        known.insert(key, (now, Arc::clone(&trusted)));
        Ok(trusted)
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

/// Imported and pinned certificates.
struct LocalStore<'a>(&'a Gateway);

impl Discovery for LocalStore<'_> {
    async fn find(&self, org: OrgId, address: &DirectAddress) -> Found {
        match self.0.store.certificates_for(org, address).await {
            Err(error) => Found::Unavailable { why: error.to_string() },
            Ok(rows) => {
                // One that cannot be read is no candidate; the others still are.
                let certificates: Vec<Certificate> = rows.iter().filter_map(|row| Certificate::from_der(&row.der).ok()).collect();
                if certificates.is_empty() { Found::None } else { Found::Certificates { certificates, source: Source::Local } }
            }
        }
    }
}
