//! What DNS and LDAP said about certificates: kept for a while, shared by every process.

use super::{Doing as _, Result, Store};
use crate::domain::Timestamp;

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What was asked, of whom: the key.
    pub question: String,
    /// The address or domain it was asked for, in lower case.
    pub about: String,
    /// Whether there was something.
    pub found: bool,
    /// The answer, in the form its room gives it.
    pub reply: Vec<u8>,
    /// Who answered.
    pub asked_of: String,
    /// When.
    pub asked_at: Timestamp,
    /// First instant at which it may no longer be used.
    pub expires_at: Timestamp,
}

type Row = (String, String, String, Vec<u8>, String, i64, i64);

impl From<Row> for Kept {
    fn from((question, about, outcome, reply, asked_of, asked_at, expires_at): Row) -> Self {
        let (asked_at, expires_at) = (Timestamp(asked_at), Timestamp(expires_at));
        Self { question, about, found: outcome == "found", reply, asked_of, asked_at, expires_at }
    }
}

impl Store {
    /// The answer to `question`, when one is kept and has not expired.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn kept(&self, question: &str) -> Result<Option<Kept>> {
        let row: Option<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT question, about, outcome, reply, asked_of, asked_at, expires_at FROM certificate_cache
             WHERE question = $1 AND expires_at > $2")
            .bind(question).bind(self.clock.now().micros()).fetch_optional(pool).await)
        .doing("look for a kept answer about certificates")?;
        Ok(row.map(Kept::from))
    }

    /// Keeps an answer; a later one replaces it, an earlier one does not. Answers that expired are thrown away.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn keep(&self, kept: &Kept) -> Result<()> {
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO certificate_cache (question, about, outcome, reply, asked_of, asked_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (question) DO UPDATE SET outcome = excluded.outcome, reply = excluded.reply,
                 asked_of = excluded.asked_of, asked_at = excluded.asked_at, expires_at = excluded.expires_at
             WHERE excluded.asked_at >= certificate_cache.asked_at")
            .bind(&kept.question).bind(&kept.about).bind(if kept.found { "found" } else { "none" }).bind(&kept.reply)
            .bind(&kept.asked_of).bind(kept.asked_at.micros()).bind(kept.expires_at.micros()).execute(pool).await.map(drop))
        .doing("keep an answer about certificates")?;
        on!(&self.db, pool => sqlx::query("DELETE FROM certificate_cache WHERE expires_at <= $1")
            .bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("throw expired answers about certificates away")
    }

    /// Forgets what was kept before an instant about these addresses and domains; tells how many answers that were.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget(&self, about: &[String], before: Timestamp) -> Result<u64> {
        let mut forgotten = 0;
        for name in about {
            forgotten += on!(&self.db, pool => sqlx::query("DELETE FROM certificate_cache WHERE about = $1 AND asked_at <= $2")
                .bind(name).bind(before.micros()).execute(pool).await.map(|done| done.rows_affected()))
            .doing("forget answers about certificates")?;
        }
        Ok(forgotten)
    }

    /// Everything kept that has not expired, about one address or domain or about all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn all_kept(&self, about: Option<&str>) -> Result<Vec<Kept>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT question, about, outcome, reply, asked_of, asked_at, expires_at FROM certificate_cache
             WHERE expires_at > $1 AND ($2 IS NULL OR about = $2) ORDER BY about, question")
            .bind(self.clock.now().micros()).bind(about).fetch_all(pool).await)
        .doing("list kept answers about certificates")?;
        Ok(rows.into_iter().map(Kept::from).collect())
    }
}
