//! Bundles of trust anchors: PKCS#7 in DER or PEM, signed or not, read with suspicion.
//!
//! An unsigned bundle is a SignedData that carries certificates and nothing else. A signed one carries such a bundle as its
//! content; the certificates beside its signature are protected by nothing and are never taken.

/// Fetching them again, and putting them in force.
pub mod refresh;

use openssl::{
    pkcs7::{Pkcs7, Pkcs7Flags},
    stack::Stack,
    x509::{X509, store::X509StoreBuilder},
};

use super::{Certificate, TrustError, certificate::is_pem, checks, path};
use crate::{
    crypto::{
        Hex,
        der::{Node, ObjectIdentifier, Tag, explicit},
    },
    domain::Timestamp,
    store::bundle::BundleAnchor,
};

/// A larger file is no bundle: the largest communities have some hundred anchors.
pub const MOST_BYTES: usize = 8 << 20;
/// More certificates than this are not looked at.
const MOST_CERTIFICATES: usize = 5_000;

/// What a bundle brought.
#[derive(Debug)]
pub struct Content {
    /// Those that can be anchors, each once, in the order of their fingerprints.
    pub anchors: Vec<Certificate>,
    /// Why others cannot.
    pub left_out: Vec<String>,
}

/// Reads a bundle as of `at`. With a `signer` it must be signed by exactly that certificate.
///
/// # Errors
/// [`TrustError::Malformed`] when it is no bundle, is not signed as it must be, or holds no anchor that can be used: an empty
/// bundle in force would stop all sending.
pub fn read(bytes: &[u8], signer: Option<&Certificate>, at: Timestamp) -> Result<Content, TrustError> {
    if bytes.len() > MOST_BYTES {
        return Err(broken("it is larger than 8 MiB"));
    }
    let certificates = match (blocks(bytes)?, signer) {
        (Blocks::Cms(der), signer) => unpack(&der, signer, at)?,
        (Blocks::Certificates(_), Some(_)) => return Err(broken("it is not signed, and a signer is set for it")),
        (Blocks::Certificates(ders), None) => ders,
    };
    if certificates.len() > MOST_CERTIFICATES {
        return Err(broken("it holds more than 5000 certificates"));
    }
    let (mut anchors, mut left_out) = (Vec::new(), Vec::new());
    for der in certificates {
        match Certificate::from_der(&der).and_then(|certificate| fit(certificate, at)) {
            Ok(certificate) => anchors.push(certificate),
            Err(error) => left_out.push(error.to_string()),
        }
    }
    anchors.sort_by_key(Certificate::fingerprint);
    anchors.dedup();
    if anchors.is_empty() {
        let first = left_out.first().map_or_else(String::new, |why| format!(" ({why})"));
        return Err(broken(&format!("it holds no anchor that can be used{first}")));
    }
    Ok(Content { anchors, left_out })
}

/// How many of the anchors in force would go, though they are still good. What ran out by itself is not missed.
#[must_use]
pub fn lost(in_force: &[BundleAnchor], offered: &[BundleAnchor], at: Timestamp) -> usize {
    let good = in_force.iter().filter(|anchor| anchor.not_after > at);
    good.filter(|anchor| !offered.iter().any(|other| other.fingerprint == anchor.fingerprint)).count()
}

/// Whether so many lost of so many that were good need a person. Of `most` percent, none may go at 0.
#[must_use]
pub const fn shrinks(lost: usize, good: usize, most: u8) -> bool {
    lost.saturating_mul(100) > good.saturating_mul(most as usize)
}

/// An anchor as it is stored.
#[must_use]
pub fn stored(anchor: &Certificate) -> BundleAnchor {
    BundleAnchor {
        der: anchor.der().to_vec(),
        fingerprint: Hex(&anchor.fingerprint()).to_string(),
        not_after: anchor.valid_until(),
    }
}

/// Whether it can end a path.
fn fit(certificate: Certificate, at: Timestamp) -> Result<Certificate, TrustError> {
    checks::key(&certificate)?;
    if !path::may_issue(&certificate) {
        return Err(TrustError::KeyUsage { subject: certificate.subject(), purpose: "signing certificates" });
    }
    // One that begins later may be in there already.
    checks::dates(&certificate, at.max(certificate.valid_from()))?;
    Ok(certificate)
}

enum Blocks {
    Cms(Vec<u8>),
    Certificates(Vec<Vec<u8>>),
}

fn blocks(bytes: &[u8]) -> Result<Blocks, TrustError> {
    if !is_pem(bytes) {
        // One certificate alone is the smallest bundle there is.
        let alone = Certificate::from_der(bytes).is_ok();
        return Ok(if alone { Blocks::Certificates(vec![bytes.to_vec()]) } else { Blocks::Cms(bytes.to_vec()) });
    }
    let (mut cms, mut certificates) = (Vec::new(), Vec::new());
    for block in x509_parser::pem::Pem::iter_from_buffer(bytes) {
        let block = block.map_err(|error| broken(&error.to_string()))?;
        match block.label.as_str() {
            "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA" => cms.push(block.contents),
            "CERTIFICATE" => certificates.push(block.contents),
            other => return Err(broken(&format!("the PEM block {other:?} does not belong into it"))),
        }
        if certificates.len() > MOST_CERTIFICATES {
            return Err(broken("it holds more than 5000 certificates"));
        }
    }
    match (cms.pop(), cms.is_empty() && certificates.is_empty()) {
        (Some(cms), true) => Ok(Blocks::Cms(cms)),
        (None, _) if !certificates.is_empty() => Ok(Blocks::Certificates(certificates)),
        _ => Err(broken("it holds several things")),
    }
}

/// The certificates of a PKCS#7, signed or not.
fn unpack(der: &[u8], signer: Option<&Certificate>, at: Timestamp) -> Result<Vec<Vec<u8>>, TrustError> {
    let cms = Pkcs7::from_der(der).map_err(|_| broken("it is no PKCS#7"))?;
    // BER becomes DER here, so that there is one interpretation of it.
    let der = cms.to_der().map_err(TrustError::crypto("read a bundle"))?;
    let signed = SignedData::read(&der).ok_or_else(|| broken("it is no PKCS#7 SignedData"))?;
    if signed.digests.is_empty() {
        return if signer.is_some() {
            Err(broken("it is not signed, and a signer is set for it"))
        } else {
            Ok(signed.certificates)
        };
    }
    if let Some(signer) = signer {
        verify(&cms, &signed, signer, at)?;
    }
    let inner = signed.content.ok_or_else(|| broken("its signature covers no certificates"))?;
    // One layer: a signed bundle in a signed bundle is nobody's format.
    let inner = match blocks(inner)? {
        Blocks::Certificates(certificates) => return Ok(certificates),
        Blocks::Cms(inner) => inner,
    };
    let inner = Pkcs7::from_der(&inner).map_err(|_| broken("what is signed is no PKCS#7"))?;
    let inner = inner.to_der().map_err(TrustError::crypto("read a bundle"))?;
    let inner = SignedData::read(&inner).ok_or_else(|| broken("what is signed is no PKCS#7 SignedData"))?;
    if inner.digests.is_empty() { Ok(inner.certificates) } else { Err(broken("what is signed is signed once more")) }
}

fn verify(cms: &Pkcs7, signed: &SignedData<'_>, signer: &Certificate, at: Timestamp) -> Result<(), TrustError> {
    // SHA-256, SHA-384, SHA-512.
    const ALLOWED: [&str; 3] = ["2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"];
    checks::key(signer)?;
    checks::dates(signer, at)?;
    if !signed.digests.iter().all(|digest| ALLOWED.contains(&digest.to_string().as_str())) {
        return Err(broken("its signature uses a digest that is no longer allowed"));
    }
    let failed = TrustError::crypto("check the signature of a bundle");
    let mut pinned: Stack<X509> = Stack::new().map_err(&failed)?;
    pinned.push(signer.x509().clone()).map_err(&failed)?;
    let nobody = X509StoreBuilder::new().map_err(&failed)?.build();
    // The pinned certificate alone: none that came along, and no path, for it is believed for itself.
    let flags = Pkcs7Flags::NOINTERN | Pkcs7Flags::NOVERIFY | Pkcs7Flags::BINARY;
    cms.verify(&pinned, &nobody, None, None, flags).map_err(|_| broken("it is not signed by the signer that is set for it"))
}

/// A SignedData taken apart (RFC 2315 9.1, RFC 5652 5.1).
struct SignedData<'a> {
    content: Option<&'a [u8]>,
    certificates: Vec<Vec<u8>>,
    /// The digest of each signature.
    digests: Vec<ObjectIdentifier>,
}

impl<'a> SignedData<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut info = Node::only(der).ok().filter(|node| node.tag == Tag::Sequence)?.members();
        (info.any().ok()?.oid().ok()?.to_string() == "1.2.840.113549.1.7.2").then_some(())?;
        let data = Node::only(info.expect(explicit(0)).ok()?.value).ok().filter(|node| node.tag == Tag::Sequence)?;
        let mut members = data.members();
        members.expect(Tag::Integer).ok()?;
        members.expect(Tag::Set).ok()?;
        let mut inside = members.expect(Tag::Sequence).ok()?.members();
        inside.any().ok()?.oid().ok()?;
        let content = match inside.optional(explicit(0)).ok()? {
            Some(node) => Some(Node::only(node.value).ok().filter(|node| node.tag == Tag::OctetString)?.value),
            None => None,
        };
        let certificates = match members.optional(explicit(0)).ok()? {
            Some(set) => set.members().all().ok()?.iter().map(|node| node.whole.to_vec()).collect(),
            None => Vec::new(),
        };
        members.optional(explicit(1)).ok()?; // crls
        let infos = members.expect(Tag::Set).ok()?.members().all().ok()?;
        let digests = infos.iter().map(digest).collect::<Option<Vec<_>>>()?;
        Some(Self { content, certificates, digests })
    }
}

/// The digest algorithm of a SignerInfo.
fn digest(info: &Node<'_>) -> Option<ObjectIdentifier> {
    let mut members = info.members();
    members.expect(Tag::Integer).ok()?;
    members.any().ok()?;
    members.expect(Tag::Sequence).ok()?.members().any().ok()?.oid().ok()
}

fn broken(problem: &str) -> TrustError {
    TrustError::malformed("the bundle", problem)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn anchor(name: u8, until: i64) -> BundleAnchor {
        BundleAnchor { der: vec![name], fingerprint: name.to_string(), not_after: Timestamp(until) }
    }

    #[test]
    fn what_ran_out_by_itself_is_not_missed() {
        let in_force = [anchor(1, 100), anchor(2, 100), anchor(3, 10)];
        assert_eq!(lost(&in_force, &[anchor(1, 100), anchor(9, 100)], Timestamp(50)), 1);
        assert_eq!(lost(&in_force, &in_force, Timestamp(5)), 0);
    }

    #[test]
    fn a_share_is_exceeded_by_one_more_than_it() {
        assert!(!shrinks(2, 10, 20) && shrinks(3, 10, 20));
        assert!(!shrinks(0, 10, 0) && shrinks(1, 1_000, 0));
        assert!(!shrinks(0, 0, 20) && !shrinks(10, 10, 100));
    }

    proptest! {
        #[test]
        fn arbitrary_octets_are_no_bundle_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&bytes, None, Timestamp(0)).is_err());
        }
    }
}
