//! Opening the envelope with our own key.
//!
//! Every failure is the same failure: a wrong key, a broken padding, a failed integrity check cannot be told apart from
//! outside. A PKCS#1 v1.5 padding error goes on with a random key (RFC 3218 2.3.2), so that not even its timing speaks.

use std::sync::Arc;

use openssl::{
    bn::BigNumContext,
    cipher::{Cipher as Evp, CipherRef},
    cipher_ctx::CipherCtx,
    ec::{EcKey, EcPoint},
    hash::MessageDigest,
    md::{Md, MdRef},
    pkey::{Id, PKey, Private, Public},
    pkey_ctx::PkeyCtx,
    rand::rand_bytes,
    rsa::Padding,
};
use zeroize::Zeroizing;

use super::{KeyTransport, OpenError, agree, ber, oid, shown, sign::issuer_and_serial};
use crate::{
    crypto::{
        der::{Node, Nodes, ObjectIdentifier, Tag, explicit, implicit, tlv},
        token::{OaepHash, TokenKey},
    },
    domain::profile::Shown,
    trust::Certificate,
};

/// A certificate of ours with its key.
#[derive(Clone)]
pub struct Own {
    /// What senders encrypt to.
    pub certificate: Certificate,
    /// Its private key.
    pub key: OwnKey,
}

/// Where a private key of ours is.
#[derive(Clone)]
pub enum OwnKey {
    /// In memory.
    Memory(PKey<Private>),
    /// On a token, which decrypts for us.
    Token(Arc<TokenKey>),
}

impl From<PKey<Private>> for OwnKey {
    fn from(key: PKey<Private>) -> Self {
        Self::Memory(key)
    }
}

/// Plain content that nobody has vouched for yet. Only the verifier looks inside.
pub(super) struct Decrypted {
    pub(super) plain: Vec<u8>,
    /// How it was encrypted.
    pub(super) shown: Shown,
}

/// A content key, and how it came.
struct ContentKey {
    key: Zeroizing<Vec<u8>>,
    transport: Option<KeyTransport>,
}

struct Algorithm {
    evp: &'static CipherRef,
    authenticated: bool,
}

fn algorithm(found: ObjectIdentifier) -> Option<Algorithm> {
    let (evp, authenticated) = match found {
        oid::AES128_CBC => (Evp::aes_128_cbc(), false),
        oid::AES192_CBC => (Evp::aes_192_cbc(), false),
        oid::AES256_CBC => (Evp::aes_256_cbc(), false),
        oid::AES128_GCM => (Evp::aes_128_gcm(), true),
        oid::AES192_GCM => (Evp::aes_192_gcm(), true),
        oid::AES256_GCM => (Evp::aes_256_gcm(), true),
        _ => return None,
    };
    Some(Algorithm { evp, authenticated })
}

/// Opens the EnvelopedData or AuthEnvelopedData `content` (what the ContentInfo of type `kind` holds).
pub(super) fn open(kind: ObjectIdentifier, content: Node<'_>, own: &[Own]) -> Result<Decrypted, OpenError> {
    let authenticated = kind == oid::AUTH_ENVELOPED_DATA;
    let envelope = Envelope::read(content, authenticated).ok_or(OpenError::Undecryptable)?;
    // What no longer protects is refused before it is opened.
    let algorithm = algorithm(envelope.algorithm).filter(|found| found.authenticated == authenticated);
    let algorithm = algorithm.ok_or_else(|| OpenError::WeakAlgorithm(format!("the content cipher {}", envelope.algorithm)))?;
    let key = own
        .iter()
        .find_map(|own| envelope.recipients.iter().find_map(|info| content_key(*info, own, algorithm.evp.key_length())))
        .ok_or(OpenError::Undecryptable)?;
    let plain = decrypt(&envelope, &algorithm, &key.key).ok_or(OpenError::Undecryptable)?;
    let shown = Shown { key_transport: key.transport, cipher: shown::cipher(envelope.algorithm), digest: None };
    Ok(Decrypted { plain, shown })
}

struct Envelope<'a> {
    recipients: Vec<Node<'a>>,
    algorithm: ObjectIdentifier,
    parameters: Node<'a>,
    content: std::borrow::Cow<'a, [u8]>,
    attributes: Option<&'a [u8]>,
    mac: Option<&'a [u8]>,
}

impl<'a> Envelope<'a> {
    fn read(content: Node<'a>, authenticated: bool) -> Option<Self> {
        let mut members = (content.tag == Tag::Sequence).then(|| content.members())?;
        members.expect(Tag::Integer).ok()?;
        members.optional(explicit(0)).ok()?; // originatorInfo
        let recipients = members.expect(Tag::Set).ok()?.members().all().ok()?;
        let mut info = members.expect(Tag::Sequence).ok()?.members();
        if info.any().ok()?.oid().ok()? != oid::DATA {
            return None;
        }
        let mut algorithm = info.expect(Tag::Sequence).ok()?.members();
        let kind = algorithm.any().ok()?.oid().ok()?;
        let parameters = algorithm.any().ok()?;
        let encrypted = info.any().ok()?;
        let encrypted = match encrypted.tag {
            tag if tag == implicit(0) => encrypted.value.into(),
            tag if tag == explicit(0) => ber::joined(encrypted.value)?.into(),
            _ => return None,
        };
        let (mut attributes, mut mac) = (None, None);
        if authenticated {
            attributes = members.optional(explicit(1)).ok()?.map(|node| node.value);
            mac = Some(members.expect(Tag::OctetString).ok()?.value);
        }
        Some(Self { recipients, algorithm: kind, parameters, content: encrypted, attributes, mac })
    }
}

fn content_key(info: Node<'_>, own: &Own, len: usize) -> Option<ContentKey> {
    match (own.certificate.key().id(), info.tag) {
        (Id::RSA, Tag::Sequence) => transported(info, own, len),
        (Id::EC, tag) if tag == explicit(1) => agreed(info, own, len).map(|key| ContentKey { key, transport: None }),
        _ => None,
    }
}

/// KeyTransRecipientInfo (RFC 5652 6.2.1).
fn transported(info: Node<'_>, own: &Own, len: usize) -> Option<ContentKey> {
    let mut members = info.members();
    members.expect(Tag::Integer).ok()?;
    if !is_ours(members.any().ok()?, &own.certificate, implicit(0)) {
        return None;
    }
    let mut algorithm = members.expect(Tag::Sequence).ok()?.members();
    let kind = algorithm.any().ok()?.oid().ok()?;
    let encrypted = members.expect(Tag::OctetString).ok()?.value;
    let padding = match kind {
        oid::RSA => None,
        oid::RSA_OAEP => Some(oaep_parameters(algorithm)?),
        _ => return None,
    };
    let transport = padding.map_or(Some(KeyTransport::Pkcs1), shown::oaep);
    let mut instead = Zeroizing::new(vec![0; len]);
    rand_bytes(&mut instead).ok()?;
    let opened = own.key.decrypt_rsa(padding, encrypted).filter(|key| key.len() == len);
    Some(ContentKey { key: opened.unwrap_or(instead), transport })
}

impl OwnKey {
    /// Undoes RSA: OAEP with digest and mask, or PKCS#1 v1.5.
    fn decrypt_rsa(&self, oaep: Option<(OaepHash, OaepHash)>, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        match (self, oaep) {
            (Self::Token(token), Some((digest, mask))) => token.decrypt_oaep(digest, mask, encrypted).ok(),
            (Self::Token(token), None) => token.decrypt_pkcs1(encrypted).ok(),
            (Self::Memory(key), oaep) => {
                let mut context = PkeyCtx::new(key).ok()?;
                context.decrypt_init().ok()?;
                if let Some((digest, mask)) = oaep {
                    context.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
                    context.set_rsa_oaep_md(md(digest)).ok()?;
                    context.set_rsa_mgf1_md(md(mask)).ok()?;
                } else {
                    context.set_rsa_padding(Padding::PKCS1).ok()?;
                }
                let mut plain = Zeroizing::new(Vec::new());
                context.decrypt_to_vec(encrypted, &mut plain).ok()?;
                Some(plain)
            }
        }
    }

    /// The secret of ECDH with `point`, which lies on the curve of `certificate`, our own.
    fn agree(&self, certificate: &Certificate, point: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let peer = peer(point, certificate)?;
        match self {
            Self::Memory(key) => agree::secret(key, &*peer).ok(),
            Self::Token(token) => token.agree(point, agree::coordinate_len(certificate)).ok(),
        }
    }
}

/// RSAES-OAEP-params (RFC 4055 4.1). A label is nothing peers use; its presence means something else is going on.
pub(super) fn oaep_parameters(mut algorithm: Nodes<'_>) -> Option<(OaepHash, OaepHash)> {
    let (mut digest, mut mask) = (OaepHash::Sha1, OaepHash::Sha1);
    if let Some(parameters) = algorithm.optional(Tag::Sequence).ok()? {
        let mut members = parameters.members();
        if let Some(found) = members.optional(explicit(0)).ok()? {
            digest = oaep_hash(found.members().any().ok()?.members().any().ok()?.oid().ok()?)?;
        }
        if let Some(found) = members.optional(explicit(1)).ok()? {
            let mut function = found.members().any().ok()?.members();
            if function.any().ok()?.oid().ok()? != oid::MGF1 {
                return None;
            }
            mask = oaep_hash(function.any().ok()?.members().any().ok()?.oid().ok()?)?;
        }
        if let Some(source) = members.optional(explicit(2)).ok()? {
            let mut source = source.members().any().ok()?.members();
            let empty = source.any().ok()?.oid().ok()? == oid::P_SPECIFIED && source.any().ok()?.value.is_empty();
            empty.then_some(())?;
        }
    }
    Some((digest, mask))
}

fn oaep_hash(found: ObjectIdentifier) -> Option<OaepHash> {
    match found {
        oid::SHA1 => Some(OaepHash::Sha1),
        oid::SHA256 => Some(OaepHash::Sha256),
        oid::SHA384 => Some(OaepHash::Sha384),
        oid::SHA512 => Some(OaepHash::Sha512),
        _ => None,
    }
}

fn md(hash: OaepHash) -> &'static MdRef {
    match hash {
        OaepHash::Sha1 => Md::sha1(),
        OaepHash::Sha256 => Md::sha256(),
        OaepHash::Sha384 => Md::sha384(),
        OaepHash::Sha512 => Md::sha512(),
    }
}

/// KeyAgreeRecipientInfo (RFC 5652 6.2.2, RFC 5753 3.1).
fn agreed(info: Node<'_>, own: &Own, len: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut members = info.members();
    members.expect(Tag::Integer).ok()?;
    let originator = Node::only(members.expect(explicit(0)).ok()?.value).ok()?;
    let mut originator = (originator.tag == explicit(1)).then(|| originator.members())?;
    originator.expect(Tag::Sequence).ok()?;
    let point = originator.expect(Tag::BitString).ok()?.value.strip_prefix(&[0])?;
    let material = match members.optional(explicit(1)).ok()? {
        Some(node) => Some(Node::only(node.value).ok()?.value),
        None => None,
    };
    let mut algorithm = members.expect(Tag::Sequence).ok()?.members();
    // SHA-1 in the KDF is no signature: OpenSSL's own default still uses it (NIST SP 800-131A 8).
    let digest = match algorithm.any().ok()?.oid().ok()? {
        oid::ECDH_SHA1_KDF => MessageDigest::sha1(),
        oid::ECDH_SHA256_KDF => MessageDigest::sha256(),
        oid::ECDH_SHA384_KDF => MessageDigest::sha384(),
        oid::ECDH_SHA512_KDF => MessageDigest::sha512(),
        _ => return None,
    };
    let wrap_algorithm = algorithm.expect(Tag::Sequence).ok()?;
    let wrap = agree::wrap_cipher(wrap_algorithm.members().any().ok()?.oid().ok()?)?;
    for encrypted in members.expect(Tag::Sequence).ok()?.members().all().ok()? {
        let mut encrypted = encrypted.members();
        if !is_ours(encrypted.any().ok()?, &own.certificate, explicit(0)) {
            continue;
        }
        let wrapped = encrypted.expect(Tag::OctetString).ok()?.value;
        let info = agree::shared_info(wrap_algorithm.whole, material, wrap.key_length()).ok()?;
        let secret = own.key.agree(&own.certificate, point)?;
        let kek = agree::derive(&secret, digest, &info, wrap.key_length()).ok()?;
        return agree::unwrap_key(wrap, &kek, wrapped).ok().filter(|key| key.len() == len);
    }
    None
}

/// The originator's one-time key, on our own curve: a point elsewhere would leak bits of our key.
fn peer(point: &[u8], own: &Certificate) -> Option<PKey<Public>> {
    let ours = own.key().ec_key().ok()?;
    let group = ours.group();
    let point = EcPoint::from_bytes(group, point, &mut *BigNumContext::new().ok()?).ok()?;
    let key = EcKey::from_public_key(group, &point).ok()?;
    key.check_key().ok()?;
    PKey::from_ec_key(key).ok()
}

/// Whether a recipient identifier means `certificate`: issuer and serial number, or `by_key`, the tagged key identifier.
fn is_ours(identifier: Node<'_>, certificate: &Certificate, by_key: Tag) -> bool {
    if identifier.tag == Tag::Sequence {
        return issuer_and_serial(certificate).is_ok_and(|ours| ours == identifier.whole);
    }
    let named = match identifier.tag {
        tag if tag != by_key => return false,
        // RecipientKeyIdentifier is a SEQUENCE that begins with the identifier; in key transport it stands alone.
        tag if tag == explicit(0) => match identifier.members().any() {
            Ok(first) => first.value,
            Err(_) => return false,
        },
        _ => identifier.value,
    };
    certificate.key_id() == Some(named)
}

fn decrypt(envelope: &Envelope<'_>, algorithm: &Algorithm, key: &[u8]) -> Option<Vec<u8>> {
    let mut context = CipherCtx::new().ok()?;
    let mut plain = Vec::new();
    if algorithm.authenticated {
        let mut parameters = envelope.parameters.members();
        let nonce = parameters.expect(Tag::OctetString).ok()?.value;
        let tag_len = parameters.optional(Tag::Integer).ok()?.map_or(Some(12), |len| len.small())?;
        let mac =
            envelope.mac.filter(|mac| mac.len() == usize::try_from(tag_len).unwrap_or(0) && (12..=16).contains(&mac.len()))?;
        if nonce.len() != 12 {
            return None;
        }
        context.decrypt_init(Some(algorithm.evp), Some(key), Some(nonce)).ok()?;
        context.set_tag(mac).ok()?;
        if let Some(attributes) = envelope.attributes {
            // RFC 5083 2.2: the attributes are authenticated as a SET OF.
            context.cipher_update(&tlv(Tag::Set, &[attributes]).ok()?, None).ok()?;
        }
    } else {
        let iv = envelope.parameters;
        if iv.tag != Tag::OctetString
            || iv.value.len() != 16
            || envelope.content.is_empty()
            || !envelope.content.len().is_multiple_of(16)
        {
            return None;
        }
        context.decrypt_init(Some(algorithm.evp), Some(key), Some(iv.value)).ok()?;
    }
    context.cipher_update_vec(&envelope.content, &mut plain).ok()?;
    context.cipher_final_vec(&mut plain).ok()?;
    Some(plain)
}
