//! Our own certificates and keys: read from PEM or PKCS#12, and checked before they are kept.

/// Warnings ahead of their end.
pub mod expiry;

use openssl::{
    pkcs12::Pkcs12,
    pkey::{PKey, Private},
};
use zeroize::Zeroizing;

use super::{
    Certificate, TrustError,
    certificate::is_pem,
    checks::{self, Purpose},
};
use crate::{
    crypto::Hex,
    domain::{
        DirectAddress, Timestamp,
        identity::{KeyUse, Term, signs_at},
    },
    store::identity_key::{KeyPlace, NewKey, StoredKey},
};

/// A certificate of ours with its key: they belong together.
pub struct Pair {
    /// The certificate.
    pub certificate: Certificate,
    /// Authorities that came along.
    pub chain: Vec<Certificate>,
    /// Its private key.
    pub key: PKey<Private>,
}

impl Pair {
    /// From certificates (PEM with any number, or DER) and a private key (PEM or DER, perhaps under a password). Which of the
    /// certificates is ours the key tells.
    ///
    /// # Errors
    /// When something cannot be read, or the key belongs to none of the certificates.
    pub fn read(certificates: &[u8], key: &[u8], password: Option<&str>) -> Result<Self, TrustError> {
        let unreadable = |why: &str| TrustError::malformed("the private key", why);
        let key = if is_pem(key) {
            // An encrypted key must fail, not ask the terminal for its password.
            PKey::private_key_from_pem_passphrase(key, password.unwrap_or_default().as_bytes())
        } else if let Some(password) = password {
            PKey::private_key_from_pkcs8_passphrase(key, password.as_bytes())
        } else {
            PKey::private_key_from_der(key)
        };
        let key = key.map_err(|_| {
            unreadable(if password.is_some() {
                "it is no key in PEM or DER, or the password is wrong"
            } else {
                "it is no key in PEM or DER; when it is encrypted, say --password-file"
            })
        })?;
        Self::of(Certificate::read_all(certificates)?, key)
    }

    /// From a PKCS#12 file.
    ///
    /// # Errors
    /// When it cannot be read or lacks something.
    pub fn from_pkcs12(bytes: &[u8], password: &str) -> Result<Self, TrustError> {
        let unreadable = |why: &str| TrustError::malformed("the PKCS#12 file", why);
        let parsed = Pkcs12::from_der(bytes).map_err(|_| unreadable("it is no PKCS#12"))?.parse2(password).map_err(|_| {
            unreadable(
                "the password is wrong, or it is encrypted in the old way (RC2, 3DES): convert it with \
                 openssl pkcs12 -legacy -in OLD -out both.pem, then openssl pkcs12 -export -in both.pem -out NEW",
            )
        })?;
        let key = parsed.pkey.ok_or_else(|| unreadable("it holds no private key"))?;
        let mut all = Vec::new();
        if let Some(own) = &parsed.cert {
            all.push(Certificate::from_x509(own)?);
        }
        for other in parsed.ca.iter().flatten() {
            all.push(Certificate::from_x509(other)?);
        }
        Self::of(all, key)
    }

    fn of(mut all: Vec<Certificate>, key: PKey<Private>) -> Result<Self, TrustError> {
        let own = all.iter().position(|certificate| key.public_eq(certificate.key()));
        let own = own.ok_or_else(|| {
            let named = all.first().map(|first| format!(" '{}'", first.subject())).unwrap_or_default();
            TrustError::malformed(
                "certificate and key",
                format!("the key does not belong to the certificate{named}: give the pair that was issued together"),
            )
        })?;
        let certificate = all.remove(own);
        Ok(Self { certificate, chain: all, key })
    }

    /// The key in PKCS#8 PEM.
    ///
    /// # Errors
    /// When OpenSSL cannot write it.
    pub fn key_pem(&self) -> Result<Zeroizing<Vec<u8>>, TrustError> {
        self.key.private_key_to_pem_pkcs8().map(Zeroizing::new).map_err(TrustError::crypto("encode a key"))
    }
}

/// Whether `bytes` look like a PKCS#12 file: a sequence that begins with version 3 (RFC 7292 4).
#[must_use]
pub fn is_pkcs12(bytes: &[u8]) -> bool {
    use crate::crypto::der::{Node, Tag};
    let version = |node: Node<'_>| node.members().any().ok().and_then(|first| first.small());
    Node::only(bytes).ok().filter(|node| node.tag == Tag::Sequence).and_then(version) == Some(3)
}

/// What a certificate of `address` can be used for at `at` and later: signing, encryption, or both. `wanted` narrows it.
///
/// # Errors
/// When it is not bound to the address, is out of date, too weak, or may not be used so.
pub fn check(
    certificate: &Certificate,
    address: &DirectAddress,
    wanted: Option<KeyUse>,
    at: Timestamp,
) -> Result<KeyUse, TrustError> {
    checks::bound(certificate, address)?;
    checks::key(certificate)?;
    checks::digest(certificate)?;
    // The next generation is imported before it begins.
    checks::dates(certificate, at.max(certificate.valid_from()))?;
    let (signs, decrypts) = (checks::usage(certificate, Purpose::Sign), checks::usage(certificate, Purpose::Encrypt));
    match wanted {
        Some(wanted) => {
            if wanted.signs() {
                signs?;
            }
            if wanted.decrypts() {
                decrypts?;
            }
            Ok(wanted)
        }
        None => match (signs, decrypts) {
            (Ok(()), Ok(())) => Ok(KeyUse::Both),
            (Ok(()), Err(_)) => Ok(KeyUse::Sign),
            (Err(_), Ok(())) => Ok(KeyUse::Encrypt),
            (Err(error), Err(_)) => Err(error),
        },
    }
}

/// A generation as it is stored.
///
/// # Errors
/// When OpenSSL cannot write the certificates.
pub fn generation(
    address: &DirectAddress,
    used_for: KeyUse,
    certificate: &Certificate,
    chain: &[Certificate],
    key: KeyPlace,
) -> Result<NewKey, TrustError> {
    let pem = std::iter::once(certificate).chain(chain).map(Certificate::pem).collect::<Result<String, _>>()?;
    Ok(NewKey {
        address: address.clone(),
        term: Term { used_for, from: certificate.valid_from(), until: certificate.valid_until() },
        certificate: pem,
        fingerprint: Hex(&certificate.fingerprint()).to_string(),
        key,
    })
}

/// Which of all generations signs now, for each address.
#[must_use]
pub fn signing(keys: &[StoredKey], now: Timestamp) -> Vec<bool> {
    let mut signs = vec![false; keys.len()];
    for one in keys {
        let same: Vec<usize> =
            (0..keys.len()).filter(|place| keys[*place].org == one.org && keys[*place].address == one.address).collect();
        let terms: Vec<_> = same.iter().map(|place| keys[*place].term).collect();
        if let Some(place) = signs_at(&terms, now).and_then(|place| same.get(place)) {
            signs[*place] = true;
        }
    }
    signs
}
