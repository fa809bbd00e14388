//! Deliveries: the queue, the moves and the evidence.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Doing as _, Result, Store, StoreError, Tx, at_rest,
    doubt::{DoubtRow, write_doubt},
    ledger::{Charge, Charges},
    read, read_json,
};
use crate::domain::{
    Delivery, DeliveryId, DirectAddress, Doubt, MessageId, Order, OrderKey, OrgId, Reason, Report, ResultId, Timestamp,
    delivery::{Disposition, Effect, Event, NoticeKind, State},
    id::ProcessId,
    order::Priority,
    report::ResultStatus,
    route::Target,
    time::TimeZone,
};

pub use super::queue::Claimed;

/// Everything a worker needs to send one delivery.
#[derive(Debug, Clone)]
pub struct Work {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// Where to and why.
    pub target: Target,
    /// Kept across retries.
    pub message_id: MessageId,
    /// The C-CDA document's own id.
    pub document_id: uuid::Uuid,
    /// The C-CDA set the order's documents belong to.
    pub set_id: uuid::Uuid,
    /// 1, 2, 3.
    pub version: u32,
    /// The order as it stands now.
    pub order: Order,
    /// The report.
    pub report: Report,
    /// Which result.
    pub result: ResultId,
    /// When the result came in.
    pub received_at: Timestamp,
    /// Name of the PDF in the file store.
    pub pdf: String,
    /// Its fingerprint.
    pub pdf_sha256: [u8; 32],
    /// What this target has got of the order before, if anything.
    pub parent: Option<Parent>,
    /// Routine or urgent.
    pub priority: Priority,
    /// When transport errors are no longer retried.
    pub retry_until: Timestamp,
    /// Failed attempts so far.
    pub attempts: u32,
    /// What stood between it and a certificate to believe when it was last looked at.
    pub doubt: Doubt,
    /// Whether it may have been handed over before.
    pub unknown_attempts: u8,
    /// When it was queued first.
    pub created_at: Timestamp,
}

/// An earlier document of the same order that the same target has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Its document id.
    pub document_id: uuid::Uuid,
    /// Its version.
    pub version: u32,
}

/// What was handed over, for the record.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// SHA-256 of the sealed message.
    pub sealed_sha256: Option<[u8; 32]>,
    /// Its size in octets.
    pub sealed_bytes: Option<u64>,
    /// SHA-256 fingerprint of the recipient's certificate.
    pub certificate: Option<String>,
    /// Relay or MX.
    pub relay: Option<String>,
    /// The server's answer, verbatim.
    pub reply: Option<String>,
}

/// One thing that happened to one delivery.
#[derive(Debug, Clone)]
pub struct Move {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// What happened.
    pub event: Event,
    /// The worker it happened to; `None` for facts and for people. A worker whose lease is gone changes nothing, unless
    /// it brings a 250: facts beat leases.
    pub owner: Option<ProcessId>,
    /// How long until the next attempt, when it goes back to the queue.
    pub backoff: Duration,
    /// How long an unknown outcome waits.
    pub unknown_wait: Duration,
    /// Whether it counts as an attempt. An unreachable relay costs a delivery none.
    pub counts: bool,
    /// What stands between it and a certificate to believe, when that has changed.
    pub doubt: Option<Doubt>,
    /// For the record.
    pub evidence: Evidence,
    /// One sentence for the delivery's history; never about the patient.
    pub note: Option<String>,
    /// The organization's zone: the price of a charge is that of the day there.
    pub zone: TimeZone,
}

impl Move {
    /// A move by nobody in particular, without any detail.
    #[must_use]
    pub fn new(org: OrgId, id: DeliveryId, event: Event) -> Self {
        Self {
            org,
            id,
            event,
            owner: None,
            backoff: Duration::ZERO,
            unknown_wait: Duration::from_hours(1),
            counts: false,
            doubt: None,
            evidence: Evidence::default(),
            note: None,
            zone: TimeZone::utc(),
        }
    }
}

/// What a move led to.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The delivery as it is now.
    pub delivery: Delivery,
    /// What followed, already committed.
    pub effects: Vec<Effect>,
}

#[derive(sqlx::FromRow)]
struct AxesRow {
    state: String,
    reason: Option<String>,
    disposition: Option<String>,
    fee: String,
    unknown_attempts: i64,
    stopped: bool,
    early_notice: Option<String>,
    billable: String,
    when_unknown: String,
    wants_dispatched: bool,
    lease_owner: Option<String>,
    lease_until: Option<i64>,
    site: String,
    fee_code: String,
    test: bool,
}

impl AxesRow {
    fn delivery(&self) -> Result<Delivery> {
        Ok(Delivery {
            state: read("state", &self.state)?,
            reason: self.reason.as_deref().map(|text| read("reason", text)).transpose()?,
            disposition: self.disposition.as_deref().map(|text| read("disposition", text)).transpose()?,
            fee: read("fee", &self.fee)?,
            unknown_attempts: u8::try_from(self.unknown_attempts).unwrap_or(u8::MAX),
            stopped: self.stopped,
            early_notice: self.early_notice.as_deref().map(|text| read("notice", text)).transpose()?,
            billable: read("billable moment", &self.billable)?,
            when_unknown: read("unknown policy", &self.when_unknown)?,
            wants_dispatched: self.wants_dispatched,
        })
    }
}

impl Store {
    /// Everything needed to send one delivery.
    ///
    /// # Errors
    /// When it cannot be read or its sealed parts cannot be opened.
    pub async fn work(&self, org: OrgId, id: DeliveryId) -> Result<Work> {
        let row: Option<WorkRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT d.target, d.message_id, d.document_id, d.version, d.priority, d.retry_until, d.attempts, d.waiting_for, d.distrusted_since, d.rechecks, d.unchecked_since, d.unknown_attempts,
                d.created_at, d.order_key, d.address_key, r.id AS result_id, r.sealed AS report, r.pdf, r.pdf_sha256, r.received_at,
                o.sealed AS order_, o.set_id
             FROM delivery d JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id
             JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key WHERE d.org_id = $1 AND d.id = $2")
            .bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
        .doing("read a delivery's work")?;
        let row = row.ok_or(StoreError::Lost)?;
        let key = self.key(org).await?;
        let (order_key, result): (OrderKey, ResultId) = (read("order key", &row.order_key)?, read("result id", &row.result_id)?);
        let order: Order = read_json("order", &at_rest::open(&key, org, "order_", order_key.0, &row.order_)?)?;
        let report: Report = read_json("report", &at_rest::open(&key, org, "result", result.0, &row.report)?)?;
        // A first version has nothing before it: do not ask.
        let parent = if row.version > 1 || report.status != ResultStatus::Final {
            self.parent(org, &row.order_key, &row.address_key, row.version).await?
        } else {
            None
        };
        Ok(Work {
            org,
            id,
            target: read_json("target", row.target.as_bytes())?,
            message_id: read("message id", &row.message_id)?,
            document_id: read("document id", &row.document_id)?,
            set_id: read("set id", &row.set_id)?,
            version: u32::try_from(row.version).unwrap_or(u32::MAX),
            order,
            report,
            result,
            received_at: Timestamp(row.received_at),
            pdf: row.pdf,
            pdf_sha256: row.pdf_sha256.try_into().map_err(|_| StoreError::Lost)?,
            parent,
            priority: read("priority", &row.priority)?,
            retry_until: Timestamp(row.retry_until),
            attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
            doubt: row.doubt.doubt()?,
            unknown_attempts: u8::try_from(row.unknown_attempts).unwrap_or(u8::MAX),
            created_at: Timestamp(row.created_at),
        })
    }

    /// The newest earlier version of the report this target has got, or may have got. An addendum is no version of it.
    async fn parent(&self, org: OrgId, order_key: &str, address_key: &str, version: i64) -> Result<Option<Parent>> {
        let row: Option<(String, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT d.document_id, d.version FROM delivery d JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id
             WHERE d.org_id = $1 AND d.order_key = $2 AND d.address_key = $3 AND d.version < $4 AND r.status <> 'addendum'
             AND (d.state = 'accepted' OR d.unknown_attempts > 0) ORDER BY d.version DESC, d.created_at DESC LIMIT 1")
            .bind(org.to_string()).bind(order_key).bind(address_key).bind(version).fetch_optional(pool).await)
        .doing("look for an earlier version")?;
        row.map(|(document, version)| {
            Ok(Parent { document_id: read("document id", &document)?, version: u32::try_from(version).unwrap_or(u32::MAX) })
        })
        .transpose()
    }

    /// Every address that has got, or may have got, an earlier version of this order's result.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn earlier_targets(&self, org: OrgId, order: OrderKey, version: u32) -> Result<Vec<Target>> {
        let rows: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT target FROM delivery WHERE org_id = $1 AND order_key = $2 AND version <= $3
             AND (state IN ('accepted', 'on_wire', 'unknown') OR unknown_attempts > 0) ORDER BY created_at, id")
            .bind(org.to_string()).bind(order.to_string()).bind(i64::from(version)).fetch_all(pool).await)
        .doing("look for earlier recipients")?;
        let mut targets: Vec<Target> = Vec::new();
        for row in rows {
            let target: Target = read_json("target", row.as_bytes())?;
            if !targets.iter().any(|known| known.address == target.address) {
                targets.push(target);
            }
        }
        Ok(targets)
    }

    /// When we last delivered to each of these addresses, for choosing among several.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_success(&self, org: OrgId, address: &DirectAddress) -> Result<Option<Timestamp>> {
        let at: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT accepted_at FROM delivery WHERE org_id = $1 AND address_key = $2 AND accepted_at IS NOT NULL
             AND disposition IN ('awaited', 'processed', 'dispatched', 'unconfirmed') ORDER BY accepted_at DESC LIMIT 1")
            .bind(org.to_string()).bind(address.key()).fetch_optional(pool).await)
        .doing("look for the last success")?;
        Ok(at.map(Timestamp))
    }
}

#[derive(sqlx::FromRow)]
struct WorkRow {
    target: String,
    message_id: String,
    document_id: String,
    version: i64,
    priority: String,
    retry_until: i64,
    attempts: i64,
    #[sqlx(flatten)]
    doubt: DoubtRow,
    unknown_attempts: i64,
    created_at: i64,
    order_key: String,
    address_key: String,
    result_id: String,
    report: Vec<u8>,
    pdf: String,
    pdf_sha256: Vec<u8>,
    received_at: i64,
    order_: Vec<u8>,
    set_id: String,
}

/// The addresses of [`Store::earlier_targets`] inside the transaction that goes by them. Every delivery of the order is locked:
/// none of them leaves before it is committed.
pub(super) async fn earlier_addresses(tx: &mut Tx, org: &str, order_key: &str, version: i64) -> Result<BTreeSet<String>> {
    let rows: Vec<(String, String, i64)> = locked!(
        tx,
        query_as(
            "SELECT address_key, state, unknown_attempts FROM delivery WHERE org_id = $1 AND order_key = $2 AND version <= $3
             ORDER BY created_at, id"
        )
        .bind(org)
        .bind(order_key)
        .bind(version)
        .fetch_all
    )
    .doing("look for earlier recipients")?;
    let may_have_it = |(_, state, unknown): &(String, String, i64)| {
        *unknown > 0 || matches!(state.as_str(), "accepted" | "on_wire" | "unknown")
    };
    Ok(rows.into_iter().filter(may_have_it).map(|(address, ..)| address).collect())
}

/// Moves one delivery inside a transaction. What it charges is noted, to be written at the transaction's end. A move that
/// is refused (lost or illegal) has written nothing.
pub(super) async fn apply_move(tx: &mut Tx, charges: &mut Charges, change: &Move, now: Timestamp) -> Result<Moved> {
    let row: Option<AxesRow> = locked!(tx, query_as(
        "SELECT state, reason, disposition, fee, unknown_attempts, stopped, early_notice, billable, when_unknown, wants_dispatched,
            lease_owner, lease_until, site, fee_code, test FROM delivery WHERE org_id = $1 AND id = $2")
        .bind(change.org.to_string()).bind(change.id.to_string()).fetch_optional)
    .doing("read a delivery")?;
    let row = row.ok_or(StoreError::Lost)?;
    let held = row.lease_until.unwrap_or(0) > now.micros();
    let may = match change.owner {
        // Facts beat leases.
        Some(_) if change.event == Event::Accepted => true,
        // A lease that ran out may be taken by anybody at any moment: nothing may begin under it.
        Some(owner) => held && row.lease_owner.as_deref() == Some(owner.to_string().as_str()),
        // Recovery speaks for workers that are gone. By now somebody else may have recovered the row, and a third be at work.
        None if matches!(change.event, Event::Released | Event::Lost) => !held,
        None => true,
    };
    if !may {
        return Err(StoreError::Lost);
    }
    let before = row.delivery()?;
    let (after, effects) = before.apply(change.event)?;
    if after == before && effects.is_empty() {
        return Ok(Moved { delivery: after, effects });
    }
    write_move(tx, change, &before, &after, &effects, now).await?;
    if let Some(doubt) = &change.doubt {
        write_doubt(tx, &change.org.to_string(), &change.id.to_string(), doubt).await?;
    }
    if effects.contains(&Effect::Charge) {
        let AxesRow { site, fee_code, test, .. } = row;
        charges.add(change.org, Charge { delivery: change.id, site, fee_code, test, zone: change.zone.clone() });
    }
    Ok(Moved { delivery: after, effects })
}

/// What came from outside, as every database can hold it: PostgreSQL takes no NUL in a text, and losing an acceptance to one
/// octet of a server's answer would send the message twice.
fn storable(text: Option<&str>) -> Option<String> {
    text.map(|text| text.replace('\0', "\u{fffd}"))
}

async fn write_move(
    tx: &mut Tx,
    change: &Move,
    before: &Delivery,
    after: &Delivery,
    effects: &[Effect],
    now: Timestamp,
) -> Result<()> {
    let (org, id) = (change.org.to_string(), change.id.to_string());
    let next_attempt = if effects.contains(&Effect::StartUnknownWait) {
        Some(now.plus(change.unknown_wait).micros())
    } else if after.state == State::Queued && before.state != State::Queued {
        Some(now.plus(change.backoff).micros())
    } else {
        None
    };
    let released = !matches!(after.state, State::Claimed | State::OnWire);
    let accepted_at = effects.contains(&Effect::StartNoticeClock).then_some(now.micros());
    // A relay that cannot be reached costs no patience: what was waited for it is added to the time allowed.
    let patience = if change.event == Event::Deferred && !change.counts {
        i64::try_from(change.backoff.as_micros()).unwrap_or(0)
    } else {
        0
    };
    let evidence = &change.evidence;
    within!(tx, c => sqlx::query(
        "UPDATE delivery SET state = $1, reason = $2, disposition = $3, fee = $4, unknown_attempts = $5, stopped = $6, early_notice = $7,
            next_attempt_at = COALESCE($8, next_attempt_at), attempts = attempts + $9, retry_until = retry_until + $10,
            lease_owner = CASE WHEN $11 THEN NULL ELSE lease_owner END, lease_until = CASE WHEN $11 THEN NULL ELSE lease_until END,
            updated_at = $12, accepted_at = COALESCE($13, accepted_at), sealed_sha256 = COALESCE($14, sealed_sha256),
            sealed_bytes = COALESCE($15, sealed_bytes), certificate = COALESCE($16, certificate), relay = COALESCE($17, relay),
            reply = COALESCE($18, reply)
         WHERE org_id = $19 AND id = $20")
        .bind(after.state.as_str()).bind(after.reason.map(Reason::as_str)).bind(after.disposition.map(Disposition::as_str))
        .bind(after.fee.as_str()).bind(i64::from(after.unknown_attempts)).bind(after.stopped).bind(after.early_notice.map(NoticeKind::as_str))
        .bind(next_attempt).bind(i64::from(change.counts)).bind(patience).bind(released)
        .bind(now.micros()).bind(accepted_at).bind(evidence.sealed_sha256.map(|hash| hash.to_vec()))
        .bind(evidence.sealed_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX))).bind(evidence.certificate.as_deref())
        .bind(storable(evidence.relay.as_deref())).bind(storable(evidence.reply.as_deref())).bind(&org).bind(&id)
        .execute(c).await.map(drop))
    .doing("move a delivery")?;
    record_event(tx, &org, &id, now, event_word(change.event), after.state, storable(change.note.as_deref()).as_deref()).await
}

/// Appends to a delivery's history.
pub(super) async fn record_event(
    tx: &mut Tx,
    org: &str,
    id: &str,
    now: Timestamp,
    event: &str,
    state: State,
    note: Option<&str>,
) -> Result<()> {
    within!(tx, c => sqlx::query(
        "INSERT INTO delivery_event (org_id, delivery_id, seq, at, event, state, detail)
         VALUES ($1, $2, (SELECT COALESCE(MAX(seq), 0) + 1 FROM delivery_event WHERE org_id = $1 AND delivery_id = $2), $3, $4, $5, $6)")
        .bind(org).bind(id).bind(now.micros()).bind(event).bind(state.as_str()).bind(note).execute(c).await.map(drop))
    .doing("record what happened to a delivery")
}

const fn event_word(event: Event) -> &'static str {
    match event {
        Event::Claimed => "claimed",
        Event::Released => "released",
        Event::WireStarted => "on_wire",
        Event::Accepted => "accepted",
        Event::Refused(_) => "refused",
        Event::Deferred => "deferred",
        Event::Exhausted => "exhausted",
        Event::Lost => "lost",
        Event::Held(_) => "held",
        Event::UnknownWaitOver => "unknown_wait_over",
        Event::Cancel => "cancel",
        Event::Supersede => "supersede",
        Event::Retry => "retry",
        Event::Notice(_) => "notice",
        Event::DeadlinePassed => "deadline_passed",
        Event::CreditDue => "credit_due",
    }
}
