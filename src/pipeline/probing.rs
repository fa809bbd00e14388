//! Whether an address can be sent to, and why: the steps a delivery takes, taken for somebody who asks.
//!
//! The API and the command line ask here and show what comes; neither has rules of its own.

/// What a probe tells, as it goes over the wire.
pub mod told;

use crate::{
    domain::{DirectAddress, OrgId, organization::SendMode},
    observe::chain,
    pipeline::{Gateway, beliefs::Believed},
    store::{Store, StoreError, trust::AnchorUse},
    trust::{
        Discovery, Inquirer, Policy, TrustError,
        discovery::{Believing, Freshness},
    },
};

pub use told::Probed;

/// Answers probes. Cheap to clone; shares what it learns with the gateway it is of.
#[derive(Debug, Clone)]
pub struct Prober {
    store: Store,
    discovery: Discovery,
    inquirer: Inquirer,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The organization's anchors cannot be used.
    #[error("the organization's anchors cannot be used")]
    Anchors(#[source] TrustError),
}

impl Prober {
    /// Asks and judges with these.
    #[must_use]
    pub const fn new(store: Store, discovery: Discovery, inquirer: Inquirer) -> Self {
        Self { store, discovery, inquirer }
    }

    /// Looks for a certificate of `address` as a delivery of `org` would.
    ///
    /// # Errors
    /// [`ProbeError`]; that nothing was found is an answer.
    pub async fn probe(&self, org: OrgId, address: &DirectAddress, freshness: Freshness) -> Result<Probed, ProbeError> {
        let organization = self.store.organization(org).await?.ok_or(StoreError::NoOrganization)?;
        let believed = Believed::read(&self.store, org, AnchorUse::Send).await.map_err(ProbeError::Anchors)?;
        let strictness = organization.file.trust.sending();
        let policy = Policy::under(&strictness, &believed.anchors, &believed.intermediates);
        let at = self.store.clock().now();
        let judge = Believing { inquirer: &self.inquirer, policy, address, at };
        let search = self.discovery.find(org, address, &judge, freshness).await;
        if let Err(error) = &search.outcome {
            tracing::debug!(%org, error = chain(error), "a probe found nothing to send to");
        }
        let identities = &organization.identities;
        let edge = !identities.is_empty() && identities.iter().all(|identity| identity.mode == SendMode::Edge);
        Ok(Probed::of(address, &organization.file.slug, edge, &search, at))
    }
}

impl Gateway {
    /// Answers probes with what this gateway knows.
    #[must_use]
    pub fn prober(&self) -> Prober {
        Prober::new(self.store.clone(), self.discovery.clone(), self.inquirer.clone())
    }
}
