//! Months that are billed: from the first instant of the month to the first of the next, where the organization is.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    Timestamp,
    time::{BadTime, Date, TimeZone},
    words,
};

/// How long after its end a month is still open to what belongs to it, unless somebody closes it by force: three days.
pub const GRACE: Duration = Duration::from_hours(72);

words! {
    /// Where a period stands.
    pub enum PeriodState {
        /// It has not ended.
        Open = "open",
        /// It has ended; what belongs to it may still come.
        Grace = "grace",
        /// Nothing is written into it any more.
        Closed = "closed",
    }
}

/// A calendar month, `2026-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

impl Month {
    /// The month a date lies in.
    #[must_use]
    pub fn of(date: Date) -> Self {
        Self(date.first_of_month())
    }

    /// Its first day.
    #[must_use]
    pub const fn first(self) -> Date {
        self.0
    }

    /// Its last day.
    #[must_use]
    pub fn last(self) -> Date {
        self.0.last_of_month()
    }

    /// The month before.
    #[must_use]
    pub fn before(self) -> Self {
        Self(self.0.first_of_month_before())
    }

    /// The month after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.first_of_next_month())
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.0.to_string();
        f.write_str(day.strip_suffix("-01").unwrap_or(&day))
    }
}

/// Not a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a month like 2026-01")]
pub struct BadMonth;

impl FromStr for Month {
    type Err = BadMonth;
    fn from_str(text: &str) -> Result<Self, BadMonth> {
        let date: Result<Date, BadTime> = format!("{text}-01").parse();
        date.map(Self).map_err(|_| BadMonth)
    }
}

super::serde_as_text!(Month);

/// A month with its bounds as instants: half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Which month.
    pub month: Month,
    /// Its first instant.
    pub starts_at: Timestamp,
    /// The first instant no longer in it.
    pub ends_at: Timestamp,
}

impl Bounds {
    /// The month around `now` in `zone`: an organization's first.
    #[must_use]
    pub fn around(now: Timestamp, zone: &TimeZone) -> Self {
        let month = Month::of(zone.date_at(now));
        Self { month, starts_at: zone.start_of(month.first()), ends_at: zone.start_of(month.next().first()) }
    }

    /// The month after this one. It begins where this one ends, also when the organization has moved to another zone
    /// meanwhile: no instant is in two months, and none in no month.
    #[must_use]
    pub fn next(self, zone: &TimeZone) -> Self {
        let month = self.month.next();
        let ends_at = zone.start_of(month.next().first()).max(self.ends_at);
        Self { month, starts_at: self.ends_at, ends_at }
    }

    /// Where it stands at `now`, if nobody has closed it.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> PeriodState {
        if now < self.ends_at { PeriodState::Open } else { PeriodState::Grace }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::OffsetTime;

    fn at(text: &str) -> Timestamp {
        text.parse::<OffsetTime>().unwrap().at
    }

    #[test]
    fn a_month_is_written_as_year_and_month() {
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!((december.to_string(), december.next().to_string()), ("2026-12".into(), "2027-01".into()));
        for bad in ["2026", "2026-13", "2026-1", "26-01", "2026-01-01", ""] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_months_in_which_clocks_are_set_are_an_hour_shorter_and_longer() {
        let zone: TimeZone = "America/New_York".parse().unwrap();
        let hours = |now: &str| {
            let bounds = Bounds::around(at(now), &zone);
            bounds.ends_at.since(bounds.starts_at).as_secs() / 3600
        };
        assert_eq!(hours("2026-03-15T12:00:00Z"), 31 * 24 - 1);
        assert_eq!(hours("2026-11-15T12:00:00Z"), 30 * 24 + 1);
        assert_eq!(hours("2026-01-15T12:00:00Z"), 31 * 24);
        let november = Bounds::around(at("2026-11-01T04:00:00Z"), &zone);
        assert_eq!((november.month.to_string(), november.starts_at), ("2026-11".into(), at("2026-11-01T04:00:00Z")));
        assert_eq!(november.ends_at, at("2026-12-01T05:00:00Z"));
    }

    #[test]
    fn months_meet_without_gap_or_overlap_wherever_the_organization_moves() {
        let zones = ["America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/London", "UTC", "Asia/Kathmandu"];
        for from in zones {
            for to in zones {
                let (from, to): (TimeZone, TimeZone) = (from.parse().unwrap(), to.parse().unwrap());
                let mut month = Bounds::around(at("2026-01-31T23:30:00Z"), &from);
                for _ in 0..24 {
                    let next = month.next(&to);
                    assert_eq!((next.starts_at, next.month), (month.ends_at, month.month.next()));
                    assert!(next.ends_at > next.starts_at);
                    month = next;
                }
            }
        }
    }

    #[test]
    fn the_end_belongs_to_the_next_month() {
        let bounds = Bounds::around(at("2026-01-15T00:00:00Z"), &TimeZone::utc());
        assert_eq!(bounds.state(Timestamp(bounds.ends_at.micros() - 1)), PeriodState::Open);
        assert_eq!(bounds.state(bounds.ends_at), PeriodState::Grace);
    }
}
