//! The generations of certificates and keys that our addresses sign and decrypt with. Older ones are kept until somebody
//! removes them: mail sealed to them may still come in.

use zeroize::Zeroizing;

use super::{Doing as _, Result, Store, Tx, at_rest, read};
use crate::{
    crypto::DataKey,
    domain::{
        DirectAddress, OrgId, OrgScope, Timestamp,
        id::CertificateId,
        identity::{KeyUse, Nearness, Term},
    },
};

/// One generation.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// Its id.
    pub id: CertificateId,
    /// Whose.
    pub org: OrgId,
    /// Of which address.
    pub address: DirectAddress,
    /// What it is for, and when it is good.
    pub term: Term,
    /// PEM, with its chain.
    pub certificate: String,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    /// Where on a token the key is; otherwise it is here, see [`Store::identity_key_secret`].
    pub token: Option<String>,
    /// The last warning given about its end.
    pub warned: Option<Nearness>,
}

/// Where a key is kept.
pub enum KeyPlace {
    /// Here, sealed: PKCS#8 PEM, in the clear for this moment only.
    Stored(Zeroizing<Vec<u8>>),
    /// On a token (RFC 7512).
    Token(String),
}

/// A generation to be kept.
pub struct NewKey {
    /// Of which address.
    pub address: DirectAddress,
    /// What it is for, and when it is good.
    pub term: Term,
    /// PEM, with its chain.
    pub certificate: String,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    /// The private key.
    pub key: KeyPlace,
}

#[derive(sqlx::FromRow)]
struct Row {
    org_id: String,
    id: String,
    address: String,
    used_for: String,
    certificate: String,
    fingerprint: String,
    not_before: i64,
    not_after: i64,
    token: Option<String>,
    warned: Option<String>,
}

impl Row {
    fn key(self) -> Result<StoredKey> {
        let used_for: KeyUse = read("key's use", &self.used_for)?;
        Ok(StoredKey {
            id: read("certificate id", &self.id)?,
            org: read("organization id", &self.org_id)?,
            address: read("address", &self.address)?,
            term: Term { used_for, from: Timestamp(self.not_before), until: Timestamp(self.not_after) },
            certificate: self.certificate,
            fingerprint: self.fingerprint,
            token: self.token,
            warned: self.warned.as_deref().map(|text| read("warning", text)).transpose()?,
        })
    }
}

impl Store {
    /// Keeps a generation. The same certificate for the same address is one; what is said last about its key counts.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn keep_identity_key(&self, org: OrgId, new: &NewKey) -> Result<()> {
        let key = self.key(org).await?;
        let mut tx = self.begin().await?;
        keep(&mut tx, &key, org, new, self.clock.now()).await?;
        tx.commit().await
    }

    /// Every generation the scope may see, the newest of each address first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn identity_keys(&self, scope: OrgScope) -> Result<Vec<StoredKey>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, id, address, used_for, certificate, fingerprint, not_before, not_after, token, warned FROM identity_key
             WHERE ($1 IS NULL OR org_id = $1) ORDER BY org_id, address_key, not_before DESC, id")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list our own certificates")?;
        rows.into_iter().map(Row::key).collect()
    }

    /// The generations of one address, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn identity_keys_of(&self, org: OrgId, address: &DirectAddress) -> Result<Vec<StoredKey>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, id, address, used_for, certificate, fingerprint, not_before, not_after, token, warned FROM identity_key
             WHERE org_id = $1 AND address_key = $2 ORDER BY not_before DESC, id")
            .bind(org.to_string()).bind(address.key()).fetch_all(pool).await)
        .doing("look for our own certificates")?;
        rows.into_iter().map(Row::key).collect()
    }

    /// The private key of a generation, PKCS#8 PEM; `None` when it is on a token, or there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn identity_key_secret(&self, org: OrgId, id: CertificateId) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let sealed: Option<Option<Vec<u8>>> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT secret FROM identity_key WHERE org_id = $1 AND id = $2").bind(org.to_string()).bind(id.to_string())
            .fetch_optional(pool).await)
        .doing("read one of our own keys")?;
        let key = self.key(org).await?;
        sealed.flatten().map(|sealed| at_rest::open(&key, org, "identity_key", id.0, &sealed)).transpose()
    }

    /// Removes a generation, of one address or of all that have it; returns how many were removed. What is sealed to it can
    /// no longer be opened.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_identity_key(&self, org: OrgId, address: Option<&DirectAddress>, fingerprint: &str) -> Result<u64> {
        on!(&self.db, pool => sqlx::query(
            "DELETE FROM identity_key WHERE org_id = $1 AND fingerprint = $2 AND ($3 IS NULL OR address_key = $3)")
            .bind(org.to_string()).bind(fingerprint).bind(address.map(DirectAddress::key)).execute(pool).await
            .map(|done| done.rows_affected()))
        .doing("remove one of our own keys")
    }

    /// Notes that somebody is being warned; `false` when this warning has been given already, here or by another process.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn warn_identity_key(&self, org: OrgId, id: CertificateId, nearness: Nearness) -> Result<bool> {
        on!(&self.db, pool => sqlx::query(
            "UPDATE identity_key SET warned = $1 WHERE org_id = $2 AND id = $3 AND (warned IS NULL OR warned <> $1)")
            .bind(nearness.as_str()).bind(org.to_string()).bind(id.to_string()).execute(pool).await
            .map(|done| done.rows_affected() == 1))
        .doing("note a warning about one of our own certificates")
    }
}

/// Keeps a generation inside a transaction.
pub(super) async fn keep(tx: &mut Tx, key: &DataKey, org: OrgId, new: &NewKey, now: Timestamp) -> Result<()> {
    let known: Option<String> = within!(tx, c => sqlx::query_scalar(
        "SELECT id FROM identity_key WHERE org_id = $1 AND address_key = $2 AND fingerprint = $3")
        .bind(org.to_string()).bind(new.address.key()).bind(&new.fingerprint).fetch_optional(c).await)
    .doing("look for one of our own certificates")?;
    // The row's id is part of what the key is sealed under.
    let id: CertificateId = known.as_deref().map(|id| read("certificate id", id)).transpose()?.unwrap_or_default();
    let (secret, token) = match &new.key {
        KeyPlace::Stored(plain) => (Some(at_rest::seal(key, org, "identity_key", id.0, plain)?), None),
        KeyPlace::Token(uri) => (None, Some(uri.as_str())),
    };
    within!(tx, c => sqlx::query(
        "INSERT INTO identity_key (org_id, id, address, address_key, used_for, certificate, fingerprint, not_before, not_after, secret,
            token, imported_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (org_id, id) DO UPDATE SET certificate = excluded.certificate, secret = excluded.secret, token = excluded.token")
        .bind(org.to_string()).bind(id.to_string()).bind(new.address.as_str()).bind(new.address.key())
        .bind(new.term.used_for.as_str()).bind(&new.certificate).bind(&new.fingerprint).bind(new.term.from.micros())
        .bind(new.term.until.micros()).bind(secret).bind(token).bind(now.micros()).execute(c).await.map(drop))
    .doing("store one of our own keys")
}
