//! Messages for people: opened and trusted, kept encrypted, listed without their content.

use zeroize::Zeroizing;

use super::{
    Doing as _, Result, Store, Tx, at_rest,
    inbound::{Settlement, settle},
    read,
};
use crate::domain::{
    DeliveryId, DirectAddress, MessageId, OrgId, OrgScope, Timestamp,
    delivery::NoticeKind,
    id::{LetterId, ReplyId},
    inbound::Verdict,
};

/// A letter to be kept, with the notices it is owed.
pub struct NewLetter {
    /// Whose.
    pub org: OrgId,
    /// The end of the mail it came in.
    pub settlement: Settlement,
    /// Our address it is for.
    pub identity: DirectAddress,
    /// Who wrote it, as far as somebody vouches.
    pub sender: DirectAddress,
    /// Its id.
    pub message_id: Option<MessageId>,
    /// The delivery it answers, when it says so.
    pub answers: Option<DeliveryId>,
    /// Who vouches.
    pub source: String,
    /// The inner message.
    pub inner: Vec<u8>,
    /// When it came.
    pub received_at: Timestamp,
    /// The notices that are owed for it.
    pub owed: Vec<Owed>,
}

/// A notice that is owed for a letter.
#[derive(Debug, Clone)]
pub struct Owed {
    /// `processed` or `dispatched`.
    pub kind: NoticeKind,
    /// Where to.
    pub to: DirectAddress,
    /// How long it is tried.
    pub until: Timestamp,
}

/// One letter as a list shows it: nothing of its content.
#[derive(Debug, Clone)]
pub struct LetterView {
    /// Which.
    pub id: LetterId,
    /// Whose.
    pub org: OrgId,
    /// When it came.
    pub received_at: Timestamp,
    /// Our address it is for.
    pub identity: String,
    /// Who wrote it.
    pub sender: String,
    /// Its id.
    pub message_id: Option<String>,
    /// The delivery it answers.
    pub answers: Option<DeliveryId>,
    /// Who vouches.
    pub source: String,
    /// Its size in octets.
    pub bytes: u64,
}

type LetterRow = (String, String, i64, String, String, Option<String>, Option<String>, String, i64);

fn view((id, org, received_at, identity, sender, message_id, answers, source, bytes): LetterRow) -> Result<LetterView> {
    Ok(LetterView {
        id: read("letter id", &id)?,
        org: read("organization id", &org)?,
        received_at: Timestamp(received_at),
        identity,
        sender,
        message_id,
        answers: answers.as_deref().map(|id| read("delivery id", id)).transpose()?,
        source,
        bytes: u64::try_from(bytes).unwrap_or(0),
    })
}

impl Store {
    /// Keeps a letter and what is owed for it, and settles the mail it came in. `None` when the same letter from the same
    /// sender is kept already: then nothing more is owed.
    ///
    /// # Errors
    /// [`super::StoreError::Lost`] when the claim on the mail is no longer held.
    pub async fn take_letter(&self, letter: &NewLetter) -> Result<Option<LetterId>> {
        let id = LetterId::new();
        let sealed = at_rest::seal(&*self.key(letter.org).await?, letter.org, "letter", id.0, &letter.inner)?;
        insist!(self.take_letter_once(letter, id, &sealed))
    }

    async fn take_letter_once(&self, letter: &NewLetter, id: LetterId, sealed: &[u8]) -> Result<Option<LetterId>> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let kept = within!(&mut tx, c => sqlx::query(
            "INSERT INTO letter (org_id, id, inbound_id, identity, sender, sender_key, message_id, delivery_id, source, bytes, sealed, received_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING")
            .bind(letter.org.to_string()).bind(id.to_string()).bind(letter.settlement.id.to_string()).bind(letter.identity.key())
            .bind(letter.sender.as_str()).bind(letter.sender.key()).bind(letter.message_id.as_ref().map(MessageId::as_str))
            .bind(letter.answers.map(|id| id.to_string())).bind(&letter.source).bind(i64::try_from(letter.inner.len()).unwrap_or(i64::MAX))
            .bind(sealed).bind(letter.received_at.micros()).execute(c).await.map(|done| done.rows_affected()))
        .doing("keep a letter")?;
        if kept == 1 {
            settle(&mut tx, &letter.settlement, now).await?;
            for owed in &letter.owed {
                owe(&mut tx, letter, id, owed, now).await?;
            }
        } else {
            let again = Settlement { verdict: Verdict::Duplicate, ..letter.settlement.clone() };
            settle(&mut tx, &again, now).await?;
        }
        tx.commit().await?;
        Ok((kept == 1).then_some(id))
    }

    /// Letters, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn letters(&self, scope: OrgScope, limit: u32) -> Result<Vec<LetterView>> {
        self.letters_after(scope, None, limit).await
    }

    /// The same, older than this one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn letters_after(&self, scope: OrgScope, after: Option<&LetterView>, limit: u32) -> Result<Vec<LetterView>> {
        let rows: Vec<LetterRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, received_at, identity, sender, message_id, delivery_id, source, bytes FROM letter
             WHERE ($1 IS NULL OR org_id = $1) AND ($2 IS NULL OR received_at < $2 OR (received_at = $2 AND id < $3))
             ORDER BY received_at DESC, id DESC LIMIT $4")
            .bind(scope.org().map(|org| org.to_string())).bind(after.map(|letter| letter.received_at.micros()))
            .bind(after.map(|letter| letter.id.to_string())).bind(i64::from(limit)).fetch_all(pool).await)
        .doing("list letters")?;
        rows.into_iter().map(view).collect()
    }

    /// One letter. Another organization's is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn letter(&self, scope: OrgScope, id: LetterId) -> Result<Option<LetterView>> {
        let row: Option<LetterRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, received_at, identity, sender, message_id, delivery_id, source, bytes FROM letter
             WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND id = $1")
            .bind(id.to_string()).bind(scope.org().map(|org| org.to_string())).fetch_optional(pool).await)
        .doing("read a letter")?;
        row.map(view).transpose()
    }

    /// The content of a letter: patient data, so whoever asks says so in the audit trail.
    ///
    /// # Errors
    /// When it is not there or cannot be opened.
    pub async fn open_letter(&self, org: OrgId, id: LetterId) -> Result<Zeroizing<Vec<u8>>> {
        let sealed: Option<Vec<u8>> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT sealed FROM letter WHERE org_id = $1 AND id = $2")
            .bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
            .doing("read a letter's content")?;
        at_rest::open(&*self.key(org).await?, org, "letter", id.0, &sealed.ok_or(super::StoreError::Lost)?)
    }
}

/// One notice for one kind, however often the letter comes.
async fn owe(tx: &mut Tx, letter: &NewLetter, id: LetterId, owed: &Owed, now: Timestamp) -> Result<()> {
    let reply = ReplyId::new();
    let message_id = format!("<{}@{}>", reply.0.as_simple(), letter.identity.domain_key());
    within!(tx, c => sqlx::query(
        "INSERT INTO reply (org_id, id, letter_id, kind, identity, address, message_id, original_message_id, state, attempts, next_attempt_at,
            retry_until, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', 0, $9, $10, $9) ON CONFLICT (org_id, letter_id, kind) DO NOTHING")
        .bind(letter.org.to_string()).bind(reply.to_string()).bind(id.to_string()).bind(owed.kind.as_str()).bind(letter.identity.as_str())
        .bind(owed.to.as_str()).bind(message_id).bind(letter.message_id.as_ref().map(MessageId::as_str)).bind(now.micros())
        .bind(owed.until.micros()).execute(c).await.map(drop))
    .doing("note that a notice is owed")
}
