//! A sealed box at rest: `version 1 | key id 16 | nonce 12 | data, tag 16`, AES-256-GCM (NIST SP 800-38D).
//!
//! The version, the key id and the caller's statement of the place the box belongs in are authenticated with the data,
//! so a box cannot be moved to another row, organization or column unnoticed. Nonces are random: one key may seal
//! 2^32 boxes (SP 800-38D 8.3) before it has to be rotated.

use openssl::symm::{Cipher, Crypter, Mode};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CryptoError, random};

const VERSION: u8 = 1;
const KEY_ID: std::ops::Range<usize> = 1..17;
const NONCE: std::ops::Range<usize> = 17..29;
const HEADER: usize = NONCE.end;
const TAG: usize = 16;

/// How many octets a box is longer than what it holds.
pub const OVERHEAD: usize = HEADER + TAG;

/// A 256-bit key that is wiped when it is dropped.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// The id of the key `sealed` was sealed with; `None` when it is no box.
#[must_use]
pub fn key_id(sealed: &[u8]) -> Option<Uuid> {
    if sealed.len() < OVERHEAD || sealed[0] != VERSION {
        return None;
    }
    Uuid::from_slice(&sealed[KEY_ID]).ok()
}

/// Seals `plain` under `key` for the place `aad`.
pub(super) fn seal(key: &Key, id: Uuid, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let mut sealed = vec![0; HEADER + plain.len() + TAG];
    let (header, body) = sealed.split_at_mut(HEADER);
    header[0] = VERSION;
    header[KEY_ID].copy_from_slice(id.as_bytes());
    random(&mut header[NONCE])?;
    let mut encrypt = || {
        let mut cipher = Crypter::new(Cipher::aes_256_gcm(), Mode::Encrypt, &key[..], Some(&header[NONCE]))?;
        cipher.aad_update(&header[..KEY_ID.end])?;
        cipher.aad_update(aad)?;
        let written = cipher.update(plain, body)?;
        let written = written + cipher.finalize(&mut body[written..])?;
        cipher.get_tag(&mut body[written..])
    };
    encrypt().map_err(|cause| CryptoError::library("sealing data at rest", cause))?;
    Ok(sealed)
}

/// Opens what [`seal`] made for the same place with the same key.
pub(super) fn open(key: &Key, id: Uuid, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let sealed_with = key_id(sealed).ok_or(CryptoError::NotABox)?;
    if sealed_with != id {
        return Err(CryptoError::OtherKey { sealed_with, at_hand: id });
    }
    let (header, body) = sealed.split_at(HEADER);
    let (data, tag) = body.split_at(body.len() - TAG);
    // One octet more than the data: the library asks for room for a block, and a block is one octet here.
    let mut plain = Zeroizing::new(vec![0; data.len() + 1]);
    let mut prepare = || {
        let mut cipher = Crypter::new(Cipher::aes_256_gcm(), Mode::Decrypt, &key[..], Some(&header[NONCE]))?;
        cipher.aad_update(&header[..KEY_ID.end])?;
        cipher.aad_update(aad)?;
        let written = cipher.update(data, &mut plain)?;
        cipher.set_tag(tag)?;
        Ok((cipher, written))
    };
    let (mut cipher, written) = prepare().map_err(|cause| CryptoError::library("opening data at rest", cause))?;
    let rest = cipher.finalize(&mut plain[written..]).map_err(|_| CryptoError::Tampered)?;
    plain.truncate(written + rest);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> Key {
        Zeroizing::new([octet; 32])
    }

    const ID: Uuid = Uuid::from_u128(7);

    #[test]
    fn what_is_sealed_opens_to_the_same_octets() {
        for plain in [&b""[..], b"x", &[7; 10_000]] {
            let sealed = seal(&key(1), ID, b"place", plain).unwrap();
            assert_eq!(sealed.len(), plain.len() + OVERHEAD);
            assert_eq!(key_id(&sealed), Some(ID));
            assert_eq!(&open(&key(1), ID, b"place", &sealed).unwrap()[..], plain);
        }
    }

    #[test]
    fn every_changed_octet_is_noticed() {
        let sealed = seal(&key(1), ID, b"place", b"a name").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key(1), ID, b"place", &changed).is_err(), "octet {at}");
        }
        for length in 0..sealed.len() {
            assert!(open(&key(1), ID, b"place", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn another_key_or_place_does_not_open_it() {
        let sealed = seal(&key(1), ID, b"place", b"a name").unwrap();
        assert!(matches!(open(&key(2), ID, b"place", &sealed), Err(CryptoError::Tampered)));
        assert!(matches!(open(&key(1), ID, b"elsewhere", &sealed), Err(CryptoError::Tampered)));
        assert!(matches!(open(&key(1), Uuid::from_u128(8), b"place", &sealed), Err(CryptoError::OtherKey { .. })));
    }

    #[test]
    fn the_same_octets_never_look_the_same_twice() {
        let once = seal(&key(1), ID, b"place", b"a name").unwrap();
        assert_ne!(once, seal(&key(1), ID, b"place", b"a name").unwrap());
    }
}
