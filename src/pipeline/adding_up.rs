//! The lines of ledgers are added up as they come, so that whoever asks what a month costs need not wait for a million of them.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::observe::{chain, defect::contained};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(30);
/// So few lines are read as quickly as their sum.
const WORTH: i64 = 1_000;

impl Gateway {
    /// Adds up until `stop`. Several processes may do it at once: each waits until the other has taken its step.
    pub async fn add_up_until(self: &Arc<Self>, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                done = contained(self.store.add_up(WORTH)) => if let Some(Err(error)) = done {
                    tracing::warn!(error = chain(&error), "the ledger is not added up; until it is, reports read its lines");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}
