//! An organization's data key: what encrypts its rows and blobs, and names them without giving anything away.

use std::fmt;

use openssl::{
    kdf::{HkdfMode, hkdf},
    md::Md,
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{CryptoError, Hex, MasterKey, aead, aead::Key, hash::keyed_hash, random};
use crate::domain::OrgId;

/// The data key of one organization. Destroying every wrapped copy of it shreds the organization's data.
///
/// The 256-bit secret is never used itself: separate keys for encrypting, for search hashes and for blob names are
/// derived from it (HKDF, RFC 5869).
pub struct DataKey {
    id: Uuid,
    secret: Key,
    encrypt: Key,
    search: Key,
    blob: Key,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

impl DataKey {
    /// A new random key with a new id.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn generate() -> Result<Self, CryptoError> {
        let mut secret = Key::default();
        random(&mut secret[..])?;
        Self::from_secret(Uuid::now_v7(), secret)
    }

    fn from_secret(id: Uuid, secret: Key) -> Result<Self, CryptoError> {
        Ok(Self {
            id,
            encrypt: derive(&secret, b"postern/at-rest/1")?,
            search: derive(&secret, b"postern/search/1")?,
            blob: derive(&secret, b"postern/blob-name/1")?,
            secret,
        })
    }

    /// The id every box sealed with this key carries.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// This key, sealed under the master key for `org` alone: what the store keeps.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn wrap(&self, master: &MasterKey, org: OrgId) -> Result<Vec<u8>, CryptoError> {
        let mut plain = Zeroizing::new([0; 48]);
        plain[..16].copy_from_slice(self.id.as_bytes());
        plain[16..].copy_from_slice(&self.secret[..]);
        aead::seal(master.key(), master.id(), &wrap_aad(org), &plain[..])
    }

    /// The key `wrapped` holds.
    ///
    /// # Errors
    /// [`CryptoError::OtherKey`] when another master key wrapped it, [`CryptoError::Tampered`] when it was changed or
    /// belongs to another organization.
    pub fn unwrap(master: &MasterKey, org: OrgId, wrapped: &[u8]) -> Result<Self, CryptoError> {
        let plain = aead::open(master.key(), master.id(), &wrap_aad(org), wrapped)?;
        let (id, secret) = plain.split_first_chunk::<16>().ok_or(CryptoError::NotABox)?;
        let secret: [u8; 32] = secret.try_into().map_err(|_| CryptoError::NotABox)?;
        Self::from_secret(Uuid::from_bytes(*id), Zeroizing::new(secret))
    }

    /// Seals `plain` for the place `aad` names (see [`aad`]).
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, CryptoError> {
        aead::seal(&self.encrypt, self.id, aad, plain)
    }

    /// Opens what [`Self::seal`] made for the same place.
    ///
    /// # Errors
    /// [`CryptoError::OtherKey`], [`CryptoError::Tampered`] or [`CryptoError::NotABox`]; nothing of the plain text
    /// survives.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        aead::open(&self.encrypt, self.id, aad, sealed)
    }

    /// The same where the box lies, without a copy: for documents. What does not open is wiped.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_in_place<'b>(&self, aad: &[u8], sealed: &'b mut [u8]) -> Result<&'b mut [u8], CryptoError> {
        aead::open_in_place(&self.encrypt, self.id, aad, sealed)
    }

    /// The keyed hash by which a row is found again: 64 hexadecimal digits. `field` is `local_id` or `member_id`; the
    /// value is compared without regard to case, white space and dashes.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn search_hash(&self, field: &str, value: &str) -> Result<String, CryptoError> {
        let normalized = Zeroizing::new(normalize(value));
        let hash = keyed_hash(&self.search[..], &[field.as_bytes(), normalized.as_bytes()])?;
        Ok(Hex(&hash).to_string())
    }

    /// The name of the blob whose plain text has the digest `sha256`: 64 hexadecimal digits. The digest itself would
    /// let anybody who has a document see that we hold it.
    ///
    /// # Errors
    /// [`CryptoError::Library`].
    pub fn blob_name(&self, sha256: &[u8; 32]) -> Result<String, CryptoError> {
        Ok(Hex(&keyed_hash(&self.blob[..], &[sha256])?).to_string())
    }
}

/// Where a box belongs: `what` names table and column, `row` the row, `version` the version of its content. Use the
/// same to seal and to open.
#[must_use]
pub fn aad(org: OrgId, what: &str, row: Uuid, version: u32) -> Vec<u8> {
    // Fixed lengths first, the one free length last: no two places read the same.
    [&org.0.as_bytes()[..], row.as_bytes(), &version.to_be_bytes(), what.as_bytes()].concat()
}

fn wrap_aad(org: OrgId) -> Vec<u8> {
    [&b"postern/data-key/1"[..], org.0.as_bytes()].concat()
}

fn normalize(value: &str) -> String {
    value.chars().filter(|c| !c.is_whitespace() && *c != '-').flat_map(char::to_uppercase).collect()
}

pub(super) fn derive(secret: &Key, purpose: &[u8]) -> Result<Key, CryptoError> {
    let mut key = Key::default();
    hkdf(Md::sha256(), &secret[..], None, Some(purpose), HkdfMode::ExtractAndExpand, None, &mut key[..])
        .map_err(|cause| CryptoError::library("deriving a key", cause))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master() -> MasterKey {
        MasterKey::generate().unwrap()
    }

    #[test]
    fn a_wrapped_key_comes_back_the_same() {
        let (master, org, key) = (master(), OrgId::new(), DataKey::generate().unwrap());
        let back = DataKey::unwrap(&master, org, &key.wrap(&master, org).unwrap()).unwrap();
        assert_eq!(back.id(), key.id());
        let place = aad(org, "order.patient", Uuid::now_v7(), 1);
        let sealed = key.seal(&place, b"Morgan Testriver").unwrap();
        assert_eq!(&back.open(&place, &sealed).unwrap()[..], b"Morgan Testriver");
        assert_eq!(back.search_hash("local_id", "ZZ1").unwrap(), key.search_hash("local_id", "ZZ1").unwrap());
        assert_eq!(back.blob_name(&[1; 32]).unwrap(), key.blob_name(&[1; 32]).unwrap());
    }

    #[test]
    fn a_wrapped_key_serves_one_organization_and_one_master_key() {
        let (one, org, key) = (master(), OrgId::new(), DataKey::generate().unwrap());
        let wrapped = key.wrap(&one, org).unwrap();
        assert!(matches!(DataKey::unwrap(&one, OrgId::new(), &wrapped), Err(CryptoError::Tampered)));
        assert!(matches!(DataKey::unwrap(&master(), org, &wrapped), Err(CryptoError::OtherKey { .. })));
    }

    #[test]
    fn a_box_opens_only_in_its_own_place() {
        let (org, row, key) = (OrgId::new(), Uuid::now_v7(), DataKey::generate().unwrap());
        let sealed = key.seal(&aad(org, "order.patient", row, 1), b"x").unwrap();
        for elsewhere in [
            aad(OrgId::new(), "order.patient", row, 1),
            aad(org, "order.patient", Uuid::now_v7(), 1),
            aad(org, "order.patient", row, 2),
            aad(org, "result.report", row, 1),
        ] {
            assert!(matches!(key.open(&elsewhere, &sealed), Err(CryptoError::Tampered)));
        }
        assert!(DataKey::generate().unwrap().open(&aad(org, "order.patient", row, 1), &sealed).is_err());
    }

    #[test]
    fn search_hashes_ignore_how_an_identifier_is_written_and_keep_fields_and_organizations_apart() {
        let (key, other) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
        let hash = |field, value| key.search_hash(field, value).unwrap();
        assert_eq!(hash("member_id", "MBR-000417"), hash("member_id", " mbr 000417 "));
        assert_ne!(hash("member_id", "MBR-000417"), hash("local_id", "MBR-000417"));
        assert_ne!(hash("member_id", "MBR-000417"), other.search_hash("member_id", "MBR-000417").unwrap());
        assert_ne!(hash("member_id", "MBR-000417"), hash("member_id", "MBR-000418"));
    }

    #[test]
    fn keys_are_not_printed() {
        let key = DataKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("DataKey({})", key.id()));
        assert!(!format!("{:?}", master()).contains('['));
    }

    #[test]
    fn derivation_follows_rfc_5869() {
        // openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:00...00 -kdfopt hexinfo:78 HKDF
        let key = derive(&Key::default(), b"x").unwrap();
        assert_eq!(Hex(&key[..]).to_string(), "37b8c973bded0783b649c2129de3a70e45466f037ca585c101f4869c09d51dee");
    }
}
