//! What authorities publish about the certificates they issued.

use super::words;

words! {
    /// What an issuer published.
    pub enum StatementKind {
        /// A revocation list.
        List = "list",
        /// An OCSP answer about one certificate.
        Answer = "answer",
        /// The issuer's own certificate.
        Issuer = "issuer",
    }
}
