//! The loop that follows what comes back: mail is looked at, clocks run out, failures fall back, notices that we owe leave.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Gateway, alerting::machine, delivering::unknown_wait};
use crate::{
    domain::{
        OrgScope,
        alert::AlertKind,
        delivery::{Disposition, Effect, Event},
        organization::{Billable, SendMode},
    },
    observe::{chain, defect::contained, events, facts::Configured, health::Part, metrics},
    store::{
        StoreError,
        delivery::{Move, Work},
        notice::Silent,
        organization::Organization,
    },
    track::{ClockWatch, deadlines::Clocks},
};

/// How long to wait when the store does not answer.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// Silent for so long, the loop is not well.
const SILENCE: Duration = Duration::from_mins(5);
/// Most clocks or failures looked after together.
const TOGETHER: usize = 256;
/// How often old mail is forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// What strangers brought in vain is kept no longer: a person can still look into it, nobody can fill the disk with it.
const STRANGERS_MAIL: Duration = Duration::from_hours(24);

/// What one turn of the loop did.
struct Turn {
    /// How much.
    worked: usize,
    /// Whether each step came to its end. A defect in one of them does not keep the others from their work.
    sound: bool,
}

impl Turn {
    /// Takes what a step gave. A store that does not answer one does not answer the next.
    fn take(&mut self, step: Option<Result<usize, StoreError>>) -> Result<(), StoreError> {
        match step.transpose()? {
            Some(worked) => self.worked += worked,
            None => self.sound = false,
        }
        Ok(())
    }
}

impl Gateway {
    /// Follows what comes back until `stop` is cancelled. What it is working on then is finished, or free again when its
    /// lease runs out.
    pub async fn track_until(self: &Arc<Self>, stop: &CancellationToken) {
        let keeper = tokio::spawn(Arc::clone(self).keep_leases());
        self.health.expect(Part::Track, SILENCE);
        let began = Instant::now();
        let mut watch: Option<ClockWatch> = None;
        let mut forgot: Option<Instant> = None;
        while !stop.is_cancelled() {
            // Nobody would follow anything any more if a defect ended this loop; it goes on, and health says that it is not well.
            let worked = contained(Box::pin(self.turn(&mut watch, began.elapsed()))).await;
            self.health.say(Part::Track, matches!(worked, Some(Ok(Turn { sound: true, .. }))));
            let idle = match worked {
                Some(Ok(Turn { worked: 0, sound: true })) => self.until_next_deadline().await,
                Some(Ok(Turn { sound: true, .. })) => Duration::ZERO,
                Some(Ok(_)) | None => STORE_AGAIN,
                Some(Err(error)) => {
                    tracing::error!(error = chain(&error), "what comes back cannot be followed: the store does not answer");
                    STORE_AGAIN
                }
            };
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                forgot = Some(Instant::now());
                // What panics has been told.
                let _ = contained(self.forget_old_mail()).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(idle) => {}
            }
        }
        keeper.abort();
    }

    /// Does everything that is due now, once; returns how much that was. `watch` is the watch over the clocks, begun at the
    /// first call; `monotonic` the time on a clock that never jumps.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn track_once(self: &Arc<Self>, watch: &mut Option<ClockWatch>, monotonic: Duration) -> Result<usize, StoreError> {
        Ok(Box::pin(self.turn(watch, monotonic)).await?.worked)
    }

    async fn turn(self: &Arc<Self>, watch: &mut Option<ClockWatch>, monotonic: Duration) -> Result<Turn, StoreError> {
        // Expiry goes by the store's clock, so that is the one to be watched.
        let wall = self.store.now().await?;
        let clocks = watch.get_or_insert_with(|| ClockWatch::begin(wall, monotonic)).look(wall, monotonic);
        match clocks {
            Clocks::Parted(apart) => {
                events::ClockParted { apart }.emit();
                let why = format!("the clocks are {} seconds apart", apart.as_secs());
                self.health.trouble(AlertKind::ClockJump, &machine(), "", &why);
            }
            Clocks::Together => {
                events::ClockTogether { process: self.process }.emit();
                self.health.well(AlertKind::ClockJump, &machine(), "");
            }
            Clocks::Agree | Clocks::Apart => {}
        }
        let mut turn = Turn { worked: 0, sound: true };
        // Mail first: it may hold the answer whose clock is about to run out.
        turn.take(contained(self.take_due_mail()).await)?;
        if clocks.may_expire() {
            turn.take(contained(self.expire_due()).await)?;
            turn.take(contained(self.tell_held_clocks()).await.map(|told| told.map(|()| 0)))?;
        }
        turn.take(contained(self.fall_back_due(TOGETHER)).await)?;
        turn.take(contained(self.send_due_replies()).await)?;
        Ok(turn)
    }

    async fn until_next_deadline(&self) -> Duration {
        let poll = self.settings.track.poll.0;
        let (Ok(Some(next)), Ok(now)) = (self.store.next_deadline().await, self.store.now().await) else { return poll };
        // One that is past waits for mail to be looked at, or for the clock.
        if next <= now { poll } else { next.since(now).min(poll) }
    }

    /// Ends the waiting of deliveries whose clock has run out. Returns how many moved.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn expire_due(self: &Arc<Self>) -> Result<usize, StoreError> {
        let silent = self.store.silent_deliveries(self.settings.track.mailbox_patience.0, TOGETHER).await?;
        // Together, so that they share commits; each by itself, so that one that fails holds nobody else.
        let expired = join_all(silent.into_iter().map(|silent| contained(self.expire(silent)))).await;
        Ok(expired.into_iter().flatten().sum())
    }

    /// Says so when clocks begin to wait for a mailbox, and when they wait no more: once each.
    async fn tell_held_clocks(&self) -> Result<(), StoreError> {
        let held = self.store.clocks_held(self.settings.track.mailbox_patience.0).await?;
        let mut known = self.held_clocks.lock().await;
        for held in held.values().filter(|held| !known.contains_key(&held.name)) {
            events::ClocksHeld { relay: Configured(&held.relay), deliveries: held.deliveries }.emit();
        }
        for freed in known.values().filter(|before| !held.contains_key(&before.name)) {
            events::ClocksFreed { relay: Configured(&freed.relay) }.emit();
        }
        *known = held;
        Ok(())
    }

    async fn expire(&self, silent: Silent) -> usize {
        let (org, delivery) = (silent.org, silent.id);
        let moved = async {
            let organization = self.organization(org).await?;
            let mut change = Move::new(org, delivery, Event::DeadlinePassed);
            change.zone = organization.file.time_zone.clone();
            change.note = Some(self.why_expired(&silent).await?);
            self.committer.apply(change).await
        };
        match moved.await {
            Ok(moved) => {
                if let Some(disposition) = moved.delivery.disposition {
                    metrics::delivery_ended(disposition, moved.delivery.reason);
                }
                if let Some(Disposition::Unconfirmed) = moved.delivery.disposition {
                    events::DeliveryUnconfirmed { org, delivery }.emit();
                } else {
                    events::DeliveryExpired { org, delivery }.emit();
                    // Nobody could open it, perhaps because its certificate has been replaced.
                    self.forget_recipient(&silent.to).await;
                }
                if silent.unseen {
                    events::DeliveryExpiredUnseen { org, delivery }.emit();
                }
                if moved.effects.contains(&Effect::Charge) {
                    events::ChargeMade { org, delivery }.emit();
                }
                1
            }
            // The answer came at the last moment, or another process was first.
            Err(StoreError::Lost | StoreError::Illegal(_)) => 0,
            Err(error) => {
                tracing::error!(%delivery, error = chain(&error), "a clock ran out and could not be recorded; it is tried again");
                0
            }
        }
    }

    /// For the delivery's history. A domain that has never answered anything may not be able to open what we send: then the
    /// way it was sealed is the first thing to look at.
    async fn why_expired(&self, silent: &Silent) -> Result<String, StoreError> {
        if silent.unseen {
            return Ok("no answer in time, but the mailbox it may lie in could not be looked into since".to_owned());
        }
        if silent.disposition == Disposition::Processed {
            return Ok("it was opened, and its final place never confirmed".to_owned());
        }
        let domain = silent.to.domain_key();
        if !self.store.habit(silent.org, &silent.to).await?.never_answered() {
            return Ok(format!("no answer in time; {domain} has answered other messages"));
        }
        let sealed_with = self.store.sealed_with(OrgScope::One(silent.org), silent.id).await?;
        Ok(sealed_with.map_or_else(
            || format!("no answer in time; {domain} has never answered anything"),
            |with| format!("no answer in time; {}", with.never_answered(&domain)),
        ))
    }

    async fn forget_old_mail(&self) {
        let (now, kept) = (self.clock.now(), self.settings.track.keep_mail.0);
        let forgotten = async {
            self.store.forget_inbound(now.minus(kept)).await?;
            self.store.forget_strangers_mail(now.minus(kept.min(STRANGERS_MAIL))).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(error = chain(&error), "old mail could not be forgotten; it is tried again");
        }
    }

    /// Whether a message asks to be told of its final place.
    pub(super) async fn asks_dispatched(
        &self,
        organization: &Organization,
        mode: SendMode,
        work: &Work,
    ) -> Result<bool, StoreError> {
        let habit = self.habit(work.org, &work.target.address).await?;
        let billable: Billable = work.billable;
        Ok(habit.asks_dispatched(organization.file.ask_dispatched(&work.target.address), mode, billable))
    }

    /// What a notice about something sent to `to` in `mode` needs to move it.
    pub(super) fn notice_move(
        organization: &Organization,
        sent: &crate::store::notice::SentMessage,
        mode: SendMode,
        event: Event,
    ) -> Move {
        let mut change = Move::new(organization.id, sent.id, event);
        change.zone = organization.file.time_zone.clone();
        change.notice_within = organization.file.notice_within(&sent.to, mode);
        change.unknown_wait = unknown_wait(organization, sent.priority);
        change
    }
}
