//! How long a certificate is still good.

use std::time::Duration;

use crate::domain::{
    Timestamp,
    time::{Date, TimeZone},
};

/// Less time than this is worth a word.
const SOON: Duration = Duration::from_hours(60 * 24);

/// `expired`, `expires soon` or nothing.
pub(crate) fn mark(until: Timestamp, now: Timestamp) -> &'static str {
    match until {
        until if until <= now => "expired",
        until if until < now.plus(SOON) => "expires soon",
        _ => "",
    }
}

/// The last day on which something that ends at `until` is still good, in UTC.
pub(crate) fn last_day(until: Timestamp) -> Date {
    TimeZone::utc().date_at(Timestamp(until.micros().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_days_before_its_end_a_certificate_is_marked() {
        let now = Timestamp(1_800_000_000_000_000);
        let day = Duration::from_hours(24);
        for (until, marked) in [(now, "expired"), (now.plus(day * 59), "expires soon"), (now.plus(day * 61), "")] {
            assert_eq!(mark(until, now), marked);
        }
    }

    #[test]
    fn what_ends_at_midnight_was_good_the_day_before() {
        let midnight = TimeZone::utc().start_of("2026-03-01".parse().unwrap());
        assert_eq!(last_day(midnight).to_string(), "2026-02-28");
    }
}
