//! What recipient domains have shown an organization they understand. Each learns for itself: whom one believes is up to its own
//! anchors, so nobody may teach another how to seal.

use super::{Doing as _, Result, Store, read};
use crate::domain::{
    DeliveryId, OrgId, OrgScope, Timestamp,
    profile::{Cipher, Digest, KeyTransport, SealedWith, Shown},
};

/// A domain that has shown something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// To whom it has shown it.
    pub org: OrgId,
    /// The health domain, in lower case.
    pub domain: String,
    /// The best it has shown.
    pub shown: Shown,
    /// When it first showed anything.
    pub first_at: Timestamp,
    /// When it last showed more than before.
    pub last_at: Timestamp,
}

type Row = (String, String, Option<String>, Option<String>, Option<String>, i64, i64);

fn peer((org, domain, key_transport, cipher, digest, first_at, last_at): Row) -> Result<Peer> {
    let shown = Shown {
        key_transport: key_transport.as_deref().map(|text| read("key transport", text)).transpose()?,
        cipher: cipher.as_deref().map(|text| read("cipher", text)).transpose()?,
        digest: digest.as_deref().map(|text| read("digest", text)).transpose()?,
    };
    Ok(Peer { org: read("organization id", &org)?, domain, shown, first_at: Timestamp(first_at), last_at: Timestamp(last_at) })
}

impl Store {
    /// What `domain` has shown `org`; `None` when it never showed anything.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn peer(&self, org: OrgId, domain: &str) -> Result<Option<Peer>> {
        let row: Option<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, domain, key_transport, cipher, digest, first_at, last_at FROM peer_domain WHERE org_id = $1 AND domain = $2")
            .bind(org.to_string()).bind(domain.to_ascii_lowercase()).fetch_optional(pool).await)
        .doing("look up what a domain has shown")?;
        row.map(peer).transpose()
    }

    /// Every domain that has shown anything to the organizations of the scope.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn peers(&self, scope: OrgScope) -> Result<Vec<Peer>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, domain, key_transport, cipher, digest, first_at, last_at FROM peer_domain
             WHERE ($1 IS NULL OR org_id = $1) ORDER BY domain, org_id")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list what domains have shown")?;
        rows.into_iter().map(peer).collect()
    }

    /// Learns what `domain` has shown in a message to `org` whose signature verified, is trusted by it and is bound to that domain:
    /// nothing else may be learnt from. What it has shown before is never lowered. Returns whether that was new.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn learn(&self, org: OrgId, domain: &str, shown: Shown) -> Result<bool> {
        if shown.is_nothing() {
            return Ok(false);
        }
        let (org, domain, now) = (org.to_string(), domain.to_ascii_lowercase(), self.clock.now());
        insist!(async {
            let mut tx = self.begin().await?;
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO peer_domain (org_id, domain, first_at, last_at) VALUES ($1, $2, $3, $3) ON CONFLICT (org_id, domain) DO NOTHING")
                .bind(&org).bind(&domain).bind(now.micros()).execute(c).await.map(drop))
            .doing("begin to learn about a domain")?;
            let row: Row = locked!(
                &mut tx,
                query_as(
                    "SELECT org_id, domain, key_transport, cipher, digest, first_at, last_at FROM peer_domain
                     WHERE org_id = $1 AND domain = $2"
                )
                .bind(&org)
                .bind(&domain)
                .fetch_one
            )
            .doing("read what a domain has shown")?;
            let before = peer(row)?.shown;
            let after = before.and(shown);
            if after != before {
                within!(&mut tx, c => sqlx::query(
                    "UPDATE peer_domain SET key_transport = $1, cipher = $2, digest = $3, last_at = $4 WHERE org_id = $5 AND domain = $6")
                    .bind(after.key_transport.map(KeyTransport::as_str)).bind(after.cipher.map(Cipher::as_str))
                    .bind(after.digest.map(Digest::as_str)).bind(now.micros()).bind(&org).bind(&domain).execute(c).await.map(drop))
                .doing("learn about a domain")?;
            }
            tx.commit().await?;
            Ok(after != before)
        })
    }

    /// Forgets what `domain` has shown `org`: its system was replaced by one that can do less. `false` when it has shown nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn forget_peer(&self, org: OrgId, domain: &str) -> Result<bool> {
        let gone = on!(&self.writing, pool => sqlx::query("DELETE FROM peer_domain WHERE org_id = $1 AND domain = $2")
            .bind(org.to_string()).bind(domain.to_ascii_lowercase()).execute(pool).await.map(|done| done.rows_affected()))
        .doing("forget what a domain has shown")?;
        Ok(gone > 0)
    }

    /// With which algorithms a delivery was sealed last; `None` when nothing of it was ever sealed here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sealed_with(&self, scope: OrgScope, id: DeliveryId) -> Result<Option<SealedWith>> {
        let profile: Option<Option<String>> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT profile FROM delivery WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND id = $1")
            .bind(id.to_string()).bind(scope.org().map(|org| org.to_string())).fetch_optional(pool).await)
        .doing("read how a delivery was sealed")?;
        profile.flatten().map(|text| read("profile", &text)).transpose()
    }
}
