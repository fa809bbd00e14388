//! National Provider Identifier: ten digits, the first 1 or 2, the last a check digit (45 CFR 162.406).

use std::{fmt, str::FromStr};

/// A well-formed NPI. A right check digit is no evidence that it was ever issued.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Npi(String);

/// Why a text is not an NPI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNpi {
    /// Not ten digits.
    #[error("is not ten digits")]
    Shape,
    /// Does not begin with 1 or 2.
    #[error("does not begin with 1 or 2")]
    FirstDigit,
    /// The check digit does not match.
    #[error("has a wrong check digit")]
    CheckDigit,
}

impl Npi {
    /// The ten digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The Luhn sum of the card-issuer prefix `80840` (80 = health, 840 = USA), which every NPI carries unwritten.
const PREFIX_SUM: u32 = 24;

fn luhn_sum(digits: &[u8]) -> u32 {
    digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let d = u32::from(digit - b'0');
            if place % 2 == 0 { d } else { (2 * d) / 10 + (2 * d) % 10 }
        })
        .sum()
}

impl FromStr for Npi {
    type Err = BadNpi;

    fn from_str(given: &str) -> Result<Self, BadNpi> {
        let text = given.trim_matches(' ');
        if text.len() != 10 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(BadNpi::Shape);
        }
        if !text.starts_with(['1', '2']) {
            return Err(BadNpi::FirstDigit);
        }
        if !(PREFIX_SUM + luhn_sum(text.as_bytes())).is_multiple_of(10) {
            return Err(BadNpi::CheckDigit);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Npi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Npi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Npi({})", self.0)
    }
}

super::serde_as_text!(Npi);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_examples_are_valid() {
        for text in ["1234567893", "1245319599", "2000000010", "2000000044"] {
            assert!(text.parse::<Npi>().is_ok(), "{text}");
        }
    }

    #[test]
    fn fillers_and_typing_slips_are_refused() {
        for (text, why) in [
            ("1234567890", BadNpi::CheckDigit),
            ("1111111111", BadNpi::CheckDigit),
            ("9999999999", BadNpi::FirstDigit),
            ("0000000000", BadNpi::FirstDigit),
            ("9941339108", BadNpi::FirstDigit),
            ("", BadNpi::Shape),
            ("123456789", BadNpi::Shape),
            ("12345678931", BadNpi::Shape),
            ("１２３４５６７８９３", BadNpi::Shape),
        ] {
            assert_eq!(text.parse::<Npi>(), Err(why), "{text}");
        }
    }

    #[test]
    fn every_single_digit_error_is_caught() {
        let good = b"1234567893";
        for place in 1..10 {
            for digit in b'0'..=b'9' {
                let mut bad = *good;
                bad[place] = digit;
                let parsed = std::str::from_utf8(&bad).unwrap().parse::<Npi>();
                assert_eq!(parsed.is_ok(), bad == *good);
            }
        }
    }
}
