//! Elliptic-curve recipients: ECDH with a one-time key, a KDF and AES key wrap (RFC 5753 3.1).

use openssl::{
    cipher::{Cipher as Evp, CipherRef},
    cipher_ctx::{CipherCtx, CipherCtxFlags},
    derive::Deriver,
    ec::{EcKey, PointConversionForm},
    error::ErrorStack,
    hash::{Hasher, MessageDigest},
    pkey::{HasPrivate, HasPublic, PKey, PKeyRef, Private},
};
use zeroize::Zeroizing;

use super::{SealError, oid, sign::issuer_and_serial};
use crate::{
    crypto::der::{self, ObjectIdentifier, Tag, explicit, octets, sequence, small, tlv},
    trust::Certificate,
};

/// KeyAgreeRecipientInfo for the content key `key`.
pub(super) fn recipient_info(key: &[u8], to: &Certificate) -> Result<Vec<u8>, SealError> {
    let failed = SealError::crypto("agree on a key with the recipient");
    let (once, point) = one_time_key(to).map_err(&failed)?;

    let (wrap, wrap_oid) =
        if key.len() == 16 { (Evp::aes_128_wrap(), oid::AES128_WRAP) } else { (Evp::aes_256_wrap(), oid::AES256_WRAP) };
    // RFC 5753 7.1.5: the AES key wrap has no parameters, and the KDF sees the identifier exactly as it is sent.
    let wrap_algorithm = sequence(&[&der::oid(wrap_oid)?])?;
    let info = shared_info(&wrap_algorithm, None, wrap.key_length())?;
    let secret = secret(&once, to.key()).map_err(&failed)?;
    let kek = derive(&secret, MessageDigest::sha256(), &info, wrap.key_length()).map_err(&failed)?;
    let wrapped = wrap_key(wrap, &kek, key).map_err(&failed)?;

    let originator_key = sequence(&[&der::oid(oid::EC_PUBLIC_KEY)?])?;
    let originator = tlv(explicit(1), &[&originator_key, &tlv(Tag::BitString, &[&[0], &point])?])?;
    Ok(tlv(
        explicit(1),
        &[
            &small(3)?,
            &tlv(explicit(0), &[&originator])?,
            &sequence(&[&der::oid(oid::ECDH_SHA256_KDF)?, &wrap_algorithm])?,
            &sequence(&[&sequence(&[&issuer_and_serial(to)?, &octets(&wrapped)?])?])?,
        ],
    )?)
}

/// ECC-CMS-SharedInfo (RFC 5753 7.2).
pub(super) fn shared_info(wrap_algorithm: &[u8], user_material: Option<&[u8]>, key_len: usize) -> der::Result<Vec<u8>> {
    let bits = u32::try_from(key_len * 8).unwrap_or(0).to_be_bytes();
    let material = match user_material {
        Some(material) => tlv(explicit(0), &[&octets(material)?])?,
        None => Vec::new(),
    };
    sequence(&[wrap_algorithm, &material, &tlv(explicit(2), &[&octets(&bits)?])?])
}

/// A key for one use on the curve of `to`, and its public point, uncompressed.
pub(super) fn one_time_key(to: &Certificate) -> Result<(PKey<Private>, Vec<u8>), ErrorStack> {
    let recipient = to.key().ec_key()?;
    let group = recipient.group();
    let once = EcKey::generate(group)?;
    let mut numbers = openssl::bn::BigNumContext::new()?;
    let point = once.public_key().to_bytes(group, PointConversionForm::UNCOMPRESSED, &mut numbers)?;
    Ok((PKey::from_ec_key(once)?, point))
}

/// How many octets a coordinate on the certificate's curve has: as many as the secret of ECDH.
pub(super) fn coordinate_len(certificate: &Certificate) -> usize {
    usize::try_from(certificate.key().bits().div_ceil(8)).unwrap_or(0)
}

/// The shared secret of ECDH: the x-coordinate (SEC 1 3.3.1).
pub(super) fn secret<T: HasPrivate, P: HasPublic>(own: &PKeyRef<T>, peer: &PKeyRef<P>) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    // OpenSSL wants the same kind of handle on both sides.
    let peer = PKey::public_key_from_der(&peer.public_key_to_der()?)?;
    let mut deriver = Deriver::new(own)?;
    deriver.set_peer(&peer)?;
    Ok(Zeroizing::new(deriver.derive_to_vec()?))
}

/// The key-encryption key from the shared secret: the KDF of ANSI X9.63 (SEC 1 3.6.1).
pub(super) fn derive(secret: &[u8], digest: MessageDigest, info: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let mut key = Zeroizing::new(Vec::with_capacity(len + 64));
    let mut counter = 1_u32;
    while key.len() < len {
        let mut hasher = Hasher::new(digest)?;
        hasher.update(secret)?;
        hasher.update(&counter.to_be_bytes())?;
        hasher.update(info)?;
        key.extend_from_slice(&hasher.finish()?);
        counter += 1;
    }
    key.truncate(len);
    Ok(key)
}

fn wrap_key(cipher: &CipherRef, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut context = CipherCtx::new()?;
    context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
    context.encrypt_init(Some(cipher), Some(kek), None)?;
    let mut wrapped = Vec::new();
    context.cipher_update_vec(key, &mut wrapped)?;
    context.cipher_final_vec(&mut wrapped)?;
    Ok(wrapped)
}

/// Undoes AES key wrap (RFC 3394); an error when the integrity check fails.
pub(super) fn unwrap_key(cipher: &CipherRef, kek: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
    let mut context = CipherCtx::new()?;
    context.set_flags(CipherCtxFlags::FLAG_WRAP_ALLOW);
    context.decrypt_init(Some(cipher), Some(kek), None)?;
    let mut key = Zeroizing::new(Vec::new());
    context.cipher_update_vec(wrapped, &mut key)?;
    context.cipher_final_vec(&mut key)?;
    Ok(key)
}

/// The cipher of a key wrap algorithm.
pub(super) fn wrap_cipher(algorithm: ObjectIdentifier) -> Option<&'static CipherRef> {
    match algorithm {
        oid::AES128_WRAP => Some(Evp::aes_128_wrap()),
        oid::AES192_WRAP => Some(Evp::aes_192_wrap()),
        oid::AES256_WRAP => Some(Evp::aes_256_wrap()),
        _ => None,
    }
}
