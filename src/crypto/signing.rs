//! Ed25519 signatures (RFC 8032): made with a key nobody outside has, checked by anybody with its public half.

use openssl::{
    pkey::{Id, PKey, Private},
    sign::{Signer, Verifier},
};
use zeroize::Zeroizing;

use super::CryptoError;

/// A private key.
pub struct SigningKey(PKey<Private>);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey")
    }
}

impl SigningKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn generate() -> Result<Self, CryptoError> {
        PKey::generate_ed25519().map(Self).map_err(|cause| CryptoError::library("making a signing key", cause))
    }

    /// The key with these 32 octets.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn from_octets(octets: &[u8]) -> Result<Self, CryptoError> {
        let key = PKey::private_key_from_raw_bytes(octets, Id::ED25519);
        key.map(Self).map_err(|cause| CryptoError::library("reading a signing key", cause))
    }

    /// Its 32 octets, to be sealed.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn octets(&self) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let octets = self.0.raw_private_key();
        octets.map(Zeroizing::new).map_err(|cause| CryptoError::library("writing a signing key", cause))
    }

    /// The public half.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn public(&self) -> Result<Vec<u8>, CryptoError> {
        self.0.raw_public_key().map_err(|cause| CryptoError::library("reading a public key", cause))
    }

    /// Signs `message`.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let sign = || Signer::new_without_digest(&self.0)?.sign_oneshot_to_vec(message);
        sign().map_err(|cause| CryptoError::library("signing", cause))
    }
}

/// Whether the holder of the private half of `public` signed `message`. What is no key and no signature did not.
#[must_use]
pub fn signed(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let verify = || {
        let key = PKey::public_key_from_raw_bytes(public, Id::ED25519)?;
        Verifier::new_without_digest(&key)?.verify_oneshot(signature, message)
    };
    verify().unwrap_or(false)
}

/// A public key as PEM, for people to keep.
///
/// # Errors
/// [`CryptoError::Library`].
pub fn to_pem(public: &[u8]) -> Result<String, CryptoError> {
    let pem = || PKey::public_key_from_raw_bytes(public, Id::ED25519)?.public_key_to_pem();
    let pem = pem().map_err(|cause| CryptoError::library("writing a public key", cause))?;
    Ok(String::from_utf8_lossy(&pem).into_owned())
}

/// The public Ed25519 key in `pem`; `None` when there is none.
#[must_use]
pub fn from_pem(pem: &[u8]) -> Option<Vec<u8>> {
    let key = PKey::public_key_from_pem(pem).ok().filter(|key| key.id() == Id::ED25519)?;
    key.raw_public_key().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_that_were_signed_by_that_key_are_signed() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let signature = key.sign(b"line 7").unwrap();
        let public = key.public().unwrap();
        assert!(signed(&public, b"line 7", &signature));
        assert!(!signed(&public, b"line 8", &signature));
        assert!(!signed(&other.public().unwrap(), b"line 7", &signature));
        assert!(!signed(&public, b"line 7", &signature[1..]) && !signed(b"", b"", b""));
        let again = SigningKey::from_octets(&key.octets().unwrap()).unwrap();
        assert_eq!(again.public().unwrap(), public);
        assert_eq!(from_pem(to_pem(&public).unwrap().as_bytes()), Some(public));
        assert_eq!(from_pem(b"no key"), None);
    }
}
