//! Now and then: what crashes and refusals left behind is removed.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::{
    domain::OrgScope,
    observe::{chain, events::LeftoversRemoved},
    store::leftover::LeftoverError,
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
                tidied = self.tidy() => if let Err(error) = tidied {
                    tracing::warn!(error = chain(&error), "tidying up broke off; it goes on in an hour");
                }
            }
            if let Err(error) = self.store.give_back_task(TASK, &self.lease()).await {
                tracing::debug!(%error, "the lease runs out by itself");
            }
        }
    }

    async fn tidy(&self) -> Result<(), LeftoverError> {
        self.store.remove_unloaded().await?;
        for organization in self.store.organizations(OrgScope::All).await? {
            // One organization's documents do not stand in the way of another's.
            match self.store.remove_orphans(&self.blobs, organization.id).await {
                Ok(0) => {}
                Ok(documents) => LeftoversRemoved { org: organization.id, documents }.emit(),
                Err(error) => tracing::warn!(org = %organization.id, error = chain(&error), "documents are not tidied up"),
            }
        }
        Ok(())
    }
}
