//! How things are said on pages: times, ages, states and their colours.

use std::time::Duration;

use crate::domain::{
    Timestamp,
    delivery::{Disposition, State},
    organization::SendMode,
    report::ResultState,
    text::counted,
    time::{Span, TimeZone},
};

/// A word in a colour.
#[derive(Debug, Clone)]
pub(super) struct Badge {
    /// `good`, `warn`, `bad`, `info` or `calm`.
    pub(super) tone: &'static str,
    /// What it says.
    pub(super) words: String,
}

/// A time to the second where somebody is, with the name of their clock: for pages about one organization.
pub(super) fn when_in(at: Timestamp, zone: &TimeZone) -> String {
    at.said_in(zone)
}

/// The same to the minute.
pub(super) fn minute_in(at: Timestamp, zone: &TimeZone) -> String {
    let text = at.said_in(zone);
    let clock = text.get(19..).unwrap_or_default();
    text.get(..16).map_or_else(|| text.clone(), |minute| format!("{minute}{clock}"))
}

/// A time to the second, in UTC: for pages that stand for several organizations.
pub(super) fn when(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or_else(|| text.clone(), |text| format!("{}Z", text.replace('T', " ")))
}

/// The same, or a dash.
pub(super) fn when_if(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), when)
}

/// A length of time, in its two largest units.
pub(super) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A length of time that somebody has set, in the largest unit that says it exactly.
pub(super) fn lasting(span: Span) -> String {
    let millis = span.0.as_millis();
    let units =
        [(86_400_000, "day", "days"), (3_600_000, "hour", "hours"), (60_000, "minute", "minutes"), (1_000, "second", "seconds")];
    let unit = units.into_iter().find(|(each, ..)| millis >= *each && millis.is_multiple_of(*each));
    let Some((each, one, many)) = unit else { return span.to_string() };
    counted(u64::try_from(millis / each).unwrap_or(u64::MAX), one, many)
}

/// A word of the product as people read it: `on_wire` is `on wire`.
pub(super) fn plain(word: &str) -> String {
    word.replace('_', " ")
}

pub(super) const fn tone_of_state(state: State) -> &'static str {
    match state {
        State::Accepted => "good",
        State::Refused => "bad",
        State::Held | State::Unknown => "warn",
        State::Queued | State::Claimed | State::OnWire => "info",
        State::Cancelled | State::Superseded => "calm",
    }
}

pub(super) fn state(state: State) -> Badge {
    Badge { tone: tone_of_state(state), words: plain(state.as_str()) }
}

pub(super) fn result_state(state: ResultState) -> Badge {
    let tone = match state {
        ResultState::Routed => "good",
        ResultState::Held => "warn",
        ResultState::Received | ResultState::Waiting => "info",
        ResultState::NotSent => "calm",
    };
    Badge { tone, words: plain(state.as_str()) }
}

pub(super) const fn tone_of_disposition(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Processed | Disposition::Dispatched => "good",
        Disposition::Failed | Disposition::Expired => "bad",
        Disposition::Unconfirmed => "warn",
        Disposition::Awaited => "info",
        Disposition::NotExpected => "calm",
    }
}

pub(super) fn disposition(disposition: Disposition) -> Badge {
    Badge { tone: tone_of_disposition(disposition), words: plain(disposition.as_str()) }
}

/// How an identity sends.
pub(super) const fn sends(mode: SendMode) -> &'static str {
    match mode {
        SendMode::StaRelay => "sealed here, by a HISP's relay",
        SendMode::StaMx => "sealed here, to the recipient's server",
        SendMode::Edge => "sealed by the HISP",
    }
}

/// Where a candidate comes from: `deliver_to[0]` is the first recipient on the order.
pub(super) fn origin(origin: &str) -> String {
    let place =
        origin.strip_prefix("deliver_to[").and_then(|rest| rest.strip_suffix(']')).and_then(|place| place.parse::<u32>().ok());
    place.map_or_else(|| plain(origin), |place| format!("recipient {} on the order", u64::from(place) + 1))
}

/// What an event says besides: a word of ours as people read it, a sentence as it is.
pub(super) fn detail(text: &str) -> String {
    let word = text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if word { plain(text) } else { text.to_owned() }
}

/// So many octets.
pub(super) fn octets(count: i64) -> String {
    match count {
        ..=999 => format!("{count} B"),
        1_000..=999_999 => format!("{}.{} kB", count / 1_000, count / 100 % 10),
        _ => format!("{}.{} MB", count / 1_000_000, count / 100_000 % 10),
    }
}

/// What a form has said, as the beginning of a query of a URL: what is empty was not said.
pub(super) fn said(fields: &[(&str, &String)]) -> String {
    fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .fold(String::new(), |said, (name, value)| said + name + "=" + &query(value) + "&")
}

/// A value within a query of a URL.
pub(super) fn query(value: &str) -> String {
    value
        .bytes()
        .map(|b| if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_said_in_its_two_largest_units() {
        let said: Vec<String> = [5, 61, 3_725, 7_200, 90_000, 172_800].into_iter().map(|s| age(Duration::from_secs(s))).collect();
        assert_eq!(said, ["5 s", "1 min", "1 h 2 min", "2 h", "1 d 1 h", "2 d"]);
    }

    #[test]
    fn a_span_is_said_in_whole_units() {
        let said = ["1d", "36h", "75m", "1h", "90s", "250ms"].map(|text| lasting(text.parse().unwrap()));
        assert_eq!(said, ["1 day", "36 hours", "75 minutes", "1 hour", "90 seconds", "250ms"]);
    }

    #[test]
    fn a_candidate_is_called_by_where_it_comes_from() {
        assert_eq!(
            ["deliver_to[0]", "deliver_to[11]", "worklist", "deliver_to[x]"].map(origin),
            ["recipient 1 on the order", "recipient 12 on the order", "worklist", "deliver to[x]"]
        );
    }

    #[test]
    fn a_time_of_an_organization_names_the_clock_it_is_told_by() {
        let zone: TimeZone = "America/New_York".parse().unwrap();
        let at = |text: &str| text.parse::<crate::domain::OffsetTime>().unwrap().at;
        assert_eq!(when_in(at("2026-01-15T15:15:30Z"), &zone), "2026-01-15 10:15:30 EST");
        // The hour that comes twice.
        assert_eq!(minute_in(at("2026-11-01T05:30:00Z"), &zone), "2026-11-01 01:30 EDT");
        assert_eq!(minute_in(at("2026-11-01T06:30:00Z"), &zone), "2026-11-01 01:30 EST");
    }

    #[test]
    fn what_stands_in_a_query_cannot_end_it() {
        assert_eq!(query("a&b=c d\"<"), "a%26b%3Dc%20d%22%3C");
    }
}
