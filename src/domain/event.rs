//! Events: what happened to results and deliveries, as it is told to the programs of an organization.
//!
//! Each change of state, of disposition, and each credit is one. What a worker does between two states (claimed, on the wire,
//! back into the queue for another try) is no change for anybody outside, and is not told.

use std::{fmt, str::FromStr};

use super::{
    Delivery,
    delivery::{Disposition, Fee, State},
    report::ResultState,
    words,
};

words! {
    /// What an event is about. The word before the full stop says what it happened to.
    pub enum EventKind {
        /// A delivery was made, or waits for another try after somebody or its unknown outcome wanted one.
        DeliveryQueued = "delivery.queued",
        /// The relay or MX took it.
        DeliveryAccepted = "delivery.accepted",
        /// It may have arrived; no answer came.
        DeliveryUnknown = "delivery.unknown",
        /// It will not be sent.
        DeliveryRefused = "delivery.refused",
        /// A person has to decide.
        DeliveryHeld = "delivery.held",
        /// It was cancelled before it left.
        DeliveryCancelled = "delivery.cancelled",
        /// A newer version took its place before it left.
        DeliverySuperseded = "delivery.superseded",
        /// The receiving side has opened and trusted it.
        DeliveryProcessed = "delivery.processed",
        /// It reached its final place.
        DeliveryDispatched = "delivery.dispatched",
        /// The receiving side could not deliver it.
        DeliveryFailed = "delivery.failed",
        /// The receiving side said nothing in time.
        DeliveryExpired = "delivery.expired",
        /// Processed, but its final place was never confirmed. Counts as delivered.
        DeliveryUnconfirmed = "delivery.unconfirmed",
        /// Its charge was given back.
        DeliveryCredited = "delivery.credited",
        /// A result waits for its order or for a directory.
        ResultWaiting = "result.waiting",
        /// A result has its deliveries.
        ResultRouted = "result.routed",
        /// A result needs a person.
        ResultHeld = "result.held",
        /// A result is deliberately not sent.
        ResultNotSent = "result.not_sent",
        /// A webhook was switched off because its other end wants nothing more, or failed for too long.
        WebhookDisabled = "webhook.disabled",
        /// Somebody tries a webhook out. Stands in no feed.
        WebhookTest = "webhook.test",
    }
}

impl EventKind {
    /// What a move of a delivery tells, in order: a 250 that finds a notice waiting is two changes.
    #[must_use]
    pub fn of_move(before: &Delivery, after: &Delivery) -> Vec<Self> {
        let mut kinds = Vec::new();
        if after.state != before.state {
            kinds.extend(Self::of_state(before.state, after.state));
        }
        if after.disposition != before.disposition {
            kinds.extend(after.disposition.and_then(Self::of_disposition));
        }
        if after.fee == Fee::Credited && before.fee != Fee::Credited {
            kinds.push(Self::DeliveryCredited);
        }
        kinds
    }

    const fn of_state(before: State, after: State) -> Option<Self> {
        match after {
            State::Claimed | State::OnWire => None,
            // Given back by a worker, or put off: it never stopped waiting for its turn.
            State::Queued if matches!(before, State::Claimed | State::OnWire) => None,
            State::Queued => Some(Self::DeliveryQueued),
            State::Accepted => Some(Self::DeliveryAccepted),
            State::Refused => Some(Self::DeliveryRefused),
            State::Unknown => Some(Self::DeliveryUnknown),
            State::Held => Some(Self::DeliveryHeld),
            State::Cancelled => Some(Self::DeliveryCancelled),
            State::Superseded => Some(Self::DeliverySuperseded),
        }
    }

    const fn of_disposition(disposition: Disposition) -> Option<Self> {
        match disposition {
            Disposition::Awaited | Disposition::NotExpected => None,
            Disposition::Processed => Some(Self::DeliveryProcessed),
            Disposition::Dispatched => Some(Self::DeliveryDispatched),
            Disposition::Failed => Some(Self::DeliveryFailed),
            Disposition::Expired => Some(Self::DeliveryExpired),
            Disposition::Unconfirmed => Some(Self::DeliveryUnconfirmed),
        }
    }

    /// What the state of a result tells. That it was received, its sender has been answered.
    #[must_use]
    pub const fn of_result(state: ResultState) -> Option<Self> {
        match state {
            ResultState::Received => None,
            ResultState::Waiting => Some(Self::ResultWaiting),
            ResultState::Routed => Some(Self::ResultRouted),
            ResultState::Held => Some(Self::ResultHeld),
            ResultState::NotSent => Some(Self::ResultNotSent),
        }
    }
}

/// Which events somebody wants: one kind, all about one thing (`delivery.*`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Everything.
    All,
    /// `delivery.*`: the word before the full stop, with it.
    About(String),
    /// One kind.
    One(EventKind),
}

/// Not a kind of event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no kind of event; write one like delivery.failed, or delivery.*, result.*, *")]
pub struct BadWanted;

impl Wanted {
    /// Whether it takes in `kind`.
    #[must_use]
    pub fn takes(&self, kind: EventKind) -> bool {
        match self {
            Self::All => true,
            Self::About(what) => kind.as_str().starts_with(what),
            Self::One(one) => *one == kind,
        }
    }
}

impl FromStr for Wanted {
    type Err = BadWanted;
    fn from_str(text: &str) -> Result<Self, BadWanted> {
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(what) if what.ends_with('.') && EventKind::ALL.iter().any(|kind| kind.as_str().starts_with(what)) => {
                Ok(Self::About(what.to_owned()))
            }
            Some(_) => Err(BadWanted),
            None => text.parse().map(Self::One).map_err(|_| BadWanted),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::About(what) => write!(f, "{what}*"),
            Self::One(kind) => f.write_str(kind.as_str()),
        }
    }
}

super::serde_as_text!(Wanted);

/// A place in an organization's feed: after so many events. It carries a mark of the event it stands behind, so that a
/// reader of a feed that was restored from a backup learns that it is no longer the one it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The number of the last event read; 0 before the first.
    pub seq: u64,
    /// The last 32 bits of that event's id; none before the first, and when a person names a number.
    pub mark: Option<u32>,
}

/// Not a place in a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no cursor; use what `next` or an event's `cursor` said, or 0 for the beginning")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
        let (seq, mark) = match text.split_once('-') {
            None => (number(text), None),
            Some((seq, mark)) if mark.len() == 8 => (number(seq), Some(u32::from_str_radix(mark, 16).map_err(|_| BadCursor)?)),
            Some(_) => return Err(BadCursor),
        };
        // PostgreSQL counts to 2^63.
        let seq = seq.filter(|seq| i64::try_from(*seq).is_ok()).ok_or(BadCursor)?;
        Ok(Self { seq, mark })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark {
            None => write!(f, "{}", self.seq),
            Some(mark) => write!(f, "{}-{mark:08x}", self.seq),
        }
    }
}

super::serde_as_text!(Cursor);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        delivery::{Event, NoticeKind},
        organization::{Billable, WhenUnknown},
    };

    /// What is told while `events` happen to a new delivery.
    fn told(events: &[Event]) -> Vec<&'static str> {
        let mut delivery = Delivery::queued(Billable::Accepted, WhenUnknown::Resend);
        let mut told = Vec::new();
        for event in events {
            let (after, _) = delivery.apply(*event).unwrap();
            told.extend(EventKind::of_move(&delivery, &after).into_iter().map(EventKind::as_str));
            delivery = after;
        }
        told
    }

    #[test]
    fn what_a_worker_does_between_two_states_is_not_told() {
        let tries = [Event::Claimed, Event::WireStarted, Event::Deferred, Event::Claimed, Event::Released];
        assert_eq!(told(&tries), [] as [&str; 0]);
        assert_eq!(told(&[Event::Claimed, Event::WireStarted, Event::Accepted]), ["delivery.accepted"]);
    }

    #[test]
    fn a_notice_that_came_early_is_told_after_the_acceptance_it_waited_for() {
        let early = Event::Notice(NoticeKind::Processed);
        let all = [Event::Claimed, Event::WireStarted, early, Event::Accepted];
        assert_eq!(told(&all), ["delivery.accepted", "delivery.processed"]);
    }

    #[test]
    fn a_credit_is_told_after_the_failure_it_is_for() {
        let all = [Event::Claimed, Event::WireStarted, Event::Accepted, Event::Notice(NoticeKind::Failed), Event::CreditDue];
        assert_eq!(told(&all), ["delivery.accepted", "delivery.failed", "delivery.credited"]);
    }

    #[test]
    fn what_is_wanted_takes_in_what_it_names() {
        let takes = |wanted: &str, kind| wanted.parse::<Wanted>().unwrap().takes(kind);
        assert!(takes("*", EventKind::ResultHeld) && takes("delivery.*", EventKind::DeliveryFailed));
        assert!(!takes("delivery.*", EventKind::ResultHeld) && takes("result.held", EventKind::ResultHeld));
        for bad in ["", "delivery", "delivery.", "nothing.*", "delivery.f*", "**"] {
            assert_eq!(bad.parse::<Wanted>(), Err(BadWanted), "{bad}");
        }
    }

    #[test]
    fn a_cursor_reads_back() {
        for text in ["0", "17", "17-0a0b0c0d"] {
            assert_eq!(text.parse::<Cursor>().unwrap().to_string(), text);
        }
        for bad in ["", "-", "-1", "+1", "1-", "1-zz", "1-0a0b0c0d0", "99999999999999999999", "9999999999999999999"] {
            assert_eq!(bad.parse::<Cursor>(), Err(BadCursor), "{bad}");
        }
    }
}
