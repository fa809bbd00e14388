//! Directory snapshots and look-ups. A snapshot becomes visible as a whole or not at all.

use super::{Doing as _, Result, Store, StoreError, read};
use crate::domain::{
    DirectAddress, Npi, OrgId, Timestamp,
    id::SnapshotId,
    route::{AffiliatedWith, DirectoryAnswer, DirectoryEntry, DirectoryRow, DirectorySource},
    time::Span,
};

/// The snapshot that answers now.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Where it came from.
    pub source: String,
    /// How many rows.
    pub entries: u64,
    /// When.
    pub loaded_at: Timestamp,
}

type EntryRow = (Option<String>, Option<String>, Option<String>, bool);

impl Store {
    /// The snapshot that answers now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn active_snapshot(&self) -> Result<Option<Snapshot>> {
        let row: Option<(String, String, i64, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, source, entries, loaded_at FROM directory_snapshot WHERE state = 'active' ORDER BY loaded_at DESC, id DESC LIMIT 1")
            .fetch_optional(pool).await)
        .doing("read the directory's snapshot")?;
        row.map(|(id, source, entries, loaded_at)| {
            Ok(Snapshot {
                id: read("snapshot id", &id)?,
                source,
                entries: u64::try_from(entries).unwrap_or(0),
                loaded_at: Timestamp(loaded_at),
            })
        })
        .transpose()
    }

    /// Begins a new snapshot, not visible yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_snapshot(&self, source: &str) -> Result<SnapshotId> {
        // What an import that crashed has left behind nobody else would remove.
        self.remove_unloaded().await?;
        let id = SnapshotId::new();
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO directory_snapshot (id, source, state, entries, loaded_at) VALUES ($1, $2, 'loading', 0, $3)")
            .bind(id.to_string()).bind(source).bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("begin a directory snapshot")?;
        Ok(id)
    }

    /// Adds rows; `first` is the place of the first among all rows of the snapshot.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn add_to_snapshot(&self, snapshot: SnapshotId, first: u64, rows: &[DirectoryRow]) -> Result<()> {
        let mut tx = self.begin().await?;
        let id = snapshot.to_string();
        for (offset, row) in rows.iter().enumerate() {
            let position = i64::try_from(first).unwrap_or(i64::MAX).saturating_add(i64::try_from(offset).unwrap_or(i64::MAX));
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO directory_entry (snapshot, npi, position, address, organization, organization_npi, active)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)")
                .bind(&id).bind(row.npi.as_str()).bind(position).bind(row.address.as_ref().map(DirectAddress::as_str))
                .bind(row.affiliation.name.as_deref()).bind(row.affiliation.npi.as_ref().map(Npi::as_str)).bind(row.active)
                .execute(c).await.map(drop))
            .doing("store directory rows")?;
        }
        // Shows that somebody is still loading it.
        within!(&mut tx, c => sqlx::query("UPDATE directory_snapshot SET loaded_at = $1 WHERE id = $2 AND state = 'loading'")
            .bind(self.clock.now().micros()).bind(&id).execute(c).await.map(drop))
        .doing("note how far a directory is loaded")?;
        tx.commit().await
    }

    /// Makes a snapshot the one that answers, in one step; the one before is kept, retired, and older ones go.
    ///
    /// # Errors
    /// When it cannot be stored, [`StoreError::Lost`] when it is not being loaded: then the old one still answers.
    pub async fn activate_snapshot(&self, snapshot: SnapshotId, entries: u64) -> Result<()> {
        let mut tx = self.begin().await?;
        let id = snapshot.to_string();
        within!(&mut tx, c => sqlx::query(
            "DELETE FROM directory_entry WHERE snapshot IN (SELECT id FROM directory_snapshot WHERE state = 'retired')").execute(c).await.map(drop))
        .doing("drop old directory rows")?;
        within!(&mut tx, c => sqlx::query("UPDATE directory_snapshot SET state = 'retired' WHERE state = 'active'").execute(c).await.map(drop))
        .doing("retire the directory before")?;
        let activated = within!(&mut tx, c => sqlx::query(
            "UPDATE directory_snapshot SET state = 'active', entries = $1, loaded_at = $2 WHERE id = $3 AND state = 'loading'")
            .bind(i64::try_from(entries).unwrap_or(i64::MAX)).bind(self.clock.now().micros()).bind(&id).execute(c).await
            .map(|done| done.rows_affected()))
        .doing("activate a directory")?;
        // Without this the old one would be retired and nothing would answer in its place.
        if activated != 1 {
            return Err(StoreError::Lost);
        }
        tx.commit().await
    }

    /// Throws away a snapshot that was not activated.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_snapshot(&self, snapshot: SnapshotId) -> Result<()> {
        let id = snapshot.to_string();
        on!(&self.db, pool => sqlx::query(
            "DELETE FROM directory_entry WHERE snapshot = (SELECT id FROM directory_snapshot WHERE id = $1 AND state = 'loading')")
            .bind(&id).execute(pool).await.map(drop))
        .doing("drop directory rows")?;
        on!(&self.db, pool => sqlx::query("DELETE FROM directory_snapshot WHERE id = $1 AND state = 'loading'").bind(&id).execute(pool).await.map(drop))
            .doing("drop a directory snapshot")
    }

    /// What the directory answers for an NPI, with this organization's own experience of each address.
    ///
    /// # Errors
    /// When the database does not answer. A snapshot that is too old is an answer: unavailable.
    pub async fn look_up(&self, org: OrgId, npi: &Npi, max_age: Span) -> Result<DirectoryAnswer> {
        let Some(snapshot) = self.active_snapshot().await? else { return Ok(DirectoryAnswer::NotConfigured) };
        let age = self.clock.now().since(snapshot.loaded_at);
        if age > max_age.0 {
            let days = age.as_secs() / 86_400;
            return Ok(DirectoryAnswer::Unavailable {
                why: format!("the directory was loaded {days} days ago, longer than {max_age} allow"),
            });
        }
        let rows: Vec<EntryRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT address, organization, organization_npi, active FROM directory_entry WHERE snapshot = $1 AND npi = $2 ORDER BY position")
            .bind(snapshot.id.to_string()).bind(npi.as_str()).fetch_all(pool).await)
        .doing("ask the directory")?;
        if rows.is_empty() {
            return Ok(DirectoryAnswer::NotFound(snapshot.id));
        }
        if rows.iter().all(|row| !row.3) {
            return Ok(DirectoryAnswer::Inactive(snapshot.id));
        }
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        for (address, organization, organization_npi, active) in rows {
            let (Some(address), true) = (address, active) else { continue };
            let address: DirectAddress = read("address", &address)?;
            if entries.iter().any(|known| known.address == address) {
                continue;
            }
            let last_success = self.last_success(org, &address).await?.map(Timestamp::micros);
            let organization_npi = organization_npi.as_deref().map(|npi| read("npi", npi)).transpose()?;
            entries.push(DirectoryEntry {
                npi: npi.clone(),
                address,
                source: DirectorySource::DirectTrust,
                snapshot: snapshot.id,
                rank: None,
                kind: None,
                affiliation: AffiliatedWith { npi: organization_npi, name: organization, ..AffiliatedWith::default() },
                first_seen: snapshot.loaded_at.micros(),
                last_seen: snapshot.loaded_at.micros(),
                pinned: false,
                last_success,
            });
        }
        Ok(if entries.is_empty() {
            DirectoryAnswer::NoAddress(snapshot.id)
        } else {
            DirectoryAnswer::Found { entries, unavailable: Vec::new() }
        })
    }
}
