//! What needs a person, oldest first, and what a person does about it.

/// What a decision would lead to.
mod foresee;

use std::{fmt, str::FromStr};

use super::{
    Doing as _, Result, Store, StoreError, Tx,
    decision::{self, Whom, record},
    read,
};
use crate::domain::{
    DirectAddress, Npi, OrgId, OrgScope, Reason, ResultId, Timestamp,
    choice::{Decides, Suppressed},
    words,
};

words! {
    /// What needs a person.
    pub enum WorkKind {
        /// A result that is held or waits.
        Result = "result",
        /// A recipient of a routed result that could not be decided.
        Recipient = "recipient",
        /// A delivery that is held, was refused, failed, or waits for a certificate to believe.
        Delivery = "delivery",
        /// An item of a feed that could not be taken.
        Parked = "parked",
    }
}

/// One line of the worklist.
#[derive(Debug, Clone)]
pub struct WorkItem {
    /// Whose.
    pub org: OrgId,
    /// What it is.
    pub kind: WorkKind,
    /// Its id: of the result, for a recipient too; of the delivery, or of the item of a feed.
    pub id: String,
    /// The sender's key of the order; for what is parked, its feed and cursor.
    pub order_id: String,
    /// Why a person must look.
    pub reason: Option<Reason>,
    /// Since when.
    pub since: Timestamp,
}

impl WorkItem {
    /// The place after this item.
    #[must_use]
    pub fn cursor(&self) -> WorkCursor {
        let reason = self.reason.map_or("", Reason::as_str).to_owned();
        WorkCursor { since: self.since.micros(), id: self.id.clone(), reason }
    }
}

/// A place in the worklist, to go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkCursor {
    since: i64,
    id: String,
    reason: String,
}

/// Not a place in the worklist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of the worklist")]
pub struct BadCursor;

impl fmt::Display for WorkCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.since, self.id, self.reason)
    }
}

impl FromStr for WorkCursor {
    type Err = BadCursor;
    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let mut parts = text.splitn(3, '.');
        let mut next = || parts.next().ok_or(BadCursor);
        let since = next()?.parse().map_err(|_| BadCursor)?;
        Ok(Self { since, id: next()?.to_owned(), reason: next()?.to_owned() })
    }
}

/// Which part of the worklist is asked for.
#[derive(Debug, Clone, Default)]
pub struct WorkFilter {
    /// Of this kind only.
    pub kind: Option<WorkKind>,
    /// For this reason only: its own, or that of a recipient of the result.
    pub reason: Option<Reason>,
    /// From here on.
    pub after: Option<WorkCursor>,
    /// At most so many; `None`: 10,000.
    pub limit: Option<u32>,
}

/// What a person does about a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Chooses an address for an NPI, for this and all results to come.
    Pin(Npi, DirectAddress),
    /// Names an address for one recipient of the order, or for the order as a whole (empty origin).
    Name(String, DirectAddress),
    /// Leaves recipients of the order out.
    LeaveOut(Vec<String>),
    /// Says that something is not to be used.
    Suppress(Suppressed),
    /// Has it routed again.
    Reroute,
    /// Decides that it is not to be delivered.
    Dismiss,
}

const ITEMS: &str = "SELECT org_id, kind, id, order_id, reason, since FROM (
     SELECT org_id, 'result' AS kind, id, order_id, reason, received_at AS since FROM result
        WHERE state IN ('held', 'waiting') AND ($1 IS NULL OR org_id = $1)
     UNION ALL SELECT DISTINCT r.org_id, 'recipient', r.id, r.order_id, p.reason, r.received_at FROM route_recipient p
        JOIN result r ON r.org_id = p.org_id AND r.id = p.result_id
        WHERE p.verdict = 'held' AND r.state = 'routed' AND ($1 IS NULL OR p.org_id = $1)
     UNION ALL SELECT d.org_id, 'delivery', d.id, o.order_id, d.reason, d.updated_at FROM delivery d
        JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key
        WHERE d.state IN ('held', 'refused') AND d.stopped = FALSE AND COALESCE(d.fallback, 'due') IN ('due', 'held')
            AND ($1 IS NULL OR d.org_id = $1)
     UNION ALL SELECT d.org_id, 'delivery', d.id, o.order_id, d.reason, d.updated_at FROM delivery d
        JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key
        WHERE d.state = 'accepted' AND d.fallback = 'held' AND ($1 IS NULL OR d.org_id = $1)
     UNION ALL SELECT d.org_id, 'delivery', d.id, o.order_id, d.waiting_for, COALESCE(d.unchecked_since, d.distrusted_since, d.updated_at)
        FROM delivery d JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key
        WHERE d.waiting_for IS NOT NULL AND d.state IN ('queued', 'claimed') AND ($1 IS NULL OR d.org_id = $1)
     UNION ALL SELECT org_id, 'parked', id, source || ' ' || cursor, NULL, parked_at FROM parked WHERE ($1 IS NULL OR org_id = $1)) AS w
    WHERE ($2 IS NULL OR kind = $2)
        AND ($3 IS NULL OR reason = $3 OR (kind = 'result' AND EXISTS (SELECT 1 FROM route_recipient p
            WHERE p.org_id = w.org_id AND p.result_id = w.id AND p.reason = $3 AND p.verdict <> 'taken')))
        AND ($4 IS NULL OR since > $4 OR (since = $4 AND (id > $5 OR (id = $5 AND COALESCE(reason, '') > $6))))
    ORDER BY since, id, COALESCE(reason, '') LIMIT $7";

type Row = (String, String, String, String, Option<String>, i64);

impl Store {
    /// Everything that needs a person, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn worklist(&self, scope: OrgScope) -> Result<Vec<WorkItem>> {
        self.work_items(scope, &WorkFilter::default()).await
    }

    /// A part of it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn work_items(&self, scope: OrgScope, filter: &WorkFilter) -> Result<Vec<WorkItem>> {
        let after = filter.after.as_ref();
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(ITEMS)
            .bind(scope.org().map(|org| org.to_string())).bind(filter.kind.map(WorkKind::as_str)).bind(filter.reason.map(Reason::as_str))
            .bind(after.map(|cursor| cursor.since)).bind(after.map(|cursor| cursor.id.clone())).bind(after.map(|cursor| cursor.reason.clone()))
            .bind(i64::from(filter.limit.unwrap_or(10_000))).fetch_all(pool).await)
        .doing("read the worklist")?;
        rows.into_iter()
            .map(|(org, kind, id, order_id, reason, since)| {
                Ok(WorkItem {
                    org: read("organization id", &org)?,
                    kind: read("kind of work", &kind)?,
                    id,
                    order_id,
                    reason: reason.map(|text| read("reason", &text)).transpose()?,
                    since: Timestamp(since),
                })
            })
            .collect()
    }

    /// Does what a person decided about a result, writes it down, and has routed again what flows because of it: all or
    /// nothing. Gives the results that are routed again.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the result is not there or nothing about it can be changed any more.
    pub async fn act(&self, org: OrgId, result: ResultId, act: &Act, whom: Whom<'_>) -> Result<Vec<ResultId>> {
        let rerouted = insist!(self.act_once(org, result, act, whom))?;
        self.wake();
        Ok(rerouted)
    }

    async fn act_once(&self, org: OrgId, result: ResultId, act: &Act, whom: Whom<'_>) -> Result<Vec<ResultId>> {
        let mut tx = self.begin().await?;
        let rerouted = self.act_within(&mut tx, org, result, act, whom).await?;
        tx.commit().await?;
        Ok(rerouted)
    }

    async fn act_within(&self, tx: &mut Tx, org: OrgId, result: ResultId, act: &Act, whom: Whom<'_>) -> Result<Vec<ResultId>> {
        let now = self.now_within(tx).await?;
        let id = result.to_string();
        let mut rerouted = Vec::new();
        let (decides, detail) = match act {
            Act::Pin(npi, address) => {
                rerouted = decision::pin(tx, now, org, npi, address, Some(result), whom).await?.rerouted;
                (None, String::new())
            }
            Act::Suppress(what) => {
                decision::suppress(tx, now, org, what, None, Some(result), whom).await?;
                (None, String::new())
            }
            Act::Name(origin, address) => {
                name(tx, now, org, result, origin, Some(address), whom).await?;
                (Some(Decides::Name), format!("{origin} {address}").trim().to_owned())
            }
            Act::LeaveOut(origins) => {
                for origin in origins {
                    name(tx, now, org, result, origin, None, whom).await?;
                }
                (Some(Decides::LeaveOut), origins.join(" "))
            }
            Act::Reroute => (Some(Decides::Reroute), String::new()),
            Act::Dismiss => (Some(Decides::Dismiss), String::new()),
        };
        if let Some(decides) = decides {
            record(tx, org, now, (decides, &id, &detail), Some(result), whom).await?;
        }
        if *act == Act::Dismiss {
            let dismissed = within!(tx, c => sqlx::query(
                "UPDATE result SET state = 'not_sent', reason = $1, lease_owner = NULL, lease_until = NULL
                 WHERE org_id = $2 AND id = $3 AND state IN ('held', 'waiting')")
                .bind(Reason::Dismissed.as_str()).bind(org.to_string()).bind(&id).execute(c).await.map(|done| done.rows_affected()))
            .doing("dismiss a result")?;
            if dismissed != 1 {
                return Err(StoreError::Lost);
            }
        } else if !rerouted.contains(&result) {
            if !reroute(tx, org, result, now).await? {
                return Err(StoreError::Lost);
            }
            rerouted.push(result);
        }
        self.announce(tx).await?;
        Ok(rerouted)
    }

    /// Writes down what a person decided about a delivery, where nothing else does.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn note_decision(&self, org: OrgId, decides: Decides, about: &str, result: ResultId, whom: Whom<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        record(&mut tx, org, now, (decides, about, ""), Some(result), whom).await?;
        tx.commit().await
    }
}

/// Has a result routed again: the latest version of an order that is not cancelled. `false` when it is none. A worker that is
/// routing it at this moment loses its lease, so that it cannot record the route as it was.
pub(super) async fn reroute(tx: &mut Tx, org: OrgId, result: ResultId, now: Timestamp) -> Result<bool> {
    let done = within!(tx, c => sqlx::query(
        "UPDATE result SET state = 'received', reason = NULL, next_attempt_at = $1, wait_until = NULL, lease_owner = NULL, lease_until = NULL
         WHERE org_id = $2 AND id = $3 AND (state IN ('received', 'held', 'waiting', 'routed') OR (state = 'not_sent' AND reason = 'dismissed'))
            AND EXISTS (SELECT 1 FROM order_ o WHERE o.org_id = result.org_id AND o.id = result.order_key AND o.state = 'open')
            AND NOT EXISTS (SELECT 1 FROM result n WHERE n.org_id = result.org_id AND n.order_id = result.order_id
                AND n.order_key = result.order_key AND n.version > result.version AND n.status <> 'addendum')")
        .bind(now.micros()).bind(org.to_string()).bind(result.to_string()).execute(c).await.map(|done| done.rows_affected()))
    .doing("have a result routed again")?;
    Ok(done == 1)
}

/// A person's word about one recipient of the result's order.
async fn name(
    tx: &mut Tx,
    now: Timestamp,
    org: OrgId,
    result: ResultId,
    origin: &str,
    address: Option<&DirectAddress>,
    whom: Whom<'_>,
) -> Result<()> {
    let named = within!(tx, c => sqlx::query(
        "INSERT INTO named_recipient (org_id, order_key, origin, address, decided_by, why, decided_at)
         SELECT r.org_id, r.order_key, $1, $2, $3, $4, CAST($5 AS BIGINT) FROM result r
            WHERE r.org_id = $6 AND r.id = $7 AND r.order_key IS NOT NULL
         ON CONFLICT (org_id, order_key, origin) DO UPDATE SET address = excluded.address, decided_by = excluded.decided_by,
            why = excluded.why, decided_at = excluded.decided_at")
        .bind(origin).bind(address.map(DirectAddress::as_str)).bind(whom.by).bind(whom.why).bind(now.micros())
        .bind(org.to_string()).bind(result.to_string()).execute(c).await.map(|done| done.rows_affected()))
    .doing("name a recipient")?;
    if named == 1 { Ok(()) } else { Err(StoreError::Lost) }
}
