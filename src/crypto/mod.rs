//! Hashes, AEAD, keyed hashes, base64 lines, DER: what any step may use.

/// Sealed boxes at rest: version, key id, nonce, AES-256-GCM.
pub mod aead;
/// Base64 in lines of 76 characters, as mail wants it.
pub mod base64_lines;
/// A small DER writer and reader over the `der` crate.
pub mod der;
/// What can go wrong here.
pub mod error;
/// First passwords.
mod first_password;
/// HMAC-SHA-256 and hexadecimal text.
pub mod hash;
/// Signed tokens of others, checked with their public keys.
pub mod jws;
/// An organization's data key and what is derived from it.
pub mod keys;
/// The key that wraps every organization's data key.
pub mod master_key;
/// Hashes of passwords.
pub mod password;
/// Files that only their owner may read.
pub mod private;
/// SHA-1, only to name a document where a standard asks for it.
pub mod sha1;
/// SHA-256, at once and piece by piece.
pub mod sha256;
/// Ed25519 signatures.
pub mod signing;
/// Keys on a PKCS#11 token.
pub mod token;
/// Codes of six digits that change every half minute.
pub mod totp;

pub use base64_lines::base64_lines;
pub use error::CryptoError;
pub use first_password::first_password;
pub use hash::Hex;
pub use keys::DataKey;
pub use master_key::MasterKey;
pub use sha1::sha1;
pub use sha256::{Sha256, sha256};

/// A number nobody can foresee, for spreading waits. Without randomness they are merely not spread.
#[must_use]
pub fn draw() -> u16 {
    let mut octets = [0; 2];
    let _ = random(&mut octets);
    u16::from_ne_bytes(octets)
}

/// Whether two digests are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    openssl::memcmp::eq(one, other)
}

/// Fills `out` with random octets fit for keys and nonces.
///
/// # Errors
/// [`CryptoError::Library`] when the system has no randomness to give: nothing may go on then.
pub fn random(out: &mut [u8]) -> Result<(), CryptoError> {
    openssl::rand::rand_bytes(out).map_err(|cause| CryptoError::library("drawing random octets", cause))
}
