//! The loop: claim what is due, work on it, wait for more; recover what others left; stop in good order.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::{
    domain::{OrgId, ResultId, id::ProcessId},
    observe::{chain, events, health::Part},
    store::{StoreError, lease::Lease},
};

/// How long to wait when the store does not answer.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// A worker that has not looked at its queue for this long is not well. Longer than a full house takes to find a place.
const SILENCE: Duration = Duration::from_mins(15);
/// When all places were taken and one becomes free, others follow: claiming for several at once saves transactions.
const GATHER: Duration = Duration::from_millis(10);

impl Gateway {
    /// Works until `stop` is cancelled, then finishes what runs (at most the configured grace) and releases the rest.
    pub async fn work_until(self: &Arc<Self>, stop: &CancellationToken) {
        events::Started { process: self.process }.emit();
        let keeper = tokio::spawn(Arc::clone(self).keep_leases());
        let refresher = tokio::spawn(Arc::clone(self).keep_statements());
        let mut running = JoinSet::new();
        self.health.expect(Part::Worker, SILENCE);
        let mut turn = 0_usize;
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let started = self.start_due(&mut running, turn).await;
            self.health.say(Part::Worker, started.is_ok());
            // Each claim goes on with the organizations after those served last.
            turn = turn.wrapping_add(started.as_ref().map_or(1, |started| (*started).max(1)));
            let idle = match started {
                Ok(0) => self.settings.worker.poll.0,
                // There may be more; a slow delivery must not keep it waiting.
                Ok(_) if running.len() < self.settings.worker.concurrency => continue,
                Ok(_) => Duration::ZERO,
                Err(error) => {
                    tracing::error!(error = chain(&error), "the store does not answer");
                    STORE_AGAIN
                }
            };
            if running.len() >= self.settings.worker.concurrency {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = running.join_next() => tokio::time::sleep(GATHER).await,
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = running.join_next() => {}
                () = self.store.woken() => {}
                () = tokio::time::sleep(idle) => {}
            }
        }
        self.finish(running).await;
        refresher.abort();
        keeper.abort();
    }

    /// Works until nothing is due now and nothing runs: for the demo, the bench and tests.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drain(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut running = JoinSet::new();
        let mut turn = 0_usize;
        loop {
            turn = turn.wrapping_add(1);
            let started = self.start_due(&mut running, turn).await?;
            if started == 0 && running.is_empty() {
                return Ok(());
            }
            running.join_next().await;
        }
    }

    /// Routes every result that is due, and sends nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn route_all(self: &Arc<Self>) -> Result<(), StoreError> {
        loop {
            let results = self.store.claim_results(&self.fresh_lease(), self.settings.worker.batch, 0).await?;
            if results.is_empty() {
                return Ok(());
            }
            let mut routing = JoinSet::new();
            for work in results {
                let gateway = Arc::clone(self);
                routing.spawn(async move { gateway.route_result(work).await });
            }
            for routed in routing.join_all().await {
                routed?;
            }
        }
    }

    /// Claims what is due, as much as there are places for, and starts it. Returns how much that was.
    async fn start_due(self: &Arc<Self>, running: &mut JoinSet<()>, turn: usize) -> Result<usize, StoreError> {
        let places = self.settings.worker.concurrency.saturating_sub(running.len());
        if places == 0 {
            return Ok(0);
        }
        let lease = self.fresh_lease();
        let results = self.store.claim_results(&lease, self.settings.worker.batch.min(places * 4), turn).await?;
        let started = results.len();
        for work in results {
            let gateway = Arc::clone(self);
            running.spawn(async move {
                let (org, id, owner) = (work.org, work.id, work.owner);
                match AssertUnwindSafe(gateway.route_result(work)).catch_unwind().await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        tracing::error!(%org, result = %id, error = chain(&error), "a result could not be routed; it is tried again");
                        gateway.put_back(org, id, owner).await;
                    }
                    // Its lease would be renewed with the others for ever.
                    Err(_) => gateway.put_back(org, id, owner).await,
                }
            });
        }
        let deliveries = self.store.claim_deliveries(&lease, places, turn).await?;
        let started = started + deliveries.len();
        let which: Vec<_> = deliveries.iter().map(|claimed| (claimed.org, claimed.id)).collect();
        // When that fails each is read by itself, and says so by itself.
        let mut works = self.store.works(&which).await.unwrap_or_default().into_iter();
        for claimed in deliveries {
            let (gateway, work) = (Arc::clone(self), works.next());
            running.spawn(async move {
                let delivering = async {
                    match work {
                        Some(work) => gateway.deliver_work(claimed.clone(), work).await,
                        None => gateway.deliver(claimed.clone()).await,
                    }
                };
                if AssertUnwindSafe(delivering).catch_unwind().await.is_err() {
                    gateway.let_go(&claimed).await;
                }
            });
        }
        Ok(started)
    }

    async fn put_back(&self, org: OrgId, id: ResultId, owner: ProcessId) {
        let again_at = self.clock.now().plus(self.settings.worker.retry_min.0);
        let lease = Lease { owner, ..self.lease() };
        if let Err(error) = self.store.release_result(org, id, &lease, again_at).await {
            // Its lease runs out by itself.
            tracing::warn!(result = %id, error = chain(&error), "a result could not be put back");
        }
    }

    /// Renews the leases of what is at work, every third of their length, and looks after what others left.
    pub(super) async fn keep_leases(self: Arc<Self>) {
        let third = self.settings.worker.lease.0 / 3;
        let mut every = tokio::time::interval(third.clamp(Duration::from_millis(50), Duration::from_secs(20)));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Renewing never waits for recovery.
        let mut recovering = tokio::spawn(async {});
        loop {
            every.tick().await;
            for owner in self.store.owners_in_hand() {
                if let Err(error) = self.store.renew(&Lease { owner, ..self.lease() }).await {
                    tracing::error!(error = chain(&error), "leases could not be renewed");
                }
            }
            if !recovering.is_finished() {
                continue;
            }
            let gateway = Arc::clone(&self);
            recovering = tokio::spawn(async move {
                if let Err(error) = gateway.recover().await {
                    tracing::error!(error = chain(&error), "abandoned deliveries could not be looked after");
                }
            });
        }
    }

    async fn finish(self: &Arc<Self>, mut running: JoinSet<()>) {
        self.health.stop();
        events::Stopping { process: self.process, running: running.len() }.emit();
        let owners = self.store.owners_in_hand();
        let began = std::time::Instant::now();
        let all_done = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.settings.worker.grace.0, all_done).await.is_err() {
            running.shutdown().await;
        }
        // What was claimed and not begun goes back at once; what is on the wire has to wait for its lease.
        let mut released = 0;
        for owner in owners {
            match self.store.release_all(&Lease { owner, ..self.lease() }).await {
                Ok(count) => released += count,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "claims could not be released; their leases run out by themselves");
                }
            }
        }
        events::Stopped { process: self.process, released, took: began.elapsed() }.emit();
    }
}
