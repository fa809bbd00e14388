//! What an organization wants to be told of: the section `[alerts]` of its file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::AlertKind;
use crate::domain::{
    DirectAddress, Timestamp,
    time::{Span, TimeZone},
    words,
};

words! {
    /// A day of the week.
    #[expect(missing_docs, reason = "everybody knows them")]
    pub enum Weekday {
        Monday = "mon",
        Tuesday = "tue",
        Wednesday = "wed",
        Thursday = "thu",
        Friday = "fri",
        Saturday = "sat",
        Sunday = "sun",
    }
}

/// Who in the organization is told of what is its own: urgent results that do not arrive, results that are held, the end of
/// its certificates, silence of its sources. Mails go out in plain text and never name a patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRules {
    /// Plain e-mail addresses. None: only the installation's operators are told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<DirectAddress>,
    /// Who is told too when nobody has cared for an urgent result in time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub escalate_to: Vec<DirectAddress>,
    /// Kinds of alerts that it does not want to hear of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<AlertKind>,
    /// How long an urgent result may take until a relay has accepted it; without it as in the installation's `[alerts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent_accepted: Option<Span>,
    /// How long an urgent result may then wait for its notice; without it as in the installation's `[alerts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub urgent_answered: Option<Span>,
    /// From how many things that wait for a person on somebody is told; without it as in the installation's `[alerts]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// Its results come at least so often. Without it silence is not noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_within: Option<Span>,
    /// The days on which results come, in its time zone; the time of other days does not count.
    pub expect_days: Vec<Weekday>,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            to: Vec::new(),
            escalate_to: Vec::new(),
            off: Vec::new(),
            urgent_accepted: None,
            urgent_answered: None,
            held: None,
            expect_within: None,
            expect_days: Weekday::ALL.to_vec(),
        }
    }
}

impl AlertRules {
    /// What is wrong: the field, and why.
    pub(in crate::domain) fn problems(&self) -> Vec<(String, &'static str)> {
        let spans = [
            ("alerts.urgent_accepted", self.urgent_accepted),
            ("alerts.urgent_answered", self.urgent_answered),
            ("alerts.expect_within", self.expect_within),
        ];
        let zero = spans.into_iter().filter(|(_, span)| span.is_some_and(|span| span.0.is_zero()));
        let mut problems: Vec<_> = zero.map(|(field, _)| (field.to_owned(), "must be longer than nothing")).collect();
        if self.expect_days.is_empty() {
            problems.push(("alerts.expect_days".to_owned(), "must name a day like \"mon\""));
        }
        if self.held == Some(0) {
            problems.push(("alerts.held".to_owned(), "must be at least 1"));
        }
        if !self.escalate_to.is_empty() && self.to.is_empty() {
            problems.push(("alerts.escalate_to".to_owned(), "is a second tier: name the first in alerts.to"));
        }
        problems
    }
}

/// Longest silence that is counted.
const MOST_DAYS: usize = 400;

/// How long nothing has come since `last`, counting only the time of `days` in `zone`.
#[must_use]
pub fn quiet_for(last: Timestamp, now: Timestamp, days: &[Weekday], zone: &TimeZone) -> Duration {
    if days.len() >= Weekday::ALL.len() {
        return now.since(last);
    }
    let mut quiet = Duration::ZERO;
    let mut day = zone.date_at(last);
    for _ in 0..MOST_DAYS {
        let (begins, ends) = (zone.start_of(day), zone.start_of(day.next()));
        if begins >= now {
            break;
        }
        if days.contains(&Weekday::ALL[day.days_after_monday()]) {
            quiet += ends.min(now).since(begins.max(last));
        }
        day = day.next();
    }
    quiet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weekend_does_not_count_where_nobody_works_then() {
        let zone: TimeZone = "America/New_York".parse().unwrap();
        let at = |text: &str| text.parse::<crate::domain::OffsetTime>().unwrap().at;
        let working = &Weekday::ALL[..5];
        // Friday 17:00 to Monday 09:00.
        let (friday, monday) = (at("2026-03-06T17:00:00-05:00"), at("2026-03-09T09:00:00-04:00"));
        assert_eq!(quiet_for(friday, monday, working, &zone), Duration::from_hours(7 + 9));
        assert_eq!(quiet_for(friday, monday, Weekday::ALL, &zone), Duration::from_hours(63), "an hour was skipped in the night");
        assert_eq!(quiet_for(monday, friday, working, &zone), Duration::ZERO);
        let tuesday = at("2026-03-10T09:00:00-04:00");
        assert_eq!(quiet_for(monday, tuesday, working, &zone), Duration::from_hours(24));
    }

    #[test]
    fn mistakes_are_named() {
        let rules: AlertRules =
            toml::from_str("expect_within = \"0s\"\nexpect_days = []\nescalate_to = [\"a@b.example\"]\nheld = 0").unwrap();
        let fields: Vec<String> = rules.problems().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["alerts.expect_within", "alerts.expect_days", "alerts.held", "alerts.escalate_to"]);
        assert!(toml::from_str::<AlertRules>("off = [\"hled\"]").is_err());
    }
}
