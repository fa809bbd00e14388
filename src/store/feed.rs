//! Where a feed stands, and what could not be taken from it.

use super::{Doing as _, Result, Store, at_rest, read, read_json};
use crate::domain::{OrgId, OrgScope, Timestamp};

/// An item that could not be taken: kept, encrypted, for a person to look at.
#[derive(Debug, Clone)]
pub struct Parked {
    /// Its id.
    pub id: uuid::Uuid,
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

impl Store {
    /// Where the feed stands; `None` before its first item.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn feed_cursor(&self, feed: &str) -> Result<Option<String>> {
        on!(&self.db, pool => sqlx::query_scalar("SELECT cursor FROM feed_cursor WHERE feed = $1").bind(feed).fetch_optional(pool).await)
            .doing("read a feed's cursor")
    }

    /// Everything up to `cursor` is durable.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn set_feed_cursor(&self, feed: &str, cursor: &str) -> Result<()> {
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO feed_cursor (feed, cursor, updated_at) VALUES ($1, $2, $3)
             ON CONFLICT (feed) DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at")
            .bind(feed).bind(cursor).bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("store a feed's cursor")
    }

    /// Keeps an item that could not be taken. The same item twice is kept once.
    ///
    /// # Errors
    /// When it cannot be stored: then it must not be acknowledged.
    pub async fn park(&self, org: OrgId, source: &str, cursor: &str, problems: &serde_json::Value, item: &[u8]) -> Result<()> {
        let key = self.key(org).await?;
        let id = uuid::Uuid::now_v7();
        let sealed = at_rest::seal(&key, org, "parked", id, item)?;
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
        type Row = (String, String, String, String, String, i64);
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, source, cursor, problems, parked_at FROM parked WHERE ($1 IS NULL OR org_id = $1) ORDER BY parked_at, id LIMIT 1000")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list parked items")?;
        rows.into_iter()
            .map(|(id, org, source, cursor, problems, at)| {
                let problems = read_json("problems", problems.as_bytes())?;
                Ok(Parked {
                    id: read("id", &id)?,
                    org: read("organization id", &org)?,
                    source,
                    cursor,
                    problems,
                    at: Timestamp(at),
                })
            })
            .collect()
    }
}
