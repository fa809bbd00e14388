//! What can be told from one certificate alone: dates, key, usage, binding, the digest it was signed with.

use openssl::{
    nid::Nid,
    pkey::Id,
    x509::{X509ExtendedKeyUsage, X509KeyUsage},
};

use super::{Certificate, TrustError, pss::Pss};
use crate::{
    crypto::der::{Node, Tag},
    domain::{DirectAddress, Timestamp},
};

/// What a certificate is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Encrypt to its owner.
    Encrypt,
    /// Believe its owner's signature.
    Sign,
}

/// Whether it is valid at `at`.
pub fn dates(certificate: &Certificate, at: Timestamp) -> Result<(), TrustError> {
    if (certificate.valid_from()..certificate.valid_until()).contains(&at) {
        return Ok(());
    }
    Err(TrustError::OutOfDate {
        subject: certificate.subject(),
        at: at.to_string(),
        from: certificate.valid_from().to_string(),
        until: certificate.valid_until().to_string(),
    })
}

/// Whether its key is strong enough: RSA from 2048 bits (ANSI/DS 2019-01-100-2021), P-256 or P-384.
pub fn key(certificate: &Certificate) -> Result<(), TrustError> {
    let key = certificate.key();
    let good = match key.id() {
        // An absurdly long key makes one verification cost seconds.
        Id::RSA => (2048..=8192).contains(&key.bits()) && key.rsa().is_ok_and(|key| is_sound_exponent(key.e())),
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            matches!(curve, Some(Nid::X9_62_PRIME256V1 | Nid::SECP384R1))
        }
        _ => false,
    };
    if good {
        return Ok(());
    }
    Err(TrustError::KeyAlgorithm { subject: certificate.subject(), key: certificate.key_words() })
}

/// Whether an RSA exponent hides anything at all (1 does not), belongs to a key pair (even ones do not), and is not so
/// long that using it costs seconds.
fn is_sound_exponent(exponent: &openssl::bn::BigNumRef) -> bool {
    exponent.num_bits() >= 2 && exponent.num_bits() <= 64 && exponent.is_bit_set(0)
}

/// Whether it asserts one of `wanted` (RFC 5280 4.2.1.4). Every certificate of `path` below the anchor must, so that an
/// authority cannot hand on what it was not given; authorities may say "any". Policy mappings are not followed.
pub fn policies(path: &[Certificate], wanted: &[String]) -> Result<(), TrustError> {
    const ANY: &str = "2.5.29.32.0";
    if wanted.is_empty() {
        return Ok(());
    }
    let below = path.len().saturating_sub(1).max(1);
    for (place, certificate) in path.iter().take(below).enumerate() {
        let asserted = certificate.policies();
        let given = |policy: &str| asserted.iter().any(|one| one == policy || (place > 0 && one == ANY));
        let good = wanted.iter().any(|together| together.split('+').all(given));
        if !good {
            return Err(TrustError::NoPolicy { subject: certificate.subject(), wanted: wanted.join(", ") });
        }
    }
    Ok(())
}

/// Whether it may be used for `purpose`. A certificate without a key usage extension is not restricted
/// (RFC 8550 4.4.2); one with an extended key usage must be for mail (RFC 8550 4.4.4).
pub fn usage(certificate: &Certificate, purpose: Purpose) -> Result<(), TrustError> {
    let (needed, words) = match (purpose, certificate.key().id()) {
        (Purpose::Sign, _) => (X509KeyUsage::DIGITAL_SIGNATURE, "signing"),
        (Purpose::Encrypt, Id::EC) => (X509KeyUsage::KEY_AGREEMENT, "encryption"),
        (Purpose::Encrypt, _) => (X509KeyUsage::KEY_ENCIPHERMENT, "encryption"),
    };
    let x509 = certificate.x509();
    let allowed = x509.key_usage().is_none_or(|usage| usage.contains(needed));
    let for_mail = X509ExtendedKeyUsage::SMIME | X509ExtendedKeyUsage::ANYEKU;
    let extended = x509.extended_key_usage().is_none_or(|usage| usage.intersects(for_mail));
    if allowed && extended {
        return Ok(());
    }
    Err(TrustError::KeyUsage { subject: certificate.subject(), purpose: words })
}

/// Whether it names `address` itself or exactly its domain, in its subjectAltName and nowhere else: no wildcard, no
/// parent domain, no e-mail attribute of the subject (ANSI/DS 2019-01-100-2021 4.1).
pub fn bound(certificate: &Certificate, address: &DirectAddress) -> Result<(), TrustError> {
    let names = certificate.names();
    let by_address = names.addresses.iter().any(|name| name.eq_ignore_ascii_case(address.as_str()));
    let by_domain = names.domains.iter().any(|name| name.eq_ignore_ascii_case(address.domain()));
    if by_address || by_domain {
        return Ok(());
    }
    Err(TrustError::NotBound { subject: certificate.subject(), named: names.to_string(), address: address.to_string() })
}

/// Whether the signature on the certificate uses a digest of the SHA-2 family, and RSA-PSS only with parameters that count.
pub fn digest(certificate: &Certificate) -> Result<(), TrustError> {
    let algorithm = certificate.x509().signature_algorithm().object().nid();
    if allowed_signature(algorithm) || (algorithm == Nid::RSASSAPSS && pss(certificate.der()).is_some()) {
        return Ok(());
    }
    Err(TrustError::WeakAlgorithm {
        subject: certificate.subject(),
        algorithm: algorithm.long_name().unwrap_or("an unknown algorithm").to_owned(),
    })
}

/// The parameters of a certificate's RSA-PSS signature (RFC 5280 4.1.1.2).
fn pss(der: &[u8]) -> Option<Pss> {
    let mut members = Node::only(der).ok()?.members();
    members.expect(Tag::Sequence).ok()?;
    let mut algorithm = members.expect(Tag::Sequence).ok()?.members();
    algorithm.any().ok()?;
    Pss::read(algorithm)
}

pub(super) fn allowed_signature(algorithm: Nid) -> bool {
    [
        Nid::SHA256WITHRSAENCRYPTION,
        Nid::SHA384WITHRSAENCRYPTION,
        Nid::SHA512WITHRSAENCRYPTION,
        Nid::ECDSA_WITH_SHA256,
        Nid::ECDSA_WITH_SHA384,
        Nid::ECDSA_WITH_SHA512,
    ]
    .contains(&algorithm)
}
