//! Deliveries: the queue, the moves and the evidence.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::{Doing as _, Result, Store, StoreError, Tx, at_rest, doubt::DoubtRow, read, read_json, rows};
use crate::domain::{
    Delivery, DeliveryId, DirectAddress, Doubt, MessageId, Order, OrderKey, OrgId, Report, ResultId, Timestamp,
    delivery::{Effect, Event},
    id::ProcessId,
    order::Priority,
    organization::{Billable, SendMode},
    profile::SealedWith,
    report::ResultStatus,
    route::Target,
    time::TimeZone,
};

pub(super) use super::moves::{apply_move, record_event};
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
    /// When it becomes billable.
    pub billable: Billable,
    /// Whether an earlier attempt asked for `dispatched`.
    pub wants_dispatched: bool,
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
    /// SHA-256 of what was sealed: of the CMS object, which is the attachment `smime.p7m`; in edge mode of the whole message.
    pub sealed_sha256: Option<[u8; 32]>,
    /// Size of the whole message in octets.
    pub sealed_bytes: Option<u64>,
    /// SHA-256 fingerprint of the recipient's certificate.
    pub certificate: Option<String>,
    /// With which algorithms it was sealed.
    pub profile: Option<SealedWith>,
    /// Relay or MX.
    pub relay: Option<String>,
    /// The server's answer, verbatim.
    pub reply: Option<String>,
    /// From which of our addresses.
    pub from: Option<DirectAddress>,
    /// In which mode.
    pub mode: Option<SendMode>,
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
    /// How long the receiving side has to answer, from acceptance on.
    pub notice_within: Duration,
    /// Whether the message that goes on the wire asks for `dispatched`. Once asked it stays asked.
    pub asks_dispatched: bool,
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
            notice_within: Duration::from_hours(1),
            asks_dispatched: false,
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

impl Store {
    /// Everything needed to send one delivery.
    ///
    /// # Errors
    /// When it cannot be read or its sealed parts cannot be opened.
    pub async fn work(&self, org: OrgId, id: DeliveryId) -> Result<Work> {
        self.works(&[(org, id)]).await?.pop().unwrap_or(Err(StoreError::Lost))
    }

    /// Everything needed to send each of these deliveries, in their order. One that cannot be opened does not hold the others.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn works(&self, which: &[(OrgId, DeliveryId)]) -> Result<Vec<Result<Work>>> {
        if which.is_empty() {
            return Ok(Vec::new());
        }
        let keys = which.iter().map(|(org, id)| [org.to_string().into(), id.to_string().into()]).collect();
        let rows: Vec<WorkRow> = rows::read(&self.writing, KEYS, keys, WORK).await.doing("read the work of deliveries")?;
        let mut rows: HashMap<String, WorkRow> = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        let mut works = Vec::with_capacity(which.len());
        for (org, id) in which {
            works.push(match rows.remove(&id.to_string()) {
                Some(row) => self.open_work(*org, *id, row).await,
                None => Err(StoreError::Lost),
            });
        }
        Ok(works)
    }

    async fn open_work(&self, org: OrgId, id: DeliveryId, row: WorkRow) -> Result<Work> {
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
            billable: read("billable moment", &row.billable)?,
            wants_dispatched: row.wants_dispatched,
        })
    }

    /// The newest earlier version of the report this target has got, or may have got: not one of which it was told that it
    /// never arrived. An addendum is no version of it.
    async fn parent(&self, org: OrgId, order_key: &str, address_key: &str, version: i64) -> Result<Option<Parent>> {
        let row: Option<(String, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT d.document_id, d.version FROM delivery d JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id
             WHERE d.org_id = $1 AND d.order_key = $2 AND d.address_key = $3 AND d.version < $4 AND r.status <> 'addendum'
             AND (d.state = 'accepted' OR d.unknown_attempts > 0) AND COALESCE(d.disposition, '') <> 'failed'
             ORDER BY d.version DESC, d.created_at DESC LIMIT 1")
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
             AND disposition IN ('processed', 'dispatched', 'unconfirmed', 'not_expected') ORDER BY accepted_at DESC LIMIT 1")
            .bind(org.to_string()).bind(address.key()).fetch_optional(pool).await)
        .doing("look for the last success")?;
        Ok(at.map(Timestamp))
    }
}

const KEYS: &str = "WITH k (org_id, id) AS (";
/// What is read for the deliveries named in `k`.
const WORK: &str =
    ") SELECT d.id, d.target, d.message_id, d.document_id, d.version, d.priority, d.retry_until, d.attempts, d.waiting_for, d.distrusted_since, d.rechecks,
        d.unchecked_since,
        d.unknown_attempts, d.created_at, d.billable, d.wants_dispatched, d.order_key, d.address_key, r.id AS result_id, r.sealed AS report, r.pdf, r.pdf_sha256,
        r.received_at, o.sealed AS order_, o.set_id
    FROM k JOIN delivery d ON d.org_id = k.org_id AND d.id = k.id JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id
    JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key";

#[derive(sqlx::FromRow)]
struct WorkRow {
    id: String,
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
    billable: String,
    wants_dispatched: bool,
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
