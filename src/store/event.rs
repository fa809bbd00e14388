//! What happened, numbered as it became durable: one feed for each organization.
//!
//! An event is written in the transaction of the change it tells of. Its number is taken at the end of that transaction, from
//! a row that stays locked until it commits. So a number becomes visible only after all smaller ones, on PostgreSQL too, where
//! a sequence would not promise that; and a reader that goes on after the last number it saw misses nothing.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::{
    Doing as _, Result, Store, StoreError, Tx, read, read_json,
    rows::{self, Cell},
};
use crate::domain::{
    DeliveryId, OrgId, Reason, ResultId, Timestamp,
    delivery::{Disposition, Fee},
    event::{Cursor, EventKind},
    route::Target,
};

/// One event, with what never changes about its result and delivery.
#[derive(Debug, Clone)]
pub struct EventView {
    /// Its number in the feed, from 1, without gaps.
    pub seq: u64,
    /// Its id: the same wherever and however often it is told.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub kind: EventKind,
    /// The result it is about.
    pub result: Option<ResultId>,
    /// The delivery it is about.
    pub delivery: Option<DeliveryId>,
    /// The webhook it is about.
    pub webhook: Option<String>,
    /// The state it led to, a delivery's or a result's.
    pub state: Option<String>,
    /// The disposition it led to.
    pub disposition: Option<Disposition>,
    /// Why.
    pub reason: Option<Reason>,
    /// Where the fee stands.
    pub fee: Option<Fee>,
    /// The sender's key of the order.
    pub order_id: Option<String>,
    /// The site.
    pub site: Option<String>,
    /// The result's version.
    pub version: Option<u32>,
    /// Whether the delivery is of a test.
    pub test: Option<bool>,
    /// Where the delivery goes to; only receipts name it.
    pub target: Option<Target>,
    /// Whether the delivery asked for `dispatched`, so that `processed` is not the end.
    pub wants_dispatched: bool,
    /// When the delivery was accepted.
    pub accepted_at: Option<Timestamp>,
}

impl EventView {
    /// The place in the feed behind it.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { seq: self.seq, mark: Some(mark(self.id)) }
    }
}

/// What distinguishes an event from another with the same number in a feed that was restored.
fn mark(id: Uuid) -> u32 {
    // The end of a UUIDv7 is random.
    u32::try_from(id.as_u128() & u128::from(u32::MAX)).unwrap_or_default()
}

/// How far a feed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The number of the newest event; 0 when there is none.
    pub seq: u64,
    /// Up to here events are no longer kept.
    pub forgotten: u64,
}

/// Why a feed cannot be read on from a place.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Events behind it are no longer kept.
    #[error("events up to {forgotten} are no longer kept")]
    TooOld {
        /// The number of the last one forgotten.
        forgotten: u64,
    },
    /// The feed has no such place: a backup was restored, or the cursor is of another feed.
    #[error("this feed has no such place")]
    Elsewhere,
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An event that is to be written at its transaction's end.
#[derive(Debug, Default)]
pub(super) struct NewEvent {
    pub(super) result: Option<String>,
    pub(super) delivery: Option<String>,
    pub(super) webhook: Option<String>,
    pub(super) state: Option<&'static str>,
    pub(super) disposition: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    pub(super) fee: Option<&'static str>,
}

/// The events of one transaction.
#[derive(Debug, Default)]
pub(super) struct NewEvents(BTreeMap<String, Vec<(EventKind, NewEvent)>>);

impl NewEvents {
    pub(super) fn add(&mut self, org: &str, kind: EventKind, event: NewEvent) {
        if let Some(events) = self.0.get_mut(org) {
            events.push((kind, event));
        } else {
            self.0.insert(org.to_owned(), vec![(kind, event)]);
        }
    }

    /// Numbers and writes them. From here on nothing else of these organizations can be numbered until the transaction ends,
    /// so this comes last, before the ledger's heads; everybody takes the heads in the order of the organizations' ids.
    pub(super) async fn write(self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let more = |events: &Vec<_>| i64::try_from(events.len()).unwrap_or(i64::MAX);
        let counts = self.0.iter().map(|(org, events)| [org.clone().into(), more(events).into()]).collect();
        let heads: Vec<(String, i64)> = rows::fetch(tx, COUNTS, counts, ADVANCE, "").await.doing("number events")?;
        let mut heads: HashMap<String, i64> = heads.into_iter().collect();
        let mut all: Vec<[Cell; 12]> = Vec::new();
        for (org, events) in self.0 {
            let last = heads.remove(&org).ok_or(StoreError::NoOrganization)?;
            let first = last - more(&events);
            for ((kind, event), seq) in events.into_iter().zip(first + 1..) {
                all.push([
                    org.clone().into(),
                    seq.into(),
                    Uuid::now_v7().to_string().into(),
                    now.micros().into(),
                    kind.as_str().into(),
                    event.result.into(),
                    event.delivery.into(),
                    event.webhook.into(),
                    event.state.into(),
                    event.disposition.into(),
                    event.reason.into(),
                    event.fee.into(),
                ]);
            }
        }
        rows::execute(tx, INSERT, all, "").await.doing("record events")
    }
}

/// The events behind `$2`.
pub(super) const AFTER: &str =
    "SELECT e.seq, e.id, e.at, e.kind, e.result_id, e.delivery_id, e.webhook, e.state, e.disposition, e.reason, e.fee,
                r.order_id, r.site, r.version, d.test, d.target, d.wants_dispatched, d.accepted_at
             FROM event e LEFT JOIN result r ON r.org_id = e.org_id AND r.id = e.result_id
             LEFT JOIN delivery d ON d.org_id = e.org_id AND d.id = e.delivery_id
             WHERE e.org_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3";
const COUNTS: &str = "WITH n (org_id, more) AS (";
const ADVANCE: &str =
    ") INSERT INTO event_head (org_id, seq, forgotten) SELECT n.org_id, n.more, 0 FROM n WHERE TRUE ORDER BY n.org_id
    ON CONFLICT (org_id) DO UPDATE SET seq = event_head.seq + excluded.seq RETURNING org_id, seq";
const INSERT: &str =
    "INSERT INTO event (org_id, seq, id, at, kind, result_id, delivery_id, webhook, state, disposition, reason, fee) ";

#[derive(sqlx::FromRow)]
struct EventRow {
    seq: i64,
    id: String,
    at: i64,
    kind: String,
    result_id: Option<String>,
    delivery_id: Option<String>,
    webhook: Option<String>,
    state: Option<String>,
    disposition: Option<String>,
    reason: Option<String>,
    fee: Option<String>,
    order_id: Option<String>,
    site: Option<String>,
    version: Option<i64>,
    test: Option<bool>,
    target: Option<String>,
    wants_dispatched: Option<bool>,
    accepted_at: Option<i64>,
}

impl EventRow {
    fn view(self) -> Result<EventView> {
        Ok(EventView {
            seq: positive(self.seq),
            id: read("event id", &self.id)?,
            at: Timestamp(self.at),
            kind: read("kind of event", &self.kind)?,
            result: self.result_id.as_deref().map(|id| read("result id", id)).transpose()?,
            delivery: self.delivery_id.as_deref().map(|id| read("delivery id", id)).transpose()?,
            webhook: self.webhook,
            state: self.state,
            disposition: self.disposition.as_deref().map(|text| read("disposition", text)).transpose()?,
            reason: self.reason.as_deref().map(|text| read("reason", text)).transpose()?,
            fee: self.fee.as_deref().map(|text| read("fee", text)).transpose()?,
            order_id: self.order_id,
            site: self.site.filter(|site| !site.is_empty()),
            version: self.version.and_then(|version| u32::try_from(version).ok()),
            test: self.test,
            target: self.target.map(|json| read_json("target", json.as_bytes())).transpose()?,
            wants_dispatched: self.wants_dispatched.unwrap_or_default(),
            accepted_at: self.accepted_at.map(Timestamp),
        })
    }
}

/// Most events forgotten in one transaction.
const FORGET_AT_ONCE: u64 = 5_000;

impl Store {
    /// How far an organization's feed has come.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn event_head(&self, org: OrgId) -> Result<Head> {
        let row: Option<(i64, i64)> =
            on!(&self.db, pool => sqlx::query_as("SELECT seq, forgotten FROM event_head WHERE org_id = $1")
            .bind(org.to_string()).fetch_optional(pool).await)
            .doing("look how far a feed has come")?;
        Ok(row.map_or_else(Head::default, |(seq, forgotten)| Head { seq: positive(seq), forgotten: positive(forgotten) }))
    }

    /// The events behind a place, the oldest first, at most `most`.
    ///
    /// # Errors
    /// [`FeedError`] also when the feed cannot be read on from there.
    pub async fn events_after(&self, org: OrgId, after: Cursor, most: u32) -> Result<Vec<EventView>, FeedError> {
        // The events first: what is forgotten between the two is then noticed.
        let rows: Vec<EventRow> = on!(&self.db, pool => sqlx::query_as(
            AFTER)
            .bind(org.to_string()).bind(signed(after.seq)).bind(i64::from(most)).fetch_all(pool).await)
        .doing("read events")?;
        self.check_place(org, after).await?;
        Ok(rows.into_iter().map(EventRow::view).collect::<Result<_>>()?)
    }

    /// Whether a feed can be read on from a place.
    async fn check_place(&self, org: OrgId, place: Cursor) -> Result<(), FeedError> {
        let head = self.event_head(org).await?;
        // Who begins at the beginning gets what there is.
        if place.seq < head.forgotten && place.seq > 0 {
            return Err(FeedError::TooOld { forgotten: head.forgotten });
        }
        if place.seq > head.seq {
            return Err(FeedError::Elsewhere);
        }
        let Some(expected) = place.mark.filter(|_| place.seq > head.forgotten) else { return Ok(()) };
        let id: Option<String> = on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM event WHERE org_id = $1 AND seq = $2")
            .bind(org.to_string()).bind(signed(place.seq)).fetch_optional(pool).await)
        .doing("look an event up")?;
        match id {
            Some(id) if mark(read("event id", &id)?) == expected => Ok(()),
            _ => Err(FeedError::Elsewhere),
        }
    }

    /// The number of the first event that happened at or after `since`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_event_since(&self, org: OrgId, since: Timestamp) -> Result<Option<u64>> {
        let seq: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT seq FROM event WHERE org_id = $1 AND at >= $2 ORDER BY seq LIMIT 1")
            .bind(org.to_string()).bind(since.micros()).fetch_optional(pool).await)
        .doing("look for the first event since a time")?;
        Ok(seq.map(positive))
    }

    /// Forgets events that happened before `before`; returns how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_events(&self, org: OrgId, before: Timestamp) -> Result<u64> {
        let Head { seq, forgotten } = self.event_head(org).await?;
        let young = self.first_event_since(org, before).await?;
        let until = young.map_or(seq, |young| young.saturating_sub(1));
        let mut from = forgotten;
        while from < until {
            let to = until.min(from + FORGET_AT_ONCE);
            let mut tx = self.begin().await?;
            within!(&mut tx, c => sqlx::query("UPDATE event_head SET forgotten = $1 WHERE org_id = $2 AND forgotten < $1")
                .bind(signed(to)).bind(org.to_string()).execute(c).await.map(drop))
            .doing("note which events are forgotten")?;
            within!(&mut tx, c => sqlx::query("DELETE FROM event WHERE org_id = $1 AND seq <= $2")
                .bind(org.to_string()).bind(signed(to)).execute(c).await.map(drop))
            .doing("forget old events")?;
            tx.commit().await?;
            from = to;
        }
        Ok(until.saturating_sub(forgotten))
    }
}

fn positive(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
