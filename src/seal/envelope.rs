//! One message sealed to one recipient: wrap, sign, encrypt, base64, in that order and with one pass each.

use openssl::rand::rand_bytes;

use super::{Inner, Letter, Outer, Profile, SealError, Signer, encrypt, mime::text, sign};
use crate::{
    crypto::{Sha256, base64_lines, base64_lines::encoded_len, sha256, sha256::hex},
    domain::{
        Timestamp,
        profile::{Digest, KeyWay, SealedWith},
    },
    trust::RecipientCertificate,
};

/// Seals messages one after the other. Keeps its buffers, so one per worker thread: memory is bounded by about three
/// times the largest message.
#[derive(Default)]
pub struct Sealer {
    /// The composed inner message.
    inner: Vec<u8>,
    /// The CMS envelope in DER.
    envelope: Vec<u8>,
}

/// What was sealed: the evidence of what went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// SHA-256 of the CMS object: of the attachment `smime.p7m` as the recipient holds it, whatever servers on the way did to
    /// header fields and to the line lengths of base64.
    pub sha256: [u8; 32],
    /// Octets of the whole sealed message.
    pub size: usize,
    /// With which algorithms.
    pub with: SealedWith,
}

/// With what a message is sealed.
#[derive(Clone, Copy)]
pub struct Seal<'a> {
    /// Whose signature.
    pub signer: &'a dyn Signer,
    /// To whom.
    pub recipient: &'a RecipientCertificate,
    /// With which algorithms.
    pub profile: Profile,
    /// The signing time claimed in the signature.
    pub at: Timestamp,
}

impl Sealer {
    /// A sealer with empty buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Composes `letter` and seals it into `out`, which is cleared first.
    pub fn seal_letter(&mut self, letter: &Letter<'_>, with: Seal<'_>, out: &mut Vec<u8>) -> Result<Sealed, SealError> {
        let mut inner = std::mem::take(&mut self.inner);
        inner.clear();
        let sealed = letter.compose(&mut inner).and_then(|()| self.seal(&Outer::of(letter), &inner, with, out));
        self.inner = inner;
        sealed
    }

    /// Seals an inner message that already exists into `out`, which is cleared first.
    pub fn seal_inner(&mut self, inner: &Inner, with: Seal<'_>, out: &mut Vec<u8>) -> Result<Sealed, SealError> {
        self.seal(inner.outer(), inner.bytes(), with, out)
    }

    fn seal(&mut self, outer: &Outer, inner: &[u8], with: Seal<'_>, out: &mut Vec<u8>) -> Result<Sealed, SealError> {
        let boundary = signed_boundary()?;
        // RFC 8551 3.1: the whole message, headers included, becomes a message/rfc822 part.
        let wrapping = if inner.is_ascii() {
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
        } else {
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        };
        let digest = Sha256::new().update(wrapping.as_bytes()).update(inner).clone().finish();
        let signature = sign::signed_data(with.signer, &digest, with.at)?;

        let head = format!(
            "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n \
             micalg=sha-256; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n{wrapping}"
        );
        let mut tail = Vec::with_capacity(encoded_len(signature.len()) + 512);
        text(&mut tail, &["\r\n--", &boundary, "\r\n"]);
        text(&mut tail, &["Content-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"]);
        text(&mut tail, &["Content-Transfer-Encoding: base64\r\n"]);
        text(&mut tail, &["Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n"]);
        base64_lines(&signature, &mut tail);
        text(&mut tail, &["\r\n--", &boundary, "--\r\n"]);

        let pieces = [head.as_bytes(), inner, &tail];
        let len = encrypt::envelope(&pieces, with.recipient, with.profile, &mut self.envelope)?;
        out.clear();
        out.reserve(encoded_len(len) + 2048);
        outer.write(out);
        let kind = if with.profile.cipher.is_authenticated() { "authEnveloped-data" } else { "enveloped-data" };
        text(out, &["Content-Type: application/pkcs7-mime; smime-type=", kind, ";\r\n name=\"smime.p7m\"\r\n"]);
        text(out, &["Content-Disposition: attachment; filename=\"smime.p7m\"\r\n"]);
        text(out, &["Content-Transfer-Encoding: base64\r\n\r\n"]);
        base64_lines(&self.envelope[..len], out);
        let key = if with.recipient.agrees() { KeyWay::Ecdh } else { with.profile.key_transport.into() };
        let with = SealedWith { cipher: with.profile.cipher, key, digest: Digest::Sha256 };
        Ok(Sealed { sha256: sha256(&self.envelope[..len]), size: out.len(), with })
    }
}

/// Random, because the inner message may come from somebody who would like to guess it.
fn signed_boundary() -> Result<String, SealError> {
    let mut random = [0; 16];
    rand_bytes(&mut random).map_err(SealError::crypto("make a boundary"))?;
    Ok(format!("=_{}_signed", hex(&random)))
}
