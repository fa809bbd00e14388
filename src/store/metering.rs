//! How far a metering system knows each ledger: one place for each organization, moved when lines were taken.

use super::{Doing as _, Result, Store, read};
use crate::domain::{OrgId, Timestamp};

/// Where the telling of one ledger stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerTelling {
    /// Whose ledger.
    pub org: OrgId,
    /// The last line that was taken; 0: none.
    pub told: i64,
    /// The last line there is.
    pub newest: i64,
    /// Failures in a row.
    pub attempts: u32,
    /// When it is tried again, at the earliest.
    pub next_attempt_at: Timestamp,
    /// What the latest failure was.
    pub problem: Option<String>,
}

type Row = (String, i64, i64, i64, i64, Option<String>);

impl Store {
    /// Every ledger that has lines, and how far it was told.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger_tellings(&self) -> Result<Vec<LedgerTelling>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT h.org_id, COALESCE(t.seq, 0), h.seq, COALESCE(t.attempts, 0), COALESCE(t.next_attempt_at, 0), t.problem
             FROM ledger_head h LEFT JOIN ledger_told t ON t.org_id = h.org_id ORDER BY h.org_id")
            .fetch_all(pool).await)
        .doing("look how far ledgers were told")?;
        let telling = |(org, told, newest, attempts, next, problem): Row| {
            Ok(LedgerTelling {
                org: read("organization id", &org)?,
                told,
                newest,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                next_attempt_at: Timestamp(next),
                problem,
            })
        };
        rows.into_iter().map(telling).collect()
    }

    /// Records that lines up to `told` were taken; with `again` also that the next one was not, why, and when it is tried
    /// again. The place never goes back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger_was_told(&self, org: OrgId, told: i64, again: Option<(u32, Timestamp, &str)>) -> Result<()> {
        let now = self.now().await?;
        let (attempts, next, problem) =
            again.map_or((0, now, None), |(attempts, next, why)| (i64::from(attempts), next, Some(why)));
        on!(&self.writing, pool => sqlx::query(
            "INSERT INTO ledger_told (org_id, seq, attempts, next_attempt_at, problem, told_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (org_id) DO UPDATE SET attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at,
                problem = excluded.problem,
                told_at = CASE WHEN excluded.seq > ledger_told.seq THEN excluded.told_at ELSE ledger_told.told_at END,
                seq = CASE WHEN excluded.seq > ledger_told.seq THEN excluded.seq ELSE ledger_told.seq END")
            .bind(org.to_string()).bind(told).bind(attempts).bind(next.micros()).bind(problem).bind((told > 0).then(|| now.micros()))
            .execute(pool).await.map(drop))
        .doing("record how far a ledger was told")
    }
}
