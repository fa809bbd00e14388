//! How often, and for how long, a certificate that cannot be believed is looked at again.
//!
//! Two clocks, never mixed. A certificate that was checked and is not believed (none found, untrusted, expired ...) is looked
//! at again 1, 6 and 24 hours after that was first seen; after the last look it is final. What could not be checked at all
//! (DNS, LDAP or a revocation list did not answer) is tried for 24 hours from when that began, and then a person decides;
//! the first look that succeeds, whatever it sees, ends that clock. Not being able to look is not a look: it uses up none.

use std::time::Duration;

use super::{Class, Reason, Timestamp};

/// When a certificate that is not believed is looked at again, from the first look on.
pub const RECHECKS: [Duration; 3] = [Duration::from_hours(1), Duration::from_hours(6), Duration::from_hours(24)];
/// How long what cannot be checked is tried.
pub const PATIENCE: Duration = Duration::from_hours(24);
/// A look that came late moves the next one this far away from it: the same certificate seen twice in a row says nothing new.
const APART: Duration = Duration::from_hours(1);

/// What stands between one delivery and a certificate that can be believed. Empty when nothing does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Why it waits now.
    pub reason: Option<Reason>,
    /// Since when what was found is not believed.
    pub distrusted_since: Option<Timestamp>,
    /// How often it was looked at again since then.
    pub rechecks: u32,
    /// Since when nothing could be checked.
    pub unchecked_since: Option<Timestamp>,
}

/// What happens to the delivery now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It waits, and is looked at again so much later.
    Wait(Duration),
    /// A person has to decide: it could not be checked for too long.
    Hold,
    /// It is not sent.
    Refuse,
}

impl Doubt {
    /// Whether anything stands in the way.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// How long nothing could be checked, at `now`.
    #[must_use]
    pub fn unchecked_for(&self, now: Timestamp) -> Duration {
        self.unchecked_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// A look at `now` failed for `reason`. `pause` is how long to wait before a source that did not answer is asked again.
    #[must_use]
    pub fn met(self, reason: Reason, now: Timestamp, pause: Duration) -> (Self, Verdict) {
        if reason.class() == Class::Retry { self.unchecked(reason, now, pause) } else { self.distrusted(reason, now) }
    }

    fn unchecked(self, reason: Reason, now: Timestamp, pause: Duration) -> (Self, Verdict) {
        let since = self.unchecked_since.unwrap_or(now);
        let left = PATIENCE.saturating_sub(now.since(since));
        let after = Self { reason: Some(reason), unchecked_since: Some(since), ..self };
        // The last try is at the end of the time allowed, not after it.
        (after, if left.is_zero() { Verdict::Hold } else { Verdict::Wait(pause.min(left)) })
    }

    fn distrusted(self, reason: Reason, now: Timestamp) -> (Self, Verdict) {
        let (since, rechecks) = match self.distrusted_since {
            Some(since) => (since, self.rechecks.saturating_add(1)),
            None => (now, 0),
        };
        let after = Self { reason: Some(reason), distrusted_since: Some(since), rechecks, unchecked_since: None };
        let next = usize::try_from(rechecks).ok().and_then(|looks| RECHECKS.get(looks)).filter(|_| reason != Reason::Revoked);
        let verdict = next.map_or(Verdict::Refuse, |due| {
            let left = since.plus(*due).since(now);
            Verdict::Wait(if left.is_zero() { APART } else { left })
        });
        (after, verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_772_463_600_000_000);
    const PAUSE: Duration = Duration::from_mins(30);

    fn hours(hours: u64) -> Duration {
        Duration::from_hours(hours)
    }

    /// Looks at `at` after the start, in order; each sees `reason`. Gives when it is looked at next, or how it ended.
    fn looks(looks: &[(Duration, Reason)]) -> (Doubt, Vec<Result<Duration, Verdict>>) {
        let mut doubt = Doubt::default();
        let next = looks.iter().map(|(at, reason)| {
            let (after, verdict) = doubt.met(*reason, START.plus(*at), PAUSE);
            doubt = after;
            match verdict {
                Verdict::Wait(wait) => Ok(*at + wait),
                end => Err(end),
            }
        });
        let next = next.collect();
        (doubt, next)
    }

    #[test]
    fn what_is_not_believed_is_looked_at_again_after_1_6_and_24_hours_and_then_refused() {
        for reason in [Reason::NoCert, Reason::Untrusted, Reason::ExpiredCert, Reason::NotBound, Reason::KeyUsage] {
            let (_, next) = looks(&[0, 1, 6, 24].map(|at| (hours(at), reason)));
            assert_eq!(next, [Ok(hours(1)), Ok(hours(6)), Ok(hours(24)), Err(Verdict::Refuse)], "{reason}");
        }
        let (doubt, next) = looks(&[(Duration::ZERO, Reason::Revoked)]);
        assert_eq!((next, doubt.reason), (vec![Err(Verdict::Refuse)], Some(Reason::Revoked)));
        assert_eq!(looks(&[(hours(0), Reason::NoCert), (hours(1), Reason::Revoked)]).1[1], Err(Verdict::Refuse));
    }

    #[test]
    fn each_clock_begins_at_the_first_obstacle_of_its_kind() {
        // Nothing could be checked for five hours; only then was it seen that there is no certificate.
        let (doubt, next) = looks(&[
            (hours(0), Reason::TrustUnavailable),
            (hours(5), Reason::NoCert),
            (hours(6), Reason::NoCert),
            (hours(11), Reason::NoCert),
            (hours(29), Reason::NoCert),
        ]);
        assert_eq!(next, [Ok(PAUSE), Ok(hours(6)), Ok(hours(11)), Ok(hours(29)), Err(Verdict::Refuse)]);
        assert_eq!((doubt.distrusted_since, doubt.unchecked_since), (Some(START.plus(hours(5))), None));
    }

    #[test]
    fn not_being_able_to_look_uses_up_no_recheck() {
        let minutes = |minutes| Duration::from_mins(minutes);
        let (doubt, next) = looks(&[
            (hours(0), Reason::Untrusted),
            (hours(1), Reason::TrustUnavailable),
            (minutes(90), Reason::TrustUnavailable),
            (minutes(120), Reason::Untrusted),
            (hours(6), Reason::Untrusted),
            (hours(24), Reason::Untrusted),
        ]);
        assert_eq!(next[3..], [Ok(hours(6)), Ok(hours(24)), Err(Verdict::Refuse)], "the first one came an hour late");
        assert_eq!(doubt.rechecks, 3);
    }

    #[test]
    fn what_cannot_be_checked_is_held_24_hours_after_that_began_and_not_a_moment_earlier() {
        let moment = Duration::from_micros(1);
        let unavailable = |at: Duration| (at, Reason::TrustUnavailable);
        let (_, next) = looks(&[
            unavailable(hours(0)),
            unavailable(hours(23)),
            unavailable(hours(24).saturating_sub(moment)),
            unavailable(hours(24)),
        ]);
        assert_eq!(next, [Ok(PAUSE), Ok(hours(23) + PAUSE), Ok(hours(24)), Err(Verdict::Hold)]);
        // Once something could be checked, a later failure of a source begins its own 24 hours.
        let (doubt, next) = looks(&[
            unavailable(hours(0)),
            (hours(20), Reason::NoCert),
            unavailable(hours(21)),
            unavailable(hours(44)),
            unavailable(hours(45)),
        ]);
        assert_eq!(next[1..], [Ok(hours(21)), Ok(hours(21) + PAUSE), Ok(hours(44) + PAUSE), Err(Verdict::Hold)]);
        assert_eq!(doubt.rechecks, 0);
    }

    #[test]
    fn looks_that_came_too_late_do_not_follow_on_each_others_heels() {
        // The gateway was down for two days.
        let (_, next) = looks(&[
            (hours(0), Reason::NoCert),
            (hours(48), Reason::NoCert),
            (hours(49), Reason::NoCert),
            (hours(50), Reason::NoCert),
        ]);
        assert_eq!(next, [Ok(hours(1)), Ok(hours(49)), Ok(hours(50)), Err(Verdict::Refuse)]);
    }
}
