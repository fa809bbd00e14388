//! What can go wrong with keys and sealed boxes.

use std::path::PathBuf;

/// Why a cryptographic operation failed. Never carries key material or plain text.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// The library refused; happens when the machine is out of memory or randomness.
    #[error("{doing} failed in the cryptographic library")]
    Library {
        /// What was being done.
        doing: &'static str,
        /// The library's own words.
        #[source]
        cause: openssl::error::ErrorStack,
    },
    /// Hashing a password failed; happens when the machine is out of memory.
    #[error("hashing a password failed: {0}")]
    Password(argon2::Error),
    /// Too short, or of a version this program does not know.
    #[error("the stored data is not in a form this version of the program reads")]
    NotABox,
    /// Sealed under a key other than the one at hand.
    #[error("the stored data was sealed with key {sealed_with}, not with {at_hand}")]
    OtherKey {
        /// The key it names.
        sealed_with: uuid::Uuid,
        /// The key that was tried.
        at_hand: uuid::Uuid,
    },
    /// The tag does not match: changed, moved to another row, or of another organization.
    #[error("the stored data was changed or does not belong in this place")]
    Tampered,
    /// A file with a key cannot be read or written.
    #[error("{doing} the key file {}", path.display())]
    KeyFile {
        /// `reading` or `writing`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Others on the machine could read the key.
    #[error("the key file {} can be read or written by others (mode {mode:04o}): run chmod 600 on it", path.display())]
    KeyFileOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not 32 octets, or plainly no key.
    #[error("the master key is not 32 random octets, written raw, as 64 hexadecimal digits or as base64")]
    NotAMasterKey,
}

impl CryptoError {
    pub(crate) const fn library(doing: &'static str, cause: openssl::error::ErrorStack) -> Self {
        Self::Library { doing, cause }
    }
}
