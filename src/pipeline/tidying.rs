//! Now and then: what crashes and refusals left behind is removed.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::{
    domain::OrgScope,
    observe::{
        chain,
        defect::contained,
        events::{LedgerSigned, LeftoversRemoved},
        facts::Digest,
    },
    store::{StoreError, leftover::LeftoverError},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);
/// Which task it is: one process at a time does it.
const TASK: &str = "tidying";

impl Gateway {
    /// Tidies up once an hour until `stop`, beginning a moment after the start.
    pub async fn tidy_until(self: &Arc<Self>, stop: &CancellationToken) {
        let mut wait = Duration::from_mins(1);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = EVERY;
            match self.store.take_task(TASK, &self.lease()).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    tracing::warn!(%error, "nothing is tidied up this time");
                    continue;
                }
            }
            // Two at a time would do no harm, so the lease need not be renewed: it only saves the work.
            tokio::select! {
                () = stop.cancelled() => {}
                tidied = contained(self.tidy()) => if let Some(Err(error)) = tidied {
                    tracing::warn!(error = chain(&error), "tidying up broke off; it goes on in an hour");
                }
            }
            if let Err(error) = self.store.give_back_task(TASK, &self.lease()).await {
                tracing::debug!(%error, "the lease runs out by itself");
            }
        }
    }

    /// Signs the ends of ledgers, once a day: more often says nothing more to an auditor.
    async fn sign_ledgers(&self) {
        const DAILY: Duration = Duration::from_hours(24);
        let due = async {
            let now = self.store.now().await?;
            let mut signed = Vec::new();
            for organization in self.store.organizations(OrgScope::All).await? {
                // Not yet signed for a day, or never.
                if self.store.signed_heads(organization.id).await?.last().is_none_or(|last| last.signed_at.plus(DAILY) <= now) {
                    signed.extend(self.store.sign_heads(OrgScope::One(organization.id)).await?);
                }
            }
            Ok::<_, StoreError>(signed)
        };
        match due.await {
            // In the log it is out of reach of whoever can change the database.
            Ok(heads) => heads.into_iter().for_each(|head| {
                let line = u64::try_from(head.line).unwrap_or(0);
                let (hash, signature) = (Digest::new(&head.hash), Digest::new(&head.signature));
                LedgerSigned { org: head.organization, line, hash, signature }.emit();
            }),
            Err(error) => {
                tracing::warn!(error = chain(&error), "the ends of ledgers are not signed; it is tried again in an hour");
            }
        }
    }

    async fn tidy(&self) -> Result<(), LeftoverError> {
        let _ = contained(self.sign_ledgers()).await;
        self.store.remove_unloaded().await?;
        for organization in self.store.organizations(OrgScope::All).await? {
            // One organization's documents do not stand in the way of another's.
            match contained(self.store.remove_orphans(&self.blobs, organization.id)).await {
                Some(Ok(0)) | None => {}
                Some(Ok(documents)) => LeftoversRemoved { org: organization.id, documents }.emit(),
                Some(Err(error)) => tracing::warn!(org = %organization.id, error = chain(&error), "documents are not tidied up"),
            }
        }
        Ok(())
    }
}
