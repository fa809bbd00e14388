//! Instants, calendar dates and the clock that is handed in.

use std::{fmt, str::FromStr, time::Duration};

/// An instant: microseconds since 1970-01-01T00:00:00Z. The database column is a BIGINT of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant plus `by`, at most the end of time.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This instant minus `by`, at least the beginning of time.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    fn jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX })
    }

    /// This instant in the time zone `zone` (IANA name).
    ///
    /// # Errors
    /// When the zone is unknown.
    pub fn in_zone(self, zone: &TimeZone) -> OffsetTime {
        let offset = zone.0.to_offset(self.jiff());
        OffsetTime { at: self, offset_minutes: i16::try_from(offset.seconds() / 60).unwrap_or(0) }
    }

    /// This instant for people in `zone`, with the name that its clocks go by then: `2026-01-15 10:15:30 EST`.
    #[must_use]
    pub fn said_in(self, zone: &TimeZone) -> String {
        self.jiff().to_zoned(zone.0.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// This instant as UTC with an explicit offset of zero.
    #[must_use]
    pub const fn utc(self) -> OffsetTime {
        OffsetTime { at: self, offset_minutes: 0 }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.jiff().fmt(f)
    }
}

/// An IANA time zone, known to exist.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeZone(jiff::tz::TimeZone);

impl TimeZone {
    /// UTC.
    #[must_use]
    pub fn utc() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }

    /// The first instant of `date` in this zone (a day that skips midnight starts later).
    #[must_use]
    pub fn start_of(&self, date: Date) -> Timestamp {
        let start = date.0.to_zoned(self.0.clone()).map(|z| z.timestamp().as_microsecond());
        Timestamp(start.unwrap_or(i64::MAX))
    }

    /// The calendar date at `at` in this zone.
    #[must_use]
    pub fn date_at(&self, at: Timestamp) -> Date {
        Date(at.jiff().to_zoned(self.0.clone()).date())
    }
}

impl FromStr for TimeZone {
    type Err = BadTime;
    fn from_str(text: &str) -> Result<Self, BadTime> {
        jiff::tz::TimeZone::get(text).map(Self).map_err(|_| BadTime::Zone)
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

super::serde_as_text!(TimeZone);

/// A calendar date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(jiff::civil::Date);

impl Date {
    /// The day after.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.tomorrow().unwrap_or(self.0))
    }

    /// The first day of this date's month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self(self.0.first_of_month())
    }

    /// The last day of this date's month.
    #[must_use]
    pub fn last_of_month(self) -> Self {
        Self(self.0.last_of_month())
    }

    /// The first day of the month before this date's.
    #[must_use]
    pub fn first_of_month_before(self) -> Self {
        let last = self.0.first_of_month().yesterday().unwrap_or(self.0);
        Self(last.first_of_month())
    }

    /// `MM/DD/YY`, as some American programs read dates.
    #[must_use]
    pub fn american(self) -> String {
        format!("{:02}/{:02}/{:02}", self.0.month(), self.0.day(), self.0.year().rem_euclid(100))
    }

    /// 0 on a Monday, 6 on a Sunday.
    #[must_use]
    pub fn days_after_monday(self) -> usize {
        usize::try_from(self.0.weekday().to_monday_zero_offset()).unwrap_or(0)
    }

    /// The first day of the month after this date's.
    #[must_use]
    pub fn first_of_next_month(self) -> Self {
        Self(self.0.last_of_month()).next()
    }
}

impl FromStr for Date {
    type Err = BadTime;
    fn from_str(text: &str) -> Result<Self, BadTime> {
        let shaped = text.len() == 10
            && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
        if !shaped {
            return Err(BadTime::Date);
        }
        text.parse().map(Self).map_err(|_| BadTime::Calendar)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

super::serde_as_text!(Date);

/// An instant together with the offset from UTC its author wrote it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetTime {
    /// The instant.
    pub at: Timestamp,
    /// Minutes east of UTC.
    pub offset_minutes: i16,
}

impl OffsetTime {
    fn civil(self) -> jiff::civil::DateTime {
        let offset = jiff::tz::Offset::from_seconds(i32::from(self.offset_minutes) * 60).unwrap_or(jiff::tz::Offset::UTC);
        offset.to_datetime(self.at.jiff())
    }

    /// Whether `text` is a bare local time with no offset, which needs the sender's zone to mean anything.
    #[must_use]
    pub fn lacks_offset(text: &str) -> bool {
        text.parse::<jiff::Timestamp>().is_err() && text.parse::<jiff::civil::DateTime>().is_ok()
    }

    /// The HL7 v3 form `YYYYMMDDHHMMSS±ZZZZ` (HL7 TS; no colons, no `Z`).
    #[must_use]
    pub fn hl7(self) -> String {
        let c = self.civil();
        let (sign, minutes) = (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs());
        format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}{sign}{:02}{:02}",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            c.second(),
            minutes / 60,
            minutes % 60
        )
    }

    /// The form of a mail `Date:` header (RFC 5322 3.3), e.g. `Thu, 15 Jan 2026 10:15:30 -0500`.
    #[must_use]
    pub fn rfc5322(self) -> String {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let c = self.civil();
        let (sign, minutes) = (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs());
        format!(
            "{}, {} {} {:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            DAYS[usize::try_from(c.weekday().to_monday_zero_offset()).unwrap_or(0)],
            c.day(),
            MONTHS[usize::try_from(c.month() - 1).unwrap_or(0)],
            c.year(),
            c.hour(),
            c.minute(),
            c.second(),
            minutes / 60,
            minutes % 60
        )
    }

    /// A form for people: `2026-01-15 10:15 -05:00`.
    #[must_use]
    pub fn plain(self) -> String {
        let c = self.civil();
        let (sign, minutes) = (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs());
        format!(
            "{:04}-{:02}-{:02} {:02}:{:02} {sign}{:02}:{:02}",
            c.year(),
            c.month(),
            c.day(),
            c.hour(),
            c.minute(),
            minutes / 60,
            minutes % 60
        )
    }
}

impl FromStr for OffsetTime {
    type Err = BadTime;

    /// RFC 3339 with an explicit offset: a local time without one is refused, because guessing moves the exam by hours.
    fn from_str(text: &str) -> Result<Self, BadTime> {
        if !text.contains(['T', 't']) {
            return Err(BadTime::Instant);
        }
        if Self::lacks_offset(text) {
            return Err(BadTime::NoOffset);
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| BadTime::Instant)?;
        let offset_minutes = match text.rfind(['+', '-']).filter(|at| *at > 10) {
            None => 0,
            Some(sign) => {
                let digits: String = text[sign + 1..].chars().filter(char::is_ascii_digit).take(4).collect();
                let number: i16 = format!("{digits:0<4}").parse().map_err(|_| BadTime::Instant)?;
                let minutes = number / 100 * 60 + number % 100;
                if text.as_bytes()[sign] == b'-' { -minutes } else { minutes }
            }
        };
        Ok(Self { at: Timestamp(at.as_microsecond()), offset_minutes })
    }
}

impl fmt::Display for OffsetTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        let (sign, minutes) = (if self.offset_minutes < 0 { '-' } else { '+' }, self.offset_minutes.unsigned_abs());
        write!(f, "{c}{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

super::serde_as_text!(OffsetTime);

/// A birth date to the precision it is known: year, month or day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirthDate(String);

impl BirthDate {
    /// As written: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The HL7 form: the same digits without dashes.
    #[must_use]
    pub fn hl7(&self) -> String {
        self.0.replace('-', "")
    }

    /// Whether the date lies after `today` as far as its precision tells.
    #[must_use]
    pub fn is_after(&self, today: Date) -> bool {
        let today = today.to_string();
        self.0.as_str() > &today[..self.0.len()]
    }
}

impl FromStr for BirthDate {
    type Err = BadTime;

    fn from_str(given: &str) -> Result<Self, BadTime> {
        let text = given.trim_matches(' ');
        let full = match text.len() {
            4 => format!("{text}-01-01"),
            7 => format!("{text}-01"),
            10 => text.to_owned(),
            _ => return Err(BadTime::Date),
        };
        full.parse::<Date>()?;
        if &full[..4] < "1850" {
            return Err(BadTime::Calendar);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::serde_as_text!(BirthDate);

/// Why a text is no date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTime {
    /// Not in the form of a date.
    #[error("is not a date like 1964-02-17")]
    Date,
    /// The form is right, the calendar has no such day.
    #[error("is not a day of the calendar")]
    Calendar,
    /// Not RFC 3339.
    #[error("is not a time like 2026-01-15T10:15:30-05:00")]
    Instant,
    /// A local time without its offset from UTC.
    #[error("has no offset from UTC (write e.g. 2026-01-15T10:15:30-05:00)")]
    NoOffset,
    /// Not an IANA time zone.
    #[error("is not a known time zone (write e.g. America/New_York)")]
    Zone,
}

/// Tells the time. Handed in everywhere, so that a test can decide what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock's instant.
    fn now(&self) -> Timestamp;
}

/// A length of time as people write it in configuration: `90s`, `60m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

impl FromStr for Span {
    type Err = BadSpan;
    fn from_str(text: &str) -> Result<Self, BadSpan> {
        let text = text.trim();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = text[..digits].parse().map_err(|_| BadSpan)?;
        let micros_each = match text[digits..].trim() {
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" | "min" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return Err(BadSpan),
        };
        number.checked_mul(micros_each).map(|micros| Self(Duration::from_micros(micros))).ok_or(BadSpan)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, each) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if millis >= each && millis.is_multiple_of(each) {
                return write!(f, "{}{unit}", millis / each);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// Not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a length of time like 90s, 60m, 24h or 7d")]
pub struct BadSpan;

super::serde_as_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_the_offset_it_was_written_in() {
        let time: OffsetTime = "2026-01-15T10:15:30-05:00".parse().unwrap();
        assert_eq!(time.hl7(), "20260115101530-0500");
        assert_eq!(time.rfc5322(), "Thu, 15 Jan 2026 10:15:30 -0500");
        assert_eq!(time.to_string(), "2026-01-15T10:15:30-05:00");
        assert_eq!("2026-01-15T15:15:30Z".parse::<OffsetTime>().unwrap().at, time.at);
        assert_eq!("2026-01-15T20:45:30+05:30".parse::<OffsetTime>().unwrap().offset_minutes, 330);
    }

    #[test]
    fn a_time_without_offset_or_calendar_day_is_refused() {
        assert_eq!("2026-01-15T10:15:30".parse::<OffsetTime>(), Err(BadTime::NoOffset));
        assert_eq!("2026-02-30T10:15:30Z".parse::<OffsetTime>(), Err(BadTime::Instant));
        assert_eq!("2026-01-15".parse::<OffsetTime>(), Err(BadTime::Instant));
    }

    #[test]
    fn birth_dates_have_three_precisions_and_a_calendar() {
        for (text, hl7) in [("1964", "1964"), ("1964-02", "196402"), ("1964-02-17", "19640217")] {
            assert_eq!(text.parse::<BirthDate>().unwrap().hl7(), hl7);
        }
        for bad in ["1964-02-30", "1964-13", "64-02-17", "19640217", "02/17/1964", "", "0001-01-01"] {
            assert!(bad.parse::<BirthDate>().is_err(), "{bad}");
        }
        assert!("2027".parse::<BirthDate>().unwrap().is_after("2026-11-21".parse().unwrap()));
        assert!(!"2026-11".parse::<BirthDate>().unwrap().is_after("2026-11-21".parse().unwrap()));
    }

    #[test]
    fn a_day_in_a_zone_is_half_open_across_daylight_saving() {
        let zone: TimeZone = "America/New_York".parse().unwrap();
        let day: Date = "2026-11-01".parse().unwrap();
        let length = zone.start_of(day.next()).since(zone.start_of(day));
        assert_eq!(length, Duration::from_hours(25));
    }

    #[test]
    fn spans_read_and_print_the_same() {
        for text in ["1s", "90s", "60m", "24h", "7d", "250ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        assert!("10".parse::<Span>().is_err());
        assert!("-5s".parse::<Span>().is_err());
    }
}
