//! The queue: what is due, claimed in batches under leases, urgent first and fair across organizations.

use std::collections::HashSet;

use super::{
    Doing as _, Result, Store, Tx,
    lease::{Hold, Lease},
    read,
};
use crate::domain::{DeliveryId, OrgId, Timestamp, delivery::State, id::ProcessId, order::Priority};

/// A claimed delivery: enough to know whose it is and load the rest. Its lease is renewed as long as a copy of this lives.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// Under which lease: each batch has one of its own, so that a stale task of this very process counts as a stranger.
    pub owner: ProcessId,
    _hold: Hold,
}

/// How one table is claimed from.
pub(super) struct Queue {
    /// Organizations and priorities with something due at `$1`.
    due: &'static str,
    /// Claims from one organization.
    sqlite: &'static str,
    /// The same from many at once: each organization would cost a round trip to the server.
    postgres: &'static str,
    doing: &'static str,
}

/// `$org`'s rows of one priority that may be claimed.
///
/// Deliveries: due, their result not about to be routed again, and no earlier version of the same order on its way to the
/// same target. A queued one is on its way too: it would be overtaken.
macro_rules! rows {
    (delivery of $org:literal) => {
        concat!(
            "SELECT d.org_id, d.id FROM delivery d WHERE d.org_id = ", $org,
            " AND d.state = 'queued' AND d.priority = $4 AND d.next_attempt_at <= $3
            AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.org_id = d.org_id AND e.order_key = d.order_key
                AND e.address_key = d.address_key AND e.version < d.version AND e.state IN ('queued', 'claimed', 'on_wire', 'unknown'))
            AND EXISTS (SELECT 1 FROM result r WHERE r.org_id = d.org_id AND r.id = d.result_id AND r.state = 'routed')
            ORDER BY d.next_attempt_at, d.id LIMIT $5"
        )
    };
    (result of $org:literal) => {
        concat!(
            "SELECT d.org_id, d.id FROM result d WHERE d.org_id = ", $org,
            " AND d.state IN ('received', 'waiting') AND d.priority = $4 AND d.next_attempt_at <= $3
            AND (d.lease_until IS NULL OR d.lease_until <= $3) ORDER BY d.next_attempt_at, d.id LIMIT $5"
        )
    };
}

/// The rows are chosen once, whatever the planner thinks (MATERIALIZED): chosen again for every row to compare with, each
/// time past the rows locked before, they would be more than were asked for.
macro_rules! queue {
    ($table:tt, $set:literal, $due:literal, $doing:literal) => {
        Queue {
            // A scalar subquery is asked of each organization, one look at an index; EXISTS may be turned into a join that
            // reads the whole queue.
            due: concat!(
                "SELECT o.id, p.name FROM organization o, (SELECT 'urgent' AS name UNION ALL SELECT 'routine') AS p
                WHERE (", $due, ") <= $1 ORDER BY o.id"
            ),
            sqlite: concat!(
                "WITH due AS MATERIALIZED (", rows!($table of "$6"), ") UPDATE ", stringify!($table), " SET ", $set,
                " WHERE org_id = $6 AND id IN (SELECT id FROM due) RETURNING org_id, id"
            ),
            postgres: concat!(
                "WITH due AS MATERIALIZED (SELECT x.org_id, x.id FROM unnest($6::text[]) AS o (id) CROSS JOIN LATERAL (",
                rows!($table of "o.id"), " FOR UPDATE OF d SKIP LOCKED) x LIMIT $7) UPDATE ", stringify!($table), " t SET ", $set,
                " FROM due WHERE t.org_id = due.org_id AND t.id = due.id RETURNING t.org_id, t.id"
            ),
            doing: $doing,
        }
    };
}

const DELIVERIES: Queue = queue!(
    delivery,
    "state = 'claimed', lease_owner = $1, lease_until = $2, updated_at = $3",
    "SELECT MIN(d.next_attempt_at) FROM delivery d WHERE d.org_id = o.id AND d.state = 'queued' AND d.priority = p.name",
    "claim deliveries"
);

pub(super) const RESULTS: Queue = queue!(
    result,
    "lease_owner = $1, lease_until = $2",
    "SELECT MIN(r.next_attempt_at) FROM result r WHERE r.org_id = o.id AND r.state IN ('received', 'waiting')
        AND r.priority = p.name AND (r.lease_until IS NULL OR r.lease_until <= $1)",
    "claim results"
);

impl Store {
    /// Claims up to `most` deliveries: urgent ones first, and within that an equal share for each organization that has
    /// any, so that one customer's hundred thousand delay another's by seconds. `turn` is how many this process has claimed
    /// so far: with more organizations than a batch has room for, each batch goes on where the one before ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_deliveries(&self, lease: &Lease, most: usize, turn: usize) -> Result<Vec<Claimed>> {
        let claimed = self.claim(&DELIVERIES, lease, most, turn).await?;
        let hold = |(org, id): (OrgId, String)| {
            let id: DeliveryId = read("delivery id", &id)?;
            Ok(Claimed { org, id, owner: lease.owner, _hold: self.hands.take(id.0, lease.owner) })
        };
        claimed.into_iter().map(hold).collect()
    }

    pub(super) async fn claim(&self, queue: &Queue, lease: &Lease, most: usize, turn: usize) -> Result<Vec<(OrgId, String)>> {
        let now = self.now().await?;
        let rows: Vec<(String, String)> =
            on!(&self.writing, pool => sqlx::query_as(queue.due).bind(now.micros()).fetch_all(pool).await).doing(queue.doing)?;
        let shut = self.shut(&rows).await?;
        let mut due = Vec::new();
        for priority in [Priority::Urgent, Priority::Routine] {
            let of_priority = rows.iter().filter(|(org, name)| name == priority.as_str() && !shut.contains(org));
            let mut orgs: Vec<String> = of_priority.map(|(org, _)| org.clone()).collect();
            if !orgs.is_empty() {
                let first = turn % orgs.len();
                orgs.rotate_left(first);
                due.push((priority, orgs));
            }
        }
        let mut claimed: Vec<(String, String)> = Vec::new();
        if most == 0 || due.is_empty() {
            return Ok(Vec::new());
        }
        let routine = due.iter().any(|(priority, _)| *priority == Priority::Routine);
        let mut tx = self.begin().await?;
        for (priority, orgs) in due {
            // Who marks everything urgent may not stop everybody else's routine work.
            let most = if priority == Priority::Urgent && routine { most - most / 4 } else { most };
            // Shares first; what they leave over goes to whoever has more.
            let share = most.saturating_sub(claimed.len()).div_ceil(orgs.len());
            for share in [share, most] {
                let want = most.saturating_sub(claimed.len());
                if want > 0 {
                    claimed.extend(claim_shares(&mut tx, queue, lease, now, &orgs, priority, (share, want)).await?);
                }
            }
        }
        tx.commit().await?;
        claimed.into_iter().map(|(org, id)| Ok((read("organization id", &org)?, id))).collect()
    }

    /// The organizations whose rows cannot be opened here: they are left to a process with the right master key.
    async fn shut(&self, rows: &[(String, String)]) -> Result<HashSet<String>> {
        let mut shut = HashSet::new();
        for (org, _) in rows {
            match self.key(read("organization id", org)?).await {
                Ok(_) => {}
                Err(error @ super::StoreError::Sealed(_)) => {
                    tracing::error!(org, %error, "an organization's work is left alone");
                    shut.insert(org.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(shut)
    }

    /// Deliveries whose lease has run out: the worker died. `on_wire` ones may have arrived.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn abandoned_deliveries(&self) -> Result<Vec<(OrgId, DeliveryId, State, Priority)>> {
        let now = self.now().await?;
        self.deliveries_where(
            "SELECT org_id, id, state, priority FROM delivery WHERE state IN ('claimed', 'on_wire') AND lease_until <= $1 LIMIT 1000",
            now,
        )
        .await
    }

    /// Unknown deliveries whose wait is over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unknown_overdue(&self) -> Result<Vec<(OrgId, DeliveryId, State, Priority)>> {
        let now = self.now().await?;
        self.deliveries_where(
            "SELECT org_id, id, state, priority FROM delivery WHERE state = 'unknown' AND next_attempt_at <= $1 LIMIT 1000",
            now,
        )
        .await
    }

    async fn deliveries_where(&self, sql: &'static str, now: Timestamp) -> Result<Vec<(OrgId, DeliveryId, State, Priority)>> {
        let rows: Vec<(String, String, String, String)> =
            on!(&self.db, pool => sqlx::query_as(sql).bind(now.micros()).fetch_all(pool).await)
                .doing("find deliveries to look after")?;
        rows.iter()
            .map(|(org, id, state, priority)| {
                Ok((read("organization id", org)?, read("delivery id", id)?, read("state", state)?, read("priority", priority)?))
            })
            .collect()
    }

    /// When there is something to do next: a delivery or result due, a lease that runs out, the wait of an unknown
    /// outcome over; `None` when nothing waits. It may lie in the past: something due can wait for an earlier version.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_due(&self) -> Result<Option<Timestamp>> {
        let due: Option<i64> =
            on!(&self.db, pool => sqlx::query_scalar(NEXT_DUE).fetch_one(pool).await).doing("look for the next thing due")?;
        Ok(due.map(Timestamp))
    }
}

/// One look at each end of an index; a plain MIN over either queue would read all of it.
const NEXT_DUE: &str = "SELECT MIN(due) FROM (
    SELECT (SELECT MIN(d.next_attempt_at) FROM delivery d WHERE d.org_id = o.id AND d.state = 'queued' AND d.priority = p.name) AS due
        FROM organization o, (SELECT 'urgent' AS name UNION ALL SELECT 'routine') AS p
    UNION ALL SELECT (SELECT MIN(r.next_attempt_at) FROM result r WHERE r.org_id = o.id AND r.state IN ('received', 'waiting')
        AND r.lease_owner IS NULL AND r.priority = p.name) AS due
        FROM organization o, (SELECT 'urgent' AS name UNION ALL SELECT 'routine') AS p
    UNION ALL SELECT MIN(next_attempt_at) AS due FROM delivery WHERE state = 'unknown'
    UNION ALL SELECT MIN(lease_until) AS due FROM delivery WHERE state IN ('claimed', 'on_wire')
    UNION ALL SELECT MIN(lease_until) AS due FROM result WHERE lease_owner IS NOT NULL) AS everything";

/// Claims up to `share` of each organization, `want` in all.
async fn claim_shares(
    tx: &mut Tx,
    queue: &Queue,
    lease: &Lease,
    now: Timestamp,
    orgs: &[String],
    priority: Priority,
    (share, want): (usize, usize),
) -> Result<Vec<(String, String)>> {
    let (owner, until) = (lease.owner.to_string(), now.plus(lease.length).micros());
    let narrow = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    match tx {
        Tx::Sqlite(tx) => {
            let mut claimed: Vec<(String, String)> = Vec::new();
            for org in orgs {
                let most = share.min(want - claimed.len());
                if most == 0 {
                    break;
                }
                let rows: Vec<(String, String)> = sqlx::query_as(queue.sqlite)
                    .bind(&owner)
                    .bind(until)
                    .bind(now.micros())
                    .bind(priority.as_str())
                    .bind(narrow(most))
                    .bind(org)
                    .fetch_all(&mut **tx)
                    .await
                    .doing(queue.doing)?;
                claimed.extend(rows);
            }
            Ok(claimed)
        }
        Tx::Postgres(tx) => sqlx::query_as(queue.postgres)
            .bind(&owner)
            .bind(until)
            .bind(now.micros())
            .bind(priority.as_str())
            .bind(narrow(share))
            .bind(orgs)
            .bind(narrow(want))
            .fetch_all(&mut **tx)
            .await
            .doing(queue.doing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Db, migrations};

    /// What SQLite would do for a statement, one step in a line.
    async fn plan(sql: &str) -> String {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        migrations::run(&Db::Sqlite(pool.clone())).await.unwrap();
        let steps: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&pool).await.unwrap();
        steps.into_iter().map(|(_, _, _, step)| step.replace("COVERING ", "") + "\n").collect()
    }

    #[tokio::test]
    async fn on_sqlite_the_queue_is_read_along_its_index_and_never_as_a_whole() {
        for (what, sql, index) in [
            ("what is due", DELIVERIES.due, "SEARCH d USING INDEX delivery_queue (org_id=? AND priority=?)"),
            ("a claim", DELIVERIES.sqlite, "SEARCH d USING INDEX delivery_queue (org_id=? AND priority=? AND next_attempt_at<?)"),
            ("an earlier version", DELIVERIES.sqlite, "SEARCH e USING INDEX delivery_order"),
            ("results due", RESULTS.due, "SEARCH r USING INDEX result_queue (org_id=? AND priority=?)"),
            (
                "a claim of results",
                RESULTS.sqlite,
                "SEARCH d USING INDEX result_queue (org_id=? AND priority=? AND next_attempt_at<?)",
            ),
            ("the next thing due", NEXT_DUE, "SEARCH d USING INDEX delivery_queue (org_id=? AND priority=?)"),
        ] {
            let plan = plan(sql).await;
            assert!(plan.contains(index), "{what}:\n{plan}");
            for table in ["d", "e", "r", "delivery", "result"] {
                assert!(!plan.lines().any(|step| step == format!("SCAN {table}")), "{what} reads all of {table}:\n{plan}");
            }
        }
    }
}
