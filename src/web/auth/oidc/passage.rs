//! A visitor on the way through the provider.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;

use super::OidcError;
use crate::crypto::{CryptoError, hash::mark, same, sha256};

/// The way of one browser. Everything in it is made from the secret of its cookie.
#[derive(Debug)]
pub(in crate::web) struct Passage {
    /// Stands in the token, so that another's cannot be slipped in (OpenID Connect Core 1.0, 3.1.2.1).
    pub(super) nonce: String,
    /// What only we know of the exchange (RFC 7636 4.1).
    pub(super) verifier: String,
    secret: String,
}

/// What the browser brings back.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Back {
    pub(super) code: String,
    state: String,
    pub(super) error: String,
    pub(super) iss: String,
}

impl Passage {
    /// The one of the browser whose cookie holds `secret`.
    pub(in crate::web) fn of(secret: &str) -> Result<Self, CryptoError> {
        let made = |purpose: &str| mark(secret, purpose);
        Ok(Self { nonce: made("nonce")?, verifier: made("verifier")?, secret: secret.to_owned() })
    }

    /// What goes to the provider and comes back: that it is this browser's way, and where it wants to go then.
    pub(super) fn state(&self, next: &str) -> Result<String, CryptoError> {
        Ok(format!("{}.{}", self.state_mark(next)?, BASE64_URL_SAFE_NO_PAD.encode(next)))
    }

    fn state_mark(&self, next: &str) -> Result<String, CryptoError> {
        mark(&self.secret, &format!("state {next}"))
    }

    /// RFC 7636 4.2.
    pub(super) fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes()))
    }

    /// Where they wanted to go, if what came back is of this browser's way.
    pub(in crate::web) fn next(&self, back: &Back) -> Result<String, OidcError> {
        let wrong = || OidcError::Passage("the state is not this browser's");
        let (shown, next) = back.state.split_once('.').ok_or_else(wrong)?;
        let next = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(next).map_err(|_| wrong())?).map_err(|_| wrong())?;
        let made = self.state_mark(&next)?;
        if same(&sha256(shown.as_bytes()), &sha256(made.as_bytes())) { Ok(next) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_good_in_the_browser_it_was_made_for_and_nowhere_else() {
        let (mine, other) = (Passage::of("a").unwrap(), Passage::of("b").unwrap());
        let state = mine.state("/deliveries?state=held").unwrap();
        let back = |state: &str| Back { state: state.to_owned(), ..Back::default() };
        assert_eq!(mine.next(&back(&state)).unwrap(), "/deliveries?state=held");
        assert!(other.next(&back(&state)).is_err());
        let (mark, _) = state.split_once('.').unwrap();
        let elsewhere = format!("{mark}.{}", BASE64_URL_SAFE_NO_PAD.encode("/people"));
        for bad in [elsewhere.as_str(), mark, "", ".", "x.y", &state[1..]] {
            assert!(mine.next(&back(bad)).is_err(), "{bad}");
        }
        assert!(mine.nonce != mine.verifier && (43..=128).contains(&mine.verifier.len()), "RFC 7636 4.1");
    }
}
