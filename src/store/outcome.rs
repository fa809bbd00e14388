//! What became of the results of a period and of their recipients: what payers are told. Nothing here is a patient's but the
//! sender's key of an order.

use std::collections::HashMap;

use super::{Doing as _, Result, Store, read, read_json};
use crate::domain::{
    DeliveryId, OrgId, Reason, ResultId, Timestamp,
    delivery::{Disposition, State},
    report::ResultState,
    route::{Candidate, Target},
};

/// Results read at a time.
const PAGE: i64 = 500;

/// One version of a result.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which.
    pub result: ResultId,
    /// The sender's key of its order.
    pub order_id: String,
    /// 1, 2, 3.
    pub version: u32,
    /// Where it stands.
    pub state: ResultState,
    /// Why it waits, is held or not sent.
    pub reason: Option<Reason>,
    /// When it came in.
    pub received_at: Timestamp,
    /// Its deliveries, in the order in which they were made.
    pub deliveries: Vec<DeliveryOutcome>,
    /// The lines of its trace that were not taken.
    pub others: Vec<Candidate>,
}

/// One delivery of it.
#[derive(Debug, Clone)]
pub struct DeliveryOutcome {
    /// Which.
    pub id: DeliveryId,
    /// Where to, and for whom.
    pub target: Target,
    /// Our side.
    pub state: State,
    /// Their side.
    pub disposition: Option<Disposition>,
    /// Why it is held, refused, failed, or waits.
    pub reason: Option<Reason>,
    /// Failed attempts.
    pub attempts: u32,
    /// When it was handed over.
    pub accepted_at: Option<Timestamp>,
    /// When it last moved.
    pub updated_at: Timestamp,
}

type ResultRow = (String, String, i64, String, Option<String>, i64);
type DeliveryRow = (String, String, String, String, Option<String>, Option<String>, i64, Option<i64>, i64);

impl Store {
    /// The results that came in from `from` until before `to`, after the one given: a page of them, empty at the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn outcomes(&self, org: OrgId, from: Timestamp, to: Timestamp, after: Option<ResultId>) -> Result<Vec<Outcome>> {
        let own = org.to_string();
        let rows: Vec<ResultRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, order_id, version, state, reason, received_at FROM result
             WHERE org_id = $1 AND id > $2 AND received_at >= $3 AND received_at < $4 ORDER BY id LIMIT $5")
            .bind(&own).bind(after.map_or_else(String::new, |id| id.to_string())).bind(from.micros()).bind(to.micros()).bind(PAGE)
            .fetch_all(pool).await)
        .doing("read the results of a period")?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let deliveries: Vec<DeliveryRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT result_id, id, target, state, disposition, COALESCE(reason, waiting_for), attempts, accepted_at, updated_at FROM delivery
             WHERE org_id = $1 AND result_id >= $2 AND result_id <= $3 ORDER BY created_at, id")
            .bind(&own).bind(&first.0).bind(&last.0).fetch_all(pool).await)
        .doing("read the deliveries of a period")?;
        let lines: Vec<(String, String)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT result_id, candidate FROM route_recipient
             WHERE org_id = $1 AND result_id >= $2 AND result_id <= $3 AND verdict <> 'taken' ORDER BY result_id, position")
            .bind(&own).bind(&first.0).bind(&last.0).fetch_all(pool).await)
        .doing("read the traces of a period")?;
        let mut made: HashMap<String, Vec<DeliveryOutcome>> = HashMap::new();
        for (result, id, target, state, disposition, reason, attempts, accepted_at, updated_at) in deliveries {
            made.entry(result).or_default().push(DeliveryOutcome {
                id: read("delivery id", &id)?,
                target: read_json("target", target.as_bytes())?,
                state: read("state", &state)?,
                disposition: disposition.as_deref().map(|text| read("disposition", text)).transpose()?,
                reason: reason.as_deref().map(|text| read("reason", text)).transpose()?,
                attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                accepted_at: accepted_at.map(Timestamp),
                updated_at: Timestamp(updated_at),
            });
        }
        let mut others: HashMap<String, Vec<Candidate>> = HashMap::new();
        for (result, candidate) in lines {
            others.entry(result).or_default().push(read_json("candidate", candidate.as_bytes())?);
        }
        rows.into_iter()
            .map(|(id, order_id, version, state, reason, received_at)| {
                Ok(Outcome {
                    result: read("result id", &id)?,
                    order_id,
                    version: u32::try_from(version).unwrap_or(u32::MAX),
                    state: read("result state", &state)?,
                    reason: reason.as_deref().map(|text| read("reason", text)).transpose()?,
                    received_at: Timestamp(received_at),
                    deliveries: made.remove(&id).unwrap_or_default(),
                    others: others.remove(&id).unwrap_or_default(),
                })
            })
            .collect()
    }
}
