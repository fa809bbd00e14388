//! How long to wait before trying again.

use std::time::Duration;

use crate::{config::worker::WorkerSection, domain::order::Priority};

/// Doubling from the shortest wait to the longest, with jitter of a quarter either way, so that a relay that comes back
/// is not met by everybody at once. Urgent deliveries wait at most a quarter as long.
#[must_use]
pub fn after(settings: &WorkerSection, attempts: u32, priority: Priority) -> Duration {
    let doubled = settings.retry_min.0.saturating_mul(1 << attempts.min(16)).min(settings.retry_max.0);
    let wait = if priority == Priority::Urgent { doubled / 4 } else { doubled };
    jittered(wait)
}

/// How long to wait for something that has not answered for `so_far`: as long again, between the shortest wait and the
/// longest, with jitter.
#[must_use]
pub fn as_long_again(settings: &WorkerSection, so_far: Duration) -> Duration {
    jittered(so_far.clamp(settings.retry_min.0, settings.retry_max.0.max(settings.retry_min.0)))
}

/// `wait`, a quarter longer or shorter at random.
#[must_use]
pub fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness everybody waits the same: worse, not wrong.
    if crate::crypto::random(&mut random).is_err() {
        return wait;
    }
    let spread = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
    wait.mul_f64(0.75 + spread / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_urgent_ones_are_shorter() {
        let settings = WorkerSection::default();
        let within = |attempts, priority, expected: Duration| {
            for _ in 0..50 {
                let wait = after(&settings, attempts, priority);
                assert!(wait >= expected.mul_f64(0.74) && wait <= expected.mul_f64(1.26), "{wait:?} for {expected:?}");
            }
        };
        within(0, Priority::Routine, settings.retry_min.0);
        within(1, Priority::Routine, settings.retry_min.0 * 2);
        within(40, Priority::Routine, settings.retry_max.0);
        within(0, Priority::Urgent, settings.retry_min.0 / 4);
    }

    #[test]
    fn what_has_not_answered_for_long_is_asked_less_often() {
        let settings = WorkerSection::default();
        for (so_far, expected) in [(0, 30), (60, 60), (600, 600), (86_400, 1800)] {
            let wait = as_long_again(&settings, Duration::from_secs(so_far)).as_secs_f64();
            let expected = f64::from(expected);
            assert!(wait >= expected * 0.74 && wait <= expected * 1.26, "{wait} after {so_far}");
        }
    }

    #[test]
    fn waits_differ() {
        let waits: std::collections::HashSet<Duration> = (0..20).map(|_| jittered(Duration::from_secs(100))).collect();
        assert!(waits.len() > 10);
    }
}
