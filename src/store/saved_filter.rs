//! Filters that people keep for themselves, each under a name of their own.

use super::{Doing as _, Result, Store};
use crate::domain::id::PersonId;

/// So many a person keeps.
pub const MOST: i64 = 20;

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedFilter {
    /// What it is called.
    pub name: String,
    /// As it stands in the URL.
    pub query: String,
}

impl Store {
    /// Somebody's filters, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn saved_filters(&self, person: PersonId) -> Result<Vec<SavedFilter>> {
        let rows: Vec<(String, String)> =
            on!(&self.db, pool => sqlx::query_as("SELECT name, query FROM saved_filter WHERE user_id = $1 ORDER BY name")
            .bind(person.to_string()).fetch_all(pool).await)
            .doing("read saved filters")?;
        Ok(rows.into_iter().map(|(name, query)| SavedFilter { name, query }).collect())
    }

    /// Keeps one; another of the same name goes. `false` when there is no room.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn save_filter(&self, person: PersonId, filter: &SavedFilter) -> Result<bool> {
        let now = self.now().await?.micros();
        let saved = on!(&self.writing, pool => sqlx::query(
            "INSERT INTO saved_filter (user_id, name, query, created_at)
             SELECT $1, $2, $3, CAST($4 AS BIGINT) WHERE (SELECT COUNT(*) FROM saved_filter WHERE user_id = $1 AND name <> $2) < $5
             ON CONFLICT (user_id, name) DO UPDATE SET query = excluded.query")
            .bind(person.to_string()).bind(&filter.name).bind(&filter.query).bind(now).bind(MOST)
            .execute(pool).await.map(|done| done.rows_affected()))
        .doing("save a filter")?;
        Ok(saved == 1)
    }

    /// Forgets one. `false` when there was none of that name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_filter(&self, person: PersonId, name: &str) -> Result<bool> {
        let gone = on!(&self.writing, pool => sqlx::query("DELETE FROM saved_filter WHERE user_id = $1 AND name = $2")
            .bind(person.to_string()).bind(name).execute(pool).await.map(|done| done.rows_affected()))
        .doing("forget a filter")?;
        Ok(gone == 1)
    }
}
