//! What live directories answered, kept for a while and shared by every process.

use super::super::{Doing as _, Result, Store, read};
use crate::domain::{Npi, Timestamp, id::SnapshotId};

/// An answer that is kept. An answer that was none (a time-out, an error) never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What a trace names it by.
    pub id: SnapshotId,
    /// The answer, in the form its room gives it.
    pub reply: Vec<u8>,
    /// When it was given.
    pub asked_at: Timestamp,
    /// First instant at which it may no longer be used.
    pub expires_at: Timestamp,
}

impl Store {
    /// What `directory` answered for an NPI, when that is kept and has not expired.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn kept_answer(&self, directory: &str, npi: &Npi) -> Result<Option<KeptAnswer>> {
        let row: Option<(String, Vec<u8>, i64, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, reply, asked_at, expires_at FROM directory_answer WHERE directory = $1 AND npi = $2 AND expires_at > $3")
            .bind(directory).bind(npi.as_str()).bind(self.clock.now().micros()).fetch_optional(pool).await)
        .doing("look for a kept answer of a directory")?;
        row.map(|(id, reply, asked_at, expires_at)| {
            Ok(KeptAnswer {
                id: read("snapshot id", &id)?,
                reply,
                asked_at: Timestamp(asked_at),
                expires_at: Timestamp(expires_at),
            })
        })
        .transpose()
    }

    /// Keeps an answer; a later one replaces it, an earlier one does not. Answers that expired are thrown away.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn keep_answer(&self, directory: &str, npi: &Npi, kept: &KeptAnswer) -> Result<()> {
        on!(&self.writing, pool => sqlx::query(
            "INSERT INTO directory_answer (directory, npi, id, reply, asked_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (directory, npi) DO UPDATE SET id = excluded.id, reply = excluded.reply, asked_at = excluded.asked_at,
                 expires_at = excluded.expires_at WHERE excluded.asked_at >= directory_answer.asked_at")
            .bind(directory).bind(npi.as_str()).bind(kept.id.to_string()).bind(&kept.reply).bind(kept.asked_at.micros())
            .bind(kept.expires_at.micros()).execute(pool).await.map(drop))
        .doing("keep an answer of a directory")?;
        on!(&self.writing, pool => sqlx::query("DELETE FROM directory_answer WHERE expires_at <= $1")
            .bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("throw expired answers of directories away")
    }
}
