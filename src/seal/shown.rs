//! What a sender shows about itself: the algorithms it used to us, and those it says it can (RFC 8551 2.5.2).

use super::{KeyTransport, Verified, decrypt, oid};
use crate::{
    crypto::{
        der::{Node, ObjectIdentifier, Tag},
        token::OaepHash,
    },
    domain::profile::{Cipher, Digest, Shown},
};

/// What the sender of a message has shown: to be learnt about the domain of [`Verified::from`], to which its signer is
/// bound. There is no other source to learn from.
#[must_use]
pub const fn shown(opened: &Verified) -> Shown {
    opened.shown()
}

/// More than any system says; the rest is not looked at.
const MOST_CAPABILITIES: usize = 64;

/// What the members of an SMIMECapabilities attribute's value say. What cannot be read says nothing.
pub(super) fn capabilities(value: Node<'_>) -> Shown {
    let mut shown = Shown::default();
    let mut members = value.members();
    for _ in 0..MOST_CAPABILITIES {
        let Some(capability) = members.optional(Tag::Sequence).ok().flatten() else { break };
        let mut parts = capability.members();
        let Ok(kind) = parts.any().and_then(|node| node.oid()) else { continue };
        let key_transport = (kind == oid::RSA_OAEP).then(|| decrypt::oaep_parameters(parts)).flatten().and_then(oaep);
        shown = shown.and(Shown { key_transport, cipher: cipher(kind), digest: None });
    }
    shown
}

/// The content cipher, when it is one we seal with.
pub(super) fn cipher(kind: ObjectIdentifier) -> Option<Cipher> {
    match kind {
        oid::AES256_CBC => Some(Cipher::Aes256Cbc),
        oid::AES128_CBC => Some(Cipher::Aes128Cbc),
        oid::AES256_GCM => Some(Cipher::Aes256Gcm),
        _ => None,
    }
}

/// RSA-OAEP, when it is in a form we seal with.
pub(super) fn oaep((digest, mask): (OaepHash, OaepHash)) -> Option<KeyTransport> {
    match (digest, mask) {
        (OaepHash::Sha1, OaepHash::Sha1) => Some(KeyTransport::OaepSha1),
        (OaepHash::Sha256, OaepHash::Sha256) => Some(KeyTransport::OaepSha256),
        _ => None,
    }
}

/// The digest of a signature, when it is one that is allowed.
pub(super) fn digest(kind: ObjectIdentifier) -> Option<Digest> {
    match kind {
        oid::SHA256 => Some(Digest::Sha256),
        oid::SHA384 => Some(Digest::Sha384),
        oid::SHA512 => Some(Digest::Sha512),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::der::{explicit, oid as encoded, sequence, tlv};
    use proptest::prelude::*;

    fn of(capabilities_: &[Vec<u8>]) -> Shown {
        let whole = sequence(&capabilities_.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
        capabilities(Node::only(&whole).unwrap())
    }

    fn named(kind: ObjectIdentifier) -> Vec<u8> {
        sequence(&[&encoded(kind).unwrap()]).unwrap()
    }

    fn oaep_sha256() -> Vec<u8> {
        let hash = sequence(&[&encoded(oid::SHA256).unwrap(), &tlv(Tag::Null, &[]).unwrap()]).unwrap();
        let mask = sequence(&[&encoded(oid::MGF1).unwrap(), &hash]).unwrap();
        let parameters = sequence(&[&tlv(explicit(0), &[&hash]).unwrap(), &tlv(explicit(1), &[&mask]).unwrap()]).unwrap();
        sequence(&[&encoded(oid::RSA_OAEP).unwrap(), &parameters]).unwrap()
    }

    #[test]
    fn the_best_of_what_is_said_counts_whatever_the_order() {
        let said = [named(oid::AES128_CBC), named(oid::AES256_GCM), named(oid::AES256_CBC), oaep_sha256(), named(oid::RSA_OAEP)];
        let shown = of(&said);
        assert_eq!((shown.cipher, shown.key_transport), (Some(Cipher::Aes256Gcm), Some(KeyTransport::OaepSha256)));
        let reversed: Vec<Vec<u8>> = said.iter().rev().cloned().collect();
        assert_eq!(of(&reversed), shown);
        assert_eq!(
            of(&[named(oid::RSA_OAEP)]).key_transport,
            Some(KeyTransport::OaepSha1),
            "its defaults are SHA-1 (RFC 4055 4.1)"
        );
        assert!(of(&[named(oid::AES192_CBC), named(oid::SHA1)]).is_nothing());
    }

    #[test]
    fn thousands_of_capabilities_are_not_read() {
        let mut many: Vec<Vec<u8>> = std::iter::repeat_n(named(oid::AES192_CBC), 5_000).collect();
        many.push(named(oid::AES256_GCM));
        assert!(of(&many).is_nothing());
    }

    proptest! {
        #[test]
        fn arbitrary_octets_say_nothing_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let whole = tlv(Tag::Sequence, &[&bytes]).unwrap();
            let _ = capabilities(Node::only(&whole).unwrap());
        }
    }
}
