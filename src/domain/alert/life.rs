//! The life of an alert: one pure function from what was known and what is seen now.

use std::time::Duration;

use super::{Alert, Condition};
use crate::domain::{Timestamp, id::AlertId, words};

words! {
    /// What people are told of.
    pub enum Happened {
        /// It began.
        Opened = "opened",
        /// It got worse.
        Worse = "worse",
        /// Nobody has cared: the next tier is told.
        Escalated = "escalated",
        /// It is over.
        Resolved = "resolved",
    }
}

/// How patient to be with one kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// How long a condition must hold before it opens.
    pub opens_after: Duration,
    /// How long it must be absent before it is over.
    pub resolves_after: Duration,
    /// After how long the next tier is told; `None`: never.
    pub escalates_after: Option<Duration>,
}

/// What becomes of an alert. `seen` is its condition as it is now, `None` when it does not hold; then `blind` says that
/// nobody could look. `None` back means that there is nothing to remember.
#[must_use]
pub fn step(
    before: Option<Alert>,
    seen: Option<&Condition>,
    blind: bool,
    pace: &Pace,
    now: Timestamp,
) -> (Option<Alert>, Option<Happened>) {
    match (before, seen) {
        // Nobody tells of what is over.
        (Some(alert), _) if alert.resolved_at.is_some() => (Some(alert), None),
        (None, None) => (None, None),
        (None, Some(condition)) => on(begun(condition, now), condition, pace, now),
        (Some(alert), Some(condition)) => on(alert, condition, pace, now),
        (Some(alert), None) if blind => (Some(alert), None),
        (Some(alert), None) if alert.opened_at.is_none() => (None, None),
        (Some(alert), None) => off(alert, pace, now),
    }
}

fn begun(condition: &Condition, now: Timestamp) -> Alert {
    Alert {
        id: AlertId::new(),
        condition: condition.clone(),
        first_seen: now,
        opened_at: None,
        quiet_since: None,
        resolved_at: None,
        told_level: 0,
        escalated_at: None,
        acked_at: None,
        acked_by: None,
        revision: 0,
    }
}

/// The condition holds.
fn on(mut alert: Alert, condition: &Condition, pace: &Pace, now: Timestamp) -> (Option<Alert>, Option<Happened>) {
    alert.condition.clone_from(condition);
    alert.quiet_since = None;
    let happened = match alert.opened_at {
        None if now.since(alert.first_seen) >= pace.opens_after => {
            alert.opened_at = Some(now);
            alert.told_level = condition.level;
            Some(Happened::Opened)
        }
        // A level that falls and rises again is not told twice.
        Some(_) if condition.level > alert.told_level => {
            alert.told_level = condition.level;
            Some(Happened::Worse)
        }
        Some(opened) if alert.acked_at.is_none() && alert.escalated_at.is_none() => {
            let late = pace.escalates_after.is_some_and(|after| now.since(opened) >= after);
            alert.escalated_at = late.then_some(now);
            late.then_some(Happened::Escalated)
        }
        // Not long enough yet, or nothing new.
        None | Some(_) => None,
    };
    (Some(alert), happened)
}

/// An open one whose condition does not hold.
fn off(mut alert: Alert, pace: &Pace, now: Timestamp) -> (Option<Alert>, Option<Happened>) {
    let quiet_since = *alert.quiet_since.get_or_insert(now);
    let over = now.since(quiet_since) >= pace.resolves_after;
    alert.resolved_at = over.then_some(now);
    (Some(alert), over.then_some(Happened::Resolved))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::alert::AlertKind;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
    const MINUTE: Duration = Duration::from_mins(1);

    fn seen(level: u8) -> Condition {
        Condition::new(AlertKind::RelayDown, "hisp-a", 0, 0).level(level)
    }

    fn pace() -> Pace {
        Pace { opens_after: MINUTE, resolves_after: MINUTE * 5, escalates_after: Some(MINUTE * 30) }
    }

    #[test]
    fn what_comes_and_goes_at_once_is_nobodys_business() {
        let (alert, happened) = step(None, Some(&seen(0)), false, &pace(), NOW);
        assert_eq!((alert.as_ref().unwrap().opened_at, happened), (None, None));
        assert_eq!(step(alert, None, false, &pace(), NOW.plus(MINUTE)), (None, None));
    }

    #[test]
    fn a_break_shorter_than_the_quiet_time_ends_nothing() {
        let pace = pace();
        let (alert, _) = step(None, Some(&seen(0)), false, &pace, NOW);
        let (alert, happened) = step(alert, Some(&seen(0)), false, &pace, NOW.plus(MINUTE));
        assert_eq!(happened, Some(Happened::Opened));
        let (alert, happened) = step(alert, None, false, &pace, NOW.plus(MINUTE * 2));
        assert_eq!(happened, None);
        let (alert, happened) = step(alert, Some(&seen(0)), false, &pace, NOW.plus(MINUTE * 6));
        assert_eq!(happened, None);
        let (alert, happened) = step(alert, None, false, &pace, NOW.plus(MINUTE * 8));
        assert_eq!(happened, None, "the quiet time begins anew");
        let (_, happened) = step(alert, None, false, &pace, NOW.plus(MINUTE * 13));
        assert_eq!(happened, Some(Happened::Resolved));
    }

    #[test]
    fn who_cares_stops_the_escalation_and_who_cannot_look_resolves_nothing() {
        let pace = Pace { opens_after: Duration::ZERO, ..pace() };
        let (alert, _) = step(None, Some(&seen(0)), false, &pace, NOW);
        let mut cared = alert.clone().unwrap();
        cared.acked_at = Some(NOW);
        let late = NOW.plus(MINUTE * 30);
        assert_eq!(step(Some(cared), Some(&seen(0)), false, &pace, late).1, None);
        let (alert, happened) = step(alert, None, true, &pace, late);
        assert_eq!((alert.as_ref().unwrap().quiet_since, happened), (None, None));
        assert_eq!(step(alert, Some(&seen(0)), false, &pace, late).1, Some(Happened::Escalated));
    }

    /// What is seen in one round, and how long after the one before.
    fn rounds() -> impl Strategy<Value = Vec<(Option<u8>, bool, bool, u16)>> {
        proptest::collection::vec(
            (proptest::option::of(0..4_u8), any::<bool>(), proptest::bool::weighted(0.05), 1..600_u16),
            1..120,
        )
    }

    proptest! {
        /// However often it is looked, and whatever is seen: an alert is told of once when it opens, once for each level
        /// above, at most once when it is escalated, and once when it is over; in this order, and never otherwise.
        #[test]
        fn every_change_is_told_once_and_nothing_else_ever(rounds in rounds(), opens in 0..300_u64, quiet in 0..900_u64) {
            let pace = Pace {
                opens_after: Duration::from_secs(opens),
                resolves_after: Duration::from_secs(quiet),
                escalates_after: Some(Duration::from_mins(20)),
            };
            let (mut now, mut alert, mut told): (_, Option<Alert>, Vec<(Happened, u8)>) = (NOW, None, Vec::new());
            for (level, blind, ack, after) in rounds {
                now = now.plus(Duration::from_secs(after.into()));
                let condition = level.map(seen);
                if let Some(alert) = alert.as_mut().filter(|alert| ack && alert.is_open()) {
                    alert.acked_at = Some(now);
                }
                let (next, happened) = step(alert.take(), condition.as_ref(), blind && condition.is_none(), &pace, now);
                if let Some(happened) = happened {
                    told.push((happened, next.as_ref().unwrap().told_level));
                }
                alert = next;
                let over = alert.as_ref().is_none_or(|alert| alert.resolved_at.is_some());
                if over || alert.as_ref().is_some_and(|alert| alert.opened_at.is_none()) {
                    let whole = told.first().map(|(first, _)| *first) == Some(Happened::Opened)
                        && told.last().map(|(last, _)| *last) == Some(Happened::Resolved);
                    prop_assert!(told.is_empty() || whole, "{told:?}");
                } else {
                    prop_assert_eq!(told[0].0, Happened::Opened);
                    prop_assert!(told.iter().all(|(what, _)| *what != Happened::Resolved));
                }
                let count = |what| told.iter().filter(|(told, _)| *told == what).count();
                prop_assert!(count(Happened::Opened) <= 1 && count(Happened::Escalated) <= 1 && count(Happened::Resolved) <= 1);
                let worse: Vec<u8> = told.iter().filter(|(what, _)| matches!(what, Happened::Opened | Happened::Worse)).map(|(_, level)| *level).collect();
                prop_assert!(worse.is_sorted_by(|one, next| one < next), "{worse:?}");
                if over {
                    (alert, told) = (None, Vec::new());
                }
            }
        }
    }
}
