//! The master key: wraps the data keys of all organizations. Lose it and everything stored is lost.

use std::{
    fmt,
    fs::OpenOptions,
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CryptoError, Hex, aead::Key, hash::from_hex, keys::derive, random};

/// 256 random bits, wiped when dropped.
pub struct MasterKey {
    id: Uuid,
    secret: Key,
    wrap: Key,
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

impl MasterKey {
    /// A new random key.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut secret = Key::default();
        random(&mut secret[..])?;
        Self::from_secret(secret)
    }

    /// Reads a key written as 64 hexadecimal digits or as base64: what an environment variable holds.
    ///
    /// # Errors
    /// [`CryptoError::NotAMasterKey`].
    pub fn from_text(text: &str) -> Result<Self, CryptoError> {
        let text = text.trim();
        let octets = from_hex(text).or_else(|| BASE64_STANDARD.decode(text).ok());
        Self::from_octets(&Zeroizing::new(octets.ok_or(CryptoError::NotAMasterKey)?))
    }

    /// Reads a key file: 32 raw octets, or text as in [`Self::from_text`].
    ///
    /// # Errors
    /// [`CryptoError::KeyFileOpen`] when anybody but its owner may read or write it: the key is then not used at all.
    pub fn from_file(path: &Path) -> Result<Self, CryptoError> {
        let failed = |cause| CryptoError::KeyFile { doing: "reading", path: path.to_owned(), cause };
        let mut file = OpenOptions::new().read(true).open(path).map_err(failed)?;
        // The permissions of what was opened, not of what the name means a moment later.
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(CryptoError::KeyFileOpen { path: path.to_owned(), mode });
        }
        // No key is longer; a wrong path must not fill the memory.
        let mut content = Zeroizing::new(Vec::with_capacity(256));
        std::io::Read::take(&mut file, 256).read_to_end(&mut content).map_err(failed)?;
        if content.len() == 32 {
            return Self::from_octets(&content);
        }
        Self::from_text(std::str::from_utf8(&content).map_err(|_| CryptoError::NotAMasterKey)?)
    }

    /// Writes the key to a new file that only its owner may read, durable when this returns.
    ///
    /// # Errors
    /// [`CryptoError::KeyFile`], also when the file exists: a key is never overwritten.
    pub fn create_file(&self, path: &Path) -> Result<(), CryptoError> {
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            let text = Zeroizing::new(format!("{}\n", Hex(&self.secret[..])));
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|cause| CryptoError::KeyFile { doing: "writing", path: path.to_owned(), cause })
    }

    fn from_octets(octets: &[u8]) -> Result<Self, CryptoError> {
        let secret: [u8; 32] = octets.try_into().map_err(|_| CryptoError::NotAMasterKey)?;
        let secret = Zeroizing::new(secret);
        // All octets the same is a placeholder somebody forgot to replace.
        if secret.iter().all(|octet| *octet == secret[0]) {
            return Err(CryptoError::NotAMasterKey);
        }
        Self::from_secret(secret)
    }

    fn from_secret(secret: Key) -> Result<Self, CryptoError> {
        let fingerprint = derive(&secret, b"postern/master-key-id/1")?;
        let id = Uuid::from_slice(&fingerprint[..16]).map_err(|_| CryptoError::NotAMasterKey)?;
        Ok(Self { id, wrap: derive(&secret, b"postern/wrap/1")?, secret })
    }

    /// Which key this is, without saying anything about its value.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    pub(super) const fn key(&self) -> &Key {
        &self.wrap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let key = MasterKey::generate().unwrap();
        key.create_file(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::from_file(&path).unwrap().id(), key.id());
        assert!(matches!(MasterKey::generate().unwrap().create_file(&path), Err(CryptoError::KeyFile { .. })));
        assert_eq!(MasterKey::from_file(&path).unwrap().id(), key.id());
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::generate().unwrap().create_file(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let refused = MasterKey::from_file(&path);
            assert!(matches!(refused, Err(CryptoError::KeyFileOpen { mode: seen, .. }) if seen == mode), "{mode:o}");
        }
    }

    #[test]
    fn hexadecimal_base64_and_raw_octets_are_the_same_key() {
        let octets: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap() + 200);
        let id = MasterKey::from_text(&Hex(&octets).to_string()).unwrap().id();
        assert_eq!(MasterKey::from_text(&format!(" {}\n", BASE64_STANDARD.encode(octets))).unwrap().id(), id);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("raw");
        std::fs::write(&path, octets).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert_eq!(MasterKey::from_file(&path).unwrap().id(), id);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "secret", &"0".repeat(64), &"00112233".repeat(4), "!!!!"] {
            assert!(matches!(MasterKey::from_text(text), Err(CryptoError::NotAMasterKey)), "{text}");
        }
    }
}
