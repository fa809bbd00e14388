//! A delivery: one result version to one target over one channel, and the three axes it moves on.
//!
//! * [`State`]: where our side of the hand-over stands.
//! * [`Disposition`]: what the receiving side has said became of it.
//! * [`Fee`]: whether it has been charged.
//!
//! They are never mixed, and they move in one place: [`Delivery::apply`], a pure function from what is known and what
//! happened to what is known then and what must be done about it.

use serde::{Deserialize, Serialize};

use super::{Reason, organization::Billable, organization::WhenUnknown, words};

words! {
    /// Where our side of the hand-over stands.
    pub enum State {
        /// Durable, waiting for a worker.
        Queued = "queued",
        /// A worker has it; nothing has left the process.
        Claimed = "claimed",
        /// Committed before the first byte of DATA: the relay may have it from here on.
        OnWire = "on_wire",
        /// The relay or MX took it (250 after the final dot).
        Accepted = "accepted",
        /// It will not be sent.
        Refused = "refused",
        /// It may have arrived: the conversation ended after DATA began and before an answer.
        Unknown = "unknown",
        /// A person has to decide.
        Held = "held",
        /// Cancelled before anything left.
        Cancelled = "cancelled",
        /// A newer version took its place before anything left.
        Superseded = "superseded",
    }
}

words! {
    /// What the receiving side has said.
    pub enum Disposition {
        /// Nothing yet.
        Awaited = "awaited",
        /// Opened and trusted.
        Processed = "processed",
        /// Reached its final place.
        Dispatched = "dispatched",
        /// Could not be delivered.
        Failed = "failed",
        /// No `processed` in time.
        Expired = "expired",
        /// Processed, but the final delivery we asked about was never confirmed. Counts as delivered.
        Unconfirmed = "unconfirmed",
        /// The channel has no notices.
        NotExpected = "not_expected",
    }
}

words! {
    /// Where the fee stands.
    pub enum Fee {
        /// No charge (yet).
        None = "none",
        /// One charge is on record.
        Charged = "charged",
        /// Charged and credited.
        Credited = "credited",
    }
}

words! {
    /// What a notice says.
    pub enum NoticeKind {
        /// Opened and trusted.
        Processed = "processed",
        /// Reached its final place.
        Dispatched = "dispatched",
        /// Could not be delivered.
        Failed = "failed",
    }
}

words! {
    /// What a notice said that came before the relay's answer.
    pub enum EarlyNotice {
        /// Opened and trusted.
        Processed = "processed",
        /// Reached its final place.
        Dispatched = "dispatched",
        /// Could not be delivered.
        Failed = "failed",
        /// Could not be delivered, provably for reasons of trust or certificates: a charge is given back as soon as there is one.
        Distrusted = "distrusted",
    }
}

impl EarlyNotice {
    /// What the notice says.
    #[must_use]
    pub const fn kind(self) -> NoticeKind {
        match self {
            Self::Processed => NoticeKind::Processed,
            Self::Dispatched => NoticeKind::Dispatched,
            Self::Failed | Self::Distrusted => NoticeKind::Failed,
        }
    }
}

impl From<NoticeKind> for EarlyNotice {
    fn from(kind: NoticeKind) -> Self {
        match kind {
            NoticeKind::Processed => Self::Processed,
            NoticeKind::Dispatched => Self::Dispatched,
            NoticeKind::Failed => Self::Failed,
        }
    }
}

/// What is known about one delivery, as far as the rules need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Delivery {
    /// Our side.
    pub state: State,
    /// Why it is held, refused ...
    pub reason: Option<Reason>,
    /// Their side; absent until it is accepted.
    pub disposition: Option<Disposition>,
    /// The fee.
    pub fee: Fee,
    /// How many attempts ended unknown. Once this is not zero the message may have arrived, so it is never refused,
    /// cancelled or superseded any more: it ends accepted or held.
    pub unknown_attempts: u8,
    /// A successor exists or a cancel was asked for: send nothing further.
    pub stopped: bool,
    /// A notice that came before the answer to DATA.
    pub early_notice: Option<EarlyNotice>,
    /// When it becomes billable.
    pub billable: Billable,
    /// What an unknown outcome does once its wait is over.
    pub when_unknown: WhenUnknown,
    /// Whether `dispatched` was asked for: then `processed` is not final.
    pub wants_dispatched: bool,
}

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker took it.
    Claimed,
    /// The worker gave it back, or its lease ran out before anything left.
    Released,
    /// DATA is about to be sent; committed first.
    WireStarted,
    /// 250 after the final dot. A fact: it counts whoever holds the lease.
    Accepted,
    /// The other side refused for good, or a check of ours says never.
    Refused(Reason),
    /// The other side said "later" or could not be reached; nothing was taken.
    Deferred,
    /// The time allowed for retries is over.
    Exhausted,
    /// The conversation broke after [`Event::WireStarted`] and before an answer; or the worker's lease ran out there.
    Lost,
    /// A check of ours says that a person must look.
    Held(Reason),
    /// The wait after an unknown outcome is over.
    UnknownWaitOver,
    /// An operator or the sender wants it not sent.
    Cancel,
    /// A newer version exists.
    Supersede,
    /// An operator wants it tried again.
    Retry,
    /// A believed notice.
    Notice(NoticeKind),
    /// No `processed` in time, or no `dispatched` after it.
    DeadlinePassed,
    /// Non-delivery for trust or certificate reasons was proven after acceptance.
    CreditDue,
}

/// What must be committed together with the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Write the one charge.
    Charge,
    /// Write the one credit.
    Credit,
    /// Start the clocks for the receiving side's notices.
    StartNoticeClock,
    /// Start the wait of an unknown outcome.
    StartUnknownWait,
    /// Apply the organization's fallback.
    Fallback,
    /// Record the notice as late; it changes nothing.
    RecordLate,
}

/// At most this many effects follow from one event.
pub type Effects = Vec<Effect>;

/// The event does not fit the state: nothing may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {from} cannot take {event:?}")]
pub struct IllegalMove {
    /// The state it is in.
    pub from: State,
    /// What was tried.
    pub event: Event,
}

impl Delivery {
    /// A new delivery, waiting for a worker.
    #[must_use]
    pub const fn queued(billable: Billable, when_unknown: WhenUnknown) -> Self {
        Self {
            state: State::Queued,
            reason: None,
            disposition: None,
            fee: Fee::None,
            unknown_attempts: 0,
            stopped: false,
            early_notice: None,
            billable,
            when_unknown,
            wants_dispatched: false,
        }
    }

    /// Whether the other side may already have the message.
    #[must_use]
    pub const fn may_have_arrived(&self) -> bool {
        self.unknown_attempts > 0 || matches!(self.state, State::OnWire | State::Accepted | State::Unknown)
    }

    /// Whether the version before or after this one may go: a settled delivery is no longer in flight.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.state, State::Accepted | State::Refused | State::Cancelled | State::Superseded | State::Held)
    }

    /// Whether a notice could still move it, so that its clock runs.
    #[must_use]
    pub const fn awaits_notice(&self) -> bool {
        matches!(self.state, State::Accepted)
            && match self.disposition {
                Some(Disposition::Awaited) => true,
                Some(Disposition::Processed) => self.wants_dispatched,
                _ => false,
            }
    }

    /// Why no charge stands against it; `None` when one does.
    #[must_use]
    pub const fn no_charge_reason(&self) -> Option<&'static str> {
        match (self.fee, self.state) {
            (Fee::Charged | Fee::Credited, _) => None,
            (Fee::None, State::Accepted) => Some(match self.disposition {
                Some(Disposition::Failed | Disposition::Expired) => "not_delivered",
                _ if self.awaits_notice() => "not_billable_yet",
                // It has come to its end, and what makes it billable was never said.
                _ => "not_confirmed",
            }),
            (Fee::None, State::Refused) => Some("refused"),
            (Fee::None, State::Cancelled) => Some("cancelled"),
            (Fee::None, State::Superseded) => Some("superseded"),
            (Fee::None, State::Held) => Some("held"),
            (Fee::None, State::Unknown | State::OnWire) => Some("outcome_unknown"),
            (Fee::None, State::Queued | State::Claimed) => Some("not_sent_yet"),
        }
    }

    /// Moves the delivery.
    ///
    /// # Errors
    /// [`IllegalMove`] when the event does not fit; the delivery is unchanged then.
    #[expect(clippy::match_same_arms, reason = "the arms stand in the order of the story; merging them would lose it")]
    pub fn apply(self, event: Event) -> Result<(Self, Effects), IllegalMove> {
        use Event as E;
        use State as S;

        let mut next = self;
        let mut effects = Effects::new();
        let illegal = IllegalMove { from: self.state, event };
        let tried = self.unknown_attempts > 0;

        match (self.state, event) {
            (S::Queued, E::Claimed) => next.state = S::Claimed,
            // Back in the queue, whether by grace or by an expired lease, or because the relay asked for patience.
            (S::Claimed, E::Released | E::Deferred) => next.state = S::Queued,
            (S::Claimed, E::WireStarted) => next.state = S::OnWire,

            // A 250 is a fact. After an unknown attempt a late one may find the row anywhere but at its end.
            (S::OnWire | S::Unknown, E::Accepted) => next.accept(&mut effects),
            (S::Queued | S::Claimed | S::Held, E::Accepted) if tried => next.accept(&mut effects),
            (S::Accepted, E::Accepted) => {}

            // Once it may have arrived, no other answer counts: back to unknown, and held when that wait is over.
            (S::Claimed, E::Refused(_)) if tried => next.lose(&mut effects),
            (S::OnWire, E::Refused(_) | E::Deferred | E::Exhausted) if tried => next.lose(&mut effects),
            (S::Queued | S::Claimed, E::Exhausted) if tried => next.hold(Reason::UnconfirmedSend),
            (S::OnWire, E::Lost) => next.lose(&mut effects),

            // Nothing was taken and nothing further may be sent: it ends as what was asked for while it was on the wire.
            (S::OnWire, E::Deferred | E::Exhausted) if self.stopped => match self.reason {
                Some(Reason::Superseded) => next.state = S::Superseded,
                _ => next.end(S::Cancelled, Reason::Cancelled),
            },
            (S::OnWire, E::Deferred) => next.state = S::Queued,
            (S::Claimed | S::OnWire, E::Refused(reason)) => next.refuse(reason, &mut effects),
            (S::Queued | S::Claimed | S::OnWire, E::Exhausted) => next.refuse(Reason::RetriesExhausted, &mut effects),

            (S::Queued | S::Claimed, E::Held(_)) if tried => next.hold(Reason::UnconfirmedSend),
            (S::Queued | S::Claimed, E::Held(reason)) => next.hold(reason),

            (S::Unknown, E::UnknownWaitOver) => {
                let again = self.when_unknown == WhenUnknown::Resend && self.unknown_attempts == 1 && !self.stopped;
                if again {
                    next.state = S::Queued;
                } else {
                    next.hold(Reason::UnconfirmedSend);
                }
            }

            // Cancel and supersede win until the wire; afterwards they only stop further attempts.
            (S::Queued | S::Claimed, E::Cancel | E::Supersede) if tried => {
                next.stopped = true;
                next.state = S::Unknown;
                effects.push(Effect::StartUnknownWait);
            }
            (S::OnWire, E::Cancel) => next.stop(Reason::Cancelled),
            (S::OnWire, E::Supersede) => next.stop(Reason::Superseded),
            (S::Unknown, E::Cancel | E::Supersede) => next.stopped = true,
            // What happened to it stays true; it is closed to a retry, which would overtake its successor.
            (S::Refused, E::Cancel | E::Supersede) => next.stopped = true,
            // What may have arrived stays held(unconfirmed_send), closed to further attempts: "cancelled" would be a lie.
            (S::Held, E::Cancel | E::Supersede) if tried => next.stopped = true,
            (S::Queued | S::Claimed | S::Held, E::Cancel) => next.end(S::Cancelled, Reason::Cancelled),
            (S::Queued | S::Claimed | S::Held, E::Supersede) => next.end(S::Superseded, Reason::Superseded),

            // A person decided; what may have arrived may still never be refused.
            (S::Refused | S::Held, E::Retry) if !self.stopped => {
                next.state = S::Queued;
                next.reason = None;
            }

            (S::OnWire, E::Notice(kind)) => next.early_notice = Some(stronger(self.early_notice, kind)),
            // A notice proves that it arrived.
            (S::Unknown, E::Notice(kind)) => {
                next.early_notice = Some(kind.into());
                next.accept(&mut effects);
            }
            (S::Queued | S::Claimed | S::Held, E::Notice(kind)) if tried => {
                next.early_notice = Some(kind.into());
                next.accept(&mut effects);
            }
            (S::Accepted, E::Notice(kind)) => next.notice(kind, &mut effects),

            (S::Accepted, E::DeadlinePassed) => match self.disposition {
                Some(Disposition::Awaited) => {
                    next.disposition = Some(Disposition::Expired);
                    next.reason = Some(Reason::NoProcessed);
                    next.fall_back(&mut effects);
                }
                // It counts as delivered, so it never falls back: that would be a second disclosure.
                Some(Disposition::Processed) if self.wants_dispatched => {
                    next.disposition = Some(Disposition::Unconfirmed);
                    next.reason = Some(Reason::NoDispatched);
                }
                _ => return Err(illegal),
            },
            (S::Accepted, E::CreditDue) if self.fee == Fee::Charged => {
                next.give_back(&mut effects);
            }
            // The proof came before there was a charge.
            (S::OnWire, E::CreditDue) if self.early_notice == Some(EarlyNotice::Failed) => {
                next.early_notice = Some(EarlyNotice::Distrusted);
            }
            _ => return Err(illegal),
        }
        Ok((next, effects))
    }

    fn accept(&mut self, effects: &mut Effects) {
        self.state = State::Accepted;
        self.reason = None;
        self.disposition = Some(Disposition::Awaited);
        effects.push(Effect::StartNoticeClock);
        self.bill(Billable::Accepted, effects);
        if let Some(early) = self.early_notice.take() {
            self.notice(early.kind(), effects);
            if early == EarlyNotice::Distrusted && self.fee == Fee::Charged {
                self.give_back(effects);
            }
        }
    }

    fn lose(&mut self, effects: &mut Effects) {
        self.unknown_attempts = self.unknown_attempts.saturating_add(1);
        if self.early_notice.is_some() {
            // The notice came before the answer: it settles the row the moment it would become unknown.
            self.accept(effects);
        } else {
            self.state = State::Unknown;
            self.reason = None;
            effects.push(Effect::StartUnknownWait);
        }
    }

    fn refuse(&mut self, reason: Reason, effects: &mut Effects) {
        self.end(State::Refused, reason);
        // What was said about this attempt must not be taken for the answer to a later one.
        self.early_notice = None;
        self.fall_back(effects);
    }

    fn fall_back(&self, effects: &mut Effects) {
        // Nobody wants what was stopped delivered any more, by another way either.
        if !self.stopped {
            effects.push(Effect::Fallback);
        }
    }

    /// On the wire it cannot be taken back; the first who asked is remembered in case the relay does not take it.
    fn stop(&mut self, asked: Reason) {
        self.stopped = true;
        self.reason = self.reason.or(Some(asked));
    }

    fn hold(&mut self, reason: Reason) {
        self.end(State::Held, reason);
    }

    fn end(&mut self, state: State, reason: Reason) {
        self.state = state;
        self.reason = Some(reason);
    }

    fn notice(&mut self, kind: NoticeKind, effects: &mut Effects) {
        let terminal = match self.disposition {
            Some(Disposition::Awaited) | None => false,
            Some(Disposition::Processed) => !self.wants_dispatched,
            Some(_) => true,
        };
        match (terminal, kind) {
            (true, _) => effects.push(Effect::RecordLate),
            (false, NoticeKind::Processed) if self.disposition == Some(Disposition::Processed) => {
                effects.push(Effect::RecordLate);
            }
            (false, NoticeKind::Processed) => {
                self.disposition = Some(Disposition::Processed);
                self.bill(Billable::Processed, effects);
            }
            (false, NoticeKind::Dispatched) => {
                self.disposition = Some(Disposition::Dispatched);
                self.bill(Billable::Processed, effects);
                self.bill(Billable::Dispatched, effects);
            }
            (false, NoticeKind::Failed) => {
                self.disposition = Some(Disposition::Failed);
                self.reason = Some(Reason::RemoteFailed);
                self.fall_back(effects);
            }
        }
    }

    fn give_back(&mut self, effects: &mut Effects) {
        self.fee = Fee::Credited;
        effects.push(Effect::Credit);
    }

    fn bill(&mut self, moment: Billable, effects: &mut Effects) {
        if self.fee == Fee::None && self.billable == moment {
            self.fee = Fee::Charged;
            effects.push(Effect::Charge);
        }
    }
}

/// Of two early notices the one that says more about the end.
fn stronger(before: Option<EarlyNotice>, now: NoticeKind) -> EarlyNotice {
    match (before, now) {
        (Some(kept), NoticeKind::Processed) => kept,
        (Some(EarlyNotice::Processed) | None, now) => now.into(),
        (Some(kept), _) => kept,
    }
}

#[cfg(test)]
mod after;
#[cfg(test)]
mod tests;
