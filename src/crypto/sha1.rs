//! SHA-1 (FIPS 180-4). Nothing here trusts it: the metadata of shared documents name a document by it (IHE ITI TF-3
//! 4.2.3.2.10), as one would by a checksum. What vouches for a message is its signature.

/// The SHA-1 of `data`.
#[must_use]
pub fn sha1(data: &[u8]) -> [u8; 20] {
    openssl::sha::sha1(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_published_vector() {
        assert_eq!(crate::crypto::Hex(&sha1(b"abc")).to_string(), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
