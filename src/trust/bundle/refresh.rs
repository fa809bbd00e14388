//! Bundles are fetched again and again. What is in force is replaced as a whole, and stays as it is when the new one cannot be
//! had, is broken, or has lost so much that a person should look.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{MOST_BYTES, lost, read, shrinks, stored};
use crate::{
    domain::{OrgId, Timestamp},
    net::fetch::{FetchError, FetchRules, Fetcher},
    observe::{
        chain,
        defect::{DEFECT, contained},
        events, failpoint,
    },
    store::{
        Store, StoreError,
        bundle::{Bundle, BundleAnchor},
        lease::Lease,
    },
    trust::{Certificate, TrustError},
};

/// How often due bundles are looked for.
const LOOK: Duration = Duration::from_secs(30);
/// A bundle that could not be had is tried again after this, or after its own interval when that is shorter.
const AGAIN: Duration = Duration::from_mins(30);
/// So many are fetched at the same time, so that servers that do not answer keep the others waiting once and not each in turn.
const TOGETHER: usize = 8;
/// The task's name.
const TASK: &str = "trust_bundles";

/// Why a bundle was not refreshed. What was in force still is.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// There is nothing to fetch.
    #[error("the bundle came from a file: import the newer file")]
    NoUrl,
    /// It could not be fetched.
    #[error("the bundle cannot be fetched")]
    Fetch(#[from] FetchError),
    /// The server has something else to say.
    #[error("the bundle cannot be fetched: the server answered {0}")]
    Status(u16),
    /// It cannot be used.
    #[error(transparent)]
    Content(#[from] TrustError),
    /// It would lose too many anchors.
    #[error("the bundle would lose {lost} of its {good} anchors and have {left}: look at it, then take it with --accept-shrink")]
    Shrunk {
        /// How many would go.
        lost: usize,
        /// Of how many that are good.
        good: usize,
        /// How many it would have.
        left: usize,
    },
    /// The store does not answer, or somebody else has changed the bundle meanwhile.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a refresh changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refreshed {
    /// Anchors now.
    pub anchors: usize,
    /// New ones.
    pub added: usize,
    /// Those that went.
    pub removed: usize,
    /// Certificates in it that cannot be anchors.
    pub left_out: usize,
}

/// Fetches `url`. Only a signature can protect what comes over plain http.
///
/// # Errors
/// [`RefreshError`], without the store.
pub async fn fetch(url: &str, internal: bool) -> Result<Vec<u8>, RefreshError> {
    let rules = FetchRules {
        allow_http: internal,
        allow_private: internal,
        max_bytes: MOST_BYTES,
        timeout: Duration::from_secs(30),
        ..FetchRules::default()
    };
    let fetched = Fetcher::new(rules)?.get(url, &[]).await?;
    if fetched.is_success() { Ok(fetched.body) } else { Err(RefreshError::Status(fetched.status)) }
}

/// Whether `offered` may take the place of `in_force` without a person.
///
/// # Errors
/// [`RefreshError::Shrunk`].
pub fn guard(in_force: &[BundleAnchor], offered: &[BundleAnchor], most_lost: u8, at: Timestamp) -> Result<(), RefreshError> {
    let lost = lost(in_force, offered, at);
    let good = in_force.iter().filter(|anchor| anchor.not_after > at).count();
    if shrinks(lost, good, most_lost) { Err(RefreshError::Shrunk { lost, good, left: offered.len() }) } else { Ok(()) }
}

/// Fetches one bundle and puts it in force; notes and tells what happened.
///
/// # Errors
/// [`RefreshError`]: what was in force still is.
pub async fn refresh(store: &Store, bundle: &Bundle, accept_shrink: bool) -> Result<Refreshed, RefreshError> {
    match replace(store, bundle, accept_shrink).await {
        Ok(refreshed) => {
            let (added, removed) = (refreshed.added, refreshed.removed);
            if added + removed > 0 {
                events::BundleChanged { org: bundle.org, bundle: bundle.id, anchors: refreshed.anchors, added, removed }.emit();
            }
            Ok(refreshed)
        }
        Err(error) => {
            let shrunk_to = if let RefreshError::Shrunk { lost, good, left } = error {
                // Said once for each size, shown for as long as it is so.
                if bundle.shrunk_to != u64::try_from(left).ok() {
                    events::BundleShrunk { org: bundle.org, bundle: bundle.id, good, lost, left }.emit();
                }
                Some(left)
            } else {
                events::BundleFailed { org: bundle.org, bundle: bundle.id }.emit();
                None
            };
            store.bundle_failed(bundle, &chain(&error), shrunk_to, bundle.refresh.min(AGAIN)).await?;
            Err(error)
        }
    }
}

async fn replace(store: &Store, bundle: &Bundle, accept_shrink: bool) -> Result<Refreshed, RefreshError> {
    let bytes = fetch(bundle.url.as_deref().ok_or(RefreshError::NoUrl)?, bundle.internal).await?;
    let signer = bundle.signer.as_deref().map(Certificate::from_der).transpose()?;
    let at = store.clock().now();
    // Thousands of certificates are read in one go.
    let read = tokio::task::spawn_blocking(move || read(&bytes, signer.as_ref(), at)).await;
    let content = read.map_err(|_| TrustError::malformed("the bundle", "reading it was broken off"))??;
    let offered: Vec<BundleAnchor> = content.anchors.iter().map(stored).collect();
    let in_force = store.bundle_anchors(bundle.org, bundle.id).await?;
    if !accept_shrink {
        guard(&in_force, &offered, bundle.most_lost, at)?;
    }
    store.swap_bundle(bundle, &in_force, &offered).await?;
    let has = |set: &[BundleAnchor], anchor: &BundleAnchor| set.iter().any(|other| other.fingerprint == anchor.fingerprint);
    Ok(Refreshed {
        anchors: offered.len(),
        added: offered.iter().filter(|anchor| !has(&in_force, anchor)).count(),
        removed: in_force.iter().filter(|anchor| !has(&offered, anchor)).count(),
        left_out: content.left_out.len(),
    })
}

/// Refreshes what is due until `stop`. Of several processes the one that holds the task's lease works.
pub async fn keep(store: Store, lease: Lease, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Some(Err(error)) = contained(refresh_due(&store, &lease, &stop)).await {
            tracing::warn!(error = chain(&error), "bundles are looked at again later");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = sleep(LOOK) => {}
        }
    }
    if let Err(error) = store.give_back_task(TASK, &lease).await {
        tracing::debug!(%error, "the bundles' lease runs out by itself");
    }
}

/// Refreshes every bundle that is due, when this process holds the task's lease; how many were tried.
///
/// # Errors
/// When the store does not answer.
pub async fn refresh_due(store: &Store, lease: &Lease, stop: &CancellationToken) -> Result<usize, StoreError> {
    let (mut tried, mut had) = (HashSet::new(), HashMap::new());
    // A slow server must not let the lease run out; who has lost it stops.
    while !stop.is_cancelled() && store.take_task(TASK, lease).await? {
        // Looked for anew each time: what has come due meanwhile does not wait behind one organization's slow servers.
        let due = store.bundles_due().await?.into_iter().filter(|bundle| !tried.contains(&bundle.id)).collect();
        let mut together = in_turn(due, &had);
        together.truncate(TOGETHER);
        if together.is_empty() {
            break;
        }
        for bundle in &together {
            tried.insert(bundle.id);
            *had.entry(bundle.org).or_default() += 1;
        }
        join_all(together.iter().map(|bundle| refresh_one(store, bundle))).await;
    }
    Ok(tried.len())
}

/// The same bundles, one of each organization after the other, those first that have had fewest; within that as they were.
fn in_turn(due: Vec<Bundle>, had: &HashMap<OrgId, usize>) -> Vec<Bundle> {
    let mut turns = had.clone();
    let turn = |bundle: Bundle| {
        let turn = turns.entry(bundle.org).or_default();
        *turn += 1;
        (*turn, bundle)
    };
    let mut due: Vec<(usize, Bundle)> = due.into_iter().map(turn).collect();
    due.sort_by_key(|(turn, _)| *turn);
    due.into_iter().map(|(_, bundle)| bundle).collect()
}

/// Each by itself: a server that is slow, an answer that cannot be used or that meets a defect is the trouble of one bundle.
async fn refresh_one(store: &Store, bundle: &Bundle) {
    let refreshing = async {
        failpoint::reach(failpoint::BUNDLE_DUE);
        refresh(store, bundle, false).await
    };
    match contained(refreshing).await {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            tracing::warn!(bundle = %bundle.id, error = chain(&error), "a bundle was not refreshed; what is in force stays");
        }
        // Not at once again, and not without being seen.
        None => {
            events::BundleFailed { org: bundle.org, bundle: bundle.id }.emit();
            let noted = store.bundle_failed(bundle, DEFECT, None, bundle.refresh.min(AGAIN)).await;
            if let Err(error) = noted {
                tracing::warn!(bundle = %bundle.id, error = chain(&error), "that a bundle met a defect could not be noted");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::id::BundleId, store::trust::AnchorUse};

    fn bundle(org: OrgId, name: &str) -> Bundle {
        Bundle {
            id: BundleId::new(),
            org,
            name: name.to_owned(),
            used_for: AnchorUse::Both,
            url: None,
            internal: false,
            signer: None,
            refresh: AGAIN,
            most_lost: 0,
            refreshed_at: None,
            tried_at: None,
            next_at: Timestamp(0),
            error: None,
            shrunk_to: None,
            anchors: 0,
        }
    }

    #[test]
    fn one_organizations_many_bundles_stand_behind_the_first_of_every_other() {
        let (many, few) = (OrgId::new(), OrgId::new());
        let due = || vec![bundle(many, "a1"), bundle(many, "a2"), bundle(many, "a3"), bundle(few, "b1"), bundle(few, "b2")];
        let names = |had: &HashMap<OrgId, usize>| in_turn(due(), had).into_iter().map(|bundle| bundle.name).collect::<Vec<_>>();
        assert_eq!(names(&HashMap::new()), ["a1", "b1", "a2", "b2", "a3"]);
        assert_eq!(names(&HashMap::from([(many, 8)])), ["b1", "b2", "a1", "a2", "a3"], "it has had its turns");
    }
}
