//! Results and their routes.

use std::collections::{BTreeSet, HashSet};

use super::{
    Doing as _, Result, Store, StoreError, Tx, at_rest,
    delivery::{Move, apply_move, earlier_addresses, record_event},
    event::NewEvent,
    lease::{Hold, Lease},
    ledger::Charges,
    moves::tell_made,
    queue::RESULTS,
    read, read_json,
    shares::Places,
};
use crate::domain::{
    DeliveryId, MessageId, Order, OrderKey, OrgId, Reason, Report, ResultId, Timestamp,
    delivery::{Event, State},
    event::EventKind,
    id::ProcessId,
    order::Priority,
    organization::{Billable, WhenUnknown},
    prices::Billed,
    report::{ResultState, ResultStatus},
    route::{Candidate, Decision, Route, Target},
};

/// A claimed result, ready to be routed. Its lease is renewed as long as a copy of this lives.
#[derive(Debug, Clone)]
pub struct ResultWork {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: ResultId,
    /// Under which lease.
    pub owner: ProcessId,
    /// Its order; `None` while it waits for one.
    pub order: Option<(OrderKey, Order)>,
    /// What it says.
    pub report: Report,
    /// 1, 2, 3.
    pub version: u32,
    /// The result it sends again, if it is a resend.
    pub resend_of: Option<ResultId>,
    /// When it came in.
    pub received_at: Timestamp,
    /// When waiting ends.
    pub wait_until: Option<Timestamp>,
    /// Routine or urgent.
    pub priority: Priority,
    _hold: Hold,
}

/// A route to be recorded with its deliveries.
#[derive(Debug, Clone)]
pub struct Routing {
    /// Whose.
    pub org: OrgId,
    /// Which result.
    pub result: ResultId,
    /// The worker that holds it.
    pub owner: ProcessId,
    /// The route found.
    pub route: Route,
    /// Whom the route took for having got, or perhaps got, an earlier version, by address key; `None` when it did not ask.
    pub earlier: Option<BTreeSet<String>>,
    /// What new deliveries are made of.
    pub terms: Terms,
    /// When to look again, if it waits.
    pub next_attempt_at: Timestamp,
    /// When waiting ends.
    pub wait_until: Option<Timestamp>,
}

/// What the deliveries of one route have in common.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The domain Message-IDs are made under.
    pub from_domain: String,
    /// What is charged for.
    pub fee_code: String,
    /// What their price and their payer are found by.
    pub billed: Billed,
    /// Whether it is test traffic.
    pub test: bool,
    /// When a delivery becomes billable.
    pub billable: Billable,
    /// What an unknown outcome does.
    pub when_unknown: WhenUnknown,
    /// The way they will leave: places are shared out by it.
    pub lane: String,
    /// When transport errors are no longer retried.
    pub retry_until: Timestamp,
}

/// What recording a route led to.
#[derive(Debug, Clone, Default)]
pub struct Routed {
    /// New deliveries.
    pub deliveries: Vec<DeliveryId>,
    /// Earlier deliveries that will not be sent any more.
    pub superseded: usize,
    /// Nothing was recorded: an earlier version reached somebody since the route was found, so it has to be found anew.
    pub overtaken: bool,
}

#[derive(sqlx::FromRow)]
struct ResultRow {
    order_key: Option<String>,
    version: i64,
    resend_of: Option<String>,
    sealed: Vec<u8>,
    priority: String,
    received_at: i64,
    wait_until: Option<i64>,
    order_: Option<Vec<u8>>,
}

impl Store {
    /// Claims up to `most` results to be routed: urgent first, fair across organizations; `turn` as for
    /// [`Store::claim_deliveries`]. One that cannot be opened is put back and does not hold the others.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_results(&self, lease: &Lease, most: usize, turn: usize) -> Result<Vec<ResultWork>> {
        let places = Places { all: most, ..Places::default() };
        let (claimed, _) = self.claim(&RESULTS, lease, &places, &[], turn).await?;
        let mut opened = Vec::with_capacity(claimed.len());
        for (org, id, ..) in claimed {
            let (org, id): (OrgId, ResultId) = (read("organization id", &org)?, read("result id", &id)?);
            match self.result_work(lease.owner, org, id).await {
                Ok(work) => opened.push(work),
                Err(error) => {
                    tracing::error!(%org, result = %id, error = &error as &dyn std::error::Error, "a result cannot be opened");
                    self.release_result(org, id, lease, self.now().await?.plus(lease.length)).await?;
                }
            }
        }
        Ok(opened)
    }

    async fn result_work(&self, owner: ProcessId, org: OrgId, id: ResultId) -> Result<ResultWork> {
        let row: Option<ResultRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT r.order_key, r.version, r.resend_of, r.sealed, r.priority, r.received_at, r.wait_until, o.sealed AS order_
             FROM result r LEFT JOIN order_ o ON o.org_id = r.org_id AND o.id = r.order_key WHERE r.org_id = $1 AND r.id = $2")
            .bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
        .doing("read a result's work")?;
        let row = row.ok_or(StoreError::Lost)?;
        let key = self.key(org).await?;
        let report = read_json("report", &at_rest::open(&key, org, "result", id.0, &row.sealed)?)?;
        let order = match (&row.order_key, &row.order_) {
            (Some(order), Some(sealed)) => {
                let order: OrderKey = read("order key", order)?;
                Some((order, read_json("order", &at_rest::open(&key, org, "order_", order.0, sealed)?)?))
            }
            _ => None,
        };
        Ok(ResultWork {
            org,
            id,
            owner,
            order,
            report,
            version: u32::try_from(row.version).unwrap_or(u32::MAX),
            resend_of: row.resend_of.as_deref().map(|id| read("result id", id)).transpose()?,
            received_at: Timestamp(row.received_at),
            wait_until: row.wait_until.map(Timestamp),
            priority: read("priority", &row.priority)?,
            _hold: self.hands.take(id.0, owner),
        })
    }

    /// One order, opened.
    ///
    /// # Errors
    /// When it is not there or cannot be opened.
    pub async fn order(&self, org: OrgId, order: OrderKey) -> Result<(OrderKey, Order)> {
        let sealed: Option<Vec<u8>> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT sealed FROM order_ WHERE org_id = $1 AND id = $2")
            .bind(org.to_string()).bind(order.to_string()).fetch_optional(pool).await)
            .doing("read an order")?;
        let key = self.key(org).await?;
        Ok((order, read_json("order", &at_rest::open(&key, org, "order_", order.0, &sealed.ok_or(StoreError::Lost)?)?)?))
    }

    /// The order with the sender's key `order_id`, opened.
    ///
    /// # Errors
    /// When it cannot be read or opened.
    pub async fn find_order(&self, org: OrgId, order_id: &str) -> Result<Option<(OrderKey, Order)>> {
        let id: Option<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM order_ WHERE org_id = $1 AND order_id = $2")
            .bind(org.to_string()).bind(order_id).fetch_optional(pool).await)
            .doing("look an order up")?;
        match id {
            Some(id) => Ok(Some(self.order(org, read("order key", &id)?).await?)),
            None => Ok(None),
        }
    }

    /// Gives claimed results back untouched.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn release_result(&self, org: OrgId, id: ResultId, lease: &Lease, again_at: Timestamp) -> Result<()> {
        on!(&self.db, pool => sqlx::query(
            "UPDATE result SET lease_owner = NULL, lease_until = NULL, next_attempt_at = $1 WHERE org_id = $2 AND id = $3 AND lease_owner = $4")
            .bind(again_at.micros()).bind(org.to_string()).bind(id.to_string()).bind(lease.owner.to_string())
            .execute(pool).await.map(drop))
        .doing("give a result back")
    }
}

#[derive(sqlx::FromRow)]
struct RoutingRow {
    order_key: Option<String>,
    order_id: String,
    version: i64,
    site: String,
    status: String,
    priority: String,
    resend_of: Option<String>,
    lease_owner: Option<String>,
    lease_until: Option<i64>,
    state: String,
    reason: Option<String>,
}

/// Records a route inside a transaction: trace, deliveries, what they supersede, and the result's state. A route that is
/// refused (lost) or overtaken has written nothing.
pub(super) async fn apply_route(tx: &mut Tx, charges: &mut Charges, routing: &Routing, now: Timestamp) -> Result<Routed> {
    let (org, id) = (routing.org.to_string(), routing.result.to_string());
    let row: Option<RoutingRow> = locked!(
        tx,
        query_as(
            "SELECT order_key, order_id, version, site, status, priority, resend_of, lease_owner, lease_until, state, reason FROM result
         WHERE org_id = $1 AND id = $2 AND state IN ('received', 'waiting')"
        )
        .bind(&org)
        .bind(&id)
        .fetch_optional
    )
    .doing("read a result")?;
    let row = row.ok_or(StoreError::Lost)?;
    let mine = row.lease_owner.as_deref() == Some(routing.owner.to_string().as_str());
    if !mine || row.lease_until.unwrap_or(0) <= now.micros() {
        return Err(StoreError::Lost);
    }
    if let (Some(seen), Some(order_key)) = (&routing.earlier, &row.order_key)
        && *seen != earlier_addresses(tx, &org, order_key, row.version).await?
    {
        return Ok(Routed { overtaken: true, ..Routed::default() });
    }
    let status: ResultStatus = read("status", &row.status)?;
    let superseded = row.order_key.is_some() && has_successor(tx, &org, &row).await?;
    let (state, reason) = match routing.route.decision {
        // The next version was faster, or both waited for the same order: nobody may get this one after that one.
        _ if superseded => (ResultState::NotSent, Some(Reason::Superseded)),
        Decision::Routed if routing.route.targets.is_empty() => (ResultState::Held, Some(Reason::NoTarget)),
        // Without its order there is nothing to send.
        Decision::Routed if row.order_key.is_none() => return Err(StoreError::Lost),
        Decision::Routed => (ResultState::Routed, None),
        Decision::Held(reason) => (ResultState::Held, Some(reason)),
        Decision::Waiting(reason) => (ResultState::Waiting, Some(reason)),
        Decision::NotSent(reason) => (ResultState::NotSent, Some(reason)),
    };
    write_trace(tx, &org, &id, &routing.route).await?;
    let mut routed = Routed::default();
    // While it waits nothing is decided; what is queued from before stays, and cannot be claimed.
    if let (ResultState::Routed | ResultState::Held | ResultState::NotSent, Some(order_key)) = (state, &row.order_key) {
        let about = NewDeliveries { result: &id, order_key, version: row.version, site: &row.site, priority: &row.priority };
        // A version still queued is superseded, not sent; an addendum does not take anything's place.
        if state == ResultState::Routed && status != ResultStatus::Addendum && row.resend_of.is_none() {
            routed.superseded = supersede(tx, charges, routing.org, &about, now).await?;
        }
        let targets = if state == ResultState::Routed { routing.route.targets.as_slice() } else { &[] };
        let known = known(tx, &org, &id).await?;
        let unwanted = if superseded { Event::Supersede } else { Event::Cancel };
        close(tx, charges, routing.org, &known, targets, unwanted, now).await?;
        // A resend that has gone out only closes what is no longer wanted. An address that is new since then gets the result
        // itself; with a resend of it beside, it would get, and be charged for, the same thing twice.
        if row.resend_of.is_none() || known.is_empty() {
            routed.deliveries = make(tx, charges, routing, &about, &known, targets, now).await?;
        }
    }
    within!(tx, c => sqlx::query(
        "UPDATE result SET state = $1, reason = $2, next_attempt_at = $3, wait_until = $4, lease_owner = NULL, lease_until = NULL
         WHERE org_id = $5 AND id = $6")
        .bind(state.as_str()).bind(reason.map(Reason::as_str)).bind(routing.next_attempt_at.micros())
        .bind(routing.wait_until.map(Timestamp::micros)).bind(&org).bind(&id).execute(c).await.map(drop))
    .doing("move a result")?;
    // That it waits for the same still is no news.
    let news = row.state != state.as_str() || row.reason.as_deref() != reason.map(Reason::as_str);
    if let Some(kind) = EventKind::of_result(state).filter(|_| news) {
        let (state, reason) = (Some(state.as_str()), reason.map(Reason::as_str));
        charges.tell(&org, kind, NewEvent { result: Some(id), state, reason, ..NewEvent::default() });
    }
    Ok(routed)
}

/// Whether a later version that replaces this one has come in. An addendum replaces nothing.
async fn has_successor(tx: &mut Tx, org: &str, row: &RoutingRow) -> Result<bool> {
    let successor: Option<i64> = within!(tx, c => sqlx::query_scalar(
        "SELECT version FROM result WHERE org_id = $1 AND order_id = $2 AND version > $3 AND order_key = $4 AND status <> 'addendum' LIMIT 1")
        .bind(org).bind(&row.order_id).bind(row.version).bind(&row.order_key).fetch_optional(c).await)
    .doing("look for a later version")?;
    Ok(successor.is_some())
}

/// Earlier versions take no further part.
async fn supersede(tx: &mut Tx, charges: &mut Charges, org: OrgId, about: &NewDeliveries<'_>, now: Timestamp) -> Result<usize> {
    let ids: Vec<String> = locked!(
        tx,
        query_scalar(
            "SELECT id FROM delivery WHERE org_id = $1 AND order_key = $2 AND version < $3 AND stopped = FALSE
         AND state IN ('queued', 'claimed', 'on_wire', 'unknown', 'held', 'refused') ORDER BY created_at, id"
        )
        .bind(org.to_string())
        .bind(about.order_key)
        .bind(about.version)
        .fetch_all
    )
    .doing("find versions to supersede")?;
    for id in &ids {
        apply_move(tx, charges, &Move::new(org, read("delivery id", id)?, Event::Supersede), now).await?;
    }
    Ok(ids.len())
}

/// A delivery of the result that was made before.
#[derive(sqlx::FromRow)]
struct Known {
    id: String,
    address_key: String,
    state: String,
    stopped: bool,
    fallback_of: Option<String>,
    /// A person cancelled it, and its order has said nothing since.
    called_off: bool,
}

impl Known {
    /// It did not arrive and is closed: wanted again, it is made anew.
    fn is_over(&self) -> bool {
        !self.called_off && (self.state == State::Cancelled.as_str() || (self.state == State::Refused.as_str() && self.stopped))
    }
}

/// The result's deliveries, the latest first.
async fn known(tx: &mut Tx, org: &str, result: &str) -> Result<Vec<Known>> {
    let mut known: Vec<Known> = locked!(
        tx,
        query_as(
            "SELECT id, address_key, state, stopped, fallback_of, EXISTS (SELECT 1 FROM delivery_event e JOIN order_ o ON o.org_id = e.org_id
                WHERE e.org_id = delivery.org_id AND e.delivery_id = delivery.id AND o.id = delivery.order_key
                    AND e.event = 'cancel' AND e.detail IS NOT NULL AND e.at >= o.updated_at) AS called_off
             FROM delivery WHERE org_id = $1 AND result_id = $2 ORDER BY created_at, id"
        )
        .bind(org)
        .bind(result)
        .fetch_all
    )
    .doing("read a result's deliveries")?;
    known.reverse();
    Ok(known)
}

/// After a change of the order some deliveries are no longer wanted: what has not left is ended, the rest is not tried again.
async fn close(
    tx: &mut Tx,
    charges: &mut Charges,
    org: OrgId,
    known: &[Known],
    targets: &[Target],
    event: Event,
    now: Timestamp,
) -> Result<()> {
    for delivery in known.iter().rev() {
        let wanted = is_wanted(delivery, known, targets);
        let open = !delivery.stopped && !matches!(delivery.state.as_str(), "accepted" | "cancelled" | "superseded");
        if open && !wanted {
            apply_move(tx, charges, &Move::new(org, read("delivery id", &delivery.id)?, event), now).await?;
        }
    }
    Ok(())
}

/// Whether the route still asks for a delivery; or for the one in whose place it was made when that failed.
fn is_wanted(delivery: &Known, known: &[Known], targets: &[Target]) -> bool {
    let mut at = Some(delivery);
    // Each stands in for an earlier one, so this ends.
    for _ in 0..known.len() {
        let Some(delivery) = at else { return false };
        if targets.iter().any(|target| target.address.key() == delivery.address_key) {
            return true;
        }
        at = known.iter().find(|before| Some(&before.id) == delivery.fallback_of.as_ref());
    }
    false
}

/// Makes the deliveries of a route that do not exist yet.
async fn make(
    tx: &mut Tx,
    charges: &mut Charges,
    routing: &Routing,
    about: &NewDeliveries<'_>,
    known: &[Known],
    targets: &[Target],
    now: Timestamp,
) -> Result<Vec<DeliveryId>> {
    let (org, terms) = (routing.org.to_string(), &routing.terms);
    let (mut made, mut addresses) = (Vec::new(), HashSet::new());
    for target in targets {
        let before = known.iter().find(|known| known.address_key == target.address.key());
        if !addresses.insert(target.address.key()) || before.is_some_and(|before| !before.is_over()) {
            continue;
        }
        let id = DeliveryId::new();
        // Wanted again after it was closed: a new delivery that names the old one.
        let resend_of = before.map(|before| before.id.as_str());
        let json = String::from_utf8(super::write_json("target", target)?).unwrap_or_default();
        within!(tx, c => sqlx::query(
            "INSERT INTO delivery (org_id, id, result_id, order_key, version, site, address, address_key, target, message_id, document_id,
                resend_of, fee_code, test, priority, state, fee, unknown_attempts, stopped, billable, when_unknown, wants_dispatched,
                attempts, next_attempt_at, retry_until, rechecks, created_at, updated_at, lane, channel, status, payer, role)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'queued', 'none', 0, FALSE, $16, $17, FALSE,
                0, $18, $19, 0, $18, $18, $20, $21, $22, $23, $24)")
            .bind(&org).bind(id.to_string()).bind(about.result).bind(about.order_key).bind(about.version).bind(about.site)
            .bind(target.address.as_str()).bind(target.address.key()).bind(json)
            .bind(MessageId::of(id, &terms.from_domain).as_str()).bind(uuid::Uuid::now_v7().to_string()).bind(resend_of)
            .bind(&terms.fee_code).bind(terms.test).bind(about.priority).bind(terms.billable.as_str()).bind(terms.when_unknown.as_str())
            .bind(now.micros()).bind(terms.retry_until.micros()).bind(&terms.lane).bind(terms.billed.channel.as_str())
            .bind(terms.billed.status.as_str()).bind(&terms.billed.payer).bind(target.billed_role()).execute(c).await.map(drop))
        .doing("make a delivery")?;
        record_event(tx, &org, &id.to_string(), now, "routed", State::Queued, Some(target.rule.as_str())).await?;
        tell_made(charges, &org, &id.to_string(), about.result);
        made.push(id);
    }
    Ok(made)
}

struct NewDeliveries<'a> {
    result: &'a str,
    order_key: &'a str,
    version: i64,
    site: &'a str,
    priority: &'a str,
}

/// Replaces the trace of the route before. What followed from failures stays behind the new one: it happened.
async fn write_trace(tx: &mut Tx, org: &str, result: &str, route: &Route) -> Result<()> {
    let before: Vec<String> = within!(tx, c => sqlx::query_scalar(
        "SELECT candidate FROM route_recipient WHERE org_id = $1 AND result_id = $2 ORDER BY position")
        .bind(org).bind(result).fetch_all(c).await)
    .doing("read the trace before")?;
    let before: Vec<Candidate> = before.iter().map(|line| read_json("candidate", line.as_bytes())).collect::<Result<_>>()?;
    let stays = before.iter().filter(|line| line.tells_of_fallback());
    within!(tx, c => sqlx::query("DELETE FROM route_recipient WHERE org_id = $1 AND result_id = $2")
        .bind(org).bind(result).execute(c).await.map(drop))
    .doing("replace a trace")?;
    for (position, candidate) in route.trace.iter().chain(stays).enumerate() {
        let json = String::from_utf8(super::write_json("candidate", candidate)?).unwrap_or_default();
        within!(tx, c => sqlx::query(
            "INSERT INTO route_recipient (org_id, result_id, position, verdict, rule, reason, candidate, npi) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(org).bind(result).bind(i64::try_from(position).unwrap_or(i64::MAX)).bind(candidate.verdict.as_str())
            .bind(candidate.rule.as_str()).bind(candidate.reason.map(Reason::as_str)).bind(json).bind(candidate.npi.as_deref())
            .execute(c).await.map(drop))
        .doing("record a trace")?;
    }
    Ok(())
}
