//! Mail that came for us: kept, encrypted and durable, before its bringer is told; claimed under leases; settled.

use std::time::Duration;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    Db, Doing as _, Result, Store, StoreError, Tx, at_rest,
    lease::{Hold, Lease},
    read, read_json, write_json,
};
use crate::{
    crypto::{self, Hex},
    domain::{
        DirectAddress, Inbound, OrgId, Timestamp,
        id::{IdentityId, InboundId, ProcessId},
        inbound::{Channel, Verdict},
    },
};

/// Whether a message was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is durable now.
    New(InboundId),
    /// The same octets had come for the same address before: nothing was written.
    Known(InboundId),
}

/// A claimed message. Its lease is renewed as long as a copy of this lives.
#[derive(Debug, Clone)]
pub struct ClaimedMail {
    /// The message.
    pub mail: Inbound,
    /// Under which lease.
    pub owner: ProcessId,
    /// How often looking at it has failed.
    pub attempts: u32,
    _hold: Hold,
}

/// How a message ends.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Which.
    pub id: InboundId,
    /// Whose claim it is.
    pub owner: ProcessId,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, in one sentence; never about a patient.
    pub detail: Option<String>,
}

#[derive(sqlx::FromRow)]
struct MailRow {
    id: String,
    org_id: Option<String>,
    identity: String,
    way: String,
    channel: String,
    channel_name: Option<String>,
    envelope_from: Option<String>,
    envelope_to: String,
    sealed: Vec<u8>,
    received_at: i64,
    attempts: i64,
}

/// What can be claimed at `$3`; the oldest first.
pub(super) const DUE: &str = "SELECT id FROM inbound WHERE state = 'received' AND next_attempt_at <= $3
    AND (lease_until IS NULL OR lease_until <= $3) ORDER BY next_attempt_at, id LIMIT $4";

impl Store {
    /// Keeps a message that came in. When this returns it is durable, so its bringer may be told 250, or it may be removed
    /// from the mailbox. The same octets for the same address are kept once for each organization, however often they come.
    ///
    /// What is fetched from a mailbox came after that was looked through the last time; nobody here knows how long after.
    ///
    /// # Errors
    /// When it could not be stored: the bringer must keep it.
    pub async fn keep_inbound(&self, mail: &Inbound) -> Result<Kept> {
        let sealed = match mail.org {
            Some(org) => at_rest::seal(&*self.key(org).await?, org, "inbound", mail.id.0, &mail.raw)?,
            None => at_rest::seal(&*self.installation_key().await?, NOBODY, "inbound", mail.id.0, &mail.raw)?,
        };
        let sha256 = Hex(&crypto::sha256(&mail.raw)).to_string();
        let (channel, name) = match &mail.channel {
            Channel::Relay(name) => ("relay", Some(name.clone())),
            Channel::Mailbox(id) => ("mailbox", Some(id.to_string())),
            Channel::None => ("none", None),
        };
        let to = String::from_utf8(write_json("recipients", &mail.envelope_to)?).unwrap_or_default();
        let now = self.now().await?.micros();
        let written = on!(&self.db, pool => sqlx::query(
            "INSERT INTO inbound (id, org_id, identity, identity_key, way, channel, channel_name, envelope_from, envelope_to, sha256, bytes,
                sealed, state, attempts, next_attempt_at, received_at, came_after)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'received', 0, $13, $14, CASE WHEN $5 = 'smtp' THEN $14 ELSE
                COALESCE((SELECT MIN(COALESCE(w.looked_at, 0)) FROM way_in w WHERE w.address_key IS NULL OR w.address_key = $4), 0) END)
             ON CONFLICT (identity_key, sha256, (COALESCE(org_id, ''))) DO NOTHING")
            .bind(mail.id.to_string()).bind(mail.org.map(|org| org.to_string())).bind(mail.identity.as_str()).bind(mail.identity.key())
            .bind(mail.way.as_str()).bind(channel).bind(name).bind(mail.envelope_from.as_ref().map(DirectAddress::as_str)).bind(to)
            .bind(&sha256).bind(i64::try_from(mail.raw.len()).unwrap_or(i64::MAX)).bind(sealed).bind(now).bind(mail.received_at.micros())
            .execute(pool).await.map(|done| done.rows_affected()))
        .doing("keep a message that came in")?;
        if written == 1 {
            return Ok(Kept::New(mail.id));
        }
        let known: String =
            on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM inbound WHERE identity_key = $1 AND sha256 = $2 AND COALESCE(org_id, '') = $3")
            .bind(mail.identity.key()).bind(&sha256).bind(mail.org.map(|org| org.to_string()).unwrap_or_default()).fetch_one(pool).await)
            .doing("find a message that came before")?;
        Ok(Kept::Known(read("message id", &known)?))
    }

    /// Claims up to `most` kept messages, the oldest first. One that cannot be opened with the keys at hand stays for a
    /// process that has them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_inbound(&self, lease: &Lease, most: usize) -> Result<Vec<ClaimedMail>> {
        const WHAT: &str =
            "id, org_id, identity, way, channel, channel_name, envelope_from, envelope_to, sealed, received_at, attempts";
        let ids = self.claim_ids("inbound", DUE, lease, most).await?;
        let mut claimed = Vec::with_capacity(ids.len());
        for id in ids {
            let row: Option<MailRow> = on!(&self.db, pool => sqlx::query_as(
                sqlx::AssertSqlSafe(format!("SELECT {WHAT} FROM inbound WHERE id = $1 AND sealed IS NOT NULL")))
                .bind(&id).fetch_optional(pool).await)
            .doing("read a message that came in")?;
            let Some(row) = row else { continue };
            match self.open_mail(row, lease).await {
                Ok(mail) => claimed.push(mail),
                Err(error) => {
                    tracing::error!(
                        inbound = id,
                        error = &error as &dyn std::error::Error,
                        "a message that came in cannot be opened"
                    );
                    let again = self.now().await?.plus(lease.length.max(Duration::from_mins(10)));
                    self.put_inbound_back(read("message id", &id)?, lease.owner, again).await?;
                }
            }
        }
        Ok(claimed)
    }

    async fn open_mail(&self, row: MailRow, lease: &Lease) -> Result<ClaimedMail> {
        let id: InboundId = read("message id", &row.id)?;
        let org: Option<OrgId> = row.org_id.as_deref().map(|org| read("organization id", org)).transpose()?;
        let mut raw: Zeroizing<Vec<u8>> = match org {
            Some(org) => at_rest::open(&*self.key(org).await?, org, "inbound", id.0, &row.sealed)?,
            None => at_rest::open(&*self.installation_key().await?, NOBODY, "inbound", id.0, &row.sealed)?,
        };
        let channel = match (row.channel.as_str(), row.channel_name) {
            ("relay", Some(name)) => Channel::Relay(name),
            ("mailbox", Some(id)) => Channel::Mailbox(read("identity id", &id)?),
            _ => Channel::None,
        };
        let mail = Inbound {
            id,
            org,
            identity: read("address", &row.identity)?,
            way: read("way", &row.way)?,
            channel,
            envelope_from: row.envelope_from.as_deref().map(|from| read("address", from)).transpose()?,
            envelope_to: read_json("recipients", row.envelope_to.as_bytes())?,
            received_at: Timestamp(row.received_at),
            raw: std::mem::take(&mut *raw),
        };
        let attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX);
        Ok(ClaimedMail { mail, owner: lease.owner, attempts, _hold: self.hands.take(id.0, lease.owner) })
    }

    /// Gives a claimed message back, to be looked at again at `again_at`; that counts as an attempt.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_inbound_back(&self, id: InboundId, owner: ProcessId, again_at: Timestamp) -> Result<()> {
        on!(&self.db, pool => sqlx::query(
            "UPDATE inbound SET lease_owner = NULL, lease_until = NULL, attempts = attempts + 1, next_attempt_at = $1
             WHERE id = $2 AND lease_owner = $3 AND state = 'received'")
            .bind(again_at.micros()).bind(id.to_string()).bind(owner.to_string()).execute(pool).await.map(drop))
        .doing("give a message back")
    }

    /// Ends a message of which nothing else has to be recorded.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the claim is no longer held.
    pub async fn settle_inbound(&self, settlement: &Settlement) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        settle(&mut tx, settlement, now).await?;
        tx.commit().await
    }

    /// Forgets the octets of messages that were settled before `before`; that they came, and what came of them, stays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_inbound(&self, before: Timestamp) -> Result<u64> {
        on!(&self.db, pool => sqlx::query(
            "UPDATE inbound SET sealed = NULL WHERE sealed IS NOT NULL AND state <> 'received' AND settled_at < $1")
            .bind(before.micros()).execute(pool).await.map(|done| done.rows_affected()))
        .doing("forget messages that came in long ago")
    }

    /// Forgets the octets of what strangers brought and what came to nothing, settled before `before`: nobody vouched for it, and
    /// anybody can bring as much of it as they like. That it came stays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_strangers_mail(&self, before: Timestamp) -> Result<u64> {
        on!(&self.db, pool => sqlx::query(
            "UPDATE inbound SET sealed = NULL WHERE sealed IS NOT NULL AND state <> 'received' AND settled_at < $1 AND channel = 'none'
                AND (verdict = 'rejected' OR (verdict = 'notice' AND detail = $2))")
            .bind(before.micros()).bind(NOBODY_VOUCHES).execute(pool).await.map(|done| done.rows_affected()))
        .doing("forget what strangers brought")
    }

    /// Claims rows of `table` by ids that `due` finds: `$3` is now, `$4` how many.
    pub(super) async fn claim_ids(&self, table: &str, due: &str, lease: &Lease, most: usize) -> Result<Vec<String>> {
        let now = self.now().await?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let locked = if matches!(self.db, Db::Postgres(_)) { " FOR UPDATE SKIP LOCKED" } else { "" };
        // Looking costs nothing; on SQLite writing takes the only writer's place.
        let any: Option<String> = on!(&self.db, pool => sqlx::query_scalar(
            sqlx::AssertSqlSafe(due.replace("$3", "$1").replace("$4", "$2"))).bind(now.micros()).bind(1_i64).fetch_optional(pool).await)
        .doing("look for messages to claim")?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin().await?;
        let mut ids: Vec<String> = within!(&mut tx, c => sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "WITH due AS MATERIALIZED ({due}{locked}) UPDATE {table} SET lease_owner = $1, lease_until = $2
             WHERE id IN (SELECT id FROM due) RETURNING id")))
            .bind(lease.owner.to_string()).bind(now.plus(lease.length).micros()).bind(now.micros()).bind(most)
            .fetch_all(c).await)
        .doing("claim messages")?;
        tx.commit().await?;
        // Their text sorts by the time they came.
        ids.sort_unstable();
        Ok(ids)
    }
}

/// Stands for the installation where an organization's id belongs.
pub(super) const NOBODY: OrgId = OrgId(Uuid::nil());

/// The detail of a notice that a stranger brought unsigned: it is on record and counts for nothing.
pub const NOBODY_VOUCHES: &str = "nobody vouches for it";

/// Ends a message inside a transaction; whoever lost its claim changes nothing.
pub(super) async fn settle(tx: &mut Tx, settlement: &Settlement, now: Timestamp) -> Result<()> {
    let state = if settlement.verdict == Verdict::Failed { "failed" } else { "settled" };
    let settled = within!(tx, c => sqlx::query(
        "UPDATE inbound SET state = $1, verdict = $2, detail = $3, settled_at = $4, lease_owner = NULL, lease_until = NULL
         WHERE id = $5 AND lease_owner = $6 AND lease_until > $4 AND state = 'received'")
        .bind(state).bind(settlement.verdict.as_str()).bind(settlement.detail.as_deref()).bind(now.micros())
        .bind(settlement.id.to_string()).bind(settlement.owner.to_string()).execute(c).await.map(|done| done.rows_affected()))
    .doing("settle a message that came in")?;
    if settled == 1 { Ok(()) } else { Err(StoreError::Lost) }
}

/// An identity whose address mail may come for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Addressee {
    /// Whose it is; `None` for an identity of the installation.
    pub org: Option<OrgId>,
    /// Which.
    pub identity: IdentityId,
    /// Its address, as configured.
    pub address: DirectAddress,
}

impl Store {
    /// The identities that have `address`, compared case-insensitively.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn addressees(&self, address: &DirectAddress) -> Result<Vec<Addressee>> {
        self.identities_where("address_key = $1", &address.key()).await
    }

    /// The identities in edge mode that use `relay`: those with a mailbox there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn mailboxes_at(&self, relay: &str) -> Result<Vec<Addressee>> {
        self.identities_where("mode = 'edge' AND relay = $1", relay).await
    }

    async fn identities_where(&self, condition: &str, value: &str) -> Result<Vec<Addressee>> {
        let rows: Vec<(String, String, String)> = on!(&self.db, pool => sqlx::query_as(
            sqlx::AssertSqlSafe(format!("SELECT org_id, id, address FROM identity WHERE {condition} ORDER BY org_id, position")))
            .bind(value).fetch_all(pool).await)
        .doing("find identities by address")?;
        rows.into_iter()
            .map(|(org, id, address)| {
                Ok(Addressee {
                    org: Some(read("organization id", &org)?),
                    identity: read("identity id", &id)?,
                    address: read("address", &address)?,
                })
            })
            .collect()
    }
}
