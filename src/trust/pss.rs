//! RSASSA-PSS (RFC 4055 3.1): which parameters count.
//!
//! RFC 8551 2.2 wants receivers to know it, so it is believed where PKCS#1 v1.5 is, under the same digests. The parameters
//! are the sender's to choose, so those that weaken it are refused: another digest in the mask than over the content, SHA-1
//! (which is what absent parameters mean), a salt shorter than the digest, another trailer. We sign with PKCS#1 v1.5, which
//! every peer understands. A key that may be used for PSS alone (id-RSASSA-PSS) is no kind of key that Direct names.

use openssl::{
    error::ErrorStack, hash::MessageDigest, md::MdRef, pkey_ctx::PkeyCtxRef, rsa::Padding, sign::RsaPssSaltlen, sign::Verifier,
};

use crate::crypto::der::{Node, Nodes, ObjectIdentifier, Tag, explicit};

/// `id-RSASSA-PSS`.
pub const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Parameters that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pss {
    /// The digest, over the content and in the mask.
    pub digest: ObjectIdentifier,
    /// Octets of salt.
    salt: u16,
}

impl Pss {
    /// Reads what follows the object identifier; `None` when it does not count.
    #[must_use]
    pub fn read(mut algorithm: Nodes<'_>) -> Option<Self> {
        let parameters = algorithm.expect(Tag::Sequence).ok()?;
        let mut members = parameters.members();
        // Each absent member means SHA-1, or 20 octets of salt.
        let digest = hash(members.optional(explicit(0)).ok()??.members().any().ok()?)?;
        let mut mask = members.optional(explicit(1)).ok()??.members().any().ok()?.members();
        if mask.any().ok()?.oid().ok()? != MGF1 || hash(mask.any().ok()?)? != digest {
            return None;
        }
        let salt = number(members.optional(explicit(2)).ok()??)?;
        let trailer = members.optional(explicit(3)).ok()?;
        if trailer.is_some_and(|trailer| number(trailer) != Some(1)) || !members.is_empty() || !algorithm.is_empty() {
            return None;
        }
        (usize::from(salt) >= message_digest(digest)?.size()).then_some(Self { digest, salt })
    }

    /// Makes `context` demand exactly these parameters.
    ///
    /// # Errors
    /// When OpenSSL does not take them.
    pub fn demand<T>(self, context: &mut PkeyCtxRef<T>, digest: &MdRef) -> Result<(), ErrorStack> {
        context.set_rsa_padding(Padding::PKCS1_PSS)?;
        context.set_rsa_pss_saltlen(RsaPssSaltlen::custom(self.salt.into()))?;
        context.set_rsa_mgf1_md(digest)
    }

    /// The same for a verifier that digests by itself.
    ///
    /// # Errors
    /// When OpenSSL does not take them.
    pub fn demand_of(self, verifier: &mut Verifier<'_>) -> Result<(), ErrorStack> {
        verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
        verifier.set_rsa_pss_saltlen(RsaPssSaltlen::custom(self.salt.into()))?;
        message_digest(self.digest).map_or(Ok(()), |digest| verifier.set_rsa_mgf1_md(digest))
    }

    /// The digest as OpenSSL knows it.
    #[must_use]
    pub fn message_digest(self) -> Option<MessageDigest> {
        message_digest(self.digest)
    }
}

fn hash(algorithm: Node<'_>) -> Option<ObjectIdentifier> {
    let named = (algorithm.tag == Tag::Sequence).then(|| algorithm.members().any().ok())??.oid().ok()?;
    message_digest(named).map(|_| named)
}

fn message_digest(named: ObjectIdentifier) -> Option<MessageDigest> {
    match named {
        SHA256 => Some(MessageDigest::sha256()),
        SHA384 => Some(MessageDigest::sha384()),
        SHA512 => Some(MessageDigest::sha512()),
        _ => None,
    }
}

/// A small INTEGER inside an explicit tag.
fn number(explicit: Node<'_>) -> Option<u16> {
    let node = Node::only(explicit.value).ok().filter(|node| node.tag == Tag::Integer)?;
    match node.value {
        [low] if *low < 0x80 => Some((*low).into()),
        [high, low] if *high < 0x80 => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::der::{oid, sequence, tlv};
    use proptest::prelude::*;

    const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");

    fn named(digest: ObjectIdentifier) -> Vec<u8> {
        sequence(&[&oid(digest).unwrap(), &tlv(Tag::Null, &[]).unwrap()]).unwrap()
    }

    fn parameters(digest: ObjectIdentifier, mask: ObjectIdentifier, salt: &[u8], trailer: Option<u8>) -> Vec<u8> {
        let function = sequence(&[&oid(MGF1).unwrap(), &named(mask)]).unwrap();
        let mut parts = vec![
            tlv(explicit(0), &[&named(digest)]).unwrap(),
            tlv(explicit(1), &[&function]).unwrap(),
            tlv(explicit(2), &[&tlv(Tag::Integer, &[salt]).unwrap()]).unwrap(),
        ];
        parts.extend(trailer.map(|trailer| tlv(explicit(3), &[&tlv(Tag::Integer, &[&[trailer]]).unwrap()]).unwrap()));
        sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn only_parameters_that_do_not_weaken_it_count() {
        for (case, encoded, counts) in [
            ("SHA-256, salt as long", parameters(SHA256, SHA256, &[32], None), true),
            ("the trailer said", parameters(SHA256, SHA256, &[32], Some(1)), true),
            ("SHA-512, salt as long", parameters(SHA512, SHA512, &[64], None), true),
            ("a longer salt", parameters(SHA256, SHA256, &[0, 222], None), true),
            ("no salt", parameters(SHA256, SHA256, &[0], None), false),
            ("a shorter salt", parameters(SHA384, SHA384, &[32], None), false),
            ("a negative salt", parameters(SHA256, SHA256, &[0xff], None), false),
            ("an endless salt", parameters(SHA256, SHA256, &[1, 0, 0, 0], None), false),
            ("SHA-1", parameters(SHA1, SHA1, &[20], None), false),
            ("SHA-1 in the mask", parameters(SHA256, SHA1, &[32], None), false),
            ("another digest in the mask", parameters(SHA256, SHA512, &[64], None), false),
            ("another trailer", parameters(SHA256, SHA256, &[32], Some(2)), false),
            ("defaults: SHA-1 and 20", sequence(&[]).unwrap(), false),
            ("none", Vec::new(), false),
            ("more behind", [parameters(SHA256, SHA256, &[32], None), vec![5, 0]].concat(), false),
        ] {
            assert_eq!(Pss::read(Nodes::new(&encoded)).is_some(), counts, "{case}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Pss::read(Nodes::new(&tlv(Tag::Sequence, &[&bytes]).unwrap()));
        }
    }
}
