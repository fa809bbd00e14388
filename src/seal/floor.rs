//! What sealing cannot do without: the bare primitives, for `postern bench` and the benches to measure against.
//!
//! One RSA-2048 signature, SHA-256 and AES-256-CBC over the message, one RSA encryption, one base64 pass; all by
//! OpenSSL.

use openssl::{
    base64::encode_block,
    cipher::Cipher,
    cipher_ctx::CipherCtx,
    md::Md,
    pkey::{PKey, Private},
    pkey_ctx::PkeyCtx,
    rsa::{Padding, Rsa},
    sha::sha256,
};

use super::SealError;

/// The primitives with their keys.
pub struct Floor {
    signing: PKey<Private>,
    receiving: PKey<Private>,
    encrypted: Vec<u8>,
}

impl Floor {
    /// Makes two RSA-2048 keys.
    pub fn new() -> Result<Self, SealError> {
        let key = || Rsa::generate(2048).and_then(PKey::from_rsa).map_err(SealError::crypto("make a key"));
        Ok(Self { signing: key()?, receiving: key()?, encrypted: Vec::new() })
    }

    /// Runs every primitive once over `message` (the inner message). Returns the octets of base64, so that no work can be
    /// left out.
    pub fn pass(&mut self, message: &[u8]) -> Result<usize, SealError> {
        let failed = SealError::crypto("measure the primitives");
        let mut sign = PkeyCtx::new(&self.signing).map_err(&failed)?;
        sign.sign_init().map_err(&failed)?;
        sign.set_signature_md(Md::sha256()).map_err(&failed)?;
        let mut signature = [0; 256];
        sign.sign(&sha256(message), Some(&mut signature)).map_err(&failed)?;

        self.encrypted.resize(message.len() + 32, 0);
        let mut aes = CipherCtx::new().map_err(&failed)?;
        aes.encrypt_init(Some(Cipher::aes_256_cbc()), Some(&[7; 32]), Some(&[9; 16])).map_err(&failed)?;
        let mut len = aes.cipher_update(message, Some(&mut self.encrypted)).map_err(&failed)?;
        len += aes.cipher_final(&mut self.encrypted[len..]).map_err(&failed)?;

        let mut transport = PkeyCtx::new(&self.receiving).map_err(&failed)?;
        transport.encrypt_init().map_err(&failed)?;
        transport.set_rsa_padding(Padding::PKCS1).map_err(&failed)?;
        let mut key = [0; 256];
        transport.encrypt(&[7; 32], Some(&mut key)).map_err(&failed)?;
        Ok(Self::base64(&self.encrypted[..len]))
    }

    /// One base64 pass: what wrapping a document costs at least. Returns the octets of base64.
    #[must_use]
    pub fn base64(data: &[u8]) -> usize {
        encode_block(data).len()
    }
}
