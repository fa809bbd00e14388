//! One load: rows nobody sees, then all at once in force; the one before is kept for the way back.

use super::{
    super::{
        Doing as _, Result, Store, StoreError, Tx,
        leftover::{LOADING_AGE, micros_of},
        write_json,
    },
    Counts, Snapshot,
    rows::{self, ROWS},
};
use crate::domain::{
    OrgId, Timestamp,
    id::SnapshotId,
    route::{DirectoryRow, DirectorySource},
};

/// Rows removed in one transaction: others write in between.
const REMOVED_AT_ONCE: i64 = 20_000;

/// A load about to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewSnapshot<'a> {
    /// Which source.
    pub source: DirectorySource,
    /// Whose own list; nobody's own without.
    pub org: Option<OrgId>,
    /// The name of the file.
    pub file: &'a str,
}

/// A load in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loading {
    /// Its id.
    pub id: SnapshotId,
    pub(super) number: i64,
    /// The load of the same source that answers meanwhile.
    pub(super) previous: Option<i64>,
}

impl Store {
    /// Begins a load, not visible yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_snapshot(&self, new: NewSnapshot<'_>) -> Result<Loading> {
        // What an import that crashed has left behind nobody else would remove.
        self.remove_unloaded().await?;
        insist!(self.begin_loading(new))
    }

    async fn begin_loading(&self, new: NewSnapshot<'_>) -> Result<Loading> {
        let mut tx = self.begin().await?;
        let (id, org) = (SnapshotId::new(), new.org.map(|org| org.to_string()));
        let previous: Option<i64> = within!(&mut tx, c => sqlx::query_scalar(
            "SELECT number FROM directory_snapshot WHERE state = 'active' AND source = $1 AND COALESCE(org_id, '') = $2")
            .bind(new.source.as_str()).bind(org.as_deref().unwrap_or_default()).fetch_optional(c).await)
        .doing("look for the directory in force")?;
        let number: i64 = within!(&mut tx, c => sqlx::query_scalar(
            "INSERT INTO directory_snapshot (id, number, source, org_id, file, state, entries, counts, loaded_at)
             SELECT $1, COALESCE(MAX(number), 0) + 1, $2, $3, $4, 'loading', 0, '{}', $5 FROM directory_snapshot RETURNING number")
            .bind(id.to_string()).bind(new.source.as_str()).bind(org.as_deref()).bind(new.file).bind(self.clock.now().micros())
            .fetch_one(c).await)
        .doing("begin a directory load")?;
        tx.commit().await?;
        Ok(Loading { id, number, previous })
    }

    /// Adds rows in one transaction; tells how many were not there yet.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn add_to_snapshot(&self, loading: &Loading, rows: &[DirectoryRow]) -> Result<u64> {
        let mut tx = self.begin().await?;
        let now = self.clock.now();
        let mut added = 0;
        for some in rows.chunks(ROWS) {
            added += rows::write(&mut tx, loading, now, some).await?;
        }
        self.still_loading(&mut tx, loading).await?;
        tx.commit().await?;
        Ok(added)
    }

    /// Adds blocks of the registry: number, bits of the NPIs issued, bits of those deactivated.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn add_npi_blocks(&self, loading: &Loading, blocks: &[(i64, Vec<u8>, Vec<u8>)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (block, issued, inactive) in blocks {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO directory_npi_block (snapshot, block, issued, inactive) VALUES ($1, $2, $3, $4)")
                .bind(loading.number).bind(block).bind(issued).bind(inactive).execute(c).await.map(drop))
            .doing("store the list of NPIs")?;
        }
        self.still_loading(&mut tx, loading).await?;
        tx.commit().await
    }

    /// Shows that somebody is still loading it.
    async fn still_loading(&self, tx: &mut Tx, loading: &Loading) -> Result<()> {
        within!(tx, c => sqlx::query("UPDATE directory_snapshot SET loaded_at = $1 WHERE id = $2 AND state = 'loading'")
            .bind(self.clock.now().micros()).bind(loading.id.to_string()).execute(c).await.map(drop))
        .doing("note how far a directory is loaded")
    }

    /// Makes a load the one that answers for its source, in one step. The one before is retired, an older one goes.
    ///
    /// # Errors
    /// When it cannot be stored, [`StoreError::Lost`] when it is not being loaded: then the old one still answers.
    pub async fn activate_snapshot(&self, loading: &Loading, entries: u64, counts: &Counts) -> Result<()> {
        let counts = String::from_utf8_lossy(&write_json("counts of a directory load", counts)?).into_owned();
        let mut tx = self.begin().await?;
        for (state, next) in [("retired", "gone"), ("active", "retired")] {
            within!(&mut tx, c => sqlx::query(
                "UPDATE directory_snapshot SET state = $1 WHERE state = $2 AND EXISTS (SELECT 1 FROM directory_snapshot n
                 WHERE n.id = $3 AND n.source = directory_snapshot.source
                     AND COALESCE(n.org_id, '') = COALESCE(directory_snapshot.org_id, ''))")
                .bind(next).bind(state).bind(loading.id.to_string()).execute(c).await.map(drop))
            .doing("retire the directory before")?;
        }
        let activated = within!(&mut tx, c => sqlx::query(
            "UPDATE directory_snapshot SET state = 'active', entries = $1, counts = $2, loaded_at = $3 WHERE id = $4 AND state = 'loading'")
            .bind(i64::try_from(entries).unwrap_or(i64::MAX)).bind(&counts).bind(self.clock.now().micros())
            .bind(loading.id.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("activate a directory")?;
        // Without this the old one would be retired and nothing would answer in its place.
        if activated != 1 {
            return Err(StoreError::Lost);
        }
        tx.commit().await
    }

    /// Puts the load before the one in force into force again, and the other way round; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn roll_back_snapshot(&self, source: DirectorySource, org: Option<OrgId>) -> Result<Option<Snapshot>> {
        let org_text = org.map_or_else(String::new, |org| org.to_string());
        let mut tx = self.begin().await?;
        let before: Option<String> = within!(&mut tx, c => sqlx::query_scalar(
            "SELECT id FROM directory_snapshot WHERE state = 'retired' AND source = $1 AND COALESCE(org_id, '') = $2
             ORDER BY loaded_at DESC LIMIT 1")
            .bind(source.as_str()).bind(&org_text).fetch_optional(c).await)
        .doing("look for the directory before")?;
        let Some(before) = before else { return Ok(None) };
        within!(&mut tx, c => sqlx::query(
            "UPDATE directory_snapshot SET state = 'retired' WHERE state = 'active' AND source = $1 AND COALESCE(org_id, '') = $2")
            .bind(source.as_str()).bind(&org_text).execute(c).await.map(drop))
        .doing("retire a directory")?;
        within!(&mut tx, c => sqlx::query("UPDATE directory_snapshot SET state = 'active' WHERE id = $1")
            .bind(&before).execute(c).await.map(drop))
        .doing("put the directory before into force")?;
        tx.commit().await?;
        self.active_snapshot(source, org).await
    }

    /// Throws away a load that was not activated.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_snapshot(&self, id: SnapshotId) -> Result<()> {
        let number: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT number FROM directory_snapshot WHERE id = $1 AND state = 'loading'").bind(id.to_string()).fetch_optional(pool).await)
        .doing("look for a directory load")?;
        let Some(number) = number else { return Ok(()) };
        self.remove_rows(number).await?;
        self.forget_load(number).await
    }

    /// Removes what is being loaded of a source: for whoever stops an import of it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_unfinished(&self, source: DirectorySource, org: Option<OrgId>) -> Result<()> {
        let numbers: Vec<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT number FROM directory_snapshot WHERE state = 'loading' AND source = $1 AND COALESCE(org_id, '') = $2")
            .bind(source.as_str()).bind(org.map_or_else(String::new, |org| org.to_string())).fetch_all(pool).await)
        .doing("look for directories that are being loaded")?;
        for number in numbers {
            self.remove_rows(number).await?;
            self.forget_load(number).await?;
        }
        Ok(())
    }

    /// Removes loads that broke off, and the rows of those nobody can go back to; returns how many broke off.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_unloaded(&self) -> Result<u64> {
        let before = Timestamp(self.clock.now().micros().saturating_sub(micros_of(LOADING_AGE))).micros();
        let broken: Vec<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT number FROM directory_snapshot WHERE state = 'loading' AND loaded_at < $1").bind(before).fetch_all(pool).await)
        .doing("look for directories that were not loaded")?;
        for number in &broken {
            self.remove_rows(*number).await?;
            self.forget_load(*number).await?;
        }
        let gone: Vec<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT number FROM directory_snapshot s WHERE state = 'gone'
                AND (EXISTS (SELECT 1 FROM directory_entry WHERE snapshot = s.number)
                    OR EXISTS (SELECT 1 FROM directory_npi_block WHERE snapshot = s.number))").fetch_all(pool).await)
        .doing("look for old directories")?;
        for number in gone {
            self.remove_rows(number).await?;
        }
        Ok(broken.len() as u64)
    }

    async fn forget_load(&self, number: i64) -> Result<()> {
        on!(&self.writing, pool => sqlx::query("DELETE FROM directory_snapshot WHERE number = $1 AND state = 'loading'")
            .bind(number).execute(pool).await.map(drop))
        .doing("remove a directory that was not loaded")
    }

    async fn remove_rows(&self, number: i64) -> Result<()> {
        loop {
            let removed = on!(&self.writing, pool => sqlx::query(
                "DELETE FROM directory_entry WHERE snapshot = $1 AND npi <= COALESCE(
                     (SELECT npi FROM directory_entry WHERE snapshot = $1 ORDER BY npi LIMIT 1 OFFSET $2), '9999999999')")
                .bind(number).bind(REMOVED_AT_ONCE).execute(pool).await.map(|done| done.rows_affected()))
            .doing("remove old directory rows")?;
            if removed == 0 {
                break;
            }
        }
        on!(&self.writing, pool => sqlx::query("DELETE FROM directory_npi_block WHERE snapshot = $1")
            .bind(number).execute(pool).await.map(drop))
        .doing("remove an old list of NPIs")
    }
}
