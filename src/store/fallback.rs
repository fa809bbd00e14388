//! What follows when a delivery has failed for good: the next tier of the organization's fallback, or a person.
//!
//! The failure itself only leaves a mark, in its own transaction; whoever takes the mark away does it in one transaction
//! with what follows, so that it follows once.

use super::{
    Doing as _, Result, Store, StoreError, Tx, delivery::record_event, intake::lock, ledger::Charges, moves::tell_made, read,
    read_json,
};
use crate::domain::{
    DeliveryId, MessageId, OrgId, OrgScope, Reason, ResultId, Timestamp,
    delivery::State,
    order::Priority,
    organization::{Billable, WhenUnknown},
    prices::Billed,
    report::ResultState,
    route::{Candidate, Target, Verdict},
    words,
};

/// A delivery that has failed, and whose fallback is due.
#[derive(Debug, Clone)]
pub struct FailedDelivery {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// Of which result.
    pub result: ResultId,
    /// The site the result is of.
    pub site: String,
    /// Where it did not arrive.
    pub target: Target,
    /// What is charged for.
    pub fee_code: String,
    /// What its price is found by; that of what takes its place, too.
    pub billed: Billed,
    /// Routine or urgent.
    pub priority: Priority,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Where else the result went: each address in lower case, and what became of it there.
    pub elsewhere: Vec<(String, Elsewhere)>,
}

words! {
    /// What became of a result at another address.
    pub enum Elsewhere {
        /// It arrived, or is on its way.
        Sent = "sent",
        /// It did not arrive.
        Failed = "failed",
        /// A person has to decide about it.
        Held = "held",
    }
}

/// A place among what is due, the oldest failure first. The first place is before all of them.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// When it failed, in microseconds.
    at: i64,
    /// Which delivery.
    pub delivery: String,
}

/// One that is due. One that cannot be read says so by itself.
#[derive(Debug)]
pub struct DueFallback {
    /// Where it stands.
    pub place: Place,
    /// What there is to do.
    pub failed: Result<FailedDelivery>,
}

/// What follows.
#[derive(Debug, Clone)]
pub enum Following {
    /// Deliveries to these addresses, each with the line of the trace that says why.
    Deliveries(Vec<(Target, Candidate)>, NewTerms),
    /// A person has to look.
    Hold(String),
    /// Nothing: who is meant has the result, or will have it.
    Needless(String),
}

/// What the new deliveries are made of, beside what they have in common with the failed one.
#[derive(Debug, Clone)]
pub struct NewTerms {
    /// The domain Message-IDs are made under.
    pub from_domain: String,
    /// When they become billable.
    pub billable: Billable,
    /// What an unknown outcome does.
    pub when_unknown: WhenUnknown,
    /// The way they will leave.
    pub lane: String,
    /// How long transport errors are retried.
    pub retry_until: Timestamp,
}

/// Asked every second, so along its index.
pub(super) const DUE: &str =
    "SELECT updated_at, org_id, id, result_id, site, target, fee_code, priority, reason, channel, status, payer
    FROM delivery WHERE fallback = 'due' AND (updated_at, id) > ($1, $2) ORDER BY updated_at, id LIMIT $3";

type FailedRow = (i64, String, String, String, String, String, String, String, Option<String>, String, String, String);

impl Store {
    /// Deliveries behind `after` whose fallback is due, the oldest failure first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn due_fallbacks(&self, most: usize, after: &Place) -> Result<Vec<DueFallback>> {
        let rows: Vec<FailedRow> = on!(&self.db, pool => sqlx::query_as(DUE)
            .bind(after.at).bind(&after.delivery).bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(pool).await)
        .doing("look for deliveries that fall back")?;
        let mut due = Vec::with_capacity(rows.len());
        for row in rows {
            let elsewhere: Vec<(String, String)> = on!(&self.db, pool => sqlx::query_as(
                "SELECT address_key, CASE WHEN state IN ('refused', 'cancelled') OR COALESCE(disposition, '') IN ('failed', 'expired') THEN 'failed'
                    WHEN state = 'held' THEN 'held' ELSE 'sent' END
                 FROM delivery WHERE org_id = $1 AND result_id = $2 ORDER BY created_at")
                .bind(&row.1).bind(&row.3).fetch_all(pool).await)
            .doing("look where else a result went")?;
            due.push(DueFallback { place: Place { at: row.0, delivery: row.2.clone() }, failed: failed(row, elsewhere) });
        }
        Ok(due)
    }

    /// What followed from failures so far: how many went another way, and how many have no other way left and need a person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn fallbacks(&self, scope: OrgScope) -> Result<(u64, u64)> {
        let (made, held): (i64, i64) = on!(&self.db, pool => sqlx::query_as(
            "SELECT COUNT(CASE WHEN fallback = 'made' THEN 1 END), COUNT(CASE WHEN fallback = 'held' THEN 1 END) FROM delivery
             WHERE fallback IS NOT NULL AND org_id IN (SELECT id FROM organization WHERE $1 IS NULL OR id = $1)")
            .bind(scope.org().map(|org| org.to_string())).fetch_one(pool).await)
        .doing("count what followed from failures")?;
        let count = |count| u64::try_from(count).unwrap_or(0);
        Ok((count(made), count(held)))
    }

    /// Lets follow what follows from a failure: once. The trace tells of what was `passed_over` for it. Nothing follows for
    /// what nobody wants delivered any more: a newer version has taken its place, or its order was cancelled.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it has followed already.
    pub async fn fall_back(
        &self,
        failed: &FailedDelivery,
        following: &Following,
        passed_over: &[Candidate],
    ) -> Result<Vec<DeliveryId>> {
        let made = insist!(self.fall_back_once(failed, following, passed_over))?;
        if !made.is_empty() {
            self.wake();
        }
        Ok(made)
    }

    async fn fall_back_once(
        &self,
        failed: &FailedDelivery,
        following: &Following,
        passed_over: &[Candidate],
    ) -> Result<Vec<DeliveryId>> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let (org, id) = (failed.org.to_string(), failed.id.to_string());
        // Whoever cancels or changes the order at this moment does so before this, or finds what is made here.
        let order = order_id(&mut tx, &org, failed).await?;
        lock(&mut tx, failed.org, &order).await?;
        let row: Option<(Option<String>, String, bool)> = locked!(
            &mut tx,
            query_as("SELECT fallback, state, stopped FROM delivery WHERE org_id = $1 AND id = $2")
                .bind(&org)
                .bind(&id)
                .fetch_optional
        )
        .doing("read a failed delivery")?;
        let due = row.filter(|(mark, ..)| mark.as_deref() == Some("due"));
        let Some((_, state, stopped)) = due else { return Err(StoreError::Lost) };
        let state: State = read("state", &state)?;
        let (mut made, mut charges) = (Vec::new(), Charges::default());
        let (mark, note) = if let Some(why) = unwanted(&mut tx, &org, failed, stopped).await? {
            ("needless", why)
        } else {
            for candidate in passed_over {
                trace(&mut tx, failed, candidate, candidate.verdict).await?;
            }
            match following {
                Following::Hold(why) => ("held", why.clone()),
                Following::Needless(why) => ("needless", why.clone()),
                Following::Deliveries(targets, terms) => {
                    for (target, candidate) in targets {
                        made.extend(make(&mut tx, failed, target, candidate, terms, now).await?);
                    }
                    // Everybody meant has it by another delivery made meanwhile.
                    let mark = if made.is_empty() { "needless" } else { "made" };
                    let addresses: Vec<&str> = targets.iter().map(|(target, _)| target.address.as_str()).collect();
                    (mark, format!("goes to {} instead", addresses.join(", ")))
                }
            }
        };
        within!(&mut tx, c => sqlx::query("UPDATE delivery SET fallback = $1, updated_at = $2 WHERE org_id = $3 AND id = $4")
            .bind(mark).bind(now.micros()).bind(&org).bind(&id).execute(c).await.map(drop))
        .doing("take a fallback's mark away")?;
        record_event(&mut tx, &org, &id, now, "fallback", state, Some(&note)).await?;
        if !made.is_empty() {
            self.announce(&mut tx).await?;
        }
        for delivery in &made {
            tell_made(&mut charges, &org, &delivery.to_string(), &failed.result.to_string());
        }
        charges.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// A person has seen to a failed delivery: it leaves the worklist. `false` when it is not on it as such.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn seen_to(&self, scope: OrgScope, id: DeliveryId, note: &str) -> Result<bool> {
        let Some((view, _)) = self.delivery_view(scope, id).await? else { return Err(StoreError::Lost) };
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let (org, id) = (view.org.to_string(), id.to_string());
        let marked = within!(&mut tx, c => sqlx::query(
            "UPDATE delivery SET fallback = 'seen', updated_at = $1 WHERE org_id = $2 AND id = $3 AND fallback = 'held'")
            .bind(now.micros()).bind(&org).bind(&id).execute(c).await.map(|done| done.rows_affected()))
        .doing("note that somebody has seen to a delivery")?;
        if marked == 1 {
            record_event(&mut tx, &org, &id, now, "seen_to", view.state, Some(note)).await?;
        }
        tx.commit().await?;
        Ok(marked == 1)
    }
}

fn failed(row: FailedRow, elsewhere: Vec<(String, String)>) -> Result<FailedDelivery> {
    let became = |(address, what): (String, String)| Ok((address, read("what became of a result", &what)?));
    let (_, org, id, result, site, target, fee_code, priority, reason, channel, status, payer) = row;
    Ok(FailedDelivery {
        org: read("organization id", &org)?,
        id: read("delivery id", &id)?,
        result: read("result id", &result)?,
        site,
        target: read_json("target", target.as_bytes())?,
        fee_code,
        billed: Billed::read(&channel, &status, &payer),
        priority: read("priority", &priority)?,
        reason: reason.as_deref().map(|reason| read("reason", reason)).transpose()?,
        elsewhere: elsewhere.into_iter().map(became).collect::<Result<_>>()?,
    })
}

/// The sender's key of the order.
async fn order_id(tx: &mut Tx, org: &str, failed: &FailedDelivery) -> Result<String> {
    within!(tx, c => sqlx::query_scalar("SELECT order_id FROM result WHERE org_id = $1 AND id = $2")
        .bind(org).bind(failed.result.to_string()).fetch_one(c).await)
    .doing("read which order a failed delivery is of")
}

/// Why nobody wants the result delivered any more, by another way either.
async fn unwanted(tx: &mut Tx, org: &str, failed: &FailedDelivery, stopped: bool) -> Result<Option<String>> {
    let (order, result): (String, String) = within!(tx, c => sqlx::query_as(
        "SELECT o.state, r.state FROM delivery d JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key
         JOIN result r ON r.org_id = d.org_id AND r.id = d.result_id WHERE d.org_id = $1 AND d.id = $2")
        .bind(org).bind(failed.id.to_string()).fetch_one(c).await)
    .doing("read whether a failed delivery is still wanted")?;
    let why = if superseded(tx, org, failed).await? {
        "a newer version of the result takes its own way"
    } else if order != "open" {
        "its order was cancelled"
    } else if stopped {
        "it was stopped"
    } else if matches!(read::<ResultState>("state", &result)?, ResultState::Held | ResultState::NotSent) {
        // The order has changed since, or a person has spoken: by do-not-deliver, for example.
        "its result is not to be sent as things are"
    } else {
        return Ok(None);
    };
    Ok(Some(why.to_owned()))
}

/// Whether a later version that replaces the result has come in.
async fn superseded(tx: &mut Tx, org: &str, failed: &FailedDelivery) -> Result<bool> {
    let later: Option<i64> = within!(tx, c => sqlx::query_scalar(
        "SELECT n.version FROM result r JOIN result n ON n.org_id = r.org_id AND n.order_id = r.order_id AND n.version > r.version
         WHERE r.org_id = $1 AND r.id = $2 AND n.status <> 'addendum' LIMIT 1")
        .bind(org).bind(failed.result.to_string()).fetch_optional(c).await)
    .doing("look for a later version")?;
    Ok(later.is_some())
}

/// One delivery in the place of the failed one, with its line in the trace. `None` when the address has one already.
async fn make(
    tx: &mut Tx,
    failed: &FailedDelivery,
    target: &Target,
    candidate: &Candidate,
    terms: &NewTerms,
    now: Timestamp,
) -> Result<Option<DeliveryId>> {
    let (org, id) = (failed.org.to_string(), DeliveryId::new());
    let json = String::from_utf8(super::write_json("target", target)?).unwrap_or_default();
    let made = within!(tx, c => sqlx::query(
        "INSERT INTO delivery (org_id, id, result_id, order_key, version, site, address, address_key, target, message_id, document_id,
            fee_code, test, priority, state, fee, unknown_attempts, stopped, billable, when_unknown, wants_dispatched, attempts,
            next_attempt_at, retry_until, rechecks, created_at, updated_at, fallback_of, lane, channel,
            status, payer, role)
         SELECT d.org_id, $1, d.result_id, d.order_key, d.version, d.site, $2, $3, $4, $5, $6, d.fee_code, d.test, d.priority, 'queued', 'none',
            0, FALSE, $7, $8, FALSE, 0, CAST($9 AS BIGINT), CAST($10 AS BIGINT), 0, CAST($9 AS BIGINT), CAST($9 AS BIGINT), d.id, $13, d.channel,
            d.status, d.payer, $14
         FROM delivery d WHERE d.org_id = $11 AND d.id = $12
            AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.org_id = d.org_id AND e.result_id = d.result_id AND e.address_key = $3)")
        .bind(id.to_string()).bind(target.address.as_str()).bind(target.address.key()).bind(json)
        .bind(MessageId::of(id, &terms.from_domain).as_str()).bind(uuid::Uuid::now_v7().to_string()).bind(terms.billable.as_str())
        .bind(terms.when_unknown.as_str()).bind(now.micros()).bind(terms.retry_until.micros()).bind(&org).bind(failed.id.to_string())
        .bind(&terms.lane).bind(target.billed_role()).execute(c).await.map(|done| done.rows_affected()))
    .doing("make a delivery in the place of a failed one")?;
    trace(tx, failed, candidate, if made == 1 { Verdict::Taken } else { Verdict::Dropped }).await?;
    if made == 0 {
        return Ok(None);
    }
    let note = format!("in the place of {}, which failed", failed.id);
    record_event(tx, &org, &id.to_string(), now, "routed", State::Queued, Some(&note)).await?;
    Ok(Some(id))
}

/// One more line in the trace of the result.
async fn trace(tx: &mut Tx, failed: &FailedDelivery, candidate: &Candidate, verdict: Verdict) -> Result<()> {
    let json = String::from_utf8(super::write_json("candidate", candidate)?).unwrap_or_default();
    within!(tx, c => sqlx::query(
        "INSERT INTO route_recipient (org_id, result_id, position, verdict, rule, reason, candidate, npi)
         VALUES ($1, $2, (SELECT COALESCE(MAX(position), -1) + 1 FROM route_recipient WHERE org_id = $1 AND result_id = $2), $3, $4, $5, $6, $7)")
        .bind(failed.org.to_string()).bind(failed.result.to_string()).bind(verdict.as_str())
        .bind(candidate.rule.as_str()).bind(candidate.reason.map(Reason::as_str)).bind(json)
        .bind(candidate.npi.as_deref()).execute(c).await.map(drop))
    .doing("record a fallback in the trace")
}
