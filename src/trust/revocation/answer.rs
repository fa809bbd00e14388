//! An OCSP answer (RFC 6960), and the question that leads to it.
//!
//! The `openssl` crate judges answers at the clock of the machine, shows neither who signed nor with what, and hands times
//! out as text only. So the answer is read here; the question is made by OpenSSL.

use std::time::Duration;

use openssl::{
    hash::{MessageDigest, hash},
    ocsp::{OcspCertId, OcspRequest},
    x509::{X509ExtendedKeyUsage, X509KeyUsage},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{
    current,
    list::{Extension, time},
    serial,
};
use crate::{
    crypto::der::{Node, ObjectIdentifier, Tag, explicit, implicit},
    domain::Timestamp,
    trust::{
        Certificate, TrustError, checks,
        signed::{Signed, Verdicts},
    },
};

/// More answers in one than this is an attack: one was asked for.
const MOST_SINGLES: usize = 32;
/// More certificates in one than this is an attack: one is needed.
const MOST_CERTIFICATES: usize = 4;
/// How long an answer holds that does not say when the next one is due.
const WITHOUT_NEXT: Duration = Duration::from_hours(1);

/// What an answer says about one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is not revoked.
    Good,
    /// It is revoked.
    Revoked,
    /// The responder does not know it: as good as no answer.
    Unknown,
}

/// One answer. Nothing of it is believed before it is asked about a certificate and its issuer.
#[derive(Debug)]
pub struct Answer {
    der: Vec<u8>,
    singles: Vec<Single>,
    responders: Vec<Certificate>,
    verdicts: Verdicts,
}

#[derive(Debug)]
struct Single {
    digest: ObjectIdentifier,
    name: Vec<u8>,
    key: Vec<u8>,
    serial: Vec<u8>,
    standing: Standing,
    from: Timestamp,
    until: Timestamp,
}

/// The question about `certificate`, in DER.
///
/// Its id is made with SHA-1, which here is a name and no signature, because many responders know no other (RFC 5019 2.1.1).
/// There is no nonce: answers are kept and used again, and most responders sign them ahead of time.
pub(in crate::trust) fn request(certificate: &Certificate, issuer: &Certificate) -> Result<Vec<u8>, TrustError> {
    let make = || {
        let mut request = OcspRequest::new()?;
        request.add_id(OcspCertId::from_cert(MessageDigest::sha1(), certificate.x509(), issuer.x509())?)?;
        request.to_der()
    };
    make().map_err(TrustError::crypto("make an OCSP request"))
}

impl Answer {
    /// Reads one DER answer; one that tells of a failure is none.
    pub fn read(der: &[u8]) -> Result<Self, TrustError> {
        let malformed = |problem: &str| TrustError::malformed("the OCSP answer", problem);
        let basic = match body(der).ok_or_else(|| malformed("it is not one"))? {
            Body::Basic(basic) => basic,
            Body::Failure(words) => return Err(malformed(words)),
        };
        let (singles, responders) = Node::only(basic)
            .ok()
            .and_then(Signed::read)
            .and_then(|signed| Some((singles(&signed)?, responders(signed)?)))
            .ok_or_else(|| malformed("its content cannot be understood"))?;
        let der = basic.to_vec();
        Ok(Self { der, singles, responders, verdicts: Verdicts::default() })
    }

    /// What it says about `certificate`, issued by `issuer`, and until when that holds; `None` when it does not count.
    #[must_use]
    pub fn says(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        at: Timestamp,
        grace: Duration,
    ) -> Option<(Standing, Timestamp)> {
        let single = self.singles.iter().find(|single| single.is_about(certificate, issuer))?;
        let until = current(single.from, single.until, at, grace)?;
        let authorized = self.verdicts.of(issuer, || self.is_by(issuer))
            || self
                .responders
                .iter()
                .any(|responder| appointed(responder, issuer, at) && self.verdicts.of(responder, || self.is_by(responder)));
        authorized.then_some((single.standing, until))
    }

    /// When it was given, and when the next one is due: of the oldest thing it says.
    #[must_use]
    pub fn times(&self) -> (Timestamp, Timestamp) {
        let from = self.singles.iter().map(|single| single.from).min().unwrap_or_default();
        (from, self.singles.iter().map(|single| single.until).min().unwrap_or_default())
    }

    fn is_by(&self, signer: &Certificate) -> bool {
        Node::only(&self.der).ok().and_then(Signed::read).is_some_and(|signed| signed.is_by(signer))
    }
}

/// Whether `issuer` appointed this responder: it issued its certificate for that purpose (RFC 6960 4.2.2.2). The
/// responder's own revocation is not looked at: these certificates are short-lived, or carry ocsp-nocheck.
fn appointed(responder: &Certificate, issuer: &Certificate, at: Timestamp) -> bool {
    let x509 = responder.x509();
    x509.extended_key_usage().is_some_and(|usage| usage.contains(X509ExtendedKeyUsage::OCSP_SIGN))
        && x509.key_usage().is_none_or(|usage| usage.contains(X509KeyUsage::DIGITAL_SIGNATURE))
        && checks::dates(responder, at).is_ok()
        && checks::digest(responder).is_ok()
        && responder.names_as_issuer(issuer)
        && responder.is_signed_by(issuer)
}

impl Single {
    fn read(node: Node<'_>) -> Option<Self> {
        let mut members = (node.tag == Tag::Sequence).then(|| node.members())?;
        let mut id = members.expect(Tag::Sequence).ok()?.members();
        let digest = id.expect(Tag::Sequence).ok()?.members().any().ok()?.oid().ok()?;
        let name = id.expect(Tag::OctetString).ok()?.value.to_vec();
        let key = id.expect(Tag::OctetString).ok()?.value.to_vec();
        let number = id.expect(Tag::Integer).ok()?.value.to_vec();
        let standing = match members.any().ok()?.tag {
            tag if tag == implicit(0) => Standing::Good,
            tag if tag == explicit(1) => Standing::Revoked,
            tag if tag == implicit(2) => Standing::Unknown,
            _ => return None,
        };
        let from = time(members.expect(Tag::GeneralizedTime).ok()?)?;
        let until = match members.optional(explicit(0)).ok()? {
            Some(node) => time(Node::only(node.value).ok()?)?,
            // "Newer information is available all the time" (RFC 6960 4.2.2.1): it holds for a while only.
            None => from.plus(WITHOUT_NEXT),
        };
        if let Some(extensions) = members.optional(explicit(1)).ok()? {
            understood(extensions)?;
        }
        Some(Self { digest, name, key, serial: number, standing, from, until })
    }

    fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let matches = || {
            let digest = digest(self.digest)?;
            let (_, parsed) = X509Certificate::from_der(issuer.der()).ok()?;
            let key = &parsed.tbs_certificate.subject_pki.subject_public_key.data;
            let same = *hash(digest, certificate.issuer_der()).ok()? == *self.name
                && *hash(digest, key).ok()? == *self.key
                && serial(&self.serial) == serial(certificate.serial());
            Some(same)
        };
        matches().unwrap_or(false)
    }
}

enum Body<'a> {
    Basic(&'a [u8]),
    Failure(&'static str),
}

/// The basic answer inside an OCSPResponse.
fn body(der: &[u8]) -> Option<Body<'_>> {
    const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
    let mut members = Node::only(der).ok().filter(|node| node.tag == Tag::Sequence)?.members();
    match members.expect(Tag::Enumerated).ok()?.value {
        [0] => {}
        [1] => return Some(Body::Failure("the responder did not understand the question")),
        [3] => return Some(Body::Failure("the responder asks to try later")),
        [6] => return Some(Body::Failure("the responder may not answer about this certificate")),
        _ => return Some(Body::Failure("the responder failed")),
    }
    let bytes = Node::only(members.expect(explicit(0)).ok()?.value).ok().filter(|node| node.tag == Tag::Sequence)?;
    let mut bytes = bytes.members();
    (bytes.any().ok()?.oid().ok()? == BASIC).then_some(())?;
    Some(Body::Basic(bytes.expect(Tag::OctetString).ok()?.value))
}

fn singles(signed: &Signed<'_>) -> Option<Vec<Single>> {
    let mut members = signed.content.members();
    members.optional(explicit(0)).ok()?; // the version
    members.any().ok()?; // who answers: its key says it better
    members.expect(Tag::GeneralizedTime).ok()?; // when it was signed
    let all = members.expect(Tag::Sequence).ok()?.members().all().ok()?;
    if let Some(extensions) = members.optional(explicit(1)).ok()? {
        understood(extensions)?;
    }
    if !members.is_empty() || all.len() > MOST_SINGLES {
        return None;
    }
    all.into_iter().map(Single::read).collect()
}

fn responders(signed: Signed<'_>) -> Option<Vec<Certificate>> {
    let mut rest = signed.rest;
    let Some(sent) = rest.optional(explicit(0)).ok()? else { return Some(Vec::new()) };
    let all = Node::only(sent.value).ok()?.members().all().ok()?;
    Some(all.iter().take(MOST_CERTIFICATES).filter_map(|node| Certificate::from_der(node.whole).ok()).collect())
}

/// Extensions are taken when none is critical.
fn understood(extensions: Node<'_>) -> Option<()> {
    let all = Extension::all(Node::only(extensions.value).ok()?)?;
    all.iter().all(|extension| !extension.critical).then_some(())
}

fn digest(named: ObjectIdentifier) -> Option<MessageDigest> {
    const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
    const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
    match named {
        SHA1 => Some(MessageDigest::sha1()),
        SHA256 => Some(MessageDigest::sha256()),
        _ => None,
    }
}
