//! What people look at: one result, one delivery, lists, counts, the worklist. Nothing here holds patient data.

use std::collections::BTreeMap;

use super::{
    Doing as _, Result, Store, StoreError, audit,
    delivery::{Move, Moved, apply_move},
    ledger::Charges,
    read, read_json,
};
use crate::domain::{
    DeliveryId, OrgId, OrgScope, Reason, ResultId, Timestamp,
    audit::Witness,
    delivery::{Disposition, Event, Fee, State},
    report::{ResultState, ResultStatus},
    route::Candidate,
};

/// One result as the API and the shell show it.
#[derive(Debug, Clone)]
pub struct ResultView {
    /// Which.
    pub id: ResultId,
    /// Whose.
    pub org: OrgId,
    /// The sender's key of its order.
    pub order_id: String,
    /// Its site.
    pub site: String,
    /// 1, 2, 3.
    pub version: u32,
    /// Final, corrected ...
    pub status: ResultStatus,
    /// Where it stands.
    pub state: ResultState,
    /// Why it waits, is held or not sent.
    pub reason: Option<Reason>,
    /// When it came in.
    pub received_at: Timestamp,
    /// Its deliveries.
    pub deliveries: Vec<DeliveryView>,
}

/// One delivery as people see it.
#[derive(Debug, Clone)]
pub struct DeliveryView {
    /// Which.
    pub id: DeliveryId,
    /// Whose.
    pub org: OrgId,
    /// Of which result.
    pub result: ResultId,
    /// Where to.
    pub address: String,
    /// Its Message-ID.
    pub message_id: String,
    /// Our side.
    pub state: State,
    /// Why it is held, refused ..., or what it waits for in the queue.
    pub reason: Option<Reason>,
    /// Their side.
    pub disposition: Option<Disposition>,
    /// The fee.
    pub fee: Fee,
    /// Failed attempts.
    pub attempts: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// The server's last answer, verbatim.
    pub reply: Option<String>,
}

/// One line of a delivery's history.
#[derive(Debug, Clone)]
pub struct HistoryLine {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// The state it led to.
    pub state: State,
    /// More about it.
    pub detail: Option<String>,
}

/// How many there are of each.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Results by state.
    pub results: BTreeMap<ResultState, u64>,
    /// Held results by reason.
    pub held: BTreeMap<Reason, u64>,
    /// Deliveries by state.
    pub deliveries: BTreeMap<State, u64>,
    /// Deliveries by disposition.
    pub dispositions: BTreeMap<Disposition, u64>,
    /// Deliveries with a charge.
    pub charged: u64,
    /// Charge lines in the ledger.
    pub charge_lines: u64,
    /// Accepted deliveries billable at acceptance without a charge, and charges without an accepted delivery: none, ever.
    pub untied: u64,
}

type DeliveryRow =
    (String, String, String, String, String, String, Option<String>, Option<String>, String, i64, i64, i64, Option<String>);
type ResultRow = (String, String, String, String, i64, String, String, Option<String>, i64);

// Every index begins with the organization, so a look-up across all of them asks each in turn: `org_id IN (...)`.
macro_rules! deliveries {
    ($rest:literal) => {
        concat!(
            "SELECT id, org_id, result_id, address, message_id, state, ",
            reason!(),
            ", disposition, fee, attempts, created_at, updated_at, reply
            FROM delivery ",
            $rest
        )
    };
}
/// Why it is held, refused ..., or what a queued one waits for.
macro_rules! reason {
    () => {
        "COALESCE(reason, CASE WHEN state IN ('queued', 'claimed') THEN waiting_for END)"
    };
}
macro_rules! results {
    ($rest:literal) => {
        concat!("SELECT id, org_id, order_id, site, version, status, state, reason, received_at FROM result ", $rest)
    };
}

fn delivery(row: DeliveryRow) -> Result<DeliveryView> {
    let (id, org, result, address, message_id, state, reason, disposition, fee, attempts, created_at, updated_at, reply) = row;
    Ok(DeliveryView {
        id: read("delivery id", &id)?,
        org: read("organization id", &org)?,
        result: read("result id", &result)?,
        address,
        message_id,
        state: read("state", &state)?,
        reason: reason.map(|text| read("reason", &text)).transpose()?,
        disposition: disposition.map(|text| read("disposition", &text)).transpose()?,
        fee: read("fee", &fee)?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        created_at: Timestamp(created_at),
        updated_at: Timestamp(updated_at),
        reply,
    })
}

/// Which deliveries a list is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// In this state only.
    pub state: Option<State>,
    /// With this reason only.
    pub reason: Option<Reason>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// One result with its deliveries. Another organization's is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn result_view(&self, scope: OrgScope, id: ResultId) -> Result<Option<ResultView>> {
        let row: Option<ResultRow> =
            on!(&self.db, pool => sqlx::query_as(results!("WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND id = $1"))
            .bind(id.to_string()).bind(scope.org().map(|org| org.to_string())).fetch_optional(pool).await)
            .doing("read a result")?;
        match row {
            Some(row) => Ok(Some(self.result_row(row).await?)),
            None => Ok(None),
        }
    }

    /// Every version of an order's result, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn results_of_order(&self, scope: OrgScope, order_id: &str) -> Result<Vec<ResultView>> {
        let rows: Vec<ResultRow> = on!(&self.db, pool => sqlx::query_as(
            results!("WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND order_id = $1 ORDER BY org_id, version DESC, id DESC LIMIT 100"))
            .bind(order_id).bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("read an order's results")?;
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            views.push(self.result_row(row).await?);
        }
        Ok(views)
    }

    async fn result_row(&self, row: ResultRow) -> Result<ResultView> {
        let (id, org, order_id, site, version, status, state, reason, received_at) = row;
        let deliveries: Vec<DeliveryRow> =
            on!(&self.db, pool => sqlx::query_as(deliveries!("WHERE org_id = $1 AND result_id = $2 ORDER BY created_at, id"))
            .bind(&org).bind(&id).fetch_all(pool).await)
            .doing("read a result's deliveries")?;
        Ok(ResultView {
            id: read("result id", &id)?,
            org: read("organization id", &org)?,
            order_id,
            site,
            version: u32::try_from(version).unwrap_or(u32::MAX),
            status: read("status", &status)?,
            state: read("result state", &state)?,
            reason: reason.map(|text| read("reason", &text)).transpose()?,
            received_at: Timestamp(received_at),
            deliveries: deliveries.into_iter().map(delivery).collect::<Result<_>>()?,
        })
    }

    /// The trace of a result's route.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn trace(&self, org: OrgId, result: ResultId) -> Result<Vec<Candidate>> {
        let rows: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT candidate FROM route_recipient WHERE org_id = $1 AND result_id = $2 ORDER BY position")
            .bind(org.to_string()).bind(result.to_string()).fetch_all(pool).await)
        .doing("read a trace")?;
        rows.iter().map(|row| read_json("candidate", row.as_bytes())).collect()
    }

    /// One delivery and its history.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delivery_view(&self, scope: OrgScope, id: DeliveryId) -> Result<Option<(DeliveryView, Vec<HistoryLine>)>> {
        let row: Option<DeliveryRow> =
            on!(&self.db, pool => sqlx::query_as(deliveries!("WHERE org_id IN (SELECT id FROM organization WHERE $2 IS NULL OR id = $2) AND id = $1"))
            .bind(id.to_string()).bind(scope.org().map(|org| org.to_string())).fetch_optional(pool).await)
            .doing("read a delivery")?;
        let Some(row) = row else { return Ok(None) };
        let history: Vec<(i64, String, String, Option<String>)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT at, event, state, detail FROM delivery_event WHERE org_id = $1 AND delivery_id = $2 ORDER BY seq")
            .bind(&row.1).bind(&row.0).fetch_all(pool).await)
        .doing("read a delivery's history")?;
        let history = history
            .into_iter()
            .map(|(at, event, state, detail)| Ok(HistoryLine { at: Timestamp(at), event, state: read("state", &state)?, detail }))
            .collect::<Result<_>>()?;
        Ok(Some((delivery(row)?, history)))
    }

    /// Deliveries, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn deliveries(&self, scope: OrgScope, filter: DeliveryFilter) -> Result<Vec<DeliveryView>> {
        let rows: Vec<DeliveryRow> = on!(&self.db, pool => sqlx::query_as(concat!(deliveries!(
            "WHERE ($1 IS NULL OR org_id = $1) AND ($2 IS NULL OR state = $2) AND ($3 IS NULL OR "), reason!(), " = $3) ORDER BY id DESC LIMIT $4"))
            .bind(scope.org().map(|org| org.to_string())).bind(filter.state.map(State::as_str)).bind(filter.reason.map(Reason::as_str))
            .bind(i64::from(filter.limit)).fetch_all(pool).await)
        .doing("list deliveries")?;
        rows.into_iter().map(delivery).collect()
    }

    /// How many there are of each, and whether the totals tie.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn counts(&self, scope: OrgScope) -> Result<Counts> {
        // All numbers as they were at one instant: those of different ones do not tie.
        let mut tx = self.begin_reading().await?;
        let org = scope.org().map(|org| org.to_string());
        let mut counts = Counts::default();
        let results: Vec<(String, Option<String>, i64)> = within!(&mut tx, c => sqlx::query_as(
            "SELECT state, reason, COUNT(*) FROM result WHERE ($1 IS NULL OR org_id = $1) GROUP BY state, reason").bind(&org).fetch_all(c).await)
        .doing("count results")?;
        for (state, reason, count) in results {
            let (state, count): (ResultState, u64) = (read("result state", &state)?, u64::try_from(count).unwrap_or(0));
            *counts.results.entry(state).or_default() += count;
            if let (ResultState::Held, Some(reason)) = (state, reason) {
                *counts.held.entry(read("reason", &reason)?).or_default() += count;
            }
        }
        let deliveries: Vec<(String, Option<String>, String, i64)> = within!(&mut tx, c => sqlx::query_as(
            "SELECT state, disposition, fee, COUNT(*) FROM delivery WHERE ($1 IS NULL OR org_id = $1) GROUP BY state, disposition, fee")
            .bind(&org).fetch_all(c).await)
        .doing("count deliveries")?;
        for (state, disposition, fee, count) in deliveries {
            let count = u64::try_from(count).unwrap_or(0);
            *counts.deliveries.entry(read("state", &state)?).or_default() += count;
            if let Some(disposition) = disposition {
                *counts.dispositions.entry(read("disposition", &disposition)?).or_default() += count;
            }
            if read::<Fee>("fee", &fee)? != Fee::None {
                counts.charged += count;
            }
        }
        let lines: i64 = within!(&mut tx, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM ledger_line WHERE entry_type = 'charge' AND delivery_id IS NOT NULL AND ($1 IS NULL OR org_id = $1)").bind(&org).fetch_one(c).await)
        .doing("count charges")?;
        let untied: i64 = within!(&mut tx, c => sqlx::query_scalar(
            "SELECT COUNT(*) FROM delivery d LEFT JOIN ledger_line l ON l.org_id = d.org_id AND l.delivery_id = d.id AND l.entry_type = 'charge'
             WHERE ($1 IS NULL OR d.org_id = $1) AND ((d.fee <> 'none') <> (l.id IS NOT NULL)
                OR (d.state = 'accepted' AND d.billable = 'accepted' AND d.fee = 'none') OR (d.state <> 'accepted' AND d.fee <> 'none')
                OR (d.billable = 'processed' AND d.disposition IN ('processed', 'dispatched', 'unconfirmed') AND d.fee = 'none')
                OR (d.billable = 'dispatched' AND d.disposition = 'dispatched' AND d.fee = 'none')
                OR (d.fee = 'credited') <> EXISTS (SELECT 1 FROM ledger_line c
                    WHERE c.org_id = d.org_id AND c.delivery_id = d.id AND c.entry_type = 'credit'))")
            .bind(&org).fetch_one(c).await)
        .doing("tie deliveries to charges")?;
        counts.charge_lines = u64::try_from(lines).unwrap_or(0);
        counts.untied = u64::try_from(untied).unwrap_or(0);
        Ok(counts)
    }

    /// How many deliveries nothing more happens to by itself.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn settled_count(&self) -> Result<u64> {
        let count: i64 = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT COUNT(*) FROM delivery WHERE state IN ('accepted', 'refused', 'held', 'cancelled', 'superseded')").fetch_one(pool).await)
        .doing("count settled deliveries")?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// How many recipients each rule has taken, by the rule's word.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rules_taken(&self, scope: OrgScope) -> Result<BTreeMap<String, u64>> {
        let rows: Vec<(String, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT rule, COUNT(*) FROM route_recipient WHERE verdict = 'taken' AND ($1 IS NULL OR org_id = $1) GROUP BY rule")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("count routes by rule")?;
        Ok(rows.into_iter().map(|(rule, count)| (rule, u64::try_from(count).unwrap_or(0))).collect())
    }

    /// A person's or sender's word about one delivery: retry or cancel. The result is routed no further.
    ///
    /// # Errors
    /// [`StoreError::Illegal`] when the rules refuse, [`StoreError::Lost`] when there is no such delivery in the scope.
    pub async fn ask_delivery(&self, scope: OrgScope, id: DeliveryId, event: Event, note: &str) -> Result<Moved> {
        let Some((view, _)) = self.delivery_view(scope, id).await? else { return Err(StoreError::Lost) };
        let change = Move { note: Some(note.to_owned()), ..Move::new(view.org, id, event) };
        insist!(self.ask_once(&change, None))
    }

    /// The same, on record in the same transaction.
    ///
    /// # Errors
    /// As [`Self::ask_delivery`].
    pub async fn ask_delivery_as(
        &self,
        scope: OrgScope,
        id: DeliveryId,
        event: Event,
        note: &str,
        witness: Witness<'_>,
    ) -> Result<Moved> {
        let Some((view, _)) = self.delivery_view(scope, id).await? else { return Err(StoreError::Lost) };
        let change = Move { note: Some(note.to_owned()), ..Move::new(view.org, id, event) };
        let moved = insist!(self.ask_once(&change, Some(witness)))?;
        witness.event.announce();
        Ok(moved)
    }

    async fn ask_once(&self, change: &Move, witness: Option<Witness<'_>>) -> Result<Moved> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let mut charges = Charges::default();
        let moved = apply_move(&mut tx, &mut charges, change, now).await?;
        if change.event == Event::Retry {
            // The clock of a person's decision starts now.
            within!(&mut tx, c => sqlx::query("UPDATE delivery SET retry_until = $1, rechecks = 0, waiting_for = NULL, distrusted_since = NULL, unchecked_since = NULL
                WHERE org_id = $2 AND id = $3")
                .bind(now.plus(std::time::Duration::from_hours(24)).micros()).bind(change.org.to_string()).bind(change.id.to_string())
                .execute(c).await.map(drop))
            .doing("give a delivery new time")?;
        }
        charges.write(&mut tx, now).await?;
        if let Some(witness) = witness {
            audit::append(&mut tx, witness.actor, &witness.event.entry(), now).await?;
        }
        tx.commit().await?;
        Ok(moved)
    }
}
