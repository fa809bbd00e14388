//! Revocation lists and OCSP answers, good ones and whatever a test wants: built octet by octet, so that nothing is
//! impossible.

use openssl::{
    hash::{MessageDigest, hash},
    pkey::{Id, PKey, Private},
    sign::Signer,
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{Authority, Digest, Extension, Issued};
use crate::{
    crypto::der::{self, ObjectIdentifier, Tag},
    domain::Timestamp,
    trust::{Certificate, TrustError, revocation::Standing},
};

/// An order for a revocation list. [`ListOrder::new`] makes an ordinary one; change what should differ.
#[derive(Debug, Clone)]
pub struct ListOrder<'a> {
    /// Whom it revokes.
    pub revoked: Vec<&'a Certificate>,
    /// When it is issued.
    pub from: Timestamp,
    /// When the next one is due.
    pub until: Option<Timestamp>,
    /// The digest it is signed with.
    pub digest: Digest,
    /// Extensions of the list.
    pub extensions: Vec<Extension>,
    /// Extensions of each entry.
    pub entry_extensions: Vec<Extension>,
}

impl<'a> ListOrder<'a> {
    /// A whole list, signed with SHA-256.
    #[must_use]
    pub fn new(revoked: &[&'a Certificate], from: Timestamp, until: Timestamp) -> Self {
        Self {
            revoked: revoked.to_vec(),
            from,
            until: Some(until),
            digest: Digest::Sha256,
            extensions: Vec::new(),
            entry_extensions: Vec::new(),
        }
    }
}

/// A revocation list in DER.
pub fn list(authority: &Authority, order: &ListOrder<'_>) -> Result<Vec<u8>, TrustError> {
    let body = list_body(authority, order).map_err(|error| TrustError::malformed("the list", error))?;
    signed(&authority.key, order.digest, &body, &[])
}

fn list_body(authority: &Authority, order: &ListOrder<'_>) -> der::Result<Vec<u8>> {
    let mut entries = Vec::new();
    for revoked in &order.revoked {
        let serial = der::tlv(Tag::Integer, &[revoked.serial()])?;
        let extensions = extensions(&order.entry_extensions)?;
        entries.extend(der::sequence(&[&serial, &short(order.from)?, &extensions])?);
    }
    let entries = if entries.is_empty() { Vec::new() } else { der::sequence(&[&entries])? };
    let until = order.until.map(short).transpose()?.unwrap_or_default();
    // RFC 5280 5.2.3: a number, which only grows.
    let number = u64::try_from(order.from.micros() / 1_000_000).unwrap_or_default().to_be_bytes();
    let number = Extension { id: "2.5.29.20", critical: false, value: der::tlv(Tag::Integer, &[&[0], &number[3..]])? };
    let extensions: Vec<Extension> = std::iter::once(number).chain(order.extensions.iter().cloned()).collect();
    let extensions = der::tlv(der::explicit(0), &[&self::extensions(&extensions)?])?;
    let algorithm = algorithm(&authority.key, order.digest)?;
    let issuer = subject(&authority.certificate);
    der::sequence(&[&der::small(1)?, &algorithm, &issuer, &short(order.from)?, &until, &entries, &extensions])
}

/// An order for an OCSP answer. [`AnswerOrder::new`] makes an ordinary one; change what should differ.
#[derive(Clone)]
pub struct AnswerOrder<'a> {
    /// Who answers, when it is not the authority itself.
    pub responder: Option<&'a Issued>,
    /// Whether the responder's certificate is sent along.
    pub with_certificate: bool,
    /// What it says.
    pub standing: Standing,
    /// When it was given.
    pub from: Timestamp,
    /// When the next one is due.
    pub until: Option<Timestamp>,
    /// The digest it is signed with.
    pub digest: Digest,
}

impl AnswerOrder<'_> {
    /// An answer of the authority itself, signed with SHA-256.
    #[must_use]
    pub const fn new(standing: Standing, from: Timestamp, until: Timestamp) -> Self {
        Self { responder: None, with_certificate: true, standing, from, until: Some(until), digest: Digest::Sha256 }
    }
}

/// An OCSP answer about `certificate` in DER.
pub fn answer(authority: &Authority, certificate: &Certificate, order: &AnswerOrder<'_>) -> Result<Vec<u8>, TrustError> {
    let malformed = |error: der::Error| TrustError::malformed("the answer", error);
    let body = answer_body(authority, certificate, order).map_err(malformed)?;
    let (key, sent) = match order.responder {
        Some(responder) => (&responder.key, responder.certificate.der()),
        None => (&authority.key, authority.certificate.der()),
    };
    let sent = if order.with_certificate { sent } else { &[] };
    let more = der::sequence(&[sent]).and_then(|all| der::tlv(der::explicit(0), &[&all])).map_err(malformed)?;
    let basic = signed(key, order.digest, &body, &more)?;
    whole(&basic).map_err(malformed)
}

fn whole(basic: &[u8]) -> der::Result<Vec<u8>> {
    const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
    let bytes = der::sequence(&[&der::oid(BASIC)?, &der::octets(basic)?])?;
    der::sequence(&[&der::tlv(Tag::Enumerated, &[&[0]])?, &der::tlv(der::explicit(0), &[&bytes])?])
}

fn answer_body(authority: &Authority, certificate: &Certificate, order: &AnswerOrder<'_>) -> der::Result<Vec<u8>> {
    const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
    let issuer = &authority.certificate;
    let digest = |octets: &[u8]| hash(MessageDigest::sha1(), octets).map(|hash| hash.to_vec()).unwrap_or_default();
    let key = X509Certificate::from_der(issuer.der())
        .map(|(_, parsed)| digest(&parsed.tbs_certificate.subject_pki.subject_public_key.data))
        .unwrap_or_default();
    let names = [der::octets(&digest(&subject(issuer)))?, der::octets(&key)?];
    let algorithm = der::sequence(&[&der::oid(SHA1)?, &der::tlv(Tag::Null, &[])?])?;
    let serial = der::tlv(Tag::Integer, &[certificate.serial()])?;
    let id = der::sequence(&[&algorithm, &names[0], &names[1], &serial])?;
    let standing = match order.standing {
        Standing::Good => der::tlv(der::implicit(0), &[])?,
        Standing::Revoked => der::tlv(der::explicit(1), &[&generalized(order.from)?])?,
        Standing::Unknown => der::tlv(der::implicit(2), &[])?,
    };
    let until = match order.until {
        Some(until) => der::tlv(der::explicit(0), &[&generalized(until)?])?,
        None => Vec::new(),
    };
    let single = der::sequence(&[&id, &standing, &generalized(order.from)?, &until])?;
    let by = der::tlv(der::explicit(2), &[&der::octets(&key)?])?;
    der::sequence(&[&by, &generalized(order.from)?, &der::sequence(&[&single])?])
}

/// The frame around `body`.
fn signed(key: &PKey<Private>, digest: Digest, body: &[u8], more: &[u8]) -> Result<Vec<u8>, TrustError> {
    let sign = || Signer::new(digest.openssl(), key)?.sign_oneshot_to_vec(body);
    let signature = sign().map_err(TrustError::crypto("sign a statement"))?;
    let frame = || der::sequence(&[body, &algorithm(key, digest)?, &der::tlv(Tag::BitString, &[&[0], &signature])?, more]);
    frame().map_err(|error| TrustError::malformed("the statement", error))
}

fn algorithm(key: &PKey<Private>, digest: Digest) -> der::Result<Vec<u8>> {
    let (id, null) = match (key.id(), digest) {
        (Id::EC, Digest::Sha256) => ("1.2.840.10045.4.3.2", false),
        (Id::EC, Digest::Sha384) => ("1.2.840.10045.4.3.3", false),
        (Id::EC, Digest::Sha1) => ("1.2.840.10045.4.1", false),
        (_, Digest::Sha256) => ("1.2.840.113549.1.1.11", true),
        (_, Digest::Sha384) => ("1.2.840.113549.1.1.12", true),
        (_, Digest::Sha1) => ("1.2.840.113549.1.1.5", true),
    };
    let null = if null { der::tlv(Tag::Null, &[])? } else { Vec::new() };
    der::sequence(&[&der::oid(ObjectIdentifier::new(id)?)?, &null])
}

fn extensions(all: &[Extension]) -> der::Result<Vec<u8>> {
    let mut encoded = Vec::new();
    for extension in all {
        let critical = if extension.critical { der::tlv(Tag::Boolean, &[&[0xff]])? } else { Vec::new() };
        encoded.extend(der::sequence(&[
            &der::oid(ObjectIdentifier::new(extension.id)?)?,
            &critical,
            &der::octets(&extension.value)?,
        ])?);
    }
    if encoded.is_empty() { Ok(encoded) } else { der::sequence(&[&encoded]) }
}

/// UTCTime, as lists want it until 2049 (RFC 5280 5.1.2.4).
fn short(at: Timestamp) -> der::Result<Vec<u8>> {
    let text: String = at.utc().hl7().chars().filter(char::is_ascii_digit).take(14).skip(2).collect();
    der::tlv(Tag::UtcTime, &[text.as_bytes(), b"Z"])
}

/// GeneralizedTime, as OCSP wants it everywhere.
fn generalized(at: Timestamp) -> der::Result<Vec<u8>> {
    let text: String = at.utc().hl7().chars().filter(char::is_ascii_digit).take(14).collect();
    der::tlv(Tag::GeneralizedTime, &[text.as_bytes(), b"Z"])
}

fn subject(certificate: &Certificate) -> Vec<u8> {
    certificate.x509().subject_name().to_der().unwrap_or_default()
}
