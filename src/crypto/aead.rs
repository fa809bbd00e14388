//! A sealed box at rest: `version 1 | key id 16 | nonce 12 | data, tag 16`, AES-256-GCM (NIST SP 800-38D).
//!
//! The version, the key id and the caller's statement of the place the box belongs in are authenticated with the data,
//! so a box cannot be moved to another row, organization or column unnoticed. Nonces are random: one key may seal
//! 2^32 boxes (SP 800-38D 8.3) before it has to be rotated.

use openssl::{
    cipher::Cipher,
    cipher_ctx::CipherCtx,
    symm::{self, Crypter, Mode},
};
use uuid::Uuid;
use zeroize::{Zeroize as _, Zeroizing};

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
        let mut cipher = Crypter::new(symm::Cipher::aes_256_gcm(), Mode::Encrypt, &key[..], Some(&header[NONCE]))?;
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
    check(id, sealed)?;
    let (header, body) = sealed.split_at(HEADER);
    let (data, tag) = body.split_at(body.len() - TAG);
    let mut plain = Zeroizing::new(data.to_vec());
    decrypt(key, header, aad, &mut plain, tag)?;
    Ok(plain)
}

/// The same where the box lies: what was in it is returned and stands in the place of what was sealed. When it does not
/// open, all of it is wiped: nothing that was decrypted and not proved is left.
pub(super) fn open_in_place<'b>(key: &Key, id: Uuid, aad: &[u8], sealed: &'b mut [u8]) -> Result<&'b mut [u8], CryptoError> {
    check(id, sealed)?;
    let (header, body) = sealed.split_at_mut(HEADER);
    let (data, tag) = body.split_at_mut(body.len() - TAG);
    match decrypt(key, header, aad, data, tag) {
        Ok(()) => Ok(data),
        Err(error) => {
            data.zeroize();
            Err(error)
        }
    }
}

fn check(id: Uuid, sealed: &[u8]) -> Result<(), CryptoError> {
    let sealed_with = key_id(sealed).ok_or(CryptoError::NotABox)?;
    if sealed_with == id { Ok(()) } else { Err(CryptoError::OtherKey { sealed_with, at_hand: id }) }
}

fn decrypt(key: &Key, header: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), CryptoError> {
    let len = data.len();
    let mut prepare = || {
        let mut cipher = CipherCtx::new()?;
        cipher.decrypt_init(Some(Cipher::aes_256_gcm()), Some(&key[..]), Some(&header[NONCE]))?;
        cipher.cipher_update(&header[..KEY_ID.end], None)?;
        cipher.cipher_update(aad, None)?;
        cipher.cipher_update_inplace(data, len)?;
        cipher.set_tag(tag)?;
        Ok(cipher)
    };
    let mut cipher = prepare().map_err(|cause| CryptoError::library("opening data at rest", cause))?;
    cipher.cipher_final(&mut []).map(drop).map_err(|_| CryptoError::Tampered)
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
            assert_eq!(open_in_place(&key(1), ID, b"place", &mut sealed.clone()).unwrap(), plain);
        }
    }

    #[test]
    fn every_changed_octet_is_noticed() {
        let sealed = seal(&key(1), ID, b"place", b"a name").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(open(&key(1), ID, b"place", &changed).is_err(), "octet {at}");
            assert!(open_in_place(&key(1), ID, b"place", &mut changed).is_err(), "octet {at}");
        }
        for length in 0..sealed.len() {
            assert!(open(&key(1), ID, b"place", &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn nothing_is_left_of_a_box_that_did_not_open_where_it_lay() {
        let mut sealed = seal(&key(1), ID, b"place", b"a name").unwrap();
        assert!(matches!(open_in_place(&key(1), ID, b"elsewhere", &mut sealed), Err(CryptoError::Tampered)));
        assert_eq!(sealed[HEADER..HEADER + 6], [0; 6]);
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
