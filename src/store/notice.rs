//! Notices: what they said, what of it counted, and whose clock has run out.
//!
//! A notice, the moves it causes, the charge or credit that follows and the end of the mail it came in are one transaction:
//! a crash before it changes nothing, after it nothing is done twice.

use std::time::Duration;

use super::{
    Doing as _, Result, Store, StoreError, Tx,
    delivery::{Move, apply_move},
    habit,
    inbound::{Settlement, settle},
    ledger::Charges,
    read,
    way_in::unseen,
};
use crate::domain::{
    DeliveryId, DirectAddress, MessageId, OrgId, OrgScope, Reason, Timestamp,
    delivery::{Disposition, EarlyNotice, Effect, Event, Fee, NoticeKind, State},
    id::NoticeId,
    inbound::NoticeVerdict,
    order::Priority,
    organization::SendMode,
};

/// A message of ours that a notice may be about.
#[derive(Debug, Clone)]
pub struct SentMessage {
    /// Which delivery.
    pub id: DeliveryId,
    /// Whom it was sent to.
    pub to: DirectAddress,
    /// From which of our addresses, when it has left.
    pub from: Option<DirectAddress>,
    /// How, when it has left.
    pub mode: Option<SendMode>,
    /// The relay that took it.
    pub relay: Option<String>,
    /// When it took it.
    pub accepted_at: Option<Timestamp>,
    /// Our side.
    pub state: State,
    /// Their side.
    pub disposition: Option<Disposition>,
    /// Routine or urgent.
    pub priority: Priority,
}

/// One statement, judged.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Good or bad news, if either.
    pub kind: Option<NoticeKind>,
    /// The word it used.
    pub stated: String,
    /// The message it names.
    pub original_message_id: Option<String>,
    /// The recipient it names.
    pub final_recipient: Option<String>,
    /// Status code.
    pub status: Option<String>,
    /// The cause it gives.
    pub cause: Option<String>,
    /// The delivery it is about; without one it is unknown.
    pub about: Option<DeliveryId>,
    /// Why it does not count.
    pub doubt: Option<String>,
    /// What happens to the delivery when it counts: a [`Event::Notice`] with everything a move needs.
    pub change: Option<Move>,
    /// Whether it proves that trust or certificates were the reason, so that a charge is given back.
    pub credit: bool,
}

/// A notice, judged.
#[derive(Debug, Clone)]
pub struct JudgedNotice {
    /// Whose.
    pub org: OrgId,
    /// The end of the mail it came in.
    pub settlement: Settlement,
    /// When that came.
    pub received_at: Timestamp,
    /// `mdn` or `dsn`.
    pub form: &'static str,
    /// Who vouches.
    pub source: String,
    /// What it says.
    pub statements: Vec<Statement>,
}

/// What a statement led to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The delivery it is about.
    pub about: Option<DeliveryId>,
    /// Good or bad news.
    pub kind: Option<NoticeKind>,
    /// What became of it.
    pub verdict: NoticeVerdict,
    /// What followed.
    pub effects: Vec<Effect>,
    /// The end the delivery came to by it, and why, if it did.
    pub ended: Option<(Disposition, Option<Reason>)>,
}

/// One recorded statement, for people.
#[derive(Debug, Clone)]
pub struct NoticeView {
    /// When it came.
    pub received_at: Timestamp,
    /// `mdn` or `dsn`.
    pub form: String,
    /// The word it used.
    pub stated: String,
    /// The recipient it names.
    pub final_recipient: Option<String>,
    /// Who vouches.
    pub source: String,
    /// What became of it.
    pub verdict: NoticeVerdict,
    /// Why it does not count.
    pub why: Option<String>,
    /// Status code.
    pub status: Option<String>,
    /// The cause it gives.
    pub cause: Option<String>,
}

/// How a delivery's answer is waited for, for people.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// When it was accepted: both clocks start then.
    pub accepted_at: Option<Timestamp>,
    /// When silence becomes an answer; `None` when no notice can count any more.
    pub until: Option<Timestamp>,
    /// Whether it asked to be told of the final place.
    pub asked_dispatched: bool,
    /// From which of our addresses it was sent.
    pub sent_from: Option<String>,
    /// How.
    pub sent_mode: Option<String>,
    /// What followed from its failure.
    pub fallback: Option<String>,
    /// The failed delivery it takes the place of.
    pub fallback_of: Option<String>,
}

/// A delivery whose clock has run out.
#[derive(Debug, Clone)]
pub struct Silent {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// Whom it was sent to.
    pub to: DirectAddress,
    /// What had been said by then.
    pub disposition: Disposition,
    /// A mailbox in which the answer may lie could not be looked into since, for longer than is waited for.
    pub unseen: bool,
}

/// A mail that came before a clock ran out and was not looked at yet may hold the answer: it is looked at first. For one that
/// was looked at in vain nothing waits: else anybody could keep everything from expiring by a mail that cannot be judged.
///
/// So may a mailbox that nobody has looked into since: it is waited for, but not longer than `$3` says.
const SILENT: &str = concat!(
    "SELECT d.org_id, d.id, d.address, d.disposition, EXISTS (SELECT 1 FROM way_in w WHERE ",
    unseen!(),
    ") FROM delivery d WHERE d.notice_at <= $1
    AND NOT EXISTS (SELECT 1 FROM inbound i WHERE i.org_id = d.org_id AND i.state = 'received' AND i.attempts = 0
        AND i.received_at <= d.notice_at)
    AND (d.notice_at <= $3 OR NOT EXISTS (SELECT 1 FROM way_in w WHERE ",
    unseen!(),
    "))
    ORDER BY d.notice_at LIMIT $2"
);

/// When the next clock runs out.
const NEXT: &str = "SELECT MIN(notice_at) FROM delivery WHERE notice_at IS NOT NULL";

type SentRow = (String, String, Option<String>, Option<String>, Option<String>, Option<i64>, String, Option<String>, String);

impl Store {
    /// The messages of an organization that are known by any of these ids: their own, or those under which a HISP knows them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sent_messages(&self, org: OrgId, ids: &[MessageId]) -> Result<Vec<SentMessage>> {
        let mut found: Vec<SentMessage> = Vec::new();
        for id in ids {
            let rows: Vec<SentRow> = on!(&self.db, pool => sqlx::query_as(
                "SELECT id, address, sent_from, sent_mode, relay, accepted_at, state, disposition, priority FROM delivery
                    WHERE message_id = $1 AND org_id = $2
                 UNION SELECT d.id, d.address, d.sent_from, d.sent_mode, d.relay, d.accepted_at, d.state, d.disposition, d.priority
                    FROM message_alias a
                    JOIN delivery d ON d.org_id = a.org_id AND d.id = a.delivery_id WHERE a.org_id = $2 AND a.message_id = $1")
                .bind(id.as_str()).bind(org.to_string()).fetch_all(pool).await)
            .doing("look for the message a notice is about")?;
            for (id, to, from, mode, relay, accepted_at, state, disposition, priority) in rows {
                let id: DeliveryId = read("delivery id", &id)?;
                if found.iter().any(|known| known.id == id) {
                    continue;
                }
                found.push(SentMessage {
                    id,
                    to: read("address", &to)?,
                    from: from.as_deref().map(|from| read("address", from)).transpose()?,
                    mode: mode.as_deref().map(|mode| read("send mode", mode)).transpose()?,
                    relay,
                    accepted_at: accepted_at.map(Timestamp),
                    state: read("state", &state)?,
                    disposition: disposition.as_deref().map(|text| read("disposition", text)).transpose()?,
                    priority: read("priority", &priority)?,
                });
            }
        }
        Ok(found)
    }

    /// The organization that sent a message from `from`, an address several may send from, which is known by any of these ids.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sender_of(&self, from: &DirectAddress, ids: &[MessageId]) -> Result<Option<OrgId>> {
        for id in ids {
            let org: Option<String> = on!(&self.db, pool => sqlx::query_scalar(
                "SELECT org_id FROM delivery WHERE message_id = $1 AND (sent_from IS NULL OR lower(sent_from) = $2)
                 UNION SELECT d.org_id FROM organization o JOIN message_alias a ON a.org_id = o.id AND a.message_id = $1
                    JOIN delivery d ON d.org_id = a.org_id AND d.id = a.delivery_id
                    WHERE d.sent_from IS NULL OR lower(d.sent_from) = $2 ORDER BY 1 LIMIT 1")
                .bind(id.as_str()).bind(from.key()).fetch_optional(pool).await)
            .doing("look for whose message a notice is about")?;
            if let Some(org) = org {
                return Ok(Some(read("organization id", &org)?));
            }
        }
        Ok(None)
    }

    /// Learns the id under which a HISP knows a message whose Message-ID it rewrote. The first to be known by an id keeps it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn learn_alias(&self, org: OrgId, delivery: DeliveryId, id: &MessageId) -> Result<()> {
        let now = self.now().await?.micros();
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO message_alias (org_id, message_id, delivery_id, learnt_at)
             SELECT org_id, $1, id, $2 FROM delivery WHERE org_id = $3 AND id = $4 AND message_id <> $1
             ON CONFLICT (org_id, message_id) DO NOTHING")
            .bind(id.as_str()).bind(now).bind(org.to_string()).bind(delivery.to_string()).execute(pool).await.map(drop))
        .doing("learn the id a HISP gave a message")
    }

    /// Records a notice, lets what counts of it happen, and settles the mail it came in.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the claim on the mail is no longer held; nothing has happened then.
    pub async fn take_notice(&self, notice: &JudgedNotice) -> Result<Vec<Outcome>> {
        insist!(self.take_once(notice))
    }

    async fn take_once(&self, notice: &JudgedNotice) -> Result<Vec<Outcome>> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        settle(&mut tx, &notice.settlement, now).await?;
        let mut charges = Charges::by(&self.books);
        let mut outcomes = Vec::with_capacity(notice.statements.len());
        for (position, statement) in notice.statements.iter().enumerate() {
            let taken = take(&mut tx, &mut charges, notice.org, statement, now).await?;
            record(&mut tx, notice, position, statement, taken.verdict, now).await?;
            outcomes.push(taken);
        }
        charges.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Everything notices have said about a delivery, in the order it came.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn notices(&self, scope: OrgScope, delivery: DeliveryId) -> Result<Vec<NoticeView>> {
        type Row = (i64, String, String, Option<String>, String, String, Option<String>, Option<String>, Option<String>);
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT received_at, form, stated, final_recipient, source, verdict, why, status, detail FROM notice
             WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND delivery_id = $1 ORDER BY recorded_at, id")
            .bind(delivery.to_string()).bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("read a delivery's notices")?;
        rows.into_iter()
            .map(|(received_at, form, stated, final_recipient, source, verdict, why, status, cause)| {
                let (received_at, verdict) = (Timestamp(received_at), read("verdict", &verdict)?);
                Ok(NoticeView { received_at, form, stated, final_recipient, source, verdict, why, status, cause })
            })
            .collect()
    }

    /// How a delivery's answer is waited for.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it is not there.
    pub async fn waiting(&self, org: OrgId, delivery: DeliveryId) -> Result<Waiting> {
        type Row = (Option<i64>, Option<i64>, bool, Option<String>, Option<String>, Option<String>, Option<String>);
        let row: Option<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT accepted_at, notice_at, wants_dispatched, sent_from, sent_mode, fallback, fallback_of FROM delivery
             WHERE org_id = $1 AND id = $2")
            .bind(org.to_string()).bind(delivery.to_string()).fetch_optional(pool).await)
        .doing("read a delivery's clocks")?;
        let (accepted_at, until, asked_dispatched, sent_from, sent_mode, fallback, fallback_of) = row.ok_or(StoreError::Lost)?;
        let (accepted_at, until) = (accepted_at.map(Timestamp), until.map(Timestamp));
        Ok(Waiting { accepted_at, until, asked_dispatched, sent_from, sent_mode, fallback, fallback_of })
    }

    /// Deliveries whose clock has run out, the longest ago first. A mailbox that their answer may lie in is waited for, for
    /// `patience`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn silent_deliveries(&self, patience: Duration, most: usize) -> Result<Vec<Silent>> {
        let now = self.now().await?;
        let rows: Vec<(String, String, String, String, bool)> = on!(&self.db, pool => sqlx::query_as(SILENT)
            .bind(now.micros()).bind(i64::try_from(most).unwrap_or(i64::MAX)).bind(now.minus(patience).micros())
            .fetch_all(pool).await)
        .doing("look for clocks that have run out")?;
        rows.into_iter()
            .map(|(org, id, to, disposition, unseen)| {
                Ok(Silent {
                    org: read("organization id", &org)?,
                    id: read("delivery id", &id)?,
                    to: read("address", &to)?,
                    disposition: read("disposition", &disposition)?,
                    unseen,
                })
            })
            .collect()
    }

    /// When the next clock runs out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_deadline(&self) -> Result<Option<Timestamp>> {
        let next: Option<i64> = on!(&self.db, pool =>
            sqlx::query_scalar(NEXT).fetch_one(pool).await)
        .doing("look for the next clock to run out")?;
        Ok(next.map(Timestamp))
    }
}

/// Lets one statement happen, if it counts.
async fn take(tx: &mut Tx, charges: &mut Charges, org: OrgId, statement: &Statement, now: Timestamp) -> Result<Outcome> {
    let nothing = |verdict| Outcome { about: statement.about, kind: statement.kind, verdict, effects: Vec::new(), ended: None };
    let Some(id) = statement.about else { return Ok(nothing(NoticeVerdict::Unknown)) };
    let (Some(change), None) = (&statement.change, &statement.doubt) else {
        let verdict = if statement.doubt.is_some() { NoticeVerdict::NotBelieved } else { NoticeVerdict::Information };
        return Ok(nothing(verdict));
    };
    let moved = match apply_move(tx, charges, change, now).await {
        Ok(moved) => moved,
        Err(StoreError::Illegal(_)) => return Ok(nothing(NoticeVerdict::Unexpected)),
        Err(StoreError::Lost) => return Ok(nothing(NoticeVerdict::Unknown)),
        Err(error) => return Err(error),
    };
    let mut effects = moved.effects;
    let late = effects.contains(&Effect::RecordLate);
    let verdict = match (late, moved.delivery.state) {
        (true, _) if said_before(tx, org, id, statement.kind).await? => NoticeVerdict::Duplicate,
        (true, _) => NoticeVerdict::Late,
        (false, State::OnWire) => NoticeVerdict::Early,
        (false, _) => NoticeVerdict::Applied,
    };
    if verdict == NoticeVerdict::Late && statement.kind == Some(NoticeKind::Dispatched) {
        let address: String = within!(tx, c => sqlx::query_scalar("SELECT address FROM delivery WHERE org_id = $1 AND id = $2")
            .bind(org.to_string()).bind(id.to_string()).fetch_one(c).await)
        .doing("read a delivery's address")?;
        habit::has_dispatched(tx, org, &read("address", &address)?, now).await?;
    }
    // Proven also by what comes after the clock ran out: the disposition stays, the money is given back.
    // Or before there is a charge: that is remembered.
    let undelivered = matches!(moved.delivery.disposition, Some(Disposition::Failed | Disposition::Expired));
    let early = moved.delivery.early_notice == Some(EarlyNotice::Failed);
    if statement.credit && (early || (undelivered && moved.delivery.fee == Fee::Charged)) {
        let note = Some("not delivered for reasons of trust or certificates: the charge is given back".to_owned());
        let credit = Move { event: Event::CreditDue, note, ..change.clone() };
        effects.extend(apply_move(tx, charges, &credit, now).await?.effects);
    }
    let ended = moved.delivery.disposition.filter(|_| verdict == NoticeVerdict::Applied && !moved.delivery.awaits_notice());
    Ok(Outcome { effects, ended: ended.map(|disposition| (disposition, moved.delivery.reason)), ..nothing(verdict) })
}

async fn said_before(tx: &mut Tx, org: OrgId, id: DeliveryId, kind: Option<NoticeKind>) -> Result<bool> {
    let before: i64 = within!(tx, c => sqlx::query_scalar(
        "SELECT COUNT(*) FROM notice WHERE org_id = $1 AND delivery_id = $2 AND kind = $3 AND verdict IN ('applied', 'early', 'late')")
        .bind(org.to_string()).bind(id.to_string()).bind(kind.map(NoticeKind::as_str)).fetch_one(c).await)
    .doing("look for the same notice")?;
    Ok(before > 0)
}

async fn record(
    tx: &mut Tx,
    notice: &JudgedNotice,
    position: usize,
    statement: &Statement,
    verdict: NoticeVerdict,
    now: Timestamp,
) -> Result<()> {
    within!(tx, c => sqlx::query(
        "INSERT INTO notice (org_id, id, inbound_id, position, delivery_id, form, kind, stated, original_message_id, final_recipient, status,
            detail, source, verdict, why, received_at, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)")
        .bind(notice.org.to_string()).bind(NoticeId::new().to_string()).bind(notice.settlement.id.to_string())
        .bind(i64::try_from(position).unwrap_or(i64::MAX)).bind(statement.about.map(|id| id.to_string())).bind(notice.form)
        .bind(statement.kind.map(NoticeKind::as_str)).bind(&statement.stated).bind(statement.original_message_id.as_deref())
        .bind(statement.final_recipient.as_deref()).bind(statement.status.as_deref()).bind(statement.cause.as_deref()).bind(&notice.source)
        .bind(verdict.as_str()).bind(statement.doubt.as_deref()).bind(notice.received_at.micros()).bind(now.micros())
        .execute(c).await.map(drop))
    .doing("record a notice")
}

#[cfg(test)]
mod tests {
    use super::{NEXT, SILENT};
    use crate::store::{Db, fallback, inbound, migrations, reply};

    #[tokio::test]
    async fn on_sqlite_what_is_asked_every_second_reads_no_table_as_a_whole() {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        migrations::run(&Db::Sqlite(pool.clone())).await.unwrap();
        for (what, sql, index) in [
            ("clocks", SILENT, "USING INDEX delivery_notice"),
            ("mail that may hold the answer", SILENT, "USING INDEX inbound_waiting"),
            ("the next clock", NEXT, "USING INDEX delivery_notice"),
            ("fallbacks", fallback::DUE, "USING INDEX delivery_fallback"),
            ("mail", inbound::DUE, "USING INDEX inbound_queue"),
            ("replies", reply::DUE, "USING INDEX reply_queue"),
        ] {
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&pool).await.unwrap();
            let plan: String = steps.into_iter().map(|(_, _, _, step)| step.replace("COVERING ", "") + "\n").collect();
            assert!(plan.contains(index), "{what}:\n{plan}");
        }
    }
}
