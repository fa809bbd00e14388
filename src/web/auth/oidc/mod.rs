//! Signing in through an OpenID provider (OpenID Connect Core 1.0, the code flow; RFC 9700 for what goes wrong with it).
//!
//! A visitor is led to the provider and comes back with a code; the code is exchanged, by us and not by the browser, for a signed
//! token that says who they are. Nothing is kept meanwhile: `state`, `nonce` and the verifier of PKCE are all made from a secret
//! that only the visitor's browser has, so another browser cannot come back in their place.

/// What the token says.
mod claims;
/// A visitor on the way through.
mod passage;
/// The provider.
mod provider;
/// Who it is here.
mod welcome;

pub(in crate::web) use passage::{Back, Passage};
pub use provider::Provider;
pub(in crate::web) use welcome::welcome;

use crate::{crypto::CryptoError, net::fetch::FetchError, store::StoreError};

/// Why nobody was let in this way. What a visitor is told is one sentence for all; this is for the log.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider does not answer.
    #[error("the provider cannot be asked for {what}")]
    Fetch {
        /// For what.
        what: &'static str,
        /// Why not.
        #[source]
        cause: FetchError,
    },
    /// It answers with something else than what was asked for.
    #[error("the provider answered {status} when it was asked for {what}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// It failed a moment ago.
    #[error("the provider did not answer a moment ago and is left alone for some seconds")]
    Resting,
    /// What it says of itself cannot be.
    #[error("what the provider says about itself cannot be used: {0}")]
    Metadata(&'static str),
    /// The way back is not the way of this browser, or not of this provider.
    #[error("the way back is not the one that was begun: {0}")]
    Passage(&'static str),
    /// The provider did not let them in.
    #[error("the provider refused ({0})")]
    Refused(String),
    /// Its token is not to be believed.
    #[error("the token is not to be believed: {0}")]
    Token(&'static str),
    /// Its token is not signed by it.
    #[error("the token is not to be believed")]
    Signature(#[from] crate::crypto::jws::JwsError),
    /// Nobody here is meant.
    #[error("nobody here is meant: {0}")]
    Unknown(&'static str),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl OidcError {
    /// Whether the visitor may have better luck in a while: it was no try to get in.
    pub(in crate::web) const fn is_trouble(&self) -> bool {
        matches!(
            self,
            Self::Fetch { .. }
                | Self::Status { status: 500.., .. }
                | Self::Resting
                | Self::Metadata(_)
                | Self::Store(_)
                | Self::Crypto(_)
        )
    }
}
