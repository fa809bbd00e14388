//! `[revocation]`: what issuers publish about their certificates, and how it is fetched.

use super::section::section;
use crate::domain::{Network, time::Span};

section! {
    /// Revocation lists, OCSP answers and issuers' certificates: fetched from where certificates say, over http or https.
    /// How strictly they are demanded is said in each organization's file, in its section [trust].
    ["revocation"] RevocationSection {
        /// How often a list is asked for again while it still holds: the sooner a revocation is known here.
        refresh: Span = Span::seconds(3600),
        /// Longest time a list or an answer is used without having been fetched again, whatever it promises.
        max_age: Span = Span::seconds(7 * 24 * 3600),
        /// How long one delivery waits for all that it needs. The fetching goes on; the delivery is tried again.
        patience: Span = Span::seconds(5),
        /// How long one fetch may take.
        timeout: Span = Span::seconds(30),
        /// A server that did not answer is left alone this long.
        retry_after: Span = Span::seconds(60),
        /// Largest list taken, in bytes.
        list_bytes: usize = 16_777_216,
        /// Networks of ours that certificates may send us to, like `10.1.0.0/16`: for an authority of your own. All other
        /// private addresses are refused, as in `[discovery]`.
        allow: Vec<Network> = Vec::new(),
    }
}
