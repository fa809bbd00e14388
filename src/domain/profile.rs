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

words! {
    /// The digest of a signature. Ours is always SHA-256, which every peer has to understand.
    pub enum Digest {
        /// SHA-256.
        Sha256 = "sha-256",
        /// SHA-384.
        Sha384 = "sha-384",
        /// SHA-512.
        Sha512 = "sha-512",
    }
}

words! {
    /// What a peer is taken to understand before it has shown anything.
    pub enum Standard {
        /// What every Direct peer opens: RSA PKCS#1 v1.5 and AES-256-CBC.
        Direct = "direct",
        /// RSA-OAEP with SHA-256 and AES-256-CBC: NIST SP 800-131A no longer allows PKCS#1 v1.5 for key transport.
        Fips = "fips",
    }
}

impl Standard {
    /// With what a peer is met that nobody knows anything about.
    #[must_use]
    pub const fn profile(self) -> Profile {
        match self {
            Self::Direct => Profile { cipher: Cipher::Aes256Cbc, key_transport: KeyTransport::Pkcs1 },
            Self::Fips => Profile { cipher: Cipher::Aes256Cbc, key_transport: KeyTransport::OaepSha256 },
        }
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
        Standard::Direct.profile()
    }
}

/// The best a recipient domain has shown it understands, by what it used to us and what it said it can (RFC 8551 2.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// The key transport; absent when it showed none (its keys are elliptic curves, or it said nothing).
    pub key_transport: Option<KeyTransport>,
    /// The content cipher.
    pub cipher: Option<Cipher>,
    /// The digest of its own signatures.
    pub digest: Option<Digest>,
}

impl Shown {
    /// What is known after `more` was shown. Learning never lowers: one old message must not take a better choice away.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            key_transport: self.key_transport.max_by_strength(more.key_transport),
            cipher: self.cipher.max_by_strength(more.cipher),
            digest: self.digest.max(more.digest),
        }
    }

    /// Whether nothing was shown.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// What somebody set for a peer by hand. What is not set is left to learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set {
    /// The key transport.
    pub key_transport: Option<KeyTransport>,
    /// The content cipher.
    pub cipher: Option<Cipher>,
}

/// With what a message is sealed to a peer: what is set wins; else the better of what it has shown and the standard.
#[must_use]
pub fn merge(set: Set, shown: Shown, standard: Standard) -> Profile {
    let least = standard.profile();
    Profile {
        cipher: set.cipher.or_else(|| Some(least.cipher).max_by_strength(shown.cipher)).unwrap_or(least.cipher),
        key_transport: set
            .key_transport
            .or_else(|| Some(least.key_transport).max_by_strength(shown.key_transport))
            .unwrap_or(least.key_transport),
    }
}

/// The order among algorithms is not that of their declaration, which is what people see first.
trait Strength: Sized {
    fn max_by_strength(self, other: Self) -> Self;
}

impl Strength for Option<Cipher> {
    fn max_by_strength(self, other: Self) -> Self {
        const fn rank(cipher: Cipher) -> u8 {
            match cipher {
                Cipher::Aes128Cbc => 1,
                Cipher::Aes256Cbc => 2,
                Cipher::Aes256Gcm => 3,
            }
        }
        if other.map_or(0, rank) > self.map_or(0, rank) { other } else { self }
    }
}

impl Strength for Option<KeyTransport> {
    fn max_by_strength(self, other: Self) -> Self {
        const fn rank(transport: KeyTransport) -> u8 {
            match transport {
                KeyTransport::Pkcs1 => 1,
                KeyTransport::OaepSha1 => 2,
                KeyTransport::OaepSha256 => 3,
            }
        }
        if other.map_or(0, rank) > self.map_or(0, rank) { other } else { self }
    }
}

words! {
    /// The way the content key went in a message that was sealed.
    pub enum KeyWay {
        /// RSA PKCS#1 v1.5.
        Pkcs1 = "pkcs1",
        /// RSA-OAEP with SHA-1.
        OaepSha1 = "oaep-sha1",
        /// RSA-OAEP with SHA-256.
        OaepSha256 = "oaep-sha256",
        /// ECDH: the recipient's key is an elliptic curve.
        Ecdh = "ecdh",
    }
}

impl From<KeyTransport> for KeyWay {
    fn from(transport: KeyTransport) -> Self {
        match transport {
            KeyTransport::Pkcs1 => Self::Pkcs1,
            KeyTransport::OaepSha1 => Self::OaepSha1,
            KeyTransport::OaepSha256 => Self::OaepSha256,
        }
    }
}

/// With which algorithms one message was sealed: evidence of a delivery. In text `aes-256-cbc pkcs1 sha-256`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedWith {
    /// The content cipher.
    pub cipher: Cipher,
    /// How the content key went.
    pub key: KeyWay,
    /// The digest of the signature.
    pub digest: Digest,
}

impl SealedWith {
    /// For an expired delivery to a domain that never answered anything: what was used, and what may help. `domain` is the
    /// recipient's.
    #[must_use]
    pub fn never_answered(self, domain: &str) -> String {
        let cipher = match self.cipher {
            Cipher::Aes256Cbc => "AES-256-CBC",
            Cipher::Aes128Cbc => "AES-128-CBC",
            Cipher::Aes256Gcm => "AES-256-GCM",
        };
        let (key, other) = match self.key {
            KeyWay::Pkcs1 => ("RSA PKCS#1 v1.5", "key_transport = \"oaep-sha256\""),
            KeyWay::OaepSha1 => ("RSA-OAEP with SHA-1", "key_transport = \"pkcs1\""),
            KeyWay::OaepSha256 => ("RSA-OAEP with SHA-256", "key_transport = \"pkcs1\""),
            KeyWay::Ecdh => ("ECDH", "cipher = \"aes-128-cbc\""),
        };
        format!(
            "{domain} has never answered; the message was sealed with {cipher}, its key by {key}, signed over {}. \
             If the receiver cannot open that, set {other} for it in a [[peer]] of the organization file",
            self.digest.as_str().to_ascii_uppercase()
        )
    }
}

impl std::fmt::Display for SealedWith {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.cipher, self.key, self.digest)
    }
}

impl std::str::FromStr for SealedWith {
    type Err = super::text::NotAWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap_or_default();
        Ok(Self { cipher: next().parse()?, key: next().parse()?, digest: next().parse()? })
    }
}

super::serde_as_text!(SealedWith);

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Shown = Shown { key_transport: None, cipher: None, digest: None };

    #[test]
    fn a_stranger_gets_what_the_standard_says_and_fips_flips_the_key_transport() {
        assert_eq!(merge(Set::default(), NOTHING, Standard::Direct), Profile::default());
        let fips = merge(Set::default(), NOTHING, Standard::Fips);
        assert_eq!((fips.cipher, fips.key_transport), (Cipher::Aes256Cbc, KeyTransport::OaepSha256));
    }

    #[test]
    fn every_pair_of_what_is_set_and_shown_gives_what_is_set_or_the_better() {
        let mut tried = 0;
        let options = |all: &'static [KeyTransport]| std::iter::once(None).chain(all.iter().copied().map(Some));
        for set in options(KeyTransport::ALL) {
            for shown in options(KeyTransport::ALL) {
                for &standard in Standard::ALL {
                    tried += 1;
                    let shown = Shown { key_transport: shown, ..NOTHING };
                    let merged = merge(Set { key_transport: set, cipher: None }, shown, standard).key_transport;
                    let learnt = Some(standard.profile().key_transport).max_by_strength(shown.key_transport);
                    assert_eq!(Some(merged), set.or(learnt));
                }
            }
        }
        assert_eq!(tried, 32);
    }

    #[test]
    fn gcm_is_used_only_when_shown_or_set_and_a_weaker_cipher_shown_changes_nothing() {
        let with = |cipher| merge(Set::default(), Shown { cipher, ..NOTHING }, Standard::Direct).cipher;
        assert_eq!(with(Some(Cipher::Aes256Gcm)), Cipher::Aes256Gcm);
        assert_eq!(with(Some(Cipher::Aes128Cbc)), Cipher::Aes256Cbc);
        let set = Set { cipher: Some(Cipher::Aes128Cbc), key_transport: None };
        let shown = Shown { cipher: Some(Cipher::Aes256Gcm), ..NOTHING };
        assert_eq!(merge(set, shown, Standard::Fips).cipher, Cipher::Aes128Cbc, "somebody knows better");
    }

    #[test]
    fn learning_never_lowers_whatever_the_order() {
        let weak =
            Shown { key_transport: Some(KeyTransport::Pkcs1), cipher: Some(Cipher::Aes128Cbc), digest: Some(Digest::Sha256) };
        let strong = Shown {
            key_transport: Some(KeyTransport::OaepSha256),
            cipher: Some(Cipher::Aes256Gcm),
            digest: Some(Digest::Sha384),
        };
        for (first, then) in [(weak, strong), (strong, weak), (strong, NOTHING), (NOTHING, strong)] {
            assert_eq!(first.and(then), strong);
        }
        assert!(NOTHING.and(NOTHING).is_nothing() && !weak.is_nothing());
    }

    #[test]
    fn evidence_reads_back_and_says_what_was_used() {
        for &cipher in Cipher::ALL {
            for &key in KeyWay::ALL {
                let used = SealedWith { cipher, key, digest: Digest::Sha256 };
                assert_eq!(used.to_string().parse::<SealedWith>().unwrap(), used);
                let words = used.never_answered("direct.clinic.example");
                assert!(words.starts_with("direct.clinic.example has never answered") && words.contains("SHA-256"), "{words}");
            }
        }
        let used: SealedWith = "aes-256-cbc pkcs1 sha-256".parse().unwrap();
        let words = used.never_answered("d.example");
        assert!(words.contains("AES-256-CBC") && words.contains("PKCS#1 v1.5") && words.contains("oaep-sha256"), "{words}");
        assert!("aes-256-cbc pkcs1".parse::<SealedWith>().is_err());
    }
}
