//! SHA-256 (FIPS 180-4), at once and piece by piece.

use super::Hex;

/// A running SHA-256.
#[derive(Clone)]
pub struct Sha256(openssl::sha::Sha256);

impl Default for Sha256 {
    fn default() -> Self {
        Self(openssl::sha::Sha256::new())
    }
}

impl Sha256 {
    /// A fresh one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) -> &mut Self {
        self.0.update(piece);
        self
    }

    /// The digest of everything taken.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finish()
    }
}

/// The SHA-256 of `data`.
#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    openssl::sha::sha256(data)
}

/// Lower-case hexadecimal, for fingerprints in evidence and on screens.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_whole_agree_with_the_published_vector() {
        let digest = Sha256::new().update(b"a").update(b"bc").clone().finish();
        assert_eq!(digest, sha256(b"abc"));
        assert_eq!(hex(&digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
