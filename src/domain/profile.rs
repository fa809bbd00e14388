//! With which algorithms a message is sealed.

use super::words;

words! {
    /// The content cipher.
    pub enum Cipher {
        /// AES-256-CBC: every Direct peer opens it.
        Aes256Cbc = "aes-256-cbc",
        /// AES-128-CBC: what the reference implementations send.
        Aes128Cbc = "aes-128-cbc",
        /// AES-256-GCM in AuthEnvelopedData (RFC 5083): only to peers known to open it.
        Aes256Gcm = "aes-256-gcm",
    }
}

words! {
    /// How the content key travels to an RSA recipient. To an elliptic-curve recipient it goes by ECDH, whatever is set.
    pub enum KeyTransport {
        /// RSA PKCS#1 v1.5.
        Pkcs1 = "pkcs1",
        /// RSA-OAEP with SHA-1 and MGF1-SHA-1.
        OaepSha1 = "oaep-sha1",
        /// RSA-OAEP with SHA-256 and MGF1-SHA-256.
        OaepSha256 = "oaep-sha256",
    }
}

/// The algorithms of one sealed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The content cipher.
    pub cipher: Cipher,
    /// How the content key travels.
    pub key_transport: KeyTransport,
}

impl Default for Profile {
    fn default() -> Self {
        Self { cipher: Cipher::Aes256Cbc, key_transport: KeyTransport::Pkcs1 }
    }
}
