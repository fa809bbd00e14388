//! How things are said on pages: times, ages, states and their colours.

use std::time::Duration;

use crate::domain::{
    Timestamp,
    delivery::{Disposition, State},
    report::ResultState,
};

/// A word in a colour.
#[derive(Debug, Clone)]
pub(super) struct Badge {
    /// `good`, `warn`, `bad`, `info` or `calm`.
    pub(super) tone: &'static str,
    /// What it says.
    pub(super) words: String,
}

/// A time to the second, in UTC.
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
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
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
        let said: Vec<String> = [5, 61, 3_725, 90_000].into_iter().map(|s| age(Duration::from_secs(s))).collect();
        assert_eq!(said, ["5 s", "1 min", "1 h 2 min", "1 d 1 h"]);
    }

    #[test]
    fn what_stands_in_a_query_cannot_end_it() {
        assert_eq!(query("a&b=c d\"<"), "a%26b%3Dc%20d%22%3C");
    }
}
