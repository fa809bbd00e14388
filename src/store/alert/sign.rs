//! What a process sees and others cannot: its relays' breakers, its mailboxes, its clock, its disks. Whoever evaluates
//! believes it until its time is over, so that a process that died says nothing for ever.

use std::time::Duration;

use super::{large, small};
use crate::{
    domain::{alert::Condition, id::ProcessId},
    store::{Doing as _, Result, Store, read},
};

type Row = (String, String, i64, i64, i64, String);

impl Store {
    /// Replaces everything that `process` has said about itself; believed for `length`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn say_signs(&self, process: ProcessId, signs: &[Condition], length: Duration) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        within!(&mut tx, c => sqlx::query("DELETE FROM alert_sign WHERE process = $1 OR until <= $2")
            .bind(process.to_string()).bind(now.micros()).execute(c).await.map(drop))
        .doing("take back what a process said of itself")?;
        for sign in signs {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO alert_sign (process, kind, subject, level, value, threshold, detail, until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (process, kind, subject) DO NOTHING")
                .bind(process.to_string()).bind(sign.kind.as_str()).bind(&sign.subject).bind(i64::from(sign.level)).bind(large(sign.value))
                .bind(large(sign.limit)).bind(&sign.detail).bind(now.plus(length).micros()).execute(c).await.map(drop))
            .doing("note what a process says of itself")?;
        }
        tx.commit().await
    }

    /// What processes say about themselves, the worst where several say the same.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn signs(&self) -> Result<Vec<Condition>> {
        let now = self.now().await?;
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT kind, subject, level, value, threshold, detail FROM alert_sign WHERE until > $1 ORDER BY kind, subject, level DESC, process")
            .bind(now.micros()).fetch_all(pool).await)
        .doing("read what processes say of themselves")?;
        let mut signs: Vec<Condition> = Vec::new();
        for (kind, subject, level, value, limit, detail) in rows {
            let unsigned = |number| u64::try_from(number).unwrap_or(0);
            let sign = Condition {
                kind: read("kind of alert", &kind)?,
                subject,
                org: None,
                level: small(level),
                value: unsigned(value),
                limit: unsigned(limit),
                detail,
            };
            if signs.last().is_none_or(|last| last.key() != sign.key()) {
                signs.push(sign);
            }
        }
        Ok(signs)
    }
}
