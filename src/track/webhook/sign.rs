//! Signatures of webhooks: HMAC-SHA-256 over id, time and body, in base64 (Standard Webhooks 1.0.0, "Signature scheme").

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

use crate::{
    crypto::{CryptoError, hash::hmac_sha256, random},
    domain::Timestamp,
};

/// What a secret begins with when it is written, so that people and programs know what they have before them.
pub const PREFIX: &str = "whsec_";
/// So many octets a secret has at least and at most.
const OCTETS: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret that the two ends of one webhook share. Wiped when dropped, never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Zeroizing<Vec<u8>>);

/// What is wrong with a secret. It never shows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// It is no base64.
    #[error("must be base64, best with whsec_ before it")]
    Form,
    /// It is too short or too long.
    #[error("must be 24 to 64 octets long before it is written as base64")]
    Length,
}

impl SigningSecret {
    /// A new one of 32 octets.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut octets = Zeroizing::new(vec![0; 32]);
        random(&mut octets)?;
        Ok(Self(octets))
    }

    /// Reads one as people hand it on, with or without its prefix.
    ///
    /// # Errors
    /// [`BadSecret`].
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let text = text.trim();
        let octets = BASE64_STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| BadSecret::Form)?;
        Self::from_octets(Zeroizing::new(octets))
    }

    /// Takes one as it was kept.
    ///
    /// # Errors
    /// [`BadSecret::Length`].
    pub fn from_octets(octets: Zeroizing<Vec<u8>>) -> Result<Self, BadSecret> {
        if OCTETS.contains(&octets.len()) { Ok(Self(octets)) } else { Err(BadSecret::Length) }
    }

    /// Its octets, to be kept encrypted.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// As it is handed to whoever runs the other end: shown once.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", BASE64_STANDARD.encode(&*self.0)))
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

/// The value of `webhook-signature`: one signature for each secret, so that while a secret is replaced the other end may
/// still know only the old one. `id` must hold no full stop: it would shift the border to the time.
///
/// # Errors
/// [`CryptoError::Library`].
pub fn sign<'a>(
    secrets: impl IntoIterator<Item = &'a SigningSecret>,
    id: &str,
    at: Timestamp,
    body: &[u8],
) -> Result<String, CryptoError> {
    let stamp = seconds(at).to_string();
    let mut signatures = Vec::new();
    for secret in secrets {
        let hash = hmac_sha256(&secret.0, &[id.as_bytes(), b".", stamp.as_bytes(), b".", body])?;
        signatures.push(format!("v1,{}", BASE64_STANDARD.encode(hash)));
    }
    Ok(signatures.join(" "))
}

/// The value of `webhook-timestamp`: whole seconds since 1970.
#[must_use]
pub const fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_the_one_other_implementations_make() {
        let secret = SigningSecret::parse(SECRET).unwrap();
        let at = Timestamp(1_614_265_330_999_999);
        let signature = sign([&secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_a_secret_is_replaced_both_sign() {
        let (old, new) = (SigningSecret::parse(SECRET).unwrap(), SigningSecret::generate().unwrap());
        let one = |secret| sign([secret], "id", Timestamp(0), b"body").unwrap();
        assert_eq!(sign([&new, &old], "id", Timestamp(0), b"body").unwrap(), format!("{} {}", one(&new), one(&old)));
    }

    #[test]
    fn a_secret_reads_back_and_shows_itself_only_when_asked() {
        let secret = SigningSecret::generate().unwrap();
        assert_eq!(SigningSecret::parse(&secret.reveal()).as_ref(), Ok(&secret));
        assert_eq!(SigningSecret::parse(&format!(" {}\n", *secret.reveal())).as_ref(), Ok(&secret));
        assert_eq!(format!("{secret:?}"), "SigningSecret(..)");
        assert_ne!(secret, SigningSecret::generate().unwrap());
    }

    #[test]
    fn a_weak_or_unreadable_secret_is_refused() {
        assert_eq!(SigningSecret::parse("whsec_c2hvcnQ="), Err(BadSecret::Length));
        assert_eq!(SigningSecret::parse("whsec_not base64"), Err(BadSecret::Form));
        assert_eq!(SigningSecret::parse(""), Err(BadSecret::Length));
    }
}
