//! Programs that are told of events: each has its own place in its organization's feed, and a lease on being told.

/// Told again.
mod replay;

use std::time::Duration;

use zeroize::Zeroizing;

use super::{
    Doing as _, Result, Store, StoreError, Tx, at_rest, audit,
    event::{NewEvent, NewEvents},
    lease::{Hold, Lease},
    read, read_json, write_json,
};
use crate::{
    crypto::{self, DataKey, Hex, hash::from_hex},
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::Witness,
        event::EventKind,
        id::{ProcessId, WebhookId},
        webhook::{OffBecause, WebhookFile},
    },
};

pub use self::replay::{Again, Replayed};

/// One webhook as people see it.
#[derive(Debug, Clone)]
pub struct WebhookView {
    /// Which.
    pub id: WebhookId,
    /// Whose.
    pub org: OrgId,
    /// As the organization's file has it.
    pub rules: WebhookFile,
    /// Why it is off; `None` when it is on.
    pub off: Option<OffBecause>,
    /// The number of the last event it has taken, or that is none of its business.
    pub told: u64,
    /// The number of the newest event there is.
    pub newest: u64,
    /// Failures in a row.
    pub attempts: u32,
    /// Since when it fails.
    pub failing_since: Option<Timestamp>,
    /// What the latest failure was.
    pub problem: Option<String>,
    /// When it last took something.
    pub taken_at: Option<Timestamp>,
    /// When it is told next, at the earliest.
    pub next_attempt_at: Timestamp,
}

/// A claimed webhook. Its lease is renewed as long as a copy of this lives.
#[derive(Debug, Clone)]
pub struct ClaimedWebhook {
    /// What it is and where it stands.
    pub view: WebhookView,
    /// Every secret its other end may know, the newest first.
    pub secrets: Vec<Zeroizing<Vec<u8>>>,
    /// Under which lease.
    pub owner: ProcessId,
    _hold: Hold,
}

/// A secret somebody has chosen.
#[derive(Debug)]
pub struct NewSecret {
    /// The webhook's name.
    pub webhook: String,
    /// Its octets.
    pub secret: Zeroizing<Vec<u8>>,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEnd {
    /// All there was has been taken.
    Told,
    /// It did not take one: again then.
    Later(Timestamp, String),
    /// It is told no more.
    Off(OffBecause, String),
}

/// So long an old secret signs beside the new one, unless somebody says otherwise.
pub const OVERLAP: Duration = Duration::from_hours(24);

#[derive(sqlx::FromRow)]
struct WebhookRow {
    id: String,
    org_id: String,
    rules: String,
    secrets: Vec<u8>,
    off_because: Option<String>,
    told: i64,
    newest: i64,
    attempts: i64,
    failing_since: Option<i64>,
    problem: Option<String>,
    taken_at: Option<i64>,
    next_attempt_at: i64,
}

impl WebhookRow {
    fn view(&self) -> Result<WebhookView> {
        Ok(WebhookView {
            id: read("webhook id", &self.id)?,
            org: read("organization id", &self.org_id)?,
            rules: read_json("webhook", self.rules.as_bytes())?,
            off: self.off_because.as_deref().map(|why| read("reason for being off", why)).transpose()?,
            told: u64::try_from(self.told).unwrap_or(0),
            newest: u64::try_from(self.newest).unwrap_or(0),
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            failing_since: self.failing_since.map(Timestamp),
            problem: self.problem.clone(),
            taken_at: self.taken_at.map(Timestamp),
            next_attempt_at: Timestamp(self.next_attempt_at),
        })
    }
}

macro_rules! webhooks {
    ($rest:literal) => {
        concat!(
            "SELECT w.id, w.org_id, w.rules, w.secrets, w.off_because, w.told, COALESCE(h.seq, 0) AS newest, w.attempts,
                w.failing_since, w.problem, w.taken_at, w.next_attempt_at
             FROM webhook w LEFT JOIN event_head h ON h.org_id = w.org_id ",
            $rest
        )
    };
}

/// What can be claimed at `$3`: those with something to be told, whoever has waited longest first.
pub(super) const DUE: &str = "SELECT w.id FROM webhook w WHERE w.state = 'on' AND w.next_attempt_at <= $3
    AND (w.lease_until IS NULL OR w.lease_until <= $3)
    AND w.told < (SELECT h.seq FROM event_head h WHERE h.org_id = w.org_id) ORDER BY w.next_attempt_at, w.id LIMIT $4";

impl Store {
    /// Webhooks, by organization and name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn webhooks(&self, scope: OrgScope) -> Result<Vec<WebhookView>> {
        let rows: Vec<WebhookRow> =
            on!(&self.db, pool => sqlx::query_as(webhooks!("WHERE ($1 IS NULL OR w.org_id = $1) ORDER BY w.org_id, w.name"))
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
            .doing("list webhooks")?;
        rows.iter().map(WebhookRow::view).collect()
    }

    /// Claims up to `most` webhooks that have something to be told.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_webhooks(&self, lease: &Lease, most: usize) -> Result<Vec<ClaimedWebhook>> {
        let mut claimed = Vec::new();
        for id in self.claim_ids("webhook", DUE, lease, most).await? {
            let row: Option<WebhookRow> =
                on!(&self.db, pool => sqlx::query_as(webhooks!("WHERE w.id = $1")).bind(&id).fetch_optional(pool).await)
                    .doing("read a webhook")?;
            let Some(row) = row else { continue };
            let view = row.view()?;
            let key = self.key(view.org).await?;
            let secrets = in_force(open(&key, view.org, view.id, &row.secrets)?, self.now().await?);
            let hold = self.hands.take(view.id.0, lease.owner);
            claimed.push(ClaimedWebhook { view, secrets, owner: lease.owner, _hold: hold });
        }
        Ok(claimed)
    }

    /// Records how far a webhook was told and how its turn ended.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the claim is no longer held: somebody has sent it elsewhere in the feed, or its lease ran out.
    pub async fn end_turn(&self, webhook: &ClaimedWebhook, told: u64, end: &TurnEnd) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let progress = told > webhook.view.told;
        // A failure after a success begins a new row of them.
        let attempts = if progress { 0 } else { i64::from(webhook.view.attempts) };
        let since = webhook.view.failing_since.filter(|_| !progress).unwrap_or(now);
        let (off, next, attempts, since, problem) = match end {
            TurnEnd::Told => (None, now, 0, None, None),
            TurnEnd::Later(at, why) => (None, *at, attempts + 1, Some(since), Some(why)),
            TurnEnd::Off(why, detail) => (Some(*why), now, attempts + 1, Some(since), Some(detail)),
        };
        let ended = within!(&mut tx, c => sqlx::query(
            "UPDATE webhook SET told = $1, state = CASE WHEN $2 IS NULL THEN 'on' ELSE 'off' END, off_because = $2, next_attempt_at = $3,
                attempts = $4, failing_since = $5, problem = $6, taken_at = CASE WHEN $7 THEN CAST($8 AS BIGINT) ELSE taken_at END,
                lease_owner = NULL, lease_until = NULL
             WHERE org_id = $9 AND id = $10 AND lease_owner = $11 AND state = 'on'")
            .bind(i64::try_from(told).unwrap_or(i64::MAX)).bind(off.map(OffBecause::as_str)).bind(next.micros()).bind(attempts)
            .bind(since.map(Timestamp::micros)).bind(problem).bind(progress).bind(now.micros()).bind(webhook.view.org.to_string())
            .bind(webhook.view.id.to_string()).bind(webhook.owner.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("record how a webhook was told")?;
        if ended != 1 {
            return Err(StoreError::Lost);
        }
        if off.is_some() {
            // The others, and whoever reads the feed, learn of it.
            let mut events = NewEvents::default();
            let name = Some(webhook.view.rules.name.clone());
            let event = NewEvent { webhook: name, state: Some("off"), ..NewEvent::default() };
            events.add(&webhook.view.org.to_string(), EventKind::WebhookDisabled, event);
            events.write(&mut tx, now).await?;
        }
        tx.commit().await
    }

    /// Switches a webhook on, from where it stood, or off. `false` when there is none of that name: then nothing is put on record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn switch_webhook(&self, org: OrgId, name: &str, on: bool, witness: Option<Witness<'_>>) -> Result<bool> {
        let off = (!on).then_some(OffBecause::Asked.as_str());
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let switched = within!(&mut tx, c => sqlx::query(
            "UPDATE webhook SET state = CASE WHEN $1 IS NULL THEN 'on' ELSE 'off' END, off_because = $1, attempts = 0, failing_since = NULL,
                next_attempt_at = $2, lease_owner = NULL, lease_until = NULL WHERE org_id = $3 AND name = $4")
            .bind(off).bind(now.micros()).bind(org.to_string()).bind(name).execute(c).await.map(|done| done.rows_affected()))
        .doing("switch a webhook")?;
        if switched == 0 {
            return Ok(false);
        }
        audit::commit_all(tx, witness.as_slice(), now).await?;
        Ok(true)
    }

    /// Sends a webhook to a place in the feed: it is told everything behind it, again or for the first time. Whoever is telling
    /// it at this moment loses the claim. `false` when there is none of that name: then nothing is put on record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn place_webhook(&self, org: OrgId, name: &str, told: u64, witness: Option<Witness<'_>>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let placed = within!(&mut tx, c => sqlx::query(
            "UPDATE webhook SET told = $1, attempts = 0, failing_since = NULL, next_attempt_at = $2, lease_owner = NULL, lease_until = NULL
             WHERE org_id = $3 AND name = $4")
            .bind(i64::try_from(told).unwrap_or(i64::MAX)).bind(now.micros()).bind(org.to_string()).bind(name)
            .execute(c).await.map(|done| done.rows_affected()))
        .doing("send a webhook to a place in the feed")?;
        if placed == 0 {
            return Ok(false);
        }
        audit::commit_all(tx, witness.as_slice(), now).await?;
        Ok(true)
    }

    /// The secrets in force of a webhook, the newest first; `None` when there is none of that name.
    ///
    /// # Errors
    /// When they cannot be read or opened.
    pub async fn webhook_secrets(&self, org: OrgId, name: &str) -> Result<Option<Vec<Zeroizing<Vec<u8>>>>> {
        let row: Option<(String, Vec<u8>)> =
            on!(&self.db, pool => sqlx::query_as("SELECT id, secrets FROM webhook WHERE org_id = $1 AND name = $2")
            .bind(org.to_string()).bind(name).fetch_optional(pool).await)
            .doing("read a webhook's secrets")?;
        let Some((id, sealed)) = row else { return Ok(None) };
        let key = self.key(org).await?;
        Ok(Some(in_force(open(&key, org, read("webhook id", &id)?, &sealed)?, self.now().await?)))
    }

    /// Puts a new secret in the place of the newest one, which goes on signing beside it for `overlap`. Gives the new one;
    /// `None` when there is no webhook of that name.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn rotate_webhook_secret(
        &self,
        org: OrgId,
        name: &str,
        overlap: Duration,
        witness: Option<Witness<'_>>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let key = self.key(org).await?;
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let row: Option<(String, Vec<u8>)> = locked!(
            &mut tx,
            query_as("SELECT id, secrets FROM webhook WHERE org_id = $1 AND name = $2")
                .bind(org.to_string())
                .bind(name)
                .fetch_optional
        )
        .doing("read a webhook's secrets")?;
        let Some((id, sealed)) = row else { return Ok(None) };
        let (id, secret) = (read("webhook id", &id)?, fresh()?);
        let secrets = replaced(open(&key, org, id, &sealed)?, secret.clone(), now, overlap);
        write_secrets(&mut tx, &key, org, id, &secrets).await?;
        audit::commit_all(tx, witness.as_slice(), now).await?;
        Ok(Some(secret))
    }
}

/// Makes an organization's webhooks what its file says. A new one is told what happens from now on.
pub(super) async fn apply(
    tx: &mut Tx,
    key: &DataKey,
    org: OrgId,
    files: &[WebhookFile],
    secrets: &[NewSecret],
    now: Timestamp,
) -> Result<()> {
    let rows: Vec<(String, String, Vec<u8>)> =
        within!(tx, c => sqlx::query_as("SELECT id, name, secrets FROM webhook WHERE org_id = $1")
        .bind(org.to_string()).fetch_all(c).await)
        .doing("read webhooks")?;
    for (id, name, _) in &rows {
        if !files.iter().any(|file| file.name == *name) {
            within!(tx, c => sqlx::query("DELETE FROM webhook WHERE org_id = $1 AND id = $2")
                .bind(org.to_string()).bind(id).execute(c).await.map(drop))
            .doing("remove a webhook that is no longer named")?;
        }
    }
    for file in files {
        let rules = String::from_utf8(write_json("webhook", file)?).unwrap_or_default();
        let chosen = secrets.iter().find(|new| new.webhook == file.name).map(|new| new.secret.clone());
        if let Some((id, _, sealed)) = rows.iter().find(|(_, name, _)| *name == file.name) {
            within!(tx, c => sqlx::query("UPDATE webhook SET rules = $1 WHERE org_id = $2 AND id = $3")
                .bind(&rules).bind(org.to_string()).bind(id).execute(c).await.map(drop))
            .doing("change a webhook")?;
            let id = read("webhook id", id)?;
            let known = open(key, org, id, sealed)?;
            if let Some(chosen) = chosen.filter(|chosen| known.first().is_none_or(|(newest, _)| newest != chosen)) {
                write_secrets(tx, key, org, id, &replaced(known, chosen, now, OVERLAP)).await?;
            }
            continue;
        }
        let id = WebhookId::new();
        let secret = chosen.map_or_else(fresh, Ok)?;
        within!(tx, c => sqlx::query(
            "INSERT INTO webhook (org_id, id, name, rules, secrets, state, told, attempts, next_attempt_at, created_at)
             VALUES ($1, $2, $3, $4, $5, 'on', COALESCE((SELECT seq FROM event_head WHERE org_id = $1), 0), 0, $6, $6)")
            .bind(org.to_string()).bind(id.to_string()).bind(&file.name).bind(&rules).bind(seal(key, org, id, &[(secret, None)])?)
            .bind(now.micros()).execute(c).await.map(drop))
        .doing("store a webhook")?;
    }
    Ok(())
}

/// A secret and until when it is in force; `None` for the newest.
type Kept = (Zeroizing<Vec<u8>>, Option<Timestamp>);

fn fresh() -> Result<Zeroizing<Vec<u8>>> {
    let mut secret = Zeroizing::new(vec![0; 32]);
    crypto::random(&mut secret)?;
    Ok(secret)
}

/// `secret` before the newest one so far. Older ones go: two are enough for one change.
fn replaced(known: Vec<Kept>, secret: Zeroizing<Vec<u8>>, now: Timestamp, overlap: Duration) -> Vec<Kept> {
    let before = known.into_iter().next().map(|(before, _)| (before, Some(now.plus(overlap))));
    std::iter::once((secret, None)).chain(before).collect()
}

fn in_force(known: Vec<Kept>, now: Timestamp) -> Vec<Zeroizing<Vec<u8>>> {
    known.into_iter().filter(|(_, until)| until.is_none_or(|until| until > now)).map(|(secret, _)| secret).collect()
}

async fn write_secrets(tx: &mut Tx, key: &DataKey, org: OrgId, id: WebhookId, secrets: &[Kept]) -> Result<()> {
    within!(tx, c => sqlx::query("UPDATE webhook SET secrets = $1 WHERE org_id = $2 AND id = $3")
        .bind(seal(key, org, id, secrets)?).bind(org.to_string()).bind(id.to_string()).execute(c).await.map(drop))
    .doing("store a webhook's secrets")
}

/// One line for each: its octets in hexadecimal digits, and until when.
fn seal(key: &DataKey, org: OrgId, id: WebhookId, secrets: &[Kept]) -> Result<Vec<u8>> {
    let mut lines = Zeroizing::new(String::with_capacity(1_000));
    for (secret, until) in secrets {
        lines.push_str(&format!(
            "{} {}\n",
            Hex(secret),
            until.map_or_else(|| "-".to_owned(), |until| until.micros().to_string())
        ));
    }
    at_rest::seal(key, org, "webhook", id.0, lines.as_bytes())
}

fn open(key: &DataKey, org: OrgId, id: WebhookId, sealed: &[u8]) -> Result<Vec<Kept>> {
    let lines = at_rest::open(key, org, "webhook", id.0, sealed)?;
    let kept = |line: &str| {
        let (secret, until) = line.split_once(' ')?;
        let until = if until == "-" { None } else { Some(Timestamp(until.parse().ok()?)) };
        Some((Zeroizing::new(from_hex(secret)?), until))
    };
    let lines = std::str::from_utf8(&lines).unwrap_or_default();
    lines.lines().map(|line| kept(line).ok_or(StoreError::Sealed("webhook"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Db, migrations};

    #[tokio::test]
    async fn on_sqlite_who_is_due_and_what_comes_next_are_found_along_indexes() {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        migrations::run(&Db::Sqlite(pool.clone())).await.unwrap();
        for (sql, index) in
            [(DUE, "USING INDEX webhook_due"), (crate::store::event::AFTER, "USING INDEX sqlite_autoindex_event_1")]
        {
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&pool).await.unwrap();
            let plan: String = steps.into_iter().map(|(_, _, _, step)| step.replace("COVERING ", "") + "\n").collect();
            assert!(plan.contains(index) && !plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{plan}");
        }
    }

    #[test]
    fn an_old_secret_signs_until_its_time_and_the_one_before_it_no_more() {
        let (now, secret) = (Timestamp(0), |octet| Zeroizing::new(vec![octet; 24]));
        let first = vec![(secret(1), None)];
        let second = replaced(first, secret(2), now, Duration::from_secs(10));
        assert_eq!(in_force(second.clone(), now), [secret(2), secret(1)]);
        assert_eq!(in_force(second.clone(), now.plus(Duration::from_secs(10))), [secret(2)]);
        let third = replaced(second, secret(3), now, Duration::from_secs(10));
        assert_eq!(in_force(third, now), [secret(3), secret(2)]);
    }
}
