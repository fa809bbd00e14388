//! Who signed: SignedData taken apart, digests and signatures checked (RFC 5652 5.4-5.6).

use openssl::{
    hash::{MessageDigest, hash},
    md::{Md, MdRef},
    pkey::Id,
    pkey_ctx::PkeyCtx,
};

use super::{OpenError, oid, shown, sign::issuer_and_serial};
use crate::{
    crypto::der::{Node, ObjectIdentifier, Tag, explicit, implicit, tlv},
    domain::profile::Shown,
    trust::{
        Certificate,
        pss::{Pss, RSA_PSS},
    },
};

/// More signatures than this on one message is an attack.
const MOST_SIGNERS: usize = 8;

/// A SignedData taken apart; nothing checked.
pub(super) struct Signed<'a> {
    /// The content, when it is inside.
    pub(super) content: Option<&'a [u8]>,
    /// The certificates sent along that can be read.
    pub(super) certificates: Vec<Certificate>,
    infos: Vec<Info<'a>>,
}

/// A certificate whose signature holds, and what its owner has shown with it.
pub(super) struct Vouched {
    pub(super) certificate: Certificate,
    pub(super) shown: Shown,
}

struct Info<'a> {
    signer: Node<'a>,
    digest: ObjectIdentifier,
    attributes: Option<&'a [u8]>,
    algorithm: ObjectIdentifier,
    /// Its parameters, when it is RSA-PSS with some that count.
    pss: Option<Pss>,
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads the SignedData a ContentInfo holds.
    pub(super) fn read(content: Node<'a>) -> Option<Self> {
        let mut members = (content.tag == Tag::Sequence).then(|| content.members())?;
        members.expect(Tag::Integer).ok()?;
        members.expect(Tag::Set).ok()?;
        let mut encapsulated = members.expect(Tag::Sequence).ok()?.members();
        if encapsulated.any().ok()?.oid().ok()? != oid::DATA {
            return None;
        }
        let content = match encapsulated.optional(explicit(0)).ok()? {
            Some(node) => Some(Node::only(node.value).ok().filter(|inner| inner.tag == Tag::OctetString)?.value),
            None => None,
        };
        let certificates = match members.optional(explicit(0)).ok()? {
            Some(set) => set.members().all().ok()?.iter().filter_map(|node| Certificate::from_der(node.whole).ok()).collect(),
            None => Vec::new(),
        };
        members.optional(explicit(1)).ok()?; // crls: only lists we were given are believed
        let infos = members.expect(Tag::Set).ok()?.members().all().ok()?;
        if infos.len() > MOST_SIGNERS {
            return None;
        }
        let infos = infos.into_iter().map(Info::read).collect::<Option<Vec<_>>>()?;
        Some(Self { content, certificates, infos })
    }

    /// Digest and signature algorithm of each signer, as stated.
    pub(super) fn algorithms(&self) -> impl Iterator<Item = (ObjectIdentifier, ObjectIdentifier)> {
        self.infos.iter().map(|info| (info.digest, info.algorithm))
    }

    /// The certificates that the signers say are theirs, from those sent along and those `known`; nothing verified.
    pub(super) fn named(&self, known: &[Certificate]) -> Vec<Certificate> {
        let all = || self.certificates.iter().chain(known);
        self.infos.iter().filter_map(|info| all().find(|candidate| info.is_by(candidate)).cloned()).collect()
    }

    /// Checks every signature over `content`; each signer's certificate, or why it does not count.
    pub(super) fn signers(&self, content: &[u8], known: &[Certificate]) -> Vec<Result<Vouched, OpenError>> {
        self.infos.iter().map(|info| info.check(content, &self.certificates, known)).collect()
    }
}

impl<'a> Info<'a> {
    fn read(node: Node<'a>) -> Option<Self> {
        let mut members = (node.tag == Tag::Sequence).then(|| node.members())?;
        members.expect(Tag::Integer).ok()?;
        let signer = members.any().ok()?;
        let digest = members.expect(Tag::Sequence).ok()?.members().any().ok()?.oid().ok()?;
        let attributes = members.optional(explicit(0)).ok()?.map(|node| node.value);
        let mut stated = members.expect(Tag::Sequence).ok()?.members();
        let algorithm = stated.any().ok()?.oid().ok()?;
        let pss = if algorithm == RSA_PSS { Pss::read(stated) } else { None };
        let signature = members.expect(Tag::OctetString).ok()?.value;
        Some(Self { signer, digest, attributes, algorithm, pss, signature })
    }

    fn check(&self, content: &[u8], sent: &[Certificate], known: &[Certificate]) -> Result<Vouched, OpenError> {
        let weak = |what: &str, found| OpenError::WeakAlgorithm(format!("the {what} {found}"));
        let (digest, _) = digest(self.digest).ok_or_else(|| weak("digest", self.digest))?;
        let (key_kind, signing) = match self.pss {
            // RFC 4056 3: the digest of the parameters is that of the message.
            Some(pss) => (Id::RSA, (pss.digest == self.digest).then(|| self::digest(self.digest)).flatten()),
            None => signature(self.algorithm, self.digest).map_or((Id::RSA, None), |(kind, digest)| (kind, Some(digest))),
        };
        let signing = signing.ok_or_else(|| weak("signature", self.algorithm))?;
        let certificate =
            sent.iter().chain(known).find(|candidate| self.is_by(candidate)).ok_or(OpenError::NoSignerCertificate)?;
        crate::trust::checks::key(certificate)?;
        let computed = hash(digest, content).map_err(|_| OpenError::BadSignature)?;
        let mut shown = Shown { digest: shown::digest(self.digest), ..Shown::default() };
        let covered = match self.attributes {
            Some(attributes) => {
                let stated = Attributes::read(attributes).ok_or(OpenError::BadSignature)?;
                if stated.content_type != oid::DATA || stated.digest != &*computed {
                    return Err(OpenError::BadSignature);
                }
                shown = shown.and(stated.capabilities);
                tlv(Tag::Set, &[attributes]).map_err(|_| OpenError::BadSignature)?
            }
            // Without attributes the signature covers the content itself (RFC 5652 5.4).
            None => content.to_vec(),
        };
        let good = certificate.key().id() == key_kind && verifies(certificate, signing, self.pss, &covered, self.signature);
        if good { Ok(Vouched { certificate: certificate.clone(), shown }) } else { Err(OpenError::BadSignature) }
    }

    fn is_by(&self, certificate: &Certificate) -> bool {
        match self.signer.tag {
            Tag::Sequence => issuer_and_serial(certificate).is_ok_and(|named| named == self.signer.whole),
            tag if tag == implicit(0) => certificate.key_id() == Some(self.signer.value),
            _ => false,
        }
    }
}

struct Attributes<'a> {
    content_type: ObjectIdentifier,
    digest: &'a [u8],
    /// What the signer says it can; nothing when it does not say.
    capabilities: Shown,
}

impl<'a> Attributes<'a> {
    /// Content type and digest must each stand there exactly once, with one value (RFC 5652 11.1, 11.2).
    fn read(members: &'a [u8]) -> Option<Self> {
        let (mut content_type, mut digest, mut capabilities) = (None, None, Shown::default());
        for attribute in crate::crypto::der::Nodes::new(members).all().ok()? {
            let mut parts = attribute.members();
            let kind = parts.any().ok()?.oid().ok()?;
            let values = parts.expect(Tag::Set).ok()?;
            match kind {
                oid::CONTENT_TYPE if content_type.is_none() => content_type = Some(Node::only(values.value).ok()?.oid().ok()?),
                oid::MESSAGE_DIGEST if digest.is_none() => {
                    let value = Node::only(values.value).ok()?;
                    digest = (value.tag == Tag::OctetString).then_some(value.value);
                }
                oid::CONTENT_TYPE | oid::MESSAGE_DIGEST => return None,
                oid::SMIME_CAPABILITIES => {
                    capabilities = Node::only(values.value).map_or_else(|_| Shown::default(), shown::capabilities);
                }
                _ => {}
            }
        }
        Some(Self { content_type: content_type?, digest: digest?, capabilities })
    }
}

fn verifies(
    certificate: &Certificate,
    signing: (MessageDigest, &'static MdRef),
    pss: Option<Pss>,
    covered: &[u8],
    signature: &[u8],
) -> bool {
    let verify = || {
        let digest = hash(signing.0, covered)?;
        let mut context = PkeyCtx::new(certificate.key())?;
        context.verify_init()?;
        context.set_signature_md(signing.1)?;
        if let Some(pss) = pss {
            pss.demand(&mut context, signing.1)?;
        }
        context.verify(&digest, signature)
    };
    verify().unwrap_or(false)
}

/// MD5 and SHA-1 are forbidden (ANSI/DS 2019-01-100-2021).
fn digest(found: ObjectIdentifier) -> Option<(MessageDigest, &'static MdRef)> {
    match found {
        oid::SHA256 => Some((MessageDigest::sha256(), Md::sha256())),
        oid::SHA384 => Some((MessageDigest::sha384(), Md::sha384())),
        oid::SHA512 => Some((MessageDigest::sha512(), Md::sha512())),
        _ => None,
    }
}

fn signature(found: ObjectIdentifier, with: ObjectIdentifier) -> Option<(Id, (MessageDigest, &'static MdRef))> {
    let (kind, named) = match found {
        oid::RSA => (Id::RSA, with),
        oid::SHA256_RSA => (Id::RSA, oid::SHA256),
        oid::SHA384_RSA => (Id::RSA, oid::SHA384),
        oid::SHA512_RSA => (Id::RSA, oid::SHA512),
        oid::ECDSA_SHA256 => (Id::EC, oid::SHA256),
        oid::ECDSA_SHA384 => (Id::EC, oid::SHA384),
        oid::ECDSA_SHA512 => (Id::EC, oid::SHA512),
        _ => return None,
    };
    Some((kind, digest(named)?))
}
