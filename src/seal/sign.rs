//! The detached signature (RFC 5652 5, RFC 8551 2).

use openssl::{
    md::Md,
    pkey::{Id, PKey, Private},
    pkey_ctx::PkeyCtx,
};

use super::{SealError, oid};
use crate::{
    crypto::{
        der::{self, Tag, explicit, octets, sequence, set_of, small, tlv},
        sha256,
    },
    domain::Timestamp,
    trust::{
        Certificate,
        checks::{self, Purpose},
    },
};

/// Signs digests: a key in memory, or a token that never gives its key away.
pub trait Signer: Send + Sync {
    /// The certificate of the signing key.
    fn certificate(&self) -> &Certificate;

    /// Authorities sent along, so that the receiver can build the path.
    fn chain(&self) -> &[Certificate];

    /// The signature over a SHA-256 digest: PKCS#1 v1.5 for RSA, a DER `ECDSA-Sig-Value` for elliptic curves.
    fn sign_digest(&self, sha256: &[u8; 32]) -> Result<Vec<u8>, SealError>;
}

/// A signer with its key in memory.
pub struct KeySigner {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: PKey<Private>,
}

impl KeySigner {
    /// Takes the key of `certificate`. The key must belong to it, be strong enough and be allowed to sign.
    pub fn new(certificate: Certificate, chain: Vec<Certificate>, key: PKey<Private>) -> Result<Self, SealError> {
        if !key.public_eq(certificate.key()) {
            return Err(SealError::KeyMismatch(certificate.subject()));
        }
        checks::key(&certificate)?;
        checks::usage(&certificate, Purpose::Sign)?;
        Ok(Self { certificate, chain, key })
    }

    /// Reads certificate (the first; more are its chain) and key, each PEM or DER.
    pub fn read(certificates: &[u8], key: &[u8]) -> Result<Self, SealError> {
        let mut all = Certificate::read_all(certificates)?;
        let chain = all.split_off(1);
        let certificate = all.swap_remove(0);
        Self::new(certificate, chain, read_key(key)?)
    }
}

/// Reads a private key: PEM or DER, PKCS#8 or traditional, not encrypted.
pub fn read_key(bytes: &[u8]) -> Result<PKey<Private>, SealError> {
    let read = if crate::trust::certificate::is_pem(bytes) {
        // An encrypted key must fail, not ask the terminal for its passphrase.
        PKey::private_key_from_pem_callback(bytes, |_| Ok(0))
    } else {
        PKey::private_key_from_der(bytes)
    };
    read.map_err(SealError::crypto("read the private key"))
}

impl Signer for KeySigner {
    fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    fn sign_digest(&self, sha256: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        let failed = SealError::crypto("sign the message");
        let mut context = PkeyCtx::new(&self.key).map_err(&failed)?;
        context.sign_init().map_err(&failed)?;
        context.set_signature_md(Md::sha256()).map_err(&failed)?;
        let mut signature = Vec::new();
        context.sign_to_vec(sha256, &mut signature).map_err(&failed)?;
        Ok(signature)
    }
}

/// A detached SignedData in its ContentInfo, over content with the digest `content`, claimed to be signed at `at`.
pub(super) fn signed_data(signer: &dyn Signer, content: &[u8; 32], at: Timestamp) -> Result<Vec<u8>, SealError> {
    // RFC 5754 2: parameters are absent.
    let digest_algorithm = sequence(&[&der::oid(oid::SHA256)?])?;
    let attributes = attributes(content, at)?;
    // The signature covers the attributes as a SET OF; in the message the same octets carry the tag [0] (RFC 5652 5.4).
    let signature = signer.sign_digest(&sha256(&tlv(Tag::Set, &[&attributes])?))?;
    let certificate = signer.certificate();
    let info = sequence(&[
        &small(1)?,
        &issuer_and_serial(certificate)?,
        &digest_algorithm,
        &tlv(explicit(0), &[&attributes])?,
        &signature_algorithm(certificate)?,
        &octets(&signature)?,
    ])?;
    let certificates: Vec<&[u8]> = std::iter::once(certificate).chain(signer.chain()).map(Certificate::der).collect();
    let signed = sequence(&[
        &small(1)?,
        &tlv(Tag::Set, &[&digest_algorithm])?,
        &sequence(&[&der::oid(oid::DATA)?])?,
        &tlv(explicit(0), &certificates)?,
        &tlv(Tag::Set, &[&info])?,
    ])?;
    Ok(sequence(&[&der::oid(oid::SIGNED_DATA)?, &tlv(explicit(0), &[&signed])?])?)
}

/// The members of the signed attributes, in DER order.
fn attributes(content: &[u8; 32], at: Timestamp) -> Result<Vec<u8>, SealError> {
    let attribute = |kind, value: Vec<u8>| sequence(&[&der::oid(kind)?, &tlv(Tag::Set, &[&value])?]);
    let set = set_of(vec![
        attribute(oid::CONTENT_TYPE, der::oid(oid::DATA)?)?,
        attribute(oid::SIGNING_TIME, signing_time(at)?)?,
        attribute(oid::MESSAGE_DIGEST, octets(content)?)?,
        attribute(oid::SMIME_CAPABILITIES, capabilities()?)?,
    ])?;
    Ok(der::Node::only(&set)?.value.to_vec())
}

/// What we can open, best first, so that the peer may choose it for us (RFC 8551 2.5.2).
fn capabilities() -> der::Result<Vec<u8>> {
    let each = [oid::AES256_GCM, oid::AES256_CBC, oid::AES128_CBC, oid::RSA_OAEP]
        .into_iter()
        .map(|kind| sequence(&[&der::oid(kind)?]))
        .collect::<der::Result<Vec<_>>>()?;
    sequence(&each.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// UTCTime until 2049, GeneralizedTime from 2050 (RFC 5652 11.3).
fn signing_time(at: Timestamp) -> der::Result<Vec<u8>> {
    let digits = at.utc().hl7();
    let digits = digits.get(..14).unwrap_or("19700101000000");
    if digits < "20500101000000" {
        tlv(Tag::UtcTime, &[&digits.as_bytes()[2..], b"Z"])
    } else {
        tlv(Tag::GeneralizedTime, &[digits.as_bytes(), b"Z"])
    }
}

fn signature_algorithm(certificate: &Certificate) -> der::Result<Vec<u8>> {
    match certificate.key().id() {
        Id::EC => sequence(&[&der::oid(oid::ECDSA_SHA256)?]),
        // RFC 3370 3.2: rsaEncryption with NULL is what every peer understands.
        _ => sequence(&[&der::oid(oid::RSA)?, &tlv(Tag::Null, &[])?]),
    }
}

/// Identifies a certificate inside CMS (RFC 5652 10.2.4).
pub(super) fn issuer_and_serial(certificate: &Certificate) -> der::Result<Vec<u8>> {
    sequence(&[certificate.issuer_der(), &tlv(Tag::Integer, &[certificate.serial()])?])
}
