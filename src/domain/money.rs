//! Money in micro-units of a currency: decimal, exact, never a float.

use std::{fmt, str::FromStr};

/// An amount in micro-units (1 USD = 1 000 000). Signed: a credit is negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

const MICROS: i64 = 1_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From micro-units.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// In micro-units.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The sum, or `None` when it does not fit.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// What is left, or `None` when it does not fit.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// So many times this, or `None` when it does not fit.
    #[must_use]
    pub fn times(self, quantity: i64) -> Option<Self> {
        self.0.checked_mul(quantity).map(Self)
    }

    /// This in so many decimals (at most six), half away from zero: what is given back is as much as was taken.
    #[must_use]
    pub const fn rounded(self, decimals: u32) -> Self {
        let step = match 6_u32.checked_sub(decimals) {
            Some(places) => 10_i64.pow(places),
            None => 1,
        };
        let rest = self.0 % step;
        let cut = self.0 - rest;
        Self(if rest.saturating_abs() * 2 >= step { cut.saturating_add(step * rest.signum()) } else { cut })
    }
}

impl std::ops::Neg for Money {
    type Output = Self;

    /// As much the other way.
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// Prints at least two and at most six decimals: `0.25`, `-12.50`, `0.0125`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let micros = MICROS.unsigned_abs();
        let fraction = format!("{:06}", magnitude % micros);
        let kept = fraction.trim_end_matches('0').len().max(2);
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{}", magnitude / micros, &fraction[..kept])
    }
}

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMoney {
    /// Not a plain decimal number.
    #[error("is not an amount like 0.25")]
    Shape,
    /// More than six decimals.
    #[error("has more than six decimals")]
    TooFine,
    /// Does not fit.
    #[error("is too large")]
    TooLarge,
}

impl FromStr for Money {
    type Err = BadMoney;

    fn from_str(text: &str) -> Result<Self, BadMoney> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return Err(BadMoney::Shape);
        }
        if fraction.len() > 6 {
            return Err(BadMoney::TooFine);
        }
        let whole: i64 = whole.parse().map_err(|_| BadMoney::TooLarge)?;
        let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| BadMoney::Shape)?;
        let micros = whole.checked_mul(MICROS).and_then(|m| m.checked_add(fraction)).ok_or(BadMoney::TooLarge)?;
        Ok(Self(if negative { -micros } else { micros }))
    }
}

super::serde_as_text!(Money);

/// An ISO 4217 currency code.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency(String);

/// Not a currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a three-letter currency code like USD")]
pub struct BadCurrency;

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many decimals its smallest coin has (ISO 4217).
    #[must_use]
    pub fn decimals(&self) -> u32 {
        match self.0.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV"
            | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self("USD".to_owned())
    }
}

impl FromStr for Currency {
    type Err = BadCurrency;
    fn from_str(text: &str) -> Result<Self, BadCurrency> {
        if text.len() == 3 && text.bytes().all(|b| b.is_ascii_uppercase()) { Ok(Self(text.to_owned())) } else { Err(BadCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::serde_as_text!(Currency);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_print_as_people_write_them() {
        for (text, micros) in
            [("0.25", 250_000), ("-0.25", -250_000), ("12.50", 12_500_000), ("0.012345", 12_345), ("3.00", 3_000_000)]
        {
            assert_eq!(text.parse::<Money>(), Ok(Money(micros)));
            assert_eq!(Money(micros).to_string(), text);
        }
        assert_eq!("3".parse::<Money>(), Ok(Money(3_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (text, why) in [
            ("", BadMoney::Shape),
            (".5", BadMoney::Shape),
            ("1e3", BadMoney::Shape),
            ("+1", BadMoney::Shape),
            ("1,50", BadMoney::Shape),
            ("0.1234567", BadMoney::TooFine),
            ("99999999999999999999", BadMoney::TooLarge),
        ] {
            assert_eq!(text.parse::<Money>(), Err(why), "{text}");
        }
    }

    #[test]
    fn rounding_is_half_away_from_zero_so_that_a_credit_takes_back_what_was_charged() {
        for (micros, decimals, rounded) in
            [(5_000, 2, 10_000), (4_999, 2, 0), (-5_000, 2, -10_000), (37_500, 2, 40_000), (1_500_000, 0, 2_000_000), (7, 6, 7)]
        {
            assert_eq!(Money(micros).rounded(decimals), Money(rounded), "{micros}");
        }
    }

    proptest! {
        #[test]
        fn printing_round_trips(micros in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            prop_assert_eq!(Money(micros).to_string().parse::<Money>(), Ok(Money(micros)));
        }
    }
}
