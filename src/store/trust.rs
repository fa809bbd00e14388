//! Imported certificates and trust anchors, per organization.

use super::{Doing as _, Result, Store, Tx, audit, read};
use crate::domain::{DirectAddress, OrgId, OrgScope, Timestamp, audit::Witness, id::CertificateId, words};

words! {
    /// What a trusted CA certificate is good for.
    pub enum AnchorKind {
        /// A path may end here.
        Anchor = "anchor",
        /// A path may pass through here.
        Intermediate = "intermediate",
    }
}

words! {
    /// In which direction a trusted CA certificate is believed (Applicability Statement: anchors are set separately for
    /// incoming and outgoing mail).
    pub enum AnchorUse {
        /// For certificates we seal to.
        Send = "send",
        /// For signatures on mail that comes in.
        Receive = "receive",
        /// Both.
        Both = "both",
    }
}

/// A recipient's certificate to be kept, under the address or domain it is bound to.
#[derive(Debug, Clone, Copy)]
pub struct NewCertificate<'a> {
    /// The address or domain.
    pub name: &'a str,
    /// DER.
    pub der: &'a [u8],
    /// SHA-256, hexadecimal.
    pub fingerprint: &'a str,
    /// Its last instant.
    pub not_after: Timestamp,
}

/// A CA certificate to be believed.
#[derive(Debug, Clone, Copy)]
pub struct NewAnchor<'a> {
    /// What it is good for.
    pub kind: AnchorKind,
    /// In which direction it is believed.
    pub used_for: AnchorUse,
    /// DER.
    pub der: &'a [u8],
    /// SHA-256, hexadecimal.
    pub fingerprint: &'a str,
    /// Its last instant.
    pub not_after: Timestamp,
}

/// An imported certificate.
#[derive(Debug, Clone)]
pub struct StoredCertificate {
    /// Its id.
    pub id: CertificateId,
    /// Whose.
    pub org: OrgId,
    /// The address or domain it is bound to; `anchor` or `intermediate` for a CA.
    pub name: String,
    /// DER.
    pub der: Vec<u8>,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
    /// Its last instant.
    pub not_after: Timestamp,
    /// In which direction a CA is believed; absent for a recipient.
    pub used_for: Option<AnchorUse>,
    /// The bundle a CA came with.
    pub bundle: Option<String>,
}

type AnchorRow = (String, String, String, Vec<u8>, String, i64, String, Option<String>);

fn anchor((id, org, name, der, fingerprint, not_after, used_for, bundle): AnchorRow) -> Result<StoredCertificate> {
    let certificate = certificate((id, org, name, der, fingerprint, not_after))?;
    Ok(StoredCertificate { used_for: Some(read("anchor's use", &used_for)?), bundle, ..certificate })
}

/// Imported ones and those of bundles, in one statement: a reader sees a bundle before or after a change, never between.
const ANCHORS: &str = "SELECT id, org_id, kind, der, fingerprint, not_after, used_for, bundle FROM (
    SELECT id, org_id, kind, der, fingerprint, not_after, used_for, NULL AS bundle FROM trust_anchor
    UNION ALL
    SELECT a.id, a.org_id, 'anchor', a.der, a.fingerprint, a.not_after, b.used_for, b.name FROM bundle_anchor a
    JOIN trust_bundle b ON b.org_id = a.org_id AND b.id = a.bundle_id) AS every_anchor
    WHERE ($1 IS NULL OR org_id = $1) AND (used_for = 'both' OR $2 = 'both' OR used_for = $2) ORDER BY org_id, kind, id";

type Row = (String, String, String, Vec<u8>, String, i64);

fn certificate((id, org, name, der, fingerprint, not_after): Row) -> Result<StoredCertificate> {
    Ok(StoredCertificate {
        id: read("certificate id", &id)?,
        org: read("organization id", &org)?,
        name,
        der,
        fingerprint,
        not_after: Timestamp(not_after),
        used_for: None,
        bundle: None,
    })
}

impl Store {
    /// Keeps a recipient's certificate under the address or domain it is bound to. The same twice is one.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn import_certificate(
        &self,
        org: OrgId,
        name: &str,
        der: &[u8],
        fingerprint: &str,
        not_after: Timestamp,
    ) -> Result<()> {
        self.import_certificates(org, &[NewCertificate { name, der, fingerprint, not_after }], &[]).await
    }

    /// Keeps several, all of them or none, and puts that on record with them.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn import_certificates(&self, org: OrgId, all: &[NewCertificate<'_>], witnesses: &[Witness<'_>]) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.clock.now();
        for new in all {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO certificate (org_id, id, name, der, fingerprint, not_after, imported_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT (org_id, name, fingerprint) DO NOTHING")
                .bind(org.to_string()).bind(CertificateId::new().to_string()).bind(new.name.to_ascii_lowercase()).bind(new.der)
                .bind(new.fingerprint).bind(new.not_after.micros()).bind(now.micros()).execute(c).await.map(drop))
            .doing("store a certificate")?;
        }
        audit::commit_all(tx, witnesses, now).await
    }

    /// The imported certificates for an address: first those bound to it, then those bound to its domain.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn certificates_for(&self, org: OrgId, address: &DirectAddress) -> Result<Vec<StoredCertificate>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, name, der, fingerprint, not_after FROM certificate WHERE org_id = $1 AND (name = $2 OR name = $3)
             ORDER BY CASE WHEN name = $2 THEN 0 ELSE 1 END, not_after DESC, id")
            .bind(org.to_string()).bind(address.key()).bind(address.domain_key()).fetch_all(pool).await)
        .doing("look for a recipient's certificates")?;
        rows.into_iter().map(certificate).collect()
    }

    /// Every imported recipient certificate the scope may see.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn certificates(&self, scope: OrgScope) -> Result<Vec<StoredCertificate>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, name, der, fingerprint, not_after FROM certificate WHERE ($1 IS NULL OR org_id = $1) ORDER BY org_id, name, id")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list certificates")?;
        rows.into_iter().map(certificate).collect()
    }

    /// Keeps a trusted CA certificate, believed in both directions. The same twice is one.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn import_anchor(
        &self,
        org: OrgId,
        kind: AnchorKind,
        der: &[u8],
        fingerprint: &str,
        not_after: Timestamp,
    ) -> Result<()> {
        self.import_anchor_for(org, kind, AnchorUse::Both, der, fingerprint, not_after).await
    }

    /// Keeps a trusted CA certificate. The same twice is one, and the last word on its kind and use counts.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn import_anchor_for(
        &self,
        org: OrgId,
        kind: AnchorKind,
        used_for: AnchorUse,
        der: &[u8],
        fingerprint: &str,
        not_after: Timestamp,
    ) -> Result<()> {
        self.import_anchors(org, &[NewAnchor { kind, used_for, der, fingerprint, not_after }], &[]).await
    }

    /// Keeps several, all of them or none, and puts that on record with them.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn import_anchors(&self, org: OrgId, all: &[NewAnchor<'_>], witnesses: &[Witness<'_>]) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.clock.now();
        for new in all {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO trust_anchor (org_id, id, kind, used_for, der, fingerprint, not_after, imported_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (org_id, fingerprint) DO UPDATE SET kind = excluded.kind, used_for = excluded.used_for")
                .bind(org.to_string()).bind(CertificateId::new().to_string()).bind(new.kind.as_str()).bind(new.used_for.as_str())
                .bind(new.der).bind(new.fingerprint).bind(new.not_after.micros()).bind(now.micros()).execute(c).await.map(drop))
            .doing("store a trust anchor")?;
        }
        audit::commit_all(tx, witnesses, now).await
    }

    /// The anchors and intermediates of the organizations the scope may see, imported ones and those of bundles; `name`
    /// tells which kind each is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn anchors(&self, scope: OrgScope) -> Result<Vec<StoredCertificate>> {
        self.anchors_for(scope, AnchorUse::Both).await
    }

    /// Those of them that are believed in one direction; with [`AnchorUse::Both`] all, whatever they are for.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn anchors_for(&self, scope: OrgScope, direction: AnchorUse) -> Result<Vec<StoredCertificate>> {
        let rows: Vec<AnchorRow> = on!(&self.db, pool => sqlx::query_as(ANCHORS)
            .bind(scope.org().map(|org| org.to_string())).bind(direction.as_str()).fetch_all(pool).await)
        .doing("list trust anchors")?;
        rows.into_iter().map(anchor).collect()
    }

    /// Removes an imported certificate, anchor or intermediate by fingerprint; returns how many were removed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_certificate(&self, org: OrgId, fingerprint: &str) -> Result<u64> {
        let mut tx = self.begin().await?;
        let removed = remove(&mut tx, org, fingerprint).await?;
        tx.commit().await?;
        Ok(removed)
    }

    /// The same, put on record with it. Where there is none nothing is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_certificate_as(&self, org: OrgId, fingerprint: &str, witness: Witness<'_>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let removed = remove(&mut tx, org, fingerprint).await?;
        if removed > 0 {
            audit::commit(tx, witness, now).await?;
        }
        Ok(removed)
    }
}

async fn remove(tx: &mut Tx, org: OrgId, fingerprint: &str) -> Result<u64> {
    let mut removed = 0;
    for sql in [
        "DELETE FROM certificate WHERE org_id = $1 AND fingerprint = $2",
        "DELETE FROM trust_anchor WHERE org_id = $1 AND fingerprint = $2",
    ] {
        removed += within!(tx, c => sqlx::query(sql).bind(org.to_string()).bind(fingerprint).execute(c).await
            .map(|done| done.rows_affected()))
        .doing("remove a certificate")?;
    }
    Ok(removed)
}
