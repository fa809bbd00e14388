//! HMAC-SHA-256 (RFC 2104) and hexadecimal text.

use std::fmt;

use openssl::{hash::MessageDigest, pkey::PKey, sign::Signer};

use super::CryptoError;

/// HMAC-SHA-256 over `parts`, each preceded by its length so that no two lists of parts read the same.
///
/// # Errors
/// [`CryptoError::Library`].
pub(super) fn keyed_hash(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
    let mut hash = [0; 32];
    let mut compute = || {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        for part in parts {
            signer.update(&(part.len() as u64).to_be_bytes())?;
            signer.update(part)?;
        }
        signer.sign(&mut hash)
    };
    compute().map_err(|cause| CryptoError::library("computing a keyed hash", cause))?;
    Ok(hash)
}

/// HMAC-SHA-256 (RFC 2104) over `parts` as if they stood together: for signatures whose form somebody else has laid down.
///
/// # Errors
/// [`CryptoError::Library`].
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Result<[u8; 32], CryptoError> {
    let mut hash = [0; 32];
    let mut compute = || {
        let key = PKey::hmac(key)?;
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        for part in parts {
            signer.update(part)?;
        }
        signer.sign(&mut hash)
    };
    compute().map_err(|cause| CryptoError::library("computing an HMAC", cause))?;
    Ok(hash)
}

/// A mark that only whoever has `secret` can make: 64 hexadecimal digits, another one for each purpose.
///
/// # Errors
/// [`CryptoError::Library`].
pub fn mark(secret: &str, purpose: &str) -> Result<String, CryptoError> {
    Ok(Hex(&keyed_hash(secret.as_bytes(), &[purpose.as_bytes()])?).to_string())
}

/// HMAC-SHA-1 (RFC 2104): only for codes that telephones compute (RFC 6238).
pub(super) fn hmac_sha1(key: &[u8], message: &[u8]) -> Result<[u8; 20], CryptoError> {
    let mut hash = [0; 20];
    let mut compute = || {
        let key = PKey::hmac(key)?;
        Signer::new(MessageDigest::sha1(), &key)?.sign_oneshot(&mut hash, message)
    };
    compute().map_err(|cause| CryptoError::library("computing a code", cause))?;
    Ok(hash)
}

/// Prints octets as lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// Reads an even number of hexadecimal digits of either case; `None` for anything else.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_text_reads_back() {
        assert_eq!(from_hex("00fF10"), Some(vec![0, 255, 16]));
        assert_eq!(Hex(&[0, 255, 16]).to_string(), "00ff10");
        for bad in ["0", "0g", "+1", "é"] {
            assert_eq!(from_hex(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_hmac_is_that_of_rfc_4231_in_one_piece_or_several() {
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        for parts in [&[b"what do ya want for nothing?".as_slice()] as &[&[u8]], &[b"what do ya", b" want for nothing?"]] {
            assert_eq!(Hex(&hmac_sha256(b"Jefe", parts).unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn a_keyed_hash_tells_lists_of_parts_apart() {
        let hash = |parts: &[&[u8]]| keyed_hash(b"key", parts).unwrap();
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"abc"]), hash(&[b"abc", b""]));
        assert_eq!(hash(&[b"abc"]), hash(&[b"abc"]));
        assert_ne!(hash(&[b"abc"]), keyed_hash(b"other", &[b"abc"]).unwrap());
    }
}
