//! Hashes of passwords: argon2id (RFC 9106), written as PHC strings. Slow on purpose: call it where waiting hurts nobody.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use zeroize::Zeroizing;

use super::{CryptoError, random, same};

/// What one hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// KiB of memory.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// The least that OWASP's Password Storage Cheat Sheet recommends: 19 MiB, 2 passes, 1 lane.
    pub const OWASP: Self = Self { memory: 19 * 1024, passes: 2 };
}

/// Hashes `password` with a new salt.
///
/// # Errors
/// When there is no memory or no randomness.
pub fn hash(password: &str, cost: Cost) -> Result<String, CryptoError> {
    let mut salt = [0; 16];
    random(&mut salt)?;
    let digest = compute(password, &salt, cost)?;
    let Cost { memory, passes } = cost;
    let (salt, digest) = (BASE64_STANDARD_NO_PAD.encode(salt), BASE64_STANDARD_NO_PAD.encode(&digest[..]));
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p=1${salt}${digest}"))
}

/// Whether `password` is the one that was hashed; `None` when `hashed` is no hash of ours.
///
/// # Errors
/// When there is no memory.
pub fn verify(password: &str, hashed: &str) -> Result<Option<bool>, CryptoError> {
    let Some((cost, salt, digest)) = parse(hashed) else { return Ok(None) };
    Ok(Some(same(&*compute(password, &salt, cost)?, &digest)))
}

/// Whether `hashed` was made at another cost than is asked for now.
#[must_use]
pub fn outdated(hashed: &str, cost: Cost) -> bool {
    parse(hashed).is_none_or(|(made, ..)| made != cost)
}

fn compute(password: &str, salt: &[u8], cost: Cost) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    let params = Params::new(cost.memory, cost.passes, 1, Some(32)).map_err(CryptoError::Password)?;
    let mut digest = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut digest[..])
        .map_err(CryptoError::Password)?;
    Ok(digest)
}

fn parse(hashed: &str) -> Option<(Cost, Vec<u8>, [u8; 32])> {
    let rest = hashed.strip_prefix("$argon2id$v=19$m=")?;
    let (memory, rest) = rest.split_once(",t=")?;
    let (passes, rest) = rest.split_once(",p=1$")?;
    let (salt, digest) = rest.split_once('$')?;
    let cost = Cost { memory: memory.parse().ok()?, passes: passes.parse().ok()? };
    let digest = BASE64_STANDARD_NO_PAD.decode(digest).ok()?.try_into().ok()?;
    Some((cost, BASE64_STANDARD_NO_PAD.decode(salt).ok()?, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Cost = Cost { memory: 64, passes: 1 };

    #[test]
    fn the_same_password_is_known_again_and_no_other() {
        let hashed = hash("correct horse battery staple", QUICK).unwrap();
        assert_eq!(verify("correct horse battery staple", &hashed).unwrap(), Some(true));
        assert_eq!(verify("correct horse battery stapl", &hashed).unwrap(), Some(false));
        assert_ne!(hash("correct horse battery staple", QUICK).unwrap(), hashed, "salted");
        assert_eq!(verify("x", "plain text").unwrap(), None);
    }

    #[test]
    fn a_hash_made_elsewhere_verifies() {
        // printf correct-horse | argon2 somesaltsomesalt -id -t 2 -k 19456 -p 1 -l 32 -e
        let elsewhere = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$TdI5cnchMhrqnzqHtY21WpptqQD8X8yJ8W98rfhov1c";
        assert_eq!(verify("correct-horse", elsewhere).unwrap(), Some(true));
        assert!(!outdated(elsewhere, Cost::OWASP) && outdated(elsewhere, QUICK));
    }
}
