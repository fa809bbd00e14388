//! Where a feed stands, and what could not be taken from it.

use zeroize::Zeroizing;

use super::{Doing as _, Result, Store, StoreError, at_rest, audit, lease::Lease, read, read_json};
use crate::domain::{OrgId, OrgScope, Timestamp, audit::Witness, id::ParkedId};

/// An item that could not be taken: kept, encrypted, for a person to look at.
#[derive(Debug, Clone)]
pub struct Parked {
    /// Its id.
    pub id: ParkedId,
    /// Whose it is.
    pub org: OrgId,
    /// Which feed.
    pub source: String,
    /// Its place in the feed.
    pub cursor: String,
    /// What is wrong; names fields, never values.
    pub problems: serde_json::Value,
    /// When.
    pub at: Timestamp,
}

macro_rules! parked {
    ($rest:literal) => {
        concat!("SELECT id, org_id, source, cursor, problems, parked_at FROM parked ", $rest)
    };
}

impl Store {
    /// Where the feed stands; `None` before its first item.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn feed_cursor(&self, feed: &str) -> Result<Option<String>> {
        on!(&self.db, pool => sqlx::query_scalar("SELECT cursor FROM feed_cursor WHERE feed = $1").bind(feed).fetch_optional(pool).await)
            .doing("read a feed's cursor")
    }

    /// Everything up to `cursor` is durable. The cursor moves only for who holds the lease of `task` at this moment, and
    /// nobody can take the lease before it has moved: a process that was too slow cannot set the feed back.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the lease is not held any more, else when it cannot be stored.
    pub async fn move_feed_cursor(&self, feed: &str, cursor: &str, task: &str, lease: &Lease) -> Result<()> {
        insist!(self.move_feed_cursor_once(feed, cursor, task, lease))
    }

    async fn move_feed_cursor_once(&self, feed: &str, cursor: &str, task: &str, lease: &Lease) -> Result<()> {
        let mut tx = self.begin().await?;
        let held: Option<(String, i64)> =
            locked!(&mut tx, query_as("SELECT owner, until FROM task_lease WHERE name = $1").bind(task).fetch_optional)
                .doing("read a task's lease")?;
        // After the lock: the time for which others may have waited for it counts.
        let now = self.now_within(&mut tx).await?;
        if !held.is_some_and(|(owner, until)| owner == lease.owner.to_string() && until > now.micros()) {
            return Err(StoreError::Lost);
        }
        within!(&mut tx, c => sqlx::query(
            "INSERT INTO feed_cursor (feed, cursor, updated_at) VALUES ($1, $2, $3)
             ON CONFLICT (feed) DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at")
            .bind(feed).bind(cursor).bind(now.micros()).execute(c).await.map(drop))
        .doing("store a feed's cursor")?;
        tx.commit().await
    }

    /// Keeps an item that could not be taken. The same item twice is kept once.
    ///
    /// # Errors
    /// When it cannot be stored: then it must not be acknowledged.
    pub async fn park(&self, org: OrgId, source: &str, cursor: &str, problems: &serde_json::Value, item: &[u8]) -> Result<()> {
        let key = self.key(org).await?;
        let id = ParkedId::new();
        let sealed = at_rest::seal(&key, org, "parked", id.0, item)?;
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO parked (org_id, id, source, cursor, problems, sealed, parked_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (org_id, source, cursor) DO NOTHING")
            .bind(org.to_string()).bind(id.to_string()).bind(source).bind(cursor).bind(problems.to_string()).bind(&sealed)
            .bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("park an item")
    }

    /// What is parked, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn parked(&self, scope: OrgScope) -> Result<Vec<Parked>> {
        let rows: Vec<ParkedRow> =
            on!(&self.db, pool => sqlx::query_as(parked!("WHERE ($1 IS NULL OR org_id = $1) ORDER BY parked_at, id LIMIT 1000"))
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
            .doing("list parked items")?;
        rows.into_iter().map(parked).collect()
    }

    /// The same in pages, in the order in which their ids were given: so many behind this one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn parked_after(&self, scope: OrgScope, after: Option<ParkedId>, most: u32) -> Result<Vec<Parked>> {
        let rows: Vec<ParkedRow> =
            on!(&self.db, pool => sqlx::query_as(parked!("WHERE ($1 IS NULL OR org_id = $1) AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3"))
            .bind(scope.org().map(|org| org.to_string())).bind(after.map(|id| id.to_string())).bind(i64::from(most)).fetch_all(pool).await)
            .doing("list parked items")?;
        rows.into_iter().map(parked).collect()
    }

    /// One parked item. Another organization's is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn parked_item(&self, scope: OrgScope, id: ParkedId) -> Result<Option<Parked>> {
        let row: Option<ParkedRow> =
            on!(&self.db, pool => sqlx::query_as(parked!("WHERE ($1 IS NULL OR org_id = $1) AND id = $2"))
            .bind(scope.org().map(|org| org.to_string())).bind(id.to_string()).fetch_optional(pool).await)
            .doing("read a parked item")?;
        row.map(parked).transpose()
    }

    /// What a parked item holds: patient data.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it is not parked any more; when it cannot be opened.
    pub async fn open_parked(&self, item: &Parked) -> Result<Zeroizing<Vec<u8>>> {
        let sealed: Option<Vec<u8>> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT sealed FROM parked WHERE org_id = $1 AND id = $2")
            .bind(item.org.to_string()).bind(item.id.to_string()).fetch_optional(pool).await)
            .doing("read a parked item")?;
        at_rest::open(&*self.key(item.org).await?, item.org, "parked", item.id.0, &sealed.ok_or(StoreError::Lost)?)
    }

    /// Throws an item away, and puts that on record with it. `false` when it was not there any more: then nothing is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn discard_parked(&self, item: &Parked, witness: Witness<'_>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let removed = within!(&mut tx, c => sqlx::query("DELETE FROM parked WHERE org_id = $1 AND id = $2")
            .bind(item.org.to_string()).bind(item.id.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("throw a parked item away")?;
        if removed == 0 {
            return Ok(false);
        }
        audit::commit(tx, witness, now).await?;
        Ok(true)
    }

    /// Ends the parking of an item: it was taken. `false` when it was not there any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_parked(&self, item: &Parked) -> Result<bool> {
        let removed = on!(&self.db, pool => sqlx::query("DELETE FROM parked WHERE org_id = $1 AND id = $2")
            .bind(item.org.to_string()).bind(item.id.to_string()).execute(pool).await.map(|done| done.rows_affected()))
        .doing("remove a parked item")?;
        Ok(removed == 1)
    }

    /// Notes what is wrong with a parked item now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_parked(&self, item: &Parked, problems: &serde_json::Value) -> Result<()> {
        on!(&self.db, pool => sqlx::query("UPDATE parked SET problems = $1 WHERE org_id = $2 AND id = $3")
            .bind(problems.to_string()).bind(item.org.to_string()).bind(item.id.to_string()).execute(pool).await.map(drop))
        .doing("note what is wrong with a parked item")
    }
}

type ParkedRow = (String, String, String, String, String, i64);

fn parked((id, org, source, cursor, problems, at): ParkedRow) -> Result<Parked> {
    let problems = read_json("problems", problems.as_bytes())?;
    let (id, org) = (read("id", &id)?, read("organization id", &org)?);
    Ok(Parked { id, org, source, cursor, problems, at: Timestamp(at) })
}
