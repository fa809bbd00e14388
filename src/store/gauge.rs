//! What is measured for alerts, every few seconds: along indexes that hold only what is not over, and never more rows than
//! a person could look at.

use super::{Doing as _, Result, Store, read};
use crate::domain::{OrgId, Timestamp, delivery::Disposition};

/// Something urgent that is late.
#[derive(Debug, Clone)]
pub struct Late {
    /// Whose.
    pub org: OrgId,
    /// `result` or `delivery`.
    pub what: &'static str,
    /// Its id.
    pub id: String,
    /// Since when it has been on its way, or has waited for its notice.
    pub since: Timestamp,
    /// Whether a relay or mail exchanger has it.
    pub accepted: bool,
}

/// How much of one organization waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Whose.
    pub org: OrgId,
    /// How much.
    pub count: u64,
}

type LateRow = (String, String, i64, Option<i64>);

// SQLite uses a partial index only where its condition stands word for word.
const LATE_DELIVERIES: &str = "SELECT org_id, id, created_at, accepted_at FROM delivery WHERE priority = 'urgent'
        AND (notice_at IS NOT NULL OR state IN ('queued', 'claimed', 'on_wire', 'unknown', 'held') OR fallback IN ('due', 'held'))
        AND created_at <= $1 AND test = FALSE ORDER BY created_at LIMIT $2";
const LATE_RESULTS: &str = "SELECT org_id, id, received_at, CAST(NULL AS BIGINT) FROM result WHERE priority = 'urgent'
        AND state IN ('received', 'waiting', 'held') AND received_at <= $1 ORDER BY received_at LIMIT $2";
const OLDEST: [(&str, &str); 2] = [
    ("deliveries", "SELECT MIN(created_at) FROM delivery WHERE state IN ('queued', 'claimed', 'on_wire', 'unknown')"),
    ("results", "SELECT MIN(received_at) FROM result WHERE state = 'received'"),
];
const HELD: [&str; 5] = [
    "SELECT org_id, COUNT(*) FROM delivery WHERE state = 'held' GROUP BY org_id",
    "SELECT org_id, COUNT(*) FROM delivery WHERE fallback = 'held' GROUP BY org_id",
    "SELECT org_id, COUNT(*) FROM result WHERE state IN ('held', 'waiting') AND state = 'held' GROUP BY org_id",
    "SELECT p.org_id, COUNT(*) FROM route_recipient p JOIN result r ON r.org_id = p.org_id AND r.id = p.result_id
        WHERE p.verdict = 'held' AND r.state = 'routed' GROUP BY p.org_id",
    "SELECT org_id, COUNT(*) FROM parked GROUP BY org_id",
];

impl Store {
    /// Urgent results and deliveries that began before `before` and are not through, oldest first, up to `most` of each.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn late_urgent(&self, before: Timestamp, most: u32) -> Result<Vec<Late>> {
        let mut late = Vec::new();
        for (what, sql) in [("delivery", LATE_DELIVERIES), ("result", LATE_RESULTS)] {
            let rows: Vec<LateRow> =
                on!(&self.db, pool => sqlx::query_as(sql).bind(before.micros()).bind(i64::from(most)).fetch_all(pool).await)
                    .doing("look for late urgent results")?;
            for (org, id, since, accepted) in rows {
                let org = read("organization id", &org)?;
                late.push(Late { org, what, id, since: Timestamp(accepted.unwrap_or(since)), accepted: accepted.is_some() });
            }
        }
        Ok(late)
    }

    /// What waits for us the longest, and since when: deliveries, results.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn oldest_waiting(&self) -> Result<Vec<(&'static str, Timestamp)>> {
        let mut found = Vec::new();
        for (what, sql) in OLDEST {
            let since: Option<i64> =
                on!(&self.db, pool => sqlx::query_scalar(sql).fetch_one(pool).await).doing("look for what waits the longest")?;
            found.extend(since.map(|since| (what, Timestamp(since))));
        }
        Ok(found)
    }

    /// How much waits for a person, in each organization that has any.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn waiting_for_people(&self) -> Result<Vec<Waiting>> {
        let mut all: Vec<Waiting> = Vec::new();
        for sql in HELD {
            let rows: Vec<(String, i64)> =
                on!(&self.db, pool => sqlx::query_as(sql).fetch_all(pool).await).doing("count what waits for people")?;
            for (org, count) in rows {
                let (org, count) = (read("organization id", &org)?, u64::try_from(count).unwrap_or(0));
                match all.iter_mut().find(|waiting| waiting.org == org) {
                    Some(waiting) => waiting.count += count,
                    None => all.push(Waiting { org, count }),
                }
            }
        }
        Ok(all)
    }

    /// Whether each of the last messages that `way` accepted between `from` and `to` was answered, newest first, at most
    /// `most`. Those about which nothing is expected are left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn answers(&self, way: &str, from: Timestamp, to: Timestamp, most: u32) -> Result<Vec<bool>> {
        let rows: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT COALESCE(disposition, 'not_expected') FROM delivery WHERE accepted_at IS NOT NULL AND relay = $1 AND accepted_at > $2
                AND accepted_at <= $3 ORDER BY accepted_at DESC LIMIT $4")
            .bind(way).bind(from.micros()).bind(to.micros()).bind(i64::from(most)).fetch_all(pool).await)
        .doing("count what came back")?;
        let mut answers = Vec::with_capacity(rows.len());
        for disposition in rows {
            match read("disposition", &disposition)? {
                Disposition::NotExpected => {}
                disposition => answers.push(!matches!(disposition, Disposition::Awaited | Disposition::Expired)),
            }
        }
        Ok(answers)
    }

    /// When an organization's last result came in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_result(&self, org: OrgId) -> Result<Option<Timestamp>> {
        // An id begins with the time it was made at.
        let last: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT received_at FROM result WHERE org_id = $1 ORDER BY id DESC LIMIT 1").bind(org.to_string()).fetch_optional(pool).await)
        .doing("look for the last result")?;
        Ok(last.map(Timestamp))
    }

    /// When a feed's place last moved; `None` when it has never given anything.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn feed_moved_at(&self, feed: &str) -> Result<Option<Timestamp>> {
        let moved: Option<i64> = on!(&self.db, pool => sqlx::query_scalar("SELECT updated_at FROM feed_cursor WHERE feed = $1")
            .bind(feed).fetch_optional(pool).await)
        .doing("look when a feed last gave anything")?;
        Ok(moved.map(Timestamp))
    }
}
