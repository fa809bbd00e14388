//! Text a field may carry: no control characters, no header injection, a bounded length.

use std::fmt;

/// A word outside a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not one of {}", expected.join(", "))]
pub struct NotAWord {
    /// What was given.
    pub given: String,
    /// What would have been taken.
    pub expected: &'static [&'static str],
}

/// Why a text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Nothing but white space.
    #[error("is empty")]
    Empty,
    /// Longer than the field allows (characters).
    #[error("has {given} characters, more than the {limit} allowed")]
    TooLong {
        /// Characters given.
        given: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A control character: it would break a header, an HL7 segment or an XML document.
    #[error("has a control character (U+{0:04X})")]
    Control(u32),
}

/// Most characters an ordinary field may have.
pub const FIELD_LIMIT: usize = 250;

/// Checks one line of ordinary text: trimmed, not empty, no control character (C0, DEL, C1, line and paragraph
/// separators, turns of direction), at most `limit` characters.
///
/// # Errors
/// [`BadText`] names the first thing wrong.
pub fn line(text: &str, limit: usize) -> Result<&str, BadText> {
    let text = text.trim_matches(' ');
    if text.trim().is_empty() {
        return Err(BadText::Empty);
    }
    if let Some(found) = text.chars().find(|c| is_forbidden(*c)) {
        return Err(BadText::Control(found as u32));
    }
    let given = text.chars().count();
    if given > limit {
        return Err(BadText::TooLong { given, limit });
    }
    Ok(text)
}

/// A text that a spreadsheet would take for a formula, made a text again: a site's key or an address is chosen by others, and
/// a report is opened by somebody who trusts us.
#[must_use]
pub fn spreadsheet(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// A number with its noun: `1 row`, `2 rows`.
#[must_use]
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Control characters, the characters that some readers take for a line end, and those that turn the direction of what
/// follows (UAX 9 2.1-2.4): with them a name shows as another one. The marks that Arabic and Hebrew are written with
/// turn nothing and are taken.
#[must_use]
pub fn is_forbidden(c: char) -> bool {
    let turns = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}')
}

/// A value as the sender stated it: parsed, or kept as text with what is wrong with it.
///
/// An order is not refused for a bad NPI or address (the next routing rule applies), so the text has to live on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Stated<T> {
    /// It parsed.
    Valid(T),
    /// It did not; the text is kept for the operator.
    Invalid {
        /// The text as sent.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl<T: std::str::FromStr> Stated<T>
where
    T::Err: fmt::Display,
{
    /// Parses `text`, keeping it when it is not valid.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(value) => Self::Valid(value),
            Err(problem) => Self::Invalid { text: text.to_owned(), problem: T::Err::to_string(&problem) },
        }
    }
}

impl<T> Stated<T> {
    /// The value, when it is valid.
    pub fn valid(&self) -> Option<&T> {
        match self {
            Self::Valid(value) => Some(value),
            Self::Invalid { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_end_inside_a_field_is_refused() {
        assert_eq!(line("A\r\nBcc: x@y", FIELD_LIMIT), Err(BadText::Control(0x0D)));
        assert_eq!(line("A\u{2028}B", FIELD_LIMIT), Err(BadText::Control(0x2028)));
        assert_eq!(line("A\0B", FIELD_LIMIT), Err(BadText::Control(0)));
    }

    #[test]
    fn what_turns_the_direction_of_writing_is_refused_and_what_it_is_written_with_is_not() {
        assert_eq!(line("Morgan \u{202E}revirtseT", FIELD_LIMIT), Err(BadText::Control(0x202E)));
        assert_eq!(line("\u{2067}A\u{2069}", FIELD_LIMIT), Err(BadText::Control(0x2067)));
        assert!(line("\u{5d3}\u{5d5}\u{5d3}\u{200F} (David)", FIELD_LIMIT).is_ok());
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "delivery", "deliveries")), ["0 deliveries", "1 delivery", "2 deliveries"]);
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert_eq!(line("äöü", 3), Ok("äöü"));
        assert_eq!(line("äöü", 2), Err(BadText::TooLong { given: 3, limit: 2 }));
    }

    #[test]
    fn white_space_alone_is_empty() {
        assert_eq!(line("  \u{a0} ", FIELD_LIMIT), Err(BadText::Empty));
    }
}
