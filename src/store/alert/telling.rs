//! What is still to be said, to whom, and how each listener was reached so far.

use std::collections::HashMap;

use uuid::Uuid;

use super::small;
use crate::{
    domain::{
        OrgId, Timestamp,
        alert::{Listener, Said},
        id::{AlertId, ProcessId},
    },
    store::{Doing as _, Result, Store, lease::Lease, read, rows::Cell},
};

pub(super) const INSERT: &str =
    "INSERT INTO alert_telling (id, alert_id, said, level, critical, channel, target, org_id, made_at) ";

/// Something that is still to be said to one listener.
#[derive(Debug, Clone)]
pub struct Telling {
    /// Its id.
    pub id: Uuid,
    /// About which alert; `None`: what is open when it leaves.
    pub alert: Option<AlertId>,
    /// What.
    pub said: Said,
    /// How bad it was then.
    pub level: u8,
    /// Whether it waits for nothing.
    pub critical: bool,
    /// When it happened.
    pub made_at: Timestamp,
    /// The message it was tried in before.
    pub message: Option<Uuid>,
}

/// How one listener was reached so far.
#[derive(Debug, Clone, Default)]
pub struct ListenerState {
    /// When something was said last.
    pub sent_at: Option<Timestamp>,
    /// When the last digest was made.
    pub digest_at: Option<Timestamp>,
    /// Since when nothing gets through.
    pub failing_since: Option<Timestamp>,
    /// Failures in a row.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_at: Option<Timestamp>,
    /// Why the last try failed.
    pub error: Option<String>,
}

pub(super) fn row(
    alert: Option<AlertId>,
    said: Said,
    level: u8,
    critical: bool,
    listener: &Listener,
    now: Timestamp,
) -> [Cell; 9] {
    [
        Uuid::now_v7().to_string().into(),
        alert.map(|id| id.to_string()).into(),
        said.as_str().into(),
        i64::from(level).into(),
        critical.into(),
        listener.channel.as_str().into(),
        listener.target.as_str().into(),
        listener.org.map(|org| org.to_string()).into(),
        now.micros().into(),
    ]
}

fn org_key(org: Option<OrgId>) -> String {
    org.map_or_else(String::new, |org| org.to_string())
}

type StateRow = (String, String, String, Option<i64>, Option<i64>, Option<i64>, i64, i64, Option<String>);
type TellingRow = (String, Option<String>, String, i64, bool, i64, Option<String>);

impl Store {
    /// How every listener was reached so far.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_listeners(&self) -> Result<HashMap<Listener, ListenerState>> {
        let rows: Vec<StateRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT channel, target, org_id, sent_at, digest_at, failing_since, attempts, next_at, error FROM alert_listener")
            .fetch_all(pool).await)
        .doing("read who was told of alerts")?;
        let state = |(channel, target, org, sent_at, digest_at, failing_since, attempts, next_at, error): StateRow| {
            let org = if org.is_empty() { None } else { Some(read("organization id", &org)?) };
            let listener = Listener { channel: read("channel", &channel)?, target, org };
            let state = ListenerState {
                sent_at: sent_at.map(Timestamp),
                digest_at: digest_at.map(Timestamp),
                failing_since: failing_since.map(Timestamp),
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                next_at: Some(Timestamp(next_at)),
                error,
            };
            Ok((listener, state))
        };
        rows.into_iter().map(state).collect()
    }

    /// To whom something is still to be said, and whether any of it waits for nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn untold_listeners(&self) -> Result<Vec<(Listener, bool)>> {
        let rows: Vec<(String, String, Option<String>, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT channel, target, org_id, CAST(MAX(CASE WHEN critical THEN 1 ELSE 0 END) AS BIGINT) FROM alert_telling
             GROUP BY channel, target, org_id").fetch_all(pool).await)
        .doing("read who has to be told of alerts")?;
        let listener = |(channel, target, org, critical): (String, String, Option<String>, i64)| {
            let org = org.map(|org| read("organization id", &org)).transpose()?;
            Ok((Listener { channel: read("channel", &channel)?, target, org }, critical > 0))
        };
        rows.into_iter().map(listener).collect()
    }

    /// Makes a digest for `listener`: it says what is open when it leaves. Nothing happens when one was made since `last`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn make_digest(&self, listener: &Listener, last: Option<Timestamp>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let made = within!(&mut tx, c => sqlx::query(
            "INSERT INTO alert_listener (channel, target, org_id, digest_at, attempts, next_at) VALUES ($1, $2, $3, $4, 0, 0)
             ON CONFLICT (channel, target, org_id) DO UPDATE SET digest_at = excluded.digest_at
             WHERE COALESCE(alert_listener.digest_at, 0) = $5")
            .bind(listener.channel.as_str()).bind(&listener.target).bind(org_key(listener.org)).bind(now.micros())
            .bind(last.map_or(0, Timestamp::micros)).execute(c).await.map(|done| done.rows_affected()))
        .doing("note a digest")?;
        if made == 1 {
            let row = row(None, Said::Digest, 0, false, listener, now);
            crate::store::rows::execute(&mut tx, INSERT, vec![row], "").await.doing("note a digest")?;
            tx.commit().await?;
        }
        Ok(made == 1)
    }

    /// Takes what is to be said to `listener`, up to `most`, under a lease of its own: whoever is slow says nothing twice.
    /// All of it leaves in one message, with the id it was tried with before if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_tellings(&self, listener: &Listener, lease: &Lease, most: u32) -> Result<Vec<Telling>> {
        let now = self.now().await?;
        let (owner, until, org) = (ProcessId::new().to_string(), now.plus(lease.length), listener.org.map(|org| org.to_string()));
        let taken = on!(&self.writing, pool => sqlx::query(
            "UPDATE alert_telling SET lease_owner = $1, lease_until = $2, message = COALESCE(message, $1) WHERE id IN (
                SELECT id FROM alert_telling WHERE channel = $3 AND target = $4 AND COALESCE(org_id, '') = COALESCE($5, '')
                    AND (lease_until IS NULL OR lease_until <= $6) ORDER BY made_at, id LIMIT $7)
             AND (lease_until IS NULL OR lease_until <= $6)")
            .bind(&owner).bind(until.micros()).bind(listener.channel.as_str()).bind(&listener.target).bind(&org).bind(now.micros())
            .bind(i64::from(most)).execute(pool).await.map(|done| done.rows_affected()))
        .doing("take what is to be said about alerts")?;
        if taken == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<TellingRow> = on!(&self.writing, pool => sqlx::query_as(
            "SELECT id, alert_id, said, level, critical, made_at, message FROM alert_telling WHERE lease_owner = $1 ORDER BY made_at, id")
            .bind(&owner).fetch_all(pool).await)
        .doing("read what is to be said about alerts")?;
        let telling = |(id, alert, said, level, critical, made_at, message): TellingRow| {
            Ok(Telling {
                id: read("telling id", &id)?,
                alert: alert.map(|id| read("alert id", &id)).transpose()?,
                said: read("what is said", &said)?,
                level: small(level),
                critical,
                made_at: Timestamp(made_at),
                message: message.map(|id| read("message id", &id)).transpose()?,
            })
        };
        rows.into_iter().map(telling).collect()
    }

    /// It was said: nothing of it is left to say. `sent` is false for what nobody wants to hear any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn told(&self, listener: &Listener, tellings: &[Telling], sent: bool) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        for telling in tellings {
            within!(&mut tx, c => sqlx::query("DELETE FROM alert_telling WHERE id = $1").bind(telling.id.to_string()).execute(c).await.map(drop))
                .doing("note what was said")?;
        }
        if sent {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO alert_listener (channel, target, org_id, sent_at, attempts, next_at) VALUES ($1, $2, $3, $4, 0, 0)
                 ON CONFLICT (channel, target, org_id) DO UPDATE SET sent_at = excluded.sent_at, failing_since = NULL, attempts = 0,
                    next_at = 0, error = NULL")
                .bind(listener.channel.as_str()).bind(&listener.target).bind(org_key(listener.org)).bind(now.micros())
                .execute(c).await.map(drop))
            .doing("note who was told")?;
        }
        tx.commit().await
    }

    /// It could not be said: it is kept, and tried again at `again` at the earliest.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn not_told(&self, listener: &Listener, tellings: &[Telling], again: Timestamp, why: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        for telling in tellings {
            within!(&mut tx, c => sqlx::query("UPDATE alert_telling SET lease_owner = NULL, lease_until = NULL WHERE id = $1")
                .bind(telling.id.to_string()).execute(c).await.map(drop))
            .doing("keep what could not be said")?;
        }
        within!(&mut tx, c => sqlx::query(
            "INSERT INTO alert_listener (channel, target, org_id, failing_since, attempts, next_at, error) VALUES ($1, $2, $3, $4, 1, $5, $6)
             ON CONFLICT (channel, target, org_id) DO UPDATE SET failing_since = COALESCE(alert_listener.failing_since, excluded.failing_since),
                attempts = alert_listener.attempts + 1, next_at = excluded.next_at, error = excluded.error")
            .bind(listener.channel.as_str()).bind(&listener.target).bind(org_key(listener.org)).bind(now.micros())
            .bind(again.micros()).bind(why).execute(c).await.map(drop))
        .doing("note who could not be told")?;
        tx.commit().await
    }

    /// How much is still to be said.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn untold(&self) -> Result<u64> {
        let count: i64 = on!(&self.db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM alert_telling").fetch_one(pool).await)
            .doing("count what is to be said")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
