//! Keeps the revocation lists that are in use fresh, so that no delivery has to wait for one and a revocation is known soon.

use std::{sync::Arc, time::Duration};

use super::Gateway;
use crate::observe::{chain, defect::contained};

/// How often somebody looks whether a list is due.
const LOOK: Duration = Duration::from_secs(30);
/// The task that one process at a time does.
const TASK: &str = "revocation";

impl Gateway {
    /// Works until it is dropped.
    pub(super) async fn keep_statements(self: Arc<Self>) {
        let every = LOOK.min(self.settings.revocation.refresh.0.max(Duration::from_millis(100)));
        loop {
            tokio::time::sleep(every).await;
            match self.store.take_task(TASK, &self.lease()).await {
                Ok(true) => {
                    // A defect met in one list ends this look and no later one.
                    let _ = contained(self.inquirer.refresh_due()).await;
                }
                Ok(false) => {}
                Err(error) => tracing::debug!(error = chain(&error), "revocation lists were not looked after"),
            }
        }
    }
}
