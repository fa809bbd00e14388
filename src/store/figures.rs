//! What the first page of the console shows: bounded by a day or by what is not over, never by how much there ever was.

use std::time::Duration;

use super::{Doing as _, Result, Store, delivery_list::first_id, read};
use crate::domain::{
    OrgScope, Reason, Timestamp,
    delivery::{Disposition, State},
};

/// Deliveries that were made in the same hour and stand alike.
#[derive(Debug, Clone)]
pub struct Hour {
    /// When the hour began.
    pub at: Timestamp,
    /// Our side.
    pub state: State,
    /// Their side.
    pub disposition: Option<Disposition>,
    /// Why.
    pub reason: Option<Reason>,
    /// How many.
    pub count: u64,
}

/// Deliveries in a state that is not the end.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The state.
    pub state: State,
    /// How many.
    pub count: u64,
    /// When the oldest was made.
    pub oldest: Option<Timestamp>,
}

const HOUR: i64 = 3_600_000_000;

impl Store {
    /// Deliveries made since `since`, by hour.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn hours(&self, scope: OrgScope, since: Timestamp) -> Result<Vec<Hour>> {
        type Row = (i64, String, Option<String>, Option<String>, i64);
        let org = scope.org().map(|org| org.to_string());
        let sql = format!(
            "SELECT created_at / {HOUR}, state, disposition, reason, COUNT(*) FROM delivery WHERE id >= $1{} GROUP BY 1, 2, 3, 4",
            if org.is_some() { " AND org_id = $2" } else { "" }
        );
        let rows: Vec<Row> = on!(&self.db, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(first_id(since));
            match org { Some(org) => query.bind(org).fetch_all(pool).await, None => query.fetch_all(pool).await }
        })
        .doing("count a day's deliveries")?;
        rows.into_iter()
            .map(|(hour, state, disposition, reason, count)| {
                Ok(Hour {
                    at: Timestamp(hour * HOUR),
                    state: read("state", &state)?,
                    disposition: disposition.map(|text| read("disposition", &text)).transpose()?,
                    reason: reason.map(|text| read("reason", &text)).transpose()?,
                    count: u64::try_from(count).unwrap_or(0),
                })
            })
            .collect()
    }

    /// Deliveries that are on their way or wait for a person, by state.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn standing(&self, scope: OrgScope) -> Result<Vec<Standing>> {
        let org = scope.org().map(|org| org.to_string());
        let sql = format!(
            "SELECT state, COUNT(*), MIN(created_at) FROM delivery WHERE state <> 'accepted'
                AND state IN ('queued', 'claimed', 'on_wire', 'unknown', 'held'){} GROUP BY state",
            if org.is_some() { " AND org_id || '' = $1" } else { "" }
        );
        let rows: Vec<(String, i64, Option<i64>)> = on!(&self.db, pool => {
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            match org { Some(org) => query.bind(org).fetch_all(pool).await, None => query.fetch_all(pool).await }
        })
        .doing("count what is on its way")?;
        rows.into_iter()
            .map(|(state, count, oldest)| {
                Ok(Standing {
                    state: read("state", &state)?,
                    count: u64::try_from(count).unwrap_or(0),
                    oldest: oldest.map(Timestamp),
                })
            })
            .collect()
    }

    /// The beginning of the last day, at a full hour.
    #[must_use]
    pub fn a_day_ago(&self) -> Timestamp {
        let from = self.clock().now().minus(Duration::from_hours(23)).micros();
        Timestamp(from - from.rem_euclid(HOUR))
    }
}
