//! What recipient domains have shown they understand. Shared by all organizations: a domain's system is the same whoever
//! writes to it.

use super::{Doing as _, Result, Store, read};
use crate::domain::{
    DeliveryId, OrgScope, Timestamp,
    profile::{Cipher, Digest, KeyTransport, SealedWith, Shown},
};

/// A domain that has shown something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The health domain, in lower case.
    pub domain: String,
    /// The best it has shown.
    pub shown: Shown,
    /// When it first showed anything.
    pub first_at: Timestamp,
    /// When it last showed more than before.
    pub last_at: Timestamp,
}

type Row = (String, Option<String>, Option<String>, Option<String>, i64, i64);

fn peer((domain, key_transport, cipher, digest, first_at, last_at): Row) -> Result<Peer> {
    let shown = Shown {
        key_transport: key_transport.as_deref().map(|text| read("key transport", text)).transpose()?,
        cipher: cipher.as_deref().map(|text| read("cipher", text)).transpose()?,
        digest: digest.as_deref().map(|text| read("digest", text)).transpose()?,
    };
    Ok(Peer { domain, shown, first_at: Timestamp(first_at), last_at: Timestamp(last_at) })
}

impl Store {
    /// What `domain` has shown; `None` when it never showed anything.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn peer(&self, domain: &str) -> Result<Option<Peer>> {
        let row: Option<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT domain, key_transport, cipher, digest, first_at, last_at FROM peer_domain WHERE domain = $1")
            .bind(domain.to_ascii_lowercase()).fetch_optional(pool).await)
        .doing("look up what a domain has shown")?;
        row.map(peer).transpose()
    }

    /// Every domain that has shown anything.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn peers(&self) -> Result<Vec<Peer>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT domain, key_transport, cipher, digest, first_at, last_at FROM peer_domain ORDER BY domain").fetch_all(pool).await)
        .doing("list what domains have shown")?;
        rows.into_iter().map(peer).collect()
    }

    /// Learns what `domain` has shown in a message whose signature verified, is trusted and is bound to that domain: nothing
    /// else may be learnt from. What it has shown before is never lowered. Returns whether that was new.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn learn(&self, domain: &str, shown: Shown) -> Result<bool> {
        if shown.is_nothing() {
            return Ok(false);
        }
        let (domain, now) = (domain.to_ascii_lowercase(), self.clock.now());
        insist!(async {
            let mut tx = self.begin().await?;
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO peer_domain (domain, first_at, last_at) VALUES ($1, $2, $2) ON CONFLICT (domain) DO NOTHING")
                .bind(&domain).bind(now.micros()).execute(c).await.map(drop))
            .doing("begin to learn about a domain")?;
            let row: Row = locked!(
                &mut tx,
                query_as("SELECT domain, key_transport, cipher, digest, first_at, last_at FROM peer_domain WHERE domain = $1")
                    .bind(&domain)
                    .fetch_one
            )
            .doing("read what a domain has shown")?;
            let before = peer(row)?.shown;
            let after = before.and(shown);
            if after != before {
                within!(&mut tx, c => sqlx::query(
                    "UPDATE peer_domain SET key_transport = $1, cipher = $2, digest = $3, last_at = $4 WHERE domain = $5")
                    .bind(after.key_transport.map(KeyTransport::as_str)).bind(after.cipher.map(Cipher::as_str))
                    .bind(after.digest.map(Digest::as_str)).bind(now.micros()).bind(&domain).execute(c).await.map(drop))
                .doing("learn about a domain")?;
            }
            tx.commit().await?;
            Ok(after != before)
        })
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
