//! Signed ends of ledgers. A chain shows what was changed inside it; that its tail was cut off, or all of it written anew,
//! shows only against something its writer could not make: the signature of a key that lies sealed under the master key.

use serde::{Deserialize, Serialize};

use crate::{
    crypto::{
        Hex,
        signing::{SigningKey, signed},
    },
    domain::{OrgId, OrgScope, Timestamp},
    store::{Doing as _, Result, Store, at_rest, read},
};

/// The end of a ledger as it was at an instant, signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// Whose ledger.
    pub organization: OrgId,
    /// Its last line then.
    pub line: i64,
    /// The hash of that line.
    pub hash: String,
    /// When it was signed.
    pub signed_at: Timestamp,
    /// With which key.
    pub key: uuid::Uuid,
    /// Ed25519, in hexadecimal digits.
    pub signature: String,
}

impl SignedHead {
    /// What is signed: a text, so that anybody can check it with any tool.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "postern ledger head 1\norganization {}\nline {}\nhash {}\nsigned {}\nkey {}\n",
            self.organization, self.line, self.hash, self.signed_at, self.key
        )
    }

    /// Whether the holder of `public` signed it.
    #[must_use]
    pub fn is_signed_by(&self, public: &[u8]) -> bool {
        crate::crypto::hash::from_hex(&self.signature).is_some_and(|signature| signed(public, self.text().as_bytes(), &signature))
    }
}

type HeadRow = (String, i64, String, String, Vec<u8>, i64);

fn head((org, line, hash, key, signature, signed_at): HeadRow) -> Result<SignedHead> {
    Ok(SignedHead {
        organization: read("organization id", &org)?,
        line,
        hash,
        signed_at: Timestamp(signed_at),
        key: read("key id", &key)?,
        signature: Hex(&signature).to_string(),
    })
}

/// Stands where an organization's id would: no organization has it.
const NOBODY: OrgId = OrgId(uuid::Uuid::nil());
const WHAT: &str = "ledger key";

impl Store {
    /// The public keys that ends of ledgers were ever signed with, by their ids. Each is that of a private key sealed under
    /// the master key: one that somebody put into the database does not open, and is an error.
    ///
    /// # Errors
    /// When the database does not answer, or a key is not ours.
    pub async fn head_keys(&self) -> Result<Vec<(uuid::Uuid, Vec<u8>)>> {
        let mut keys = Vec::new();
        for (id, key) in self.signing_keys().await? {
            keys.push((id, key.public()?));
        }
        Ok(keys)
    }

    /// The newest last.
    async fn signing_keys(&self) -> Result<Vec<(uuid::Uuid, SigningKey)>> {
        let rows: Vec<(String, Vec<u8>)> = on!(&self.db, pool =>
            sqlx::query_as("SELECT id, sealed FROM ledger_key ORDER BY created_at, id").fetch_all(pool).await)
        .doing("read the keys of signed heads")?;
        let installation = self.installation_key().await?;
        let mut keys = Vec::with_capacity(rows.len());
        for (id, sealed) in rows {
            let id: uuid::Uuid = read("key id", &id)?;
            let octets = at_rest::open(&installation, NOBODY, WHAT, id, &sealed)?;
            keys.push((id, SigningKey::from_octets(&octets)?));
        }
        Ok(keys)
    }

    async fn signing_key(&self) -> Result<(uuid::Uuid, SigningKey)> {
        if let Some(newest) = self.signing_keys().await?.pop() {
            return Ok(newest);
        }
        let (id, key) = (uuid::Uuid::now_v7(), SigningKey::generate()?);
        let sealed = at_rest::seal(&*self.installation_key().await?, NOBODY, WHAT, id, &key.octets()?)?;
        // Two that make one at the same time both sign well: each head names its key.
        on!(&self.db, pool => sqlx::query("INSERT INTO ledger_key (id, public_key, sealed, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id.to_string()).bind(key.public()?).bind(sealed).bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("keep the key of signed heads")?;
        Ok((id, key))
    }

    /// Signs the ends of the ledgers in the scope that have moved since they were signed last; gives those.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_heads(&self, scope: OrgScope) -> Result<Vec<SignedHead>> {
        let moved: Vec<(String, i64, String)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT h.org_id, h.seq, h.hash FROM ledger_head h WHERE ($1 IS NULL OR h.org_id = $1) AND h.seq > 0
                AND NOT EXISTS (SELECT 1 FROM ledger_seal s WHERE s.org_id = h.org_id AND s.seq >= h.seq) ORDER BY h.org_id")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("look for ledgers that have moved")?;
        if moved.is_empty() {
            return Ok(Vec::new());
        }
        let (id, key) = self.signing_key().await?;
        let mut heads = Vec::with_capacity(moved.len());
        for (org, line, hash) in moved {
            let organization = read("organization id", &org)?;
            let signed_at = self.now().await?;
            let mut head = SignedHead { organization, line, hash, signed_at, key: id, signature: String::new() };
            let signature = key.sign(head.text().as_bytes())?;
            head.signature = Hex(&signature).to_string();
            on!(&self.db, pool => sqlx::query(
                "INSERT INTO ledger_seal (org_id, seq, hash, key_id, signature, signed_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (org_id, seq) DO NOTHING")
                .bind(&org).bind(line).bind(&head.hash).bind(id.to_string()).bind(signature).bind(signed_at.micros())
                .execute(pool).await.map(drop))
            .doing("keep a signed head")?;
            heads.push(head);
        }
        Ok(heads)
    }

    /// The signed ends of an organization's ledger, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn signed_heads(&self, org: OrgId) -> Result<Vec<SignedHead>> {
        let rows: Vec<HeadRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, seq, hash, key_id, signature, signed_at FROM ledger_seal WHERE org_id = $1 ORDER BY seq")
            .bind(org.to_string()).fetch_all(pool).await)
        .doing("read signed heads")?;
        rows.into_iter().map(head).collect()
    }

    /// When the first line was written that no signed head covers; `None` when all are covered.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unsigned_since(&self, org: OrgId) -> Result<Option<Timestamp>> {
        let at: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT recorded_at FROM ledger_line WHERE org_id = $1
                AND seq > (SELECT COALESCE(MAX(seq), 0) FROM ledger_seal WHERE org_id = $1) ORDER BY seq LIMIT 1")
            .bind(org.to_string()).fetch_optional(pool).await)
        .doing("look for lines nobody signed")?;
        Ok(at.map(Timestamp))
    }
}
