//! Codes of six digits that change every half minute (TOTP, RFC 6238, over HOTP, RFC 4226).

use zeroize::Zeroizing;

use super::{CryptoError, hash::hmac_sha1, random};
use crate::domain::Timestamp;

/// How long a code is good, in seconds: what every app for it expects.
const STEP: i64 = 30;
const DIGITS: u32 = 6;
/// RFC 4648 6.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a telephone and we both know.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A new one of 160 bits (RFC 4226 4, R6).
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut octets = Zeroizing::new(vec![0; 20]);
        random(&mut octets)?;
        Ok(Self(octets))
    }

    /// One that was kept.
    #[must_use]
    pub fn from_octets(octets: Zeroizing<Vec<u8>>) -> Self {
        Self(octets)
    }

    /// To be kept, encrypted.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// As people type it (base32, RFC 4648 6, without padding).
    #[must_use]
    pub fn base32(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        for chunk in self.0.chunks(5) {
            let mut group = [0; 8];
            group[3..3 + chunk.len()].copy_from_slice(chunk);
            let bits = u64::from_be_bytes(group);
            for place in 0..(chunk.len() * 8).div_ceil(5) {
                text.push(char::from(ALPHABET[usize::try_from(bits >> (35 - place * 5) & 31).unwrap_or(0)]));
            }
        }
        text
    }

    /// What the picture for the telephone says. `issuer` and `account` are letters, digits and `@.-_`; others are left out.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let plain =
            |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric() || "@.-_".contains(*c)).collect() };
        let (issuer, account) = (plain(issuer), plain(account));
        Zeroizing::new(format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", *self.base32()))
    }

    /// The step whose code this is: the present one, or one of its neighbours, because clocks differ. Nothing when it is no
    /// good. A code is good once: refuse a step that is not after the last one used (RFC 6238 5.2).
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn step_of(&self, code: &str, now: Timestamp) -> Result<Option<i64>, CryptoError> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let present = now.micros().div_euclid(1_000_000).div_euclid(STEP);
        let mut found = None;
        for step in [present - 1, present, present + 1] {
            // The newest that fits; all three are looked at, however soon one fits.
            if alike(&self.code(step)?, &digits) {
                found = Some(step);
            }
        }
        Ok(found)
    }

    /// The code of a step.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn code(&self, step: i64) -> Result<String, CryptoError> {
        // RFC 4226 5.3
        let hash = hmac_sha1(&self.0, &step.to_be_bytes())?;
        let offset = usize::from(hash[19] & 15);
        let mut word = [0; 4];
        word.copy_from_slice(&hash[offset..offset + 4]);
        let number = (u32::from_be_bytes(word) & 0x7fff_ffff) % 10_u32.pow(DIGITS);
        Ok(format!("{number:06}"))
    }
}

fn alike(one: &str, other: &str) -> bool {
    one.len() == other.len() && openssl::memcmp::eq(one.as_bytes(), other.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(octets: &[u8]) -> Secret {
        Secret::from_octets(Zeroizing::new(octets.to_vec()))
    }

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let secret = secret(b"12345678901234567890");
        for (second, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000_i64, "353130")]
        {
            assert_eq!(secret.code(second / STEP).unwrap(), code);
        }
    }

    #[test]
    fn a_code_is_good_for_its_step_and_the_neighbours_and_says_which_it_was() {
        let secret = secret(b"12345678901234567890");
        let at = |second: i64| Timestamp(second * 1_000_000);
        let code = secret.code(100).unwrap();
        for (second, good) in [(2969, false), (2970, true), (3000, true), (3029, true), (3059, true), (3060, false)] {
            assert_eq!(secret.step_of(&code, at(second)).unwrap(), good.then_some(100), "{second}");
        }
        let spaced = format!("{} {}", &code[..3], &code[3..]);
        assert_eq!(secret.step_of(&spaced, at(3000)).unwrap(), Some(100));
        for bad in ["", "1", "00000000", "abcdef"] {
            assert_eq!(secret.step_of(bad, at(3000)).unwrap(), None);
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        for (octets, text) in [(&b"foobar"[..], "MZXW6YTBOI"), (b"fooba", "MZXW6YTB"), (b"f", "MY"), (b"", "")] {
            assert_eq!(*secret(octets).base32(), text);
        }
        let uri = secret(b"foobar").uri("Postern", "jo@lab.example\r\n&x");
        assert_eq!(*uri, "otpauth://totp/Postern:jo@lab.examplex?secret=MZXW6YTBOI&issuer=Postern");
    }
}
