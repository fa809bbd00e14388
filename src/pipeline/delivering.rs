//! One delivery, from claim to a durable answer.

use std::{sync::Arc, time::Duration};

use super::{
    Gateway, backoff,
    beliefs::{Credential, CredentialError},
    letter::Letterhead,
};
use crate::{
    domain::{
        Class, DeliveryId, Doubt, OrgId, OrgScope, Reason, Timestamp,
        delivery::{Effect, Event, State},
        doubt::Verdict,
        order::Priority,
        organization::{Mode, SendMode},
    },
    observe::{chain, events, failpoint, metrics},
    send::{GoAhead, Job, Outcome},
    store::{
        StoreError,
        blobs::BlobError,
        delivery::{Claimed, Evidence, Move, Moved, Work},
        organization::{Identity, Organization},
    },
    trust::{TrustError, Trusted},
};

/// An urgent unknown waits no longer than this.
const URGENT_UNKNOWN_WAIT: Duration = Duration::from_mins(10);

/// Why a delivery cannot be sent now.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A person must look.
    Hold(Reason, String),
    /// Trust or certificate: looked at again, then final.
    Distrust(TrustError),
    /// Something of ours does not work now.
    Later(String),
    /// Never.
    Never(Reason, String),
    /// Its sender's way is not the one it was queued for: it goes to the end of that lane.
    OtherLane(String),
}

impl Obstacle {
    const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Hold(reason, _) | Self::Never(reason, _) => Some(*reason),
            Self::Distrust(error) => Some(error.reason()),
            Self::Later(_) | Self::OtherLane(_) => None,
        }
    }
}

impl From<StoreError> for Obstacle {
    fn from(error: StoreError) -> Self {
        Self::Later(chain(&error))
    }
}

impl From<BlobError> for Obstacle {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing | BlobError::Corrupt(_) => Self::Hold(Reason::DocumentUnavailable, chain(&error)),
            other => Self::Later(chain(&other)),
        }
    }
}

impl Gateway {
    /// Sends one claimed delivery and records what became of it. Failures of the store are left to the lease.
    pub async fn deliver(self: &Arc<Self>, claimed: Claimed) {
        let work = self.store.work(claimed.org, claimed.id).await;
        self.deliver_work(claimed, work).await;
    }

    /// The same, when the work has been read with that of others.
    pub(super) async fn deliver_work(self: &Arc<Self>, claimed: Claimed, work: Result<Work, StoreError>) {
        failpoint::reach("delivery_claimed");
        let work = match work {
            Ok(work) => work,
            Err(error) => {
                // What cannot be read now cannot be read later: a person has to look.
                let event =
                    if error.class() == Class::Retry { Event::Deferred } else { Event::Held(Reason::DocumentUnavailable) };
                let mut back = by(&claimed, event);
                back.note = Some(chain(&error));
                back.backoff = backoff::after(&self.settings.worker, 0, Priority::Routine);
                self.settle(back, None, None).await;
                return;
            }
        };
        let mut believed = false;
        if let Err(obstacle) = self.try_deliver(&claimed, &work, &mut believed).await {
            let reason = obstacle.reason();
            let mut change = self.obstructed(&claimed, &work, obstacle).await;
            if believed {
                change.doubt = dispelled(&work);
            }
            self.settle(change, Some(&work), reason).await;
        }
    }

    /// `believed` tells, however it ends, whether there was a certificate to believe.
    async fn try_deliver(self: &Arc<Self>, claimed: &Claimed, work: &Work, believed: &mut bool) -> Result<(), Obstacle> {
        let began = std::time::Instant::now();
        let organization = self.organization(work.org).await?;
        let identity = organization
            .identity(&work.order.site)
            .ok_or_else(|| Obstacle::Hold(Reason::NoIdentity, "the organization has no address to send from".into()))?;
        self.check_mode(&organization, work)?;
        if let Some(relay) = identity.relay.as_deref()
            && self.post.relay(relay).is_none()
        {
            return Err(Obstacle::Hold(
                Reason::NoIdentity,
                format!("there is no [[relay]] named '{relay}' in the configuration"),
            ));
        }
        let lane = super::PostOffice::way(identity);
        if claimed.lane != lane {
            return Err(Obstacle::OtherLane(lane));
        }
        let credential = self.credential(work.org, identity).await.map_err(|error| match error {
            CredentialError::Store(error) => error.into(),
            CredentialError::Token(error) => Obstacle::Later(chain(&error)),
            other => Obstacle::Hold(Reason::NoIdentity, chain(&other)),
        })?;
        // Trust is checked at the moment of sending. In edge mode it is the HISP's business.
        let trusted = match identity.mode {
            SendMode::Edge => None,
            SendMode::StaRelay | SendMode::StaMx => {
                Some(self.recipient_of(claimed, &work.target.address).await.map_err(Obstacle::Distrust)?)
            }
        };
        *believed = true;
        // Those who have waited for a certificate without a place come back all at once, and messages are large.
        let making = self.making.acquire().await;
        let _place = making.map_err(|_| Obstacle::Later("the gateway is stopping".into()))?;
        let key = self.store.key(work.org).await?;
        let pdf = self.blobs.fetch(work.org, &key, &work.pdf_sha256).await?;

        let asks_dispatched = work.wants_dispatched || self.asks_dispatched(&organization, identity.mode, work).await?;
        let head = Letterhead {
            organization: Arc::clone(&organization),
            identity: identity.clone(),
            at: self.clock.now(),
            shown: self.shown(work.org, &work.target.address).await?,
            asks_dispatched,
        };
        let letter = self.write_letter(head, work, pdf, &credential, trusted.clone()).await?;
        failpoint::reach("delivery_sealed");
        let evidence = Evidence {
            sealed_sha256: Some(letter.sha256),
            sealed_bytes: Some(letter.message().len() as u64),
            certificate: trusted.as_deref().map(Trusted::fingerprint).map(|print| crate::crypto::Hex(&print).to_string()),
            profile: letter.profile,
            relay: Some(super::PostOffice::way(identity)),
            reply: None,
            from: Some(identity.address.clone()),
            mode: Some(identity.mode),
        };
        let job = Job::new(&identity.address, &work.target.address, letter.message())
            .map_err(|error| Obstacle::Hold(Reason::Malformed, error.to_string()))?;
        let password = match &*credential {
            Credential::Password(password) => Some(password),
            Credential::Signer(_) | Credential::None => None,
        };
        let outcome = self
            .post
            .send(identity, password, &job, || {
                self.go_ahead(claimed, work, trusted.as_deref(), &evidence, &organization, asks_dispatched)
            })
            .await;
        failpoint::reach("delivery_answered");
        drop(letter);
        self.record(claimed, work, &organization, identity, outcome, began.elapsed()).await;
        Ok(())
    }

    /// Commits `on_wire` before the first byte of DATA. A worker that lost its lease, or whose delivery was cancelled or
    /// superseded while it was sealing, is told to stop; so is one that waited for a place while its recipient's certificate
    /// was revoked: released, it is judged anew.
    async fn go_ahead(
        &self,
        claimed: &Claimed,
        work: &Work,
        trusted: Option<&Trusted>,
        evidence: &Evidence,
        organization: &Organization,
        asks_dispatched: bool,
    ) -> GoAhead {
        failpoint::reach("delivery_before_on_wire");
        if let Some(trusted) = trusted
            && !self.still_stands(work.org, &work.target.address, trusted).await
        {
            return GoAhead::Stop;
        }
        let mut change = by(claimed, Event::WireStarted);
        change.evidence = evidence.clone();
        change.asks_dispatched = asks_dispatched;
        change.zone = organization.file.time_zone.clone();
        match self.committer.apply(change).await {
            Ok(_) => {
                failpoint::reach("delivery_on_wire");
                GoAhead::Go
            }
            Err(error) => {
                tracing::debug!(delivery = %claimed.id, %error, "not sent");
                GoAhead::Stop
            }
        }
    }

    /// The mode may have changed since the result was routed.
    fn check_mode(&self, organization: &Organization, work: &Work) -> Result<(), Obstacle> {
        let test = organization.mode(&work.order.site) == Mode::Test;
        match (test, crate::resolve::in_domains(&work.target.address, &self.settings.test.test_domains)) {
            (true, false) => Err(Obstacle::Hold(Reason::TestMode, Reason::TestMode.meaning().into())),
            (false, true) => Err(Obstacle::Hold(Reason::TestAddress, Reason::TestAddress.meaning().into())),
            _ => Ok(()),
        }
    }

    /// What an obstacle does to the delivery.
    async fn obstructed(&self, claimed: &Claimed, work: &Work, obstacle: Obstacle) -> Move {
        let now = self.store.now().await.unwrap_or_else(|_| self.clock.now());
        let with = |event, note: String| Move { note: Some(note), ..by(claimed, event) };
        match obstacle {
            Obstacle::Hold(reason, why) => with(Event::Held(reason), why),
            Obstacle::Never(reason, why) => with(Event::Refused(reason), why),
            Obstacle::Later(why) => {
                let event = if now >= work.retry_until { Event::Exhausted } else { Event::Deferred };
                let backoff = backoff::after(&self.settings.worker, work.attempts, work.priority);
                Move { backoff, counts: true, ..with(event, why) }
            }
            Obstacle::OtherLane(lane) => {
                if let Err(error) = self.store.change_lane(claimed, &lane).await {
                    return with(Event::Deferred, chain(&error));
                }
                with(Event::Released, format!("its sender's way is now {lane}"))
            }
            Obstacle::Distrust(error) => {
                let pause = backoff::as_long_again(&self.settings.worker, work.doubt.unchecked_for(now));
                let (doubt, verdict) = work.doubt.met(error.reason(), now, pause);
                let ended = Some(Doubt { reason: None, ..doubt });
                match verdict {
                    Verdict::Wait(backoff) => Move { backoff, doubt: Some(doubt), ..with(Event::Deferred, chain(&error)) },
                    Verdict::Hold => Move { doubt: ended, ..with(Event::Held(error.reason()), chain(&error)) },
                    Verdict::Refuse => Move { doubt: ended, ..with(Event::Refused(error.reason()), chain(&error)) },
                }
            }
        }
    }

    /// What the other side's answer does to the delivery.
    async fn record(
        &self,
        claimed: &Claimed,
        work: &Work,
        organization: &Organization,
        identity: &Identity,
        outcome: Outcome,
        took: Duration,
    ) {
        let now = self.store.now().await.unwrap_or_else(|_| self.clock.now());
        let (event, backoff, counts) = self.judge(&outcome, work, now);
        let mut change = by(claimed, event);
        change.doubt = dispelled(work);
        change.backoff = backoff;
        change.counts = counts;
        change.unknown_wait = unknown_wait(organization, work.priority);
        change.notice_within = organization.file.notice_within(&work.target.address, identity.mode);
        change.zone = organization.file.time_zone.clone();
        change.evidence.reply = outcome.reply().map(ToString::to_string);
        change.note = Some(outcome.why().to_owned()).filter(|why| !why.is_empty());
        if matches!(outcome, Outcome::Refused { reason: Reason::Rejected5xx, .. }) {
            // The receiving side may have renewed its certificate and no longer open what is sealed to the old one.
            self.forget_recipient(&work.target.address).await;
        }
        if let (SendMode::Edge, Some(reply)) = (identity.mode, outcome.reply()) {
            self.learn_from_reply(work, reply.text()).await;
        }
        if let Some(moved) = self.settle(change, Some(work), outcome.reason()).await
            && moved.delivery.state == State::Accepted
        {
            events::DeliveryAccepted { org: work.org, delivery: work.id, attempt: work.attempts + 1, mode: identity.mode, took }
                .emit();
        }
        failpoint::reach("delivery_settled");
    }

    fn judge(&self, outcome: &Outcome, work: &Work, now: Timestamp) -> (Event, Duration, bool) {
        match outcome {
            // A relay that cannot be reached costs no delivery its attempts or its time.
            Outcome::RelayDown { retry_after, .. } => {
                (Event::Deferred, backoff::jittered((*retry_after).max(Duration::from_millis(200))), false)
            }
            Outcome::Deferred { .. } if now >= work.retry_until => (Event::Exhausted, Duration::ZERO, true),
            Outcome::Deferred { .. } => {
                let wait = backoff::after(&self.settings.worker, work.attempts, work.priority);
                // The last try is at the end of the time allowed, not after it.
                (Event::Deferred, wait.min(work.retry_until.since(now).max(Duration::from_secs(1))), true)
            }
            other => (other.event(), Duration::ZERO, true),
        }
    }

    /// What a worker found came too late to count. Whoever cancelled or superseded the delivery has told so already.
    async fn tell_lost(&self, org: OrgId, delivery: DeliveryId) {
        let now = self.store.delivery_view(OrgScope::One(org), delivery).await.ok().flatten();
        let state = now.map(|(view, _)| view.state);
        if matches!(state, Some(State::Cancelled | State::Superseded)) {
            tracing::debug!(%delivery, "it was stopped while it was worked on");
        } else {
            events::LeaseLost { org, delivery, state }.emit();
        }
    }

    /// Commits a move; tells what happened. What the rules or a lost lease refuse is no failure: somebody else was first.
    async fn settle(&self, change: Move, work: Option<&Work>, why: Option<Reason>) -> Option<Moved> {
        let (org, delivery, event, wait) = (change.org, change.id, change.event, change.backoff);
        let attempt = work.map_or(0, |work| work.attempts) + 1;
        // A 250 must not be forgotten because the database hiccuped: it is tried until the lease's end would call it unknown.
        let mut tries = 0;
        let moved = loop {
            match self.committer.apply(change.clone()).await {
                Ok(moved) => break moved,
                Err(error) if error.class() == Class::Retry && tries < 20 => {
                    tries += 1;
                    tracing::warn!(%delivery, error = chain(&error), "the store did not take a move; trying again");
                    tokio::time::sleep(Duration::from_millis(250 * tries)).await;
                }
                Err(StoreError::Lost) => {
                    self.tell_lost(org, delivery).await;
                    return None;
                }
                Err(error) => {
                    tracing::info!(%delivery, error = chain(&error), "a move was not taken");
                    return None;
                }
            }
        };
        if moved.effects.contains(&Effect::Charge) {
            events::ChargeMade { org, delivery }.emit();
        }
        let reason = moved.delivery.reason.or(why);
        match moved.delivery.state {
            State::Queued if event == Event::Deferred => {
                events::DeliveryDeferred { org, delivery, attempt, wait, reason: reason.unwrap_or(Reason::RelayDown) }.emit();
            }
            State::Refused => {
                metrics::delivery_refused(reason.unwrap_or(Reason::Rejected5xx));
                events::DeliveryRefused { org, delivery, attempt, reason: reason.unwrap_or(Reason::Rejected5xx) }.emit();
            }
            State::Unknown => events::DeliveryUnknown { org, delivery, attempt }.emit(),
            State::Held => events::DeliveryHeld { org, delivery, reason: reason.unwrap_or(Reason::UnconfirmedSend) }.emit(),
            _ => {}
        }
        Some(moved)
    }
}

/// A certificate was believed: whatever doubt there was is over, and a later one begins anew.
fn dispelled(work: &Work) -> Option<Doubt> {
    (!work.doubt.is_none()).then(Doubt::default)
}

/// Something that happened to a claimed delivery, under its claim.
fn by(claimed: &Claimed, event: Event) -> Move {
    Move { owner: Some(claimed.owner), ..Move::new(claimed.org, claimed.id, event) }
}

/// How long an unknown outcome waits for a notice.
pub(super) fn unknown_wait(organization: &Organization, priority: Priority) -> Duration {
    let wait = organization.file.routing.unknown_wait.0;
    if priority == Priority::Urgent { wait.min(URGENT_UNKNOWN_WAIT) } else { wait }
}
