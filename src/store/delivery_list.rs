//! Deliveries of one organization as its own programs see them: one by one, and in lists page by page, the newest first.

use super::{Doing as _, Result, Store, read, read_json};
use crate::domain::{
    DeliveryId, OrgId, Reason, ResultId, Timestamp,
    delivery::{Disposition, Fee, State},
    route::Target,
};

/// One delivery.
#[derive(Debug, Clone)]
pub struct DeliveryEntry {
    /// Which.
    pub id: DeliveryId,
    /// Whose.
    pub org: OrgId,
    /// Of which result.
    pub result: ResultId,
    /// The sender's key of the order.
    pub order_id: String,
    /// Its site.
    pub site: String,
    /// The result's version.
    pub version: u32,
    /// Where to, and by which rule.
    pub target: Target,
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
    /// Whether it is of a test.
    pub test: bool,
    /// Failed attempts.
    pub attempts: u32,
    /// Whether `processed` is not the end.
    pub wants_dispatched: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
    /// When it was handed over.
    pub accepted_at: Option<Timestamp>,
}

/// Which deliveries are wanted: all that is said must hold.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// In this state.
    pub state: Option<State>,
    /// With this disposition.
    pub disposition: Option<Disposition>,
    /// With this reason.
    pub reason: Option<Reason>,
    /// Of this site.
    pub site: Option<String>,
    /// Of the order with the sender's key.
    pub order_id: Option<String>,
    /// Made then or later.
    pub since: Option<Timestamp>,
    /// Made before.
    pub until: Option<Timestamp>,
    /// Made before this one: the next page.
    pub after: Option<DeliveryId>,
}

#[derive(sqlx::FromRow)]
pub(super) struct EntryRow {
    id: String,
    org_id: String,
    result_id: String,
    order_id: String,
    site: String,
    version: i64,
    target: String,
    message_id: String,
    state: String,
    reason: Option<String>,
    disposition: Option<String>,
    fee: String,
    test: bool,
    attempts: i64,
    wants_dispatched: bool,
    created_at: i64,
    updated_at: i64,
    accepted_at: Option<i64>,
}

impl EntryRow {
    pub(super) fn entry(self) -> Result<DeliveryEntry> {
        Ok(DeliveryEntry {
            id: read("delivery id", &self.id)?,
            org: read("organization id", &self.org_id)?,
            result: read("result id", &self.result_id)?,
            order_id: self.order_id,
            site: self.site,
            version: u32::try_from(self.version).unwrap_or(u32::MAX),
            target: read_json("target", self.target.as_bytes())?,
            message_id: self.message_id,
            state: read("state", &self.state)?,
            reason: self.reason.as_deref().map(|text| read("reason", text)).transpose()?,
            disposition: self.disposition.as_deref().map(|text| read("disposition", text)).transpose()?,
            fee: read("fee", &self.fee)?,
            test: self.test,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            wants_dispatched: self.wants_dispatched,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            accepted_at: self.accepted_at.map(Timestamp),
        })
    }
}

/// Every delivery has its order; joined from the left, so that SQLite begins with the deliveries and not with all orders.
pub(super) const SELECT: &str =
    "SELECT d.id, d.org_id, d.result_id, o.order_id, d.site, d.version, d.target, d.message_id, d.state, COALESCE(d.reason,
        CASE WHEN d.state IN ('queued', 'claimed') THEN d.waiting_for END) AS reason, d.disposition, d.fee, d.test, d.attempts,
        d.wants_dispatched, d.created_at, d.updated_at, d.accepted_at
     FROM delivery d LEFT JOIN order_ o ON o.org_id = d.org_id AND o.id = d.order_key";

/// A value of a condition.
pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl Store {
    /// One delivery. Another organization's is not there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delivery_entry(&self, org: OrgId, id: DeliveryId) -> Result<Option<DeliveryEntry>> {
        let only = vec![("d.id =", Value::Text(id.to_string()))];
        Ok(self.listed(org, only, 1).await?.pop())
    }

    /// The newest of those wanted, at most `most`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delivery_entries(&self, org: OrgId, wanted: &Wanted, most: u32) -> Result<Vec<DeliveryEntry>> {
        let mut only = Vec::new();
        let mut text = |condition, value: Option<&str>| {
            only.extend(value.map(|value| (condition, Value::Text(value.to_owned()))));
        };
        text("d.state =", wanted.state.map(State::as_str));
        text("d.disposition =", wanted.disposition.map(Disposition::as_str));
        text("d.site =", wanted.site.as_deref());
        text("o.order_id =", wanted.order_id.as_deref());
        text("d.id <", wanted.after.map(|id| id.to_string()).as_deref());
        text(
            "COALESCE(d.reason, CASE WHEN d.state IN ('queued', 'claimed') THEN d.waiting_for END) =",
            wanted.reason.map(Reason::as_str),
        );
        only.extend(wanted.since.map(|at| ("d.created_at >=", Value::Number(at.micros()))));
        only.extend(wanted.until.map(|at| ("d.created_at <", Value::Number(at.micros()))));
        // An id carries the millisecond in which it was made, so the primary key leads straight to a time.
        only.extend(wanted.since.map(|at| ("d.id >=", Value::Text(first_id(at.minus(CLOCKS))))));
        only.extend(wanted.until.map(|at| ("d.id <", Value::Text(first_id(at.plus(CLOCKS))))));
        self.listed(org, only, most).await
    }

    async fn listed(&self, org: OrgId, only: Vec<(&'static str, Value)>, most: u32) -> Result<Vec<DeliveryEntry>> {
        let mut sql = format!("{SELECT} WHERE d.org_id = $1");
        for (place, (condition, _)) in only.iter().enumerate() {
            sql.push_str(&format!(" AND {condition} ${}", place + 2));
        }
        sql.push_str(&format!(" ORDER BY d.id DESC LIMIT {most}"));
        let rows: Vec<EntryRow> = on!(&self.db, pool => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(org.to_string());
            for (_, value) in only {
                query = match value {
                    Value::Text(text) => query.bind(text),
                    Value::Number(number) => query.bind(number),
                };
            }
            query.fetch_all(pool).await
        })
        .doing("list deliveries")?;
        rows.into_iter().map(EntryRow::entry).collect()
    }
}

/// So far the clock of the process that named a delivery may be from the database's, which dated it.
pub(super) const CLOCKS: std::time::Duration = std::time::Duration::from_hours(1);

/// The smallest id of the millisecond of `at` (RFC 9562 5.7).
pub(super) fn first_id(at: Timestamp) -> String {
    let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
    uuid::Uuid::from_u128(u128::from(millis) << 80).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_a_time_sorts_before_those_made_then() {
        let made = DeliveryId::new().to_string();
        let (seconds, nanos) = made.parse::<uuid::Uuid>().unwrap().get_timestamp().unwrap().to_unix();
        let at = Timestamp(i64::try_from(seconds).unwrap() * 1_000_000 + i64::from(nanos) / 1_000);
        assert!(first_id(at) <= made && made < first_id(at.plus(std::time::Duration::from_millis(1))));
    }
}
