//! First passwords: made here, seen once, good only to choose another.

use zeroize::Zeroizing;

use super::{CryptoError, random};

const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password nobody has seen: 100 random bits, in letters nobody takes for others.
///
/// # Errors
/// When there is no randomness.
pub fn first_password() -> Result<Zeroizing<String>, CryptoError> {
    let mut octets = Zeroizing::new([0; 20]);
    random(&mut octets[..])?;
    let letters: String = octets.iter().map(|octet| char::from(LETTERS[usize::from(octet % 32)])).collect();
    Ok(Zeroizing::new([&letters[..5], &letters[5..10], &letters[10..15], &letters[15..]].join("-")))
}
