//! Warnings 60, 30 and 7 days before one of our own certificates ends: each once for a certificate, whichever process says it.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{OrgScope, Timestamp},
    observe::{chain, defect::contained, events, metrics},
    store::{Store, StoreError, identity_key::StoredKey},
};

/// How often.
const LOOK: Duration = Duration::from_hours(1);

/// Those whose end matters: no other generation of the same address takes their place.
#[must_use]
pub fn unreplaced(keys: &[StoredKey]) -> Vec<&StoredKey> {
    let same = |one: &StoredKey, other: &StoredKey| one.org == other.org && one.address == other.address;
    let replaced = |one: &StoredKey| keys.iter().any(|other| same(one, other) && one.term.is_replaced_by(&other.term));
    keys.iter().filter(|one| !replaced(one)).collect()
}

/// Looks once: warns where it is time, and sets the metric of the days left. Returns how many warnings were given.
///
/// # Errors
/// When the store does not answer.
pub async fn look(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    let keys = store.identity_keys(OrgScope::All).await?;
    let live = unreplaced(&keys);
    if let Some(least) = live.iter().map(|key| key.term.days_left(now)).min() {
        metrics::identity_days_left(least);
    }
    let mut given = 0;
    for key in live {
        let Some(nearness) = key.term.nearness(now).filter(|near| key.warned != Some(*near)) else { continue };
        if store.warn_identity_key(key.org, key.id, nearness).await? {
            given += 1;
            events::IdentityExpires { org: key.org, certificate: key.id, days: key.term.days_left(now), nearness }.emit();
        }
    }
    Ok(given)
}

/// Looks again and again until `stop`.
pub async fn keep(store: Store, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = contained(look(&store, store.clock().now())).await {
            tracing::warn!(error = chain(&error), "our own certificates are looked at again later");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(LOOK) => {}
        }
    }
}
