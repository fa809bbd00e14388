//! Alerts and their lives. A change and what is to be said about it are one transaction: nothing is said that did not
//! happen, and nothing that happened stays unsaid.

mod sign;
mod telling;

pub use self::telling::{ListenerState, Telling};
use super::{Doing as _, Result, Store, StoreError, Tx, audit, read, rows};
use crate::domain::{
    OrgId, OrgScope, Timestamp,
    alert::{Alert, Condition, Listener, Said, Severity},
    audit::Witness,
    id::AlertId,
};

/// One alert after a change, and to whom it is said.
#[derive(Debug, Clone)]
pub struct AlertChange {
    /// As it is now. Its revision is the one it had before.
    pub alert: Alert,
    /// What is said, to whom.
    pub said: Option<(Said, Vec<Listener>)>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    org_id: Option<String>,
    kind: String,
    subject: String,
    level: i64,
    value: i64,
    threshold: i64,
    detail: String,
    first_seen: i64,
    opened_at: Option<i64>,
    quiet_since: Option<i64>,
    resolved_at: Option<i64>,
    told_level: i64,
    escalated_at: Option<i64>,
    acked_at: Option<i64>,
    acked_by: Option<String>,
    revision: i64,
}

fn small(number: i64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn large(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Row {
    fn alert(self) -> Result<Alert> {
        Ok(Alert {
            id: read("alert id", &self.id)?,
            condition: Condition {
                kind: read("kind of alert", &self.kind)?,
                subject: self.subject,
                org: self.org_id.map(|org| read("organization id", &org)).transpose()?,
                level: small(self.level),
                value: u64::try_from(self.value).unwrap_or(0),
                limit: u64::try_from(self.threshold).unwrap_or(0),
                detail: self.detail,
            },
            first_seen: Timestamp(self.first_seen),
            opened_at: self.opened_at.map(Timestamp),
            quiet_since: self.quiet_since.map(Timestamp),
            resolved_at: self.resolved_at.map(Timestamp),
            told_level: small(self.told_level),
            escalated_at: self.escalated_at.map(Timestamp),
            acked_at: self.acked_at.map(Timestamp),
            acked_by: self.acked_by,
            revision: self.revision,
        })
    }
}

macro_rules! alerts {
    ($rest:literal) => {
        concat!(
            "SELECT id, org_id, kind, subject, level, value, threshold, detail, first_seen, opened_at, quiet_since, resolved_at, told_level,
             escalated_at, acked_at, acked_by, revision FROM alert ",
            $rest
        )
    };
}

impl Store {
    /// Every alert that is not over, also those nobody knows of yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unresolved_alerts(&self) -> Result<Vec<Alert>> {
        let rows: Vec<Row> =
            on!(&self.db, pool => sqlx::query_as(alerts!("WHERE resolved_at IS NULL ORDER BY first_seen, id")).fetch_all(pool).await)
                .doing("read open alerts")?;
        rows.into_iter().map(Row::alert).collect()
    }

    /// Alerts people know of, newest first: what is open, and with `over` what is over too; after one of them, when it is named.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alerts(&self, scope: OrgScope, over: bool, most: u32, after: Option<&Alert>) -> Result<Vec<Alert>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(alerts!(
            "WHERE opened_at IS NOT NULL AND (resolved_at IS NULL OR $1) AND ($2 IS NULL OR org_id = $2)
                AND ($3 IS NULL OR opened_at < $3 OR (opened_at = $3 AND id < $4)) ORDER BY opened_at DESC, id DESC LIMIT $5"))
            .bind(over).bind(scope.org().map(|org| org.to_string())).bind(after.and_then(|alert| alert.opened_at).map(Timestamp::micros))
            .bind(after.map(|alert| alert.id.to_string())).bind(i64::from(most)).fetch_all(pool).await)
        .doing("list alerts")?;
        rows.into_iter().map(Row::alert).collect()
    }

    /// One alert.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert(&self, id: AlertId) -> Result<Option<Alert>> {
        let row: Option<Row> =
            on!(&self.db, pool => sqlx::query_as(alerts!("WHERE id = $1")).bind(id.to_string()).fetch_optional(pool).await)
                .doing("read an alert")?;
        row.map(Row::alert).transpose()
    }

    /// Somebody cares: nobody else is told. `false` when it is over or somebody said so before: then nothing is put on record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ack_alert(&self, id: AlertId, by: &str, witness: Option<Witness<'_>>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let acked = within!(&mut tx, c => sqlx::query(
            "UPDATE alert SET acked_at = $1, acked_by = $2, revision = revision + 1
             WHERE id = $3 AND acked_at IS NULL AND resolved_at IS NULL AND opened_at IS NOT NULL")
            .bind(now.micros()).bind(by).bind(id.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("note that somebody cares for an alert")?;
        if acked == 0 {
            return Ok(false);
        }
        audit::commit_all(tx, witness.as_slice(), now).await?;
        Ok(true)
    }

    /// Writes one round down: the changed alerts with what is to be said, and those nobody needs to remember.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when somebody else has changed one of them meanwhile: then nothing is written.
    pub async fn keep_alerts(&self, changes: Vec<AlertChange>, forgotten: &[AlertId]) -> Result<()> {
        if changes.is_empty() && forgotten.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        for id in forgotten {
            within!(&mut tx, c => sqlx::query("DELETE FROM alert WHERE id = $1 AND opened_at IS NULL")
                .bind(id.to_string()).execute(c).await.map(drop))
            .doing("forget an alert that never opened")?;
        }
        let mut tellings = Vec::new();
        for AlertChange { alert, said } in changes {
            keep(&mut tx, &alert).await?;
            for (said, listener) in said.into_iter().flat_map(|(said, all)| all.into_iter().map(move |one| (said, one))) {
                let critical = alert.condition.kind.severity() == Severity::Critical;
                tellings.push(telling::row(Some(alert.id), said, alert.condition.level, critical, &listener, now));
            }
        }
        // PostgreSQL and SQLite both take so many in one statement.
        while !tellings.is_empty() {
            let rest = tellings.split_off(tellings.len().min(500));
            rows::execute(&mut tx, telling::INSERT, std::mem::replace(&mut tellings, rest), "")
                .await
                .doing("note what is to be said")?;
        }
        tx.commit().await
    }

    /// How many are open, by kind.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_alert_counts(&self) -> Result<Vec<(crate::domain::alert::AlertKind, u64)>> {
        let rows: Vec<(String, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT kind, COUNT(*) FROM alert WHERE resolved_at IS NULL AND opened_at IS NOT NULL GROUP BY kind").fetch_all(pool).await)
        .doing("count open alerts")?;
        rows.into_iter().map(|(kind, count)| Ok((read("kind of alert", &kind)?, u64::try_from(count).unwrap_or(0)))).collect()
    }

    /// Forgets what was over before `before` and about which nothing is left to say.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_alerts(&self, before: Timestamp) -> Result<u64> {
        on!(&self.writing, pool => sqlx::query(
            "DELETE FROM alert WHERE resolved_at < $1 AND NOT EXISTS (SELECT 1 FROM alert_telling t WHERE t.alert_id = alert.id)")
            .bind(before.micros()).execute(pool).await.map(|done| done.rows_affected()))
        .doing("forget old alerts")
    }
}

async fn keep(tx: &mut Tx, alert: &Alert) -> Result<()> {
    let condition = &alert.condition;
    let kept = within!(tx, c => sqlx::query(
        "INSERT INTO alert (id, org_id, kind, subject, level, value, threshold, detail, first_seen, opened_at, quiet_since, resolved_at,
            told_level, escalated_at, acked_at, acked_by, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17 + 1)
         ON CONFLICT (id) DO UPDATE SET level = excluded.level, value = excluded.value, threshold = excluded.threshold,
            detail = excluded.detail, opened_at = excluded.opened_at, quiet_since = excluded.quiet_since,
            resolved_at = excluded.resolved_at, told_level = excluded.told_level, escalated_at = excluded.escalated_at,
            revision = excluded.revision
         WHERE alert.revision = $17")
        .bind(alert.id.to_string()).bind(condition.org.map(|org: OrgId| org.to_string())).bind(condition.kind.as_str())
        .bind(&condition.subject).bind(i64::from(condition.level)).bind(large(condition.value)).bind(large(condition.limit))
        .bind(&condition.detail).bind(alert.first_seen.micros()).bind(alert.opened_at.map(Timestamp::micros))
        .bind(alert.quiet_since.map(Timestamp::micros)).bind(alert.resolved_at.map(Timestamp::micros)).bind(i64::from(alert.told_level))
        .bind(alert.escalated_at.map(Timestamp::micros)).bind(alert.acked_at.map(Timestamp::micros)).bind(alert.acked_by.as_deref())
        .bind(alert.revision).execute(c).await.map(|done| done.rows_affected()))
    .doing("keep an alert")?;
    if kept == 1 { Ok(()) } else { Err(StoreError::Lost) }
}
