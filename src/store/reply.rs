//! Notices we owe to others: a queue like that of deliveries, under leases, without a fee.

use super::{
    Doing as _, Result, Store, StoreError,
    lease::{Hold, Lease},
    read,
};
use crate::domain::{
    DirectAddress, MessageId, OrgId, Timestamp,
    delivery::NoticeKind,
    id::{ProcessId, ReplyId},
};

/// A claimed reply. Its lease is renewed as long as a copy of this lives.
#[derive(Debug, Clone)]
pub struct ClaimedReply {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: ReplyId,
    /// Under which lease.
    pub owner: ProcessId,
    /// `processed` or `dispatched`.
    pub kind: NoticeKind,
    /// From which of our addresses.
    pub from: DirectAddress,
    /// Where to.
    pub to: DirectAddress,
    /// Kept across retries.
    pub message_id: MessageId,
    /// The letter it answers.
    pub original: Option<MessageId>,
    /// Failed attempts so far.
    pub attempts: u32,
    /// How long it is tried.
    pub until: Timestamp,
    _hold: Hold,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyEnd {
    /// The relay or MX took it.
    Sent(String),
    /// It will not be sent.
    Refused(String),
    /// It is tried again then.
    Later(Timestamp, String),
}

#[derive(sqlx::FromRow)]
struct ReplyRow {
    org_id: String,
    kind: String,
    identity: String,
    address: String,
    message_id: String,
    original_message_id: Option<String>,
    attempts: i64,
    retry_until: i64,
}

/// What can be claimed at `$3`; the oldest first. `dispatched` follows `processed`.
pub(super) const DUE: &str =
    "SELECT id FROM reply r WHERE state = 'queued' AND next_attempt_at <= $3 AND (lease_until IS NULL OR lease_until <= $3)
    AND (kind = 'processed' OR NOT EXISTS (SELECT 1 FROM reply p
        WHERE p.org_id = r.org_id AND p.letter_id = r.letter_id AND p.kind = 'processed' AND p.state = 'queued'))
    ORDER BY next_attempt_at, id LIMIT $4";

impl Store {
    /// Claims up to `most` notices that we owe.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_replies(&self, lease: &Lease, most: usize) -> Result<Vec<ClaimedReply>> {
        let mut claimed = Vec::new();
        for id in self.claim_ids("reply", DUE, lease, most).await? {
            let row: Option<ReplyRow> = on!(&self.db, pool => sqlx::query_as(
                "SELECT org_id, kind, identity, address, message_id, original_message_id, attempts, retry_until FROM reply WHERE id = $1")
                .bind(&id).fetch_optional(pool).await)
            .doing("read a notice we owe")?;
            let Some(row) = row else { continue };
            let id: ReplyId = read("reply id", &id)?;
            claimed.push(ClaimedReply {
                org: read("organization id", &row.org_id)?,
                id,
                owner: lease.owner,
                kind: read("notice", &row.kind)?,
                from: read("address", &row.identity)?,
                to: read("address", &row.address)?,
                message_id: read("message id", &row.message_id)?,
                original: row.original_message_id.as_deref().map(|id| read("message id", id)).transpose()?,
                attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
                until: Timestamp(row.retry_until),
                _hold: self.hands.take(id.0, lease.owner),
            });
        }
        Ok(claimed)
    }

    /// Records how an attempt ended.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the claim is no longer held.
    pub async fn end_reply(&self, reply: &ClaimedReply, end: &ReplyEnd) -> Result<()> {
        let now = self.now().await?.micros();
        let (state, next, detail) = match end {
            ReplyEnd::Sent(detail) => ("sent", None, detail),
            ReplyEnd::Refused(detail) => ("refused", None, detail),
            ReplyEnd::Later(at, detail) => ("queued", Some(at.micros()), detail),
        };
        let detail = detail.replace('\0', "\u{fffd}");
        let ended = on!(&self.db, pool => sqlx::query(
            "UPDATE reply SET state = $1, next_attempt_at = COALESCE($2, next_attempt_at), detail = $3, attempts = attempts + 1,
                settled_at = CASE WHEN $1 = 'queued' THEN NULL ELSE CAST($4 AS BIGINT) END, lease_owner = NULL, lease_until = NULL
             WHERE org_id = $5 AND id = $6 AND lease_owner = $7 AND state = 'queued'")
            .bind(state).bind(next).bind(&detail).bind(now).bind(reply.org.to_string()).bind(reply.id.to_string())
            .bind(reply.owner.to_string()).execute(pool).await.map(|done| done.rows_affected()))
        .doing("record how a notice was sent")?;
        if ended == 1 { Ok(()) } else { Err(StoreError::Lost) }
    }
}
