//! The encrypted envelope: EnvelopedData (RFC 5652 6) and AuthEnvelopedData (RFC 5083).
//!
//! The content is encrypted in one pass, straight behind a header whose lengths are computed beforehand.

use openssl::{
    cipher::{Cipher as Evp, CipherRef},
    cipher_ctx::CipherCtx,
    md::Md,
    pkey::PKey,
    pkey_ctx::PkeyCtx,
    rand::rand_bytes,
    rsa::Padding,
};
use zeroize::Zeroizing;

use super::{Cipher, KeyTransport, Profile, SealError, agree, oid, sign::issuer_and_serial};
use crate::{
    crypto::der::{self, ObjectIdentifier, Tag, explicit, header, header_len, implicit, octets, sequence, small, tlv},
    trust::RecipientCertificate,
};

const BLOCK: usize = 16;
/// RFC 5084 3.2: sixteen octets of tag, stated because the default would be twelve.
const TAG: u8 = 16;
/// The MAC behind the content: tag, length, value.
const MAC: usize = 2 + TAG as usize;

impl Cipher {
    fn evp(self) -> &'static CipherRef {
        match self {
            Self::Aes256Cbc => Evp::aes_256_cbc(),
            Self::Aes128Cbc => Evp::aes_128_cbc(),
            Self::Aes256Gcm => Evp::aes_256_gcm(),
        }
    }

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Aes256Cbc => oid::AES256_CBC,
            Self::Aes128Cbc => oid::AES128_CBC,
            Self::Aes256Gcm => oid::AES256_GCM,
        }
    }

    /// Whether the envelope is an AuthEnvelopedData.
    pub(super) fn is_authenticated(self) -> bool {
        self == Self::Aes256Gcm
    }

    fn encrypted_len(self, plain: usize) -> usize {
        if self.is_authenticated() { plain } else { (plain / BLOCK + 1) * BLOCK }
    }

    fn parameters(self, iv: &[u8]) -> der::Result<Vec<u8>> {
        let nonce = octets(iv)?;
        let parameters = if self.is_authenticated() { sequence(&[&nonce, &small(TAG)?])? } else { nonce };
        sequence(&[&der::oid(self.oid())?, &parameters])
    }
}

/// Encrypts the concatenated `pieces` to `recipient` into `out` (overwritten, reused): the DER of a ContentInfo.
/// Returns how many octets of `out` it takes; the rest of `out` is room.
pub(super) fn envelope(
    pieces: &[&[u8]],
    recipient: &RecipientCertificate,
    profile: Profile,
    out: &mut Vec<u8>,
) -> Result<usize, SealError> {
    let failed = SealError::crypto("encrypt the message");
    let cipher = profile.cipher;
    let evp = cipher.evp();
    let mut key = Zeroizing::new(vec![0; evp.key_length()]);
    let mut iv = vec![0; evp.iv_length()];
    rand_bytes(&mut key).map_err(&failed)?;
    rand_bytes(&mut iv).map_err(&failed)?;

    let plain: usize = pieces.iter().map(|piece| piece.len()).sum();
    let encrypted = cipher.encrypted_len(plain);
    let prefix = prefix(&recipient_info(&key, recipient, profile)?, recipient, cipher, &iv, encrypted)?;
    let total = prefix.len() + encrypted + if cipher.is_authenticated() { MAC } else { 0 };
    // The buffer only ever grows: clearing a large one for each message would cost a pass over it.
    if out.len() < total + 2 * BLOCK {
        out.resize(total + 2 * BLOCK, 0);
    }
    out[..prefix.len()].copy_from_slice(&prefix);

    let mut context = CipherCtx::new().map_err(&failed)?;
    context.encrypt_init(Some(evp), Some(&key), Some(&iv)).map_err(&failed)?;
    let mut at = prefix.len();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        at += context.cipher_update(piece, Some(&mut out[at..])).map_err(&failed)?;
    }
    at += context.cipher_final(&mut out[at..]).map_err(&failed)?;
    if cipher.is_authenticated() {
        let mut tag = [0; TAG as usize];
        context.tag(&mut tag).map_err(&failed)?;
        let tag = octets(&tag)?;
        out[at..at + tag.len()].copy_from_slice(&tag);
        at += tag.len();
    }
    debug_assert_eq!(at, total, "the header announced another length");
    Ok(at)
}

/// Everything of the ContentInfo that stands before the encrypted content.
fn prefix(
    recipient_info: &[u8],
    recipient: &RecipientCertificate,
    cipher: Cipher,
    iv: &[u8],
    encrypted: usize,
) -> Result<Vec<u8>, SealError> {
    // RFC 5652 6.1: version 2 as soon as a recipient is not a plain key transport; RFC 5083 2.1: always 0.
    let version = small(if recipient.agrees() && !cipher.is_authenticated() { 2 } else { 0 })?;
    let recipients = tlv(Tag::Set, &[recipient_info])?;
    let content_type = der::oid(oid::DATA)?;
    let algorithm = cipher.parameters(iv)?;
    let kind = der::oid(if cipher.is_authenticated() { oid::AUTH_ENVELOPED_DATA } else { oid::ENVELOPED_DATA })?;
    let trailer = if cipher.is_authenticated() { MAC } else { 0 };

    let content = header_len(implicit(0), encrypted)? + encrypted;
    let info = content_type.len() + algorithm.len() + content;
    let enveloped = version.len() + recipients.len() + header_len(Tag::Sequence, info)? + info + trailer;
    let explicit_content = header_len(Tag::Sequence, enveloped)? + enveloped;
    let whole = kind.len() + header_len(explicit(0), explicit_content)? + explicit_content;

    let mut out = Vec::with_capacity(1024);
    header(Tag::Sequence, whole, &mut out)?;
    out.extend_from_slice(&kind);
    header(explicit(0), explicit_content, &mut out)?;
    header(Tag::Sequence, enveloped, &mut out)?;
    out.extend_from_slice(&version);
    out.extend_from_slice(&recipients);
    header(Tag::Sequence, info, &mut out)?;
    out.extend_from_slice(&content_type);
    out.extend_from_slice(&algorithm);
    header(implicit(0), encrypted, &mut out)?;
    Ok(out)
}

fn recipient_info(key: &[u8], recipient: &RecipientCertificate, profile: Profile) -> Result<Vec<u8>, SealError> {
    if recipient.agrees() {
        return agree::recipient_info(key, recipient.certificate());
    }
    // KeyTransRecipientInfo, RFC 5652 6.2.1.
    Ok(sequence(&[
        &small(0)?,
        &issuer_and_serial(recipient.certificate())?,
        &transport_algorithm(profile.key_transport)?,
        &octets(&transport(key, recipient.certificate().key(), profile.key_transport)?)?,
    ])?)
}

fn transport(key: &[u8], to: &PKey<openssl::pkey::Public>, how: KeyTransport) -> Result<Vec<u8>, SealError> {
    let failed = SealError::crypto("encrypt the content key to the recipient");
    let mut context = PkeyCtx::new(to).map_err(&failed)?;
    context.encrypt_init().map_err(&failed)?;
    let oaep = match how {
        KeyTransport::Pkcs1 => None,
        KeyTransport::OaepSha1 => Some(Md::sha1()),
        KeyTransport::OaepSha256 => Some(Md::sha256()),
    };
    context.set_rsa_padding(if oaep.is_some() { Padding::PKCS1_OAEP } else { Padding::PKCS1 }).map_err(&failed)?;
    if let Some(md) = oaep {
        context.set_rsa_oaep_md(md).map_err(&failed)?;
        context.set_rsa_mgf1_md(md).map_err(&failed)?;
    }
    let mut encrypted = Vec::new();
    context.encrypt_to_vec(key, &mut encrypted).map_err(&failed)?;
    Ok(encrypted)
}

fn transport_algorithm(how: KeyTransport) -> der::Result<Vec<u8>> {
    let null = tlv(Tag::Null, &[])?;
    match how {
        KeyTransport::Pkcs1 => sequence(&[&der::oid(oid::RSA)?, &null]),
        // All parameters have their default values, so none is encoded (RFC 4055 4.1).
        KeyTransport::OaepSha1 => sequence(&[&der::oid(oid::RSA_OAEP)?, &sequence(&[])?]),
        KeyTransport::OaepSha256 => {
            let hash = sequence(&[&der::oid(oid::SHA256)?, &null])?;
            let mask = sequence(&[&der::oid(oid::MGF1)?, &hash])?;
            sequence(&[&der::oid(oid::RSA_OAEP)?, &sequence(&[&tlv(explicit(0), &[&hash])?, &tlv(explicit(1), &[&mask])?])?])
        }
    }
}
