//! Work under the lease of a periodic task: as long as it takes, and not longer than the lease is ours.

use tokio::time::{MissedTickBehavior, interval};

use super::SourceError;
use crate::store::{Store, lease::Lease};

/// Does `work`, and renews the lease of `task` meanwhile: a slow page or a slow disk must not give it to a second
/// process. Once it is lost the work ends where it stands.
///
/// # Errors
/// [`SourceError::TakenOver`] when the lease was lost, else as `work`.
pub(super) async fn held<T>(
    store: &Store,
    task: &str,
    lease: &Lease,
    work: impl Future<Output = Result<T, SourceError>>,
) -> Result<T, SourceError> {
    let lost = async {
        let mut renew = interval(lease.length / 3);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renew.tick().await;
        loop {
            renew.tick().await;
            match store.renew_task(task, lease).await {
                Ok(true) => {}
                Ok(false) => return,
                // What is on record decides; and what is written is written under the lease or not at all.
                Err(error) => tracing::warn!(%error, "a task's lease could not be renewed; tried again"),
            }
        }
    };
    tokio::select! {
        done = work => done,
        () = lost => Err(SourceError::TakenOver),
    }
}
