//! The frame that lists and OCSP answers share with certificates: `SEQUENCE { content, algorithm, signature }`
//! (RFC 5280 5.1.1, RFC 6960 4.2.1).

use openssl::{
    hash::MessageDigest,
    pkey::{Id, PKeyRef, Public},
    sign::Verifier,
};

use super::{
    Certificate,
    pss::{Pss, RSA_PSS},
};
use crate::crypto::der::{Node, Nodes, ObjectIdentifier, Tag};

/// Something signed, taken apart; nothing checked.
pub(super) struct Signed<'a> {
    /// What was signed.
    pub(super) content: Node<'a>,
    /// What follows the signature; nothing, except in an OCSP answer.
    pub(super) rest: Nodes<'a>,
    algorithm: Node<'a>,
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn read(node: Node<'a>) -> Option<Self> {
        let mut members = (node.tag == Tag::Sequence).then(|| node.members())?;
        let content = members.expect(Tag::Sequence).ok()?;
        let algorithm = members.expect(Tag::Sequence).ok()?;
        // A signature is whole octets: no unused bits.
        let signature = members.expect(Tag::BitString).ok()?.value.strip_prefix(&[0])?;
        Some(Self { content, rest: members, algorithm, signature })
    }

    /// The stated algorithm, with its parameters: what the content must repeat (RFC 5280 5.1.1.2).
    pub(super) const fn algorithm(&self) -> &'a [u8] {
        self.algorithm.whole
    }

    /// Whether the signature is `signer`'s, made with a digest that is allowed. Keys too weak to be believed sign nothing.
    pub(super) fn is_by(&self, signer: &Certificate) -> bool {
        super::checks::key(signer).is_ok() && self.verifies(signer.key()).unwrap_or(false)
    }

    fn verifies(&self, key: &PKeyRef<Public>) -> Option<bool> {
        let mut members = self.algorithm.members();
        let named = members.any().ok()?.oid().ok()?;
        if named == RSA_PSS {
            let pss = Pss::read(members).filter(|_| key.id() == Id::RSA)?;
            let mut verifier = Verifier::new(pss.message_digest()?, key).ok()?;
            pss.demand_of(&mut verifier).ok()?;
            return verifier.verify_oneshot(self.signature, self.content.whole).ok();
        }
        let (kind, digest) = algorithm(named)?;
        if key.id() != kind {
            return None;
        }
        Verifier::new(digest, key).ok()?.verify_oneshot(self.signature, self.content.whole).ok()
    }
}

/// The signature algorithms that count beside RSA-PSS: SHA-2 with RSA PKCS#1 v1.5 or ECDSA. SHA-1 and MD5 are forbidden
/// (ANSI/DS 2019-01-100-2021).
fn algorithm(named: ObjectIdentifier) -> Option<(Id, MessageDigest)> {
    const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
    const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
    const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
    const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
    const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
    const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
    match named {
        RSA_SHA256 => Some((Id::RSA, MessageDigest::sha256())),
        RSA_SHA384 => Some((Id::RSA, MessageDigest::sha384())),
        RSA_SHA512 => Some((Id::RSA, MessageDigest::sha512())),
        ECDSA_SHA256 => Some((Id::EC, MessageDigest::sha256())),
        ECDSA_SHA384 => Some((Id::EC, MessageDigest::sha384())),
        ECDSA_SHA512 => Some((Id::EC, MessageDigest::sha512())),
        _ => None,
    }
}

/// Under whose keys a statement was already verified: hashing a list of megabytes for each message would be dear.
#[derive(Debug, Default)]
pub(super) struct Verdicts(std::sync::Mutex<Vec<([u8; 32], bool)>>);

impl Verdicts {
    /// More issuers of one name than this are not remembered.
    const MOST: usize = 8;

    pub(super) fn of(&self, signer: &Certificate, verify: impl FnOnce() -> bool) -> bool {
        let Ok(mut known) = self.0.lock() else { return verify() };
        let print = signer.fingerprint();
        if let Some((_, verdict)) = known.iter().find(|(known, _)| *known == print) {
            return *verdict;
        }
        let verdict = verify();
        if known.len() < Self::MOST {
            known.push((print, verdict));
        }
        verdict
    }
}
