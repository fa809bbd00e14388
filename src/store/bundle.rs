//! Bundles: sets of anchors that somebody else keeps. What is in force changes as a whole, in one transaction, and stays as it
//! is when a new one cannot be had.

use std::time::Duration;

use super::{Doing as _, Result, Store, StoreError, Tx, audit, read, trust::AnchorUse};
use crate::domain::{
    OrgId, OrgScope, Timestamp,
    audit::Witness,
    id::{BundleId, CertificateId},
};

/// A bundle and how it fares.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its id.
    pub id: BundleId,
    /// Whose.
    pub org: OrgId,
    /// What it is called.
    pub name: String,
    /// In which direction its anchors are believed.
    pub used_for: AnchorUse,
    /// Where it is fetched from; `None` when it came from a file.
    pub url: Option<String>,
    /// Whether plain http and private addresses are allowed.
    pub internal: bool,
    /// DER of the only certificate whose signature on it counts.
    pub signer: Option<Vec<u8>>,
    /// Time between two looks.
    pub refresh: Duration,
    /// Percent of its anchors that may go without a person.
    pub most_lost: u8,
    /// When what is in force was last confirmed.
    pub refreshed_at: Option<Timestamp>,
    /// When it was last tried.
    pub tried_at: Option<Timestamp>,
    /// When it is tried next.
    pub next_at: Timestamp,
    /// Why the last try failed.
    pub error: Option<String>,
    /// So many anchors would be left of it: it waits for a person.
    pub shrunk_to: Option<u64>,
    /// How many anchors are in force.
    pub anchors: u64,
}

/// A bundle to be kept.
#[derive(Debug, Clone)]
pub struct NewBundle {
    /// What it is called, unique in its organization.
    pub name: String,
    /// In which direction its anchors are believed.
    pub used_for: AnchorUse,
    /// Where it is fetched from.
    pub url: Option<String>,
    /// Whether plain http and private addresses are allowed.
    pub internal: bool,
    /// DER of the certificate that must have signed it.
    pub signer: Option<Vec<u8>>,
    /// Time between two looks.
    pub refresh: Duration,
    /// Percent of its anchors that may go without a person.
    pub most_lost: u8,
}

/// An anchor of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleAnchor {
    /// DER.
    pub der: Vec<u8>,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    /// Its last instant.
    pub not_after: Timestamp,
}

#[derive(sqlx::FromRow)]
struct Row {
    org_id: String,
    id: String,
    name: String,
    used_for: String,
    url: Option<String>,
    internal: bool,
    signer: Option<Vec<u8>>,
    refresh: i64,
    most_lost: i64,
    refreshed_at: Option<i64>,
    tried_at: Option<i64>,
    next_at: i64,
    error: Option<String>,
    shrunk_to: Option<i64>,
    anchors: i64,
}

impl Row {
    fn bundle(self) -> Result<Bundle> {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Bundle {
            id: read("bundle id", &self.id)?,
            org: read("organization id", &self.org_id)?,
            name: self.name,
            used_for: read("bundle's use", &self.used_for)?,
            url: self.url,
            internal: self.internal,
            signer: self.signer,
            refresh: Duration::from_micros(count(self.refresh)),
            most_lost: u8::try_from(self.most_lost).unwrap_or(0),
            refreshed_at: self.refreshed_at.map(Timestamp),
            tried_at: self.tried_at.map(Timestamp),
            next_at: Timestamp(self.next_at),
            error: self.error,
            shrunk_to: self.shrunk_to.map(count),
            anchors: count(self.anchors),
        })
    }
}

/// Most bundles of an organization: each is fetched again and again, and keeps a place while it is.
pub const MOST: i64 = 50;

macro_rules! bundles {
    ($rest:literal) => {
        concat!(
            "SELECT b.org_id, b.id, b.name, b.used_for, b.url, b.internal, b.signer, b.refresh, b.most_lost, b.refreshed_at, b.tried_at,
                b.next_at, b.error, b.shrunk_to,
                (SELECT COUNT(*) FROM bundle_anchor a WHERE a.org_id = b.org_id AND a.bundle_id = b.id) AS anchors FROM trust_bundle b ",
            $rest
        )
    };
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

impl Store {
    /// Keeps a bundle with what is in it now. One of that name gets the new settings and content: a person said so.
    ///
    /// # Errors
    /// [`StoreError::TooMany`] when it would be the organization's fifty-first; else when it cannot be stored.
    pub async fn import_bundle(
        &self,
        org: OrgId,
        new: &NewBundle,
        anchors: &[BundleAnchor],
        witness: Option<Witness<'_>>,
    ) -> Result<BundleId> {
        let now = self.clock.now();
        let mut tx = self.begin().await?;
        let known: Option<String> = within!(&mut tx, c => sqlx::query_scalar(
            "SELECT id FROM trust_bundle WHERE org_id = $1 AND name = $2").bind(org.to_string()).bind(&new.name).fetch_optional(c).await)
        .doing("look for a bundle")?;
        if known.is_none() {
            let there: i64 = within!(&mut tx, c => sqlx::query_scalar("SELECT COUNT(*) FROM trust_bundle WHERE org_id = $1")
                .bind(org.to_string()).fetch_one(c).await)
            .doing("count bundles")?;
            if there >= MOST {
                return Err(StoreError::TooMany("bundles"));
            }
        }
        let id: BundleId = known.as_deref().map(|id| read("bundle id", id)).transpose()?.unwrap_or_default();
        within!(&mut tx, c => sqlx::query(
            "INSERT INTO trust_bundle (org_id, id, name, used_for, url, internal, signer, refresh, most_lost, next_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (org_id, name) DO UPDATE SET used_for = excluded.used_for, url = excluded.url, internal = excluded.internal,
                signer = excluded.signer, refresh = excluded.refresh, most_lost = excluded.most_lost")
            .bind(org.to_string()).bind(id.to_string()).bind(&new.name).bind(new.used_for.as_str()).bind(new.url.as_deref())
            .bind(new.internal).bind(new.signer.as_deref()).bind(micros(new.refresh)).bind(i64::from(new.most_lost))
            .bind(now.plus(new.refresh).micros()).execute(c).await.map(drop))
        .doing("store a bundle")?;
        put(&mut tx, org, id, anchors, now).await?;
        audit::commit_all(tx, witness.as_slice(), now).await?;
        Ok(id)
    }

    /// The bundles the scope may see, with how they fare.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bundles(&self, scope: OrgScope) -> Result<Vec<Bundle>> {
        let rows: Vec<Row> =
            on!(&self.db, pool => sqlx::query_as(bundles!("WHERE ($1 IS NULL OR b.org_id = $1) ORDER BY b.org_id, b.name"))
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
            .doing("list bundles")?;
        rows.into_iter().map(Row::bundle).collect()
    }

    /// The bundles of every organization that are to be looked at now, those that wait longest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bundles_due(&self) -> Result<Vec<Bundle>> {
        let now = self.now().await?;
        let rows: Vec<Row> =
            on!(&self.db, pool => sqlx::query_as(bundles!("WHERE b.url IS NOT NULL AND b.next_at <= $1 ORDER BY b.next_at"))
            .bind(now.micros()).fetch_all(pool).await)
            .doing("look for bundles that are due")?;
        // One that cannot be read keeps no other from being looked at.
        Ok(rows.into_iter().filter_map(|row| row.bundle().inspect_err(unreadable).ok()).collect())
    }

    /// The anchors of a bundle that are in force.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bundle_anchors(&self, org: OrgId, id: BundleId) -> Result<Vec<BundleAnchor>> {
        let rows: Vec<(Vec<u8>, String, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT der, fingerprint, not_after FROM bundle_anchor WHERE org_id = $1 AND bundle_id = $2 ORDER BY fingerprint")
            .bind(org.to_string()).bind(id.to_string()).fetch_all(pool).await)
        .doing("read a bundle")?;
        Ok(rows
            .into_iter()
            .map(|(der, fingerprint, not_after)| BundleAnchor { der, fingerprint, not_after: Timestamp(not_after) })
            .collect())
    }

    /// Puts `anchors` in the place of those in force, all at once. What the decision was based on must still hold: `before`
    /// are the anchors that were in force then.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the bundle is gone or somebody else has changed it.
    pub async fn swap_bundle(&self, bundle: &Bundle, before: &[BundleAnchor], anchors: &[BundleAnchor]) -> Result<()> {
        let (org, id) = (bundle.org, bundle.id);
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        // The bundle's row is the lock of its anchors.
        let known: Option<String> = locked!(
            &mut tx,
            query_scalar("SELECT id FROM trust_bundle WHERE org_id = $1 AND id = $2")
                .bind(org.to_string())
                .bind(id.to_string())
                .fetch_optional
        )
        .doing("take a bundle in hand")?;
        let in_force: Vec<String> = within!(&mut tx, c => sqlx::query_scalar(
            "SELECT fingerprint FROM bundle_anchor WHERE org_id = $1 AND bundle_id = $2 ORDER BY fingerprint")
            .bind(org.to_string()).bind(id.to_string()).fetch_all(c).await)
        .doing("read a bundle")?;
        if known.is_none() || !in_force.iter().eq(before.iter().map(|anchor| &anchor.fingerprint)) {
            return Err(StoreError::Lost);
        }
        put(&mut tx, org, id, anchors, now).await?;
        tx.commit().await
    }

    /// Notes why a bundle could not be refreshed. What is in force stays so.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bundle_failed(&self, bundle: &Bundle, why: &str, shrunk_to: Option<usize>, again: Duration) -> Result<()> {
        let now = self.now().await?;
        on!(&self.db, pool => sqlx::query(
            "UPDATE trust_bundle SET error = $1, shrunk_to = $2, tried_at = $3, next_at = $4 WHERE org_id = $5 AND id = $6")
            .bind(why.replace('\0', "\u{fffd}")).bind(shrunk_to.map(|count| i64::try_from(count).unwrap_or(i64::MAX)))
            .bind(now.micros()).bind(now.plus(again).micros()).bind(bundle.org.to_string()).bind(bundle.id.to_string())
            .execute(pool).await.map(drop))
        .doing("note that a bundle could not be refreshed")
    }

    /// Removes a bundle and its anchors; `false` when there is none of that name: then nothing is put on record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_bundle(&self, org: OrgId, name: &str, witness: Option<Witness<'_>>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let known: Option<String> = locked!(
            &mut tx,
            query_scalar("SELECT id FROM trust_bundle WHERE org_id = $1 AND name = $2")
                .bind(org.to_string())
                .bind(name)
                .fetch_optional
        )
        .doing("look for a bundle")?;
        let Some(id) = known else { return Ok(false) };
        for sql in [
            "DELETE FROM bundle_anchor WHERE org_id = $1 AND bundle_id = $2",
            "DELETE FROM trust_bundle WHERE org_id = $1 AND id = $2",
        ] {
            within!(&mut tx, c => sqlx::query(sql).bind(org.to_string()).bind(&id).execute(c).await.map(drop))
                .doing("remove a bundle")?;
        }
        audit::commit_all(tx, witness.as_slice(), now).await?;
        Ok(true)
    }
}

fn unreadable(error: &StoreError) {
    tracing::error!(%error, "a bundle cannot be looked at");
}

async fn put(tx: &mut Tx, org: OrgId, id: BundleId, anchors: &[BundleAnchor], now: Timestamp) -> Result<()> {
    within!(tx, c => sqlx::query(
        "UPDATE trust_bundle SET refreshed_at = $1, tried_at = $1, next_at = $1 + refresh, error = NULL, shrunk_to = NULL
         WHERE org_id = $2 AND id = $3")
        .bind(now.micros()).bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
    .doing("note that a bundle was refreshed")?;
    within!(tx, c => sqlx::query("DELETE FROM bundle_anchor WHERE org_id = $1 AND bundle_id = $2")
        .bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
    .doing("take a bundle's anchors out")?;
    for anchor in anchors {
        within!(tx, c => sqlx::query(
            "INSERT INTO bundle_anchor (org_id, bundle_id, id, der, fingerprint, not_after) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (org_id, bundle_id, fingerprint) DO NOTHING")
            .bind(org.to_string()).bind(id.to_string()).bind(CertificateId::new().to_string()).bind(&anchor.der)
            .bind(&anchor.fingerprint).bind(anchor.not_after.micros()).execute(c).await.map(drop))
        .doing("put an anchor into a bundle")?;
    }
    Ok(())
}
