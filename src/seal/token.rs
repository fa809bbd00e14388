//! Signing with a key on a token.

use std::sync::Arc;

use openssl::{encrypt::Encrypter, error::ErrorStack, hash::MessageDigest, pkey::Id, rsa::Padding, sign::Verifier};

use super::{SealError, Signer, agree};
use crate::{
    crypto::{random, sha256, token::TokenKey},
    domain::identity::KeyUse,
    trust::{
        Certificate,
        checks::{self, Purpose},
    },
};

/// A signer whose key is on a token.
pub struct TokenSigner {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: Arc<TokenKey>,
}

impl TokenSigner {
    /// Takes the key of `certificate`, which must be strong enough and be allowed to sign. That they belong together is
    /// shown by [`belongs`], once, when the key is imported.
    pub fn new(certificate: Certificate, chain: Vec<Certificate>, key: Arc<TokenKey>) -> Result<Self, SealError> {
        checks::key(&certificate)?;
        checks::usage(&certificate, Purpose::Sign)?;
        Ok(Self { certificate, chain, key })
    }
}

impl Signer for TokenSigner {
    fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    fn sign_digest(&self, sha256: &[u8; 32]) -> Result<Vec<u8>, SealError> {
        sign(&self.key, &self.certificate, sha256)
    }
}

fn sign(key: &TokenKey, certificate: &Certificate, sha256: &[u8; 32]) -> Result<Vec<u8>, SealError> {
    Ok(if certificate.key().id() == Id::EC { key.sign_ecdsa(sha256)? } else { key.sign_rsa(sha256)? })
}

/// Shows that a key on a token belongs to `certificate` by having it do what it is for: sign something random, open
/// something encrypted to the certificate.
pub fn belongs(key: &TokenKey, certificate: &Certificate, used_for: KeyUse) -> Result<(), SealError> {
    let mut challenge = [0; 32];
    random(&mut challenge)?;
    let mismatch = || SealError::KeyMismatch(certificate.subject());
    if used_for.signs() {
        let signature = sign(key, certificate, &sha256(&challenge))?;
        let verified = Verifier::new(MessageDigest::sha256(), certificate.key())
            .and_then(|mut verifier| verifier.verify_oneshot(&signature, &challenge));
        verified.unwrap_or(false).then_some(()).ok_or_else(mismatch)?;
    }
    if used_for.decrypts() {
        let failed = SealError::crypto("try the key on the token");
        let (expected, got) = if certificate.key().id() == Id::EC {
            let (once, point) = agree::one_time_key(certificate).map_err(&failed)?;
            let ours = agree::secret(&once, certificate.key()).map_err(&failed)?;
            (ours, key.agree(&point, agree::coordinate_len(certificate)))
        } else {
            let encrypted = encrypted(certificate, &challenge).map_err(&failed)?;
            (challenge.to_vec().into(), key.decrypt_pkcs1(&encrypted))
        };
        match got {
            Ok(got) if *got == *expected => {}
            Err(error) if error.is_forbidden() => return Err(error.into()),
            _ => return Err(mismatch()),
        }
    }
    Ok(())
}

fn encrypted(certificate: &Certificate, plain: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut encrypter = Encrypter::new(certificate.key())?;
    encrypter.set_rsa_padding(Padding::PKCS1)?;
    let mut out = vec![0; encrypter.encrypt_len(plain)?];
    let len = encrypter.encrypt(plain, &mut out)?;
    out.truncate(len);
    Ok(out)
}
