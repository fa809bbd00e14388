//! The loop: claim what is due, work on it, wait for more; recover what others left; stop in good order.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::{
    domain::{OrgId, ResultId, id::ProcessId},
    observe::{chain, defect::contained, events, health::Part},
    store::{StoreError, lease::Lease, shares::Places},
};

/// How long to wait when the store does not answer.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// A worker that has not looked at its queue for this long is not well.
const SILENCE: Duration = Duration::from_mins(15);
/// When all places were taken and one becomes free, others follow: claiming for several at once saves transactions. So long
/// they are waited for, or until half of the places are free.
const GATHER: Duration = Duration::from_millis(20);

/// What is at work. Routing never takes a place from sending: it is quick, and what hangs at a relay does not stop it.
#[derive(Default)]
struct Crew {
    routing: JoinSet<()>,
    sending: JoinSet<()>,
}

impl Crew {
    fn reap(&mut self) {
        while self.routing.try_join_next().is_some() {}
        while self.sending.try_join_next().is_some() {}
    }

    /// Waits until one of them is done; for ever when there is none.
    async fn one_done(&mut self) {
        tokio::select! {
            Some(_) = self.routing.join_next() => {}
            Some(_) = self.sending.join_next() => {}
            else => std::future::pending().await,
        }
    }

    /// Waits a little longer for others, until no more than `few` send.
    async fn gather(&mut self, few: usize) {
        let enough = async {
            while self.sending.len() > few {
                self.sending.join_next().await;
            }
        };
        // The time being up is as good.
        let _ = tokio::time::timeout(GATHER, enough).await;
    }

    fn len(&self) -> usize {
        self.routing.len() + self.sending.len()
    }
}

/// What one look at the queue began.
#[derive(Debug, Clone, Copy)]
struct Begun {
    count: usize,
    /// There may be more, for which there was no place.
    more: bool,
}

impl Gateway {
    /// Works until `stop` is cancelled, then finishes what runs (at most the configured grace) and releases the rest.
    pub async fn work_until(self: &Arc<Self>, stop: &CancellationToken) {
        events::Started { process: self.process }.emit();
        let keeper = tokio::spawn(Arc::clone(self).keep_leases());
        let refresher = tokio::spawn(Arc::clone(self).keep_statements());
        let mut crew = Crew::default();
        self.health.expect(Part::Worker, SILENCE);
        let mut turn = 0_usize;
        while !stop.is_cancelled() {
            crew.reap();
            let begun = contained(self.start_due(&mut crew, turn)).await;
            self.health.say(Part::Worker, matches!(begun, Some(Ok(_))));
            // Each claim goes on with the organizations after those served last.
            turn = turn.wrapping_add(begun.as_ref().and_then(|begun| begun.as_ref().ok()).map_or(1, |begun| begun.count.max(1)));
            let (idle, more) = match begun {
                Some(Ok(begun)) => (self.settings.worker.poll.0, begun.more),
                // Nobody would send anything any more if a defect ended this loop.
                stopped => {
                    if let Some(Err(error)) = stopped {
                        tracing::error!(error = chain(&error), "the store does not answer");
                    }
                    tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(STORE_AGAIN) => {} }
                    continue;
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = crew.one_done() => if more {
                    crew.gather(self.settings.worker.concurrency / 2).await;
                },
                () = self.store.woken() => {}
                () = tokio::time::sleep(idle) => {}
            }
        }
        self.finish(crew).await;
        refresher.abort();
        keeper.abort();
    }

    /// Works until nothing is due now and nothing runs: for the demo, the bench and tests.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drain(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut crew = Crew::default();
        let mut turn = 0_usize;
        loop {
            turn = turn.wrapping_add(1);
            crew.reap();
            let begun = self.start_due(&mut crew, turn).await?;
            if begun.count == 0 && crew.len() == 0 {
                return Ok(());
            }
            if crew.len() > 0 {
                crew.one_done().await;
            }
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

    /// Claims what is due, as much as there are places for, and starts it.
    async fn start_due(self: &Arc<Self>, crew: &mut Crew, turn: usize) -> Result<Begun, StoreError> {
        let worker = &self.settings.worker;
        let lease = self.fresh_lease();
        // A result that waits for a live directory takes no place: a server that hangs holds up nobody else's.
        let places = worker.batch.min(worker.concurrency * 4) + self.live.waiting();
        let room = places.saturating_sub(crew.routing.len());
        let results = if room > 0 { self.store.claim_results(&lease, room, turn).await? } else { Vec::new() };
        let mut begun = Begun { count: results.len(), more: results.len() == room };
        for work in results {
            let gateway = Arc::clone(self);
            crew.routing.spawn(async move {
                let (org, id, owner) = (work.org, work.id, work.owner);
                match contained(gateway.route_result(work)).await {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        tracing::error!(%org, result = %id, error = chain(&error), "a result could not be routed; it is tried again");
                        gateway.put_back(org, id, owner).await;
                    }
                    // Its lease would be renewed with the others for ever.
                    None => gateway.put_back(org, id, owner).await,
                }
            });
        }
        let places = Places::new(worker.concurrency, self.post.limits());
        let batch = self.store.claim_for(&lease, &places, turn).await?;
        begun.count += batch.claimed.len();
        begun.more |= batch.more;
        let which: Vec<_> = batch.claimed.iter().map(|claimed| (claimed.org, claimed.id)).collect();
        // When that fails each is read by itself, and says so by itself.
        let mut works = self.store.works(&which).await.unwrap_or_default().into_iter();
        for claimed in batch.claimed {
            let (gateway, work) = (Arc::clone(self), works.next());
            crew.sending.spawn(async move {
                let delivering = async {
                    match work {
                        Some(work) => gateway.deliver_work(claimed.clone(), work).await,
                        None => gateway.deliver(claimed.clone()).await,
                    }
                };
                if contained(Box::pin(delivering)).await.is_none() {
                    gateway.let_go(&claimed).await;
                }
            });
        }
        Ok(begun)
    }

    pub(super) async fn put_back(&self, org: OrgId, id: ResultId, owner: ProcessId) {
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
                if let Some(Err(error)) = contained(self.store.renew(&Lease { owner, ..self.lease() })).await {
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

    async fn finish(self: &Arc<Self>, mut crew: Crew) {
        self.health.stop();
        events::Stopping { process: self.process, running: crew.len() }.emit();
        let owners = self.store.owners_in_hand();
        let began = std::time::Instant::now();
        let all_done = async {
            while crew.len() > 0 {
                crew.one_done().await;
            }
        };
        if tokio::time::timeout(self.settings.worker.grace.0, all_done).await.is_err() {
            crew.routing.shutdown().await;
            crew.sending.shutdown().await;
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
