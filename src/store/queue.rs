//! The queue: what is due, claimed in batches under leases, urgent first and fair across organizations.

use std::collections::HashSet;

use super::{
    Doing as _, Result, Store, StoreError, Tx,
    lease::{Hold, Lease, Standing},
    read,
    shares::{Places, Seat, Shares},
};
use crate::domain::{
    DeliveryId, DirectAddress, OrgId, Timestamp, delivery::State, id::ProcessId, order::Priority, organization::SendMode,
};

/// A claimed delivery: enough to know whose it is and load the rest. As long as a copy of this lives, its lease is renewed and
/// its place is taken.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// Under which lease: each batch has one of its own, so that a stale task of this very process counts as a stranger.
    pub owner: ProcessId,
    /// The lane it was queued in.
    pub lane: String,
    /// Routine or urgent.
    pub priority: Priority,
    hold: Hold,
}

impl Claimed {
    /// Gives its place up until what this gives is dropped: the claim itself is kept.
    #[must_use]
    pub fn stand(&self) -> Standing {
        self.hold.stand()
    }
}

/// A delivery that nobody is at work on, and that has not come to its end.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Whose.
    pub org: OrgId,
    /// Which.
    pub id: DeliveryId,
    /// Where it stands.
    pub state: State,
    /// Routine or urgent.
    pub priority: Priority,
    /// Whom it is sent to.
    pub to: DirectAddress,
    /// How it left, when it may have left.
    pub mode: Option<SendMode>,
}

/// How one table is claimed from.
pub(super) struct Queue {
    /// Organizations, lanes and priorities with something due at `$1`, and how many organizations there are.
    due: &'static str,
    /// Claims from one of them.
    sqlite: &'static str,
    /// The same from many at once: each would cost a round trip to the server.
    postgres: &'static str,
    doing: &'static str,
}

/// The rows of one organization (`$org`), lane and priority that may be claimed.
///
/// Deliveries: due, their result not about to be routed again, and no earlier version of the same order on its way to the
/// same target. A queued one is on its way too: it would be overtaken.
macro_rules! rows {
    (delivery of $org:literal, $lane:literal, $priority:literal, $most:literal) => {
        concat!(
            "SELECT d.org_id, d.id FROM delivery d WHERE d.org_id = ", $org, " AND d.lane = ", $lane,
            " AND d.state = 'queued' AND d.priority = ", $priority, " AND d.next_attempt_at <= $3
            AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.org_id = d.org_id AND e.order_key = d.order_key
                AND e.address_key = d.address_key AND e.version < d.version AND e.state IN ('queued', 'claimed', 'on_wire', 'unknown'))
            AND EXISTS (SELECT 1 FROM result r WHERE r.org_id = d.org_id AND r.id = d.result_id AND r.state = 'routed')
            ORDER BY d.next_attempt_at, d.id LIMIT ", $most
        )
    };
    // Results have one lane.
    (result of $org:literal, $lane:literal, $priority:literal, $most:literal) => {
        concat!(
            "SELECT d.org_id, d.id FROM result d WHERE d.org_id = ", $org, " AND ", $lane, " = ''",
            " AND d.state IN ('received', 'waiting') AND d.priority = ", $priority, " AND d.next_attempt_at <= $3
            AND (d.lease_until IS NULL OR d.lease_until <= $3) ORDER BY d.next_attempt_at, d.id LIMIT ", $most
        )
    };
}

/// What a claim gives back of a row besides its organization and id.
macro_rules! seat {
    (delivery) => {
        "lane, priority"
    };
    (result) => {
        "'' AS lane, priority"
    };
}

/// The lanes in which organizations have something, as `lane (org_id, name)`: one look at the index for each, whatever waits.
macro_rules! lanes {
    (delivery) => {
        "WITH RECURSIVE lane (org_id, name) AS (
            SELECT o.id, (SELECT MIN(d.lane) FROM delivery d WHERE d.org_id = o.id AND d.state = 'queued') FROM organization o
            UNION ALL SELECT l.org_id, (SELECT MIN(d.lane) FROM delivery d WHERE d.org_id = l.org_id AND d.state = 'queued' AND d.lane > l.name)
                FROM lane l WHERE l.name IS NOT NULL) "
    };
    (result) => { "WITH lane (org_id, name) AS (SELECT o.id, '' FROM organization o) " };
}

/// The rows are chosen once, whatever the planner thinks (MATERIALIZED): chosen again for every row to compare with, each
/// time past the rows locked before, they would be more than were asked for.
macro_rules! queue {
    ($table:tt, $set:literal, $due:literal, $doing:literal) => {
        Queue {
            // A scalar subquery is asked of each organization, one look at an index; EXISTS may be turned into a join that
            // reads the whole queue.
            due: concat!(
                lanes!($table), "SELECT o.org_id, o.name, p.name, (SELECT COUNT(*) FROM organization)
                FROM lane o, (SELECT 'urgent' AS name UNION ALL SELECT 'routine') AS p
                WHERE o.name IS NOT NULL AND (", $due, ") <= $1 ORDER BY o.org_id, o.name, p.name"
            ),
            sqlite: concat!(
                "WITH due AS MATERIALIZED (", rows!($table of "$4", "$5", "$6", "$7"), ") UPDATE ", stringify!($table), " SET ", $set,
                " WHERE org_id = $4 AND id IN (SELECT id FROM due) RETURNING org_id, id, ", seat!($table)
            ),
            postgres: concat!(
                "WITH due AS MATERIALIZED (SELECT x.org_id, x.id FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[])
                    AS o (id, lane, priority, most) CROSS JOIN LATERAL (",
                rows!($table of "o.id", "o.lane", "o.priority", "o.most"), " FOR UPDATE OF d SKIP LOCKED) x) UPDATE ", stringify!($table),
                " t SET ", $set, " FROM due WHERE t.org_id = due.org_id AND t.id = due.id RETURNING t.org_id, t.id, ", seat!($table)
            ),
            doing: $doing,
        }
    };
}

const DELIVERIES: Queue = queue!(
    delivery,
    "state = 'claimed', lease_owner = $1, lease_until = $2, updated_at = $3",
    "SELECT MIN(d.next_attempt_at) FROM delivery d WHERE d.org_id = o.org_id AND d.lane = o.name AND d.state = 'queued' AND d.priority = p.name",
    "claim deliveries"
);

pub(super) const RESULTS: Queue = queue!(
    result,
    "lease_owner = $1, lease_until = $2",
    "SELECT MIN(r.next_attempt_at) FROM result r WHERE r.org_id = o.org_id AND r.state IN ('received', 'waiting')
        AND r.priority = p.name AND (r.lease_until IS NULL OR r.lease_until <= $1)",
    "claim results"
);

/// Organization, id, lane and priority of a claimed row.
pub(super) type ClaimedRow = (String, String, String, String);

/// What one claim gave.
#[derive(Debug)]
pub struct Batch {
    /// What was claimed.
    pub claimed: Vec<Claimed>,
    /// Something may be due for which there was no place: it goes on when one is given back.
    pub more: bool,
}

impl Store {
    /// Claims up to `most` deliveries, whatever is at work already: urgent ones first, and within that an equal share for each
    /// organization that has any. `turn` is how many this process has claimed so far: with more organizations than a batch has
    /// room for, each batch goes on where the one before ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_deliveries(&self, lease: &Lease, most: usize, turn: usize) -> Result<Vec<Claimed>> {
        let places = Places { all: most + self.hands.seats().len(), ..Places::default() };
        Ok(self.claim_for(lease, &places, turn).await?.claimed)
    }

    /// Claims deliveries for the `places` that are not taken by what this process has in hand, as [`super::shares`] says who
    /// gets them: one customer's hundred thousand, or one relay that does not answer, delay another's by seconds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim_for(&self, lease: &Lease, places: &Places, turn: usize) -> Result<Batch> {
        let (rows, more) = self.claim(&DELIVERIES, lease, places, &self.hands.seats(), turn).await?;
        let mut claimed = Vec::with_capacity(rows.len());
        for (org, id, lane, priority) in rows {
            let (id, priority): (DeliveryId, Priority) = (read("delivery id", &id)?, read("priority", &priority)?);
            let seat = Seat { org: org.clone(), lane: lane.clone(), priority };
            let hold = self.hands.take_seat(id.0, lease.owner, seat);
            claimed.push(Claimed { org: read("organization id", &org)?, id, owner: lease.owner, lane, priority, hold });
        }
        Ok(Batch { claimed, more })
    }

    /// Claims rows for places, and says whether more may be due.
    pub(super) async fn claim(
        &self,
        queue: &Queue,
        lease: &Lease,
        places: &Places,
        seats: &[Seat],
        turn: usize,
    ) -> Result<(Vec<ClaimedRow>, bool)> {
        let now = self.now().await?;
        let rows: Vec<(String, String, String, i64)> =
            on!(&self.writing, pool => sqlx::query_as(queue.due).bind(now.micros()).fetch_all(pool).await).doing(queue.doing)?;
        let shut = self.shut(&rows).await?;
        let alone = rows.first().is_some_and(|(.., organizations)| *organizations == 1);
        let mut asking = Vec::with_capacity(rows.len());
        for (org, lane, priority, _) in rows.into_iter().filter(|(org, ..)| !shut.contains(org)) {
            asking.push(Seat { org, lane, priority: read("priority", &priority)? });
        }
        let mut shares = Shares::new(places, asking, seats, alone, turn);
        let mut claimed = Vec::new();
        if shares.deal() == 0 {
            return Ok((claimed, shares.leaves_waiting()));
        }
        let mut tx = self.begin().await?;
        loop {
            claimed.extend(claim_granted(&mut tx, queue, lease, now, &mut shares).await?);
            // What one leaves over goes to whoever has more.
            if shares.deal() == 0 {
                break;
            }
        }
        tx.commit().await?;
        Ok((claimed, shares.leaves_waiting()))
    }

    /// Moves a claimed delivery to another lane: its sender's way has changed since it was routed. It takes effect when the
    /// delivery is given back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_lane(&self, claimed: &Claimed, lane: &str) -> Result<()> {
        on!(&self.db, pool => sqlx::query("UPDATE delivery SET lane = $1 WHERE org_id = $2 AND id = $3 AND lease_owner = $4 AND state = 'claimed'")
            .bind(lane).bind(claimed.org.to_string()).bind(claimed.id.to_string()).bind(claimed.owner.to_string())
            .execute(pool).await.map(drop))
        .doing("move a delivery to another lane")
    }

    /// The organizations whose rows cannot be opened here: they are left to a process with the right master key.
    async fn shut(&self, rows: &[(String, String, String, i64)]) -> Result<HashSet<String>> {
        let mut shut = HashSet::new();
        for (org, ..) in rows {
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
    pub async fn abandoned_deliveries(&self) -> Result<Vec<Unfinished>> {
        let now = self.now().await?;
        self.deliveries_where(
            "SELECT org_id, id, state, priority, address, sent_mode FROM delivery
             WHERE state IN ('claimed', 'on_wire') AND lease_until <= $1 LIMIT 1000",
            now,
        )
        .await
    }

    /// Unknown deliveries whose wait is over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn unknown_overdue(&self) -> Result<Vec<Unfinished>> {
        let now = self.now().await?;
        self.deliveries_where(
            "SELECT org_id, id, state, priority, address, sent_mode FROM delivery
             WHERE state = 'unknown' AND next_attempt_at <= $1 LIMIT 1000",
            now,
        )
        .await
    }

    /// One delivery, for whoever stops working on it.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when it is not there.
    pub async fn unfinished(&self, org: OrgId, id: DeliveryId) -> Result<Unfinished> {
        let row: Option<UnfinishedRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, id, state, priority, address, sent_mode FROM delivery WHERE org_id = $1 AND id = $2")
            .bind(org.to_string()).bind(id.to_string()).fetch_optional(pool).await)
        .doing("read a delivery to let go")?;
        unfinished(&row.ok_or(StoreError::Lost)?)
    }

    async fn deliveries_where(&self, sql: &'static str, now: Timestamp) -> Result<Vec<Unfinished>> {
        let rows: Vec<UnfinishedRow> = on!(&self.db, pool => sqlx::query_as(sql).bind(now.micros()).fetch_all(pool).await)
            .doing("find deliveries to look after")?;
        rows.iter().map(unfinished).collect()
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

type UnfinishedRow = (String, String, String, String, String, Option<String>);

fn unfinished((org, id, state, priority, to, mode): &UnfinishedRow) -> Result<Unfinished> {
    Ok(Unfinished {
        org: read("organization id", org)?,
        id: read("delivery id", id)?,
        state: read("state", state)?,
        priority: read("priority", priority)?,
        to: read("address", to)?,
        mode: mode.as_deref().map(|mode| read("send mode", mode)).transpose()?,
    })
}

/// One look at each end of an index; a plain MIN over either queue would read all of it.
const NEXT_DUE: &str = concat!(
    lanes!(delivery),
    "SELECT MIN(due) FROM (
    SELECT (SELECT MIN(d.next_attempt_at) FROM delivery d WHERE d.org_id = o.org_id AND d.lane = o.name AND d.state = 'queued'
        AND d.priority = p.name) AS due
        FROM lane o, (SELECT 'urgent' AS name UNION ALL SELECT 'routine') AS p WHERE o.name IS NOT NULL
    UNION ALL SELECT (SELECT MIN(r.next_attempt_at) FROM result r WHERE r.org_id = o.id AND r.state IN ('received', 'waiting')
        AND r.lease_owner IS NULL AND r.priority = p.name) AS due
        FROM organization o, (SELECT 'urgent' AS name UNION ALL SELECT 'routine') AS p
    UNION ALL SELECT MIN(next_attempt_at) AS due FROM delivery WHERE state = 'unknown'
    UNION ALL SELECT MIN(lease_until) AS due FROM delivery WHERE state IN ('claimed', 'on_wire')
    UNION ALL SELECT MIN(lease_until) AS due FROM result WHERE lease_owner IS NOT NULL) AS everything"
);

/// Claims as many rows of each as places were granted, and notes how many there were.
async fn claim_granted(
    tx: &mut Tx,
    queue: &Queue,
    lease: &Lease,
    now: Timestamp,
    shares: &mut Shares,
) -> Result<Vec<ClaimedRow>> {
    let (owner, until) = (lease.owner.to_string(), now.plus(lease.length).micros());
    let narrow = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let asking: Vec<(usize, Seat, i64)> = shares
        .asks
        .iter()
        .enumerate()
        .filter(|(_, ask)| ask.granted > 0)
        .map(|(place, ask)| (place, ask.seat.clone(), narrow(ask.granted)))
        .collect();
    let claimed: Vec<ClaimedRow> = match tx {
        Tx::Sqlite(tx) => {
            let mut claimed = Vec::new();
            for (_, seat, most) in &asking {
                let rows: Vec<ClaimedRow> = sqlx::query_as(queue.sqlite)
                    .bind(&owner)
                    .bind(until)
                    .bind(now.micros())
                    .bind(&seat.org)
                    .bind(&seat.lane)
                    .bind(seat.priority.as_str())
                    .bind(most)
                    .fetch_all(&mut **tx)
                    .await
                    .doing(queue.doing)?;
                claimed.extend(rows);
            }
            claimed
        }
        Tx::Postgres(tx) => {
            let column = |of: fn(&Seat) -> &str| asking.iter().map(|(_, seat, _)| of(seat).to_owned()).collect::<Vec<String>>();
            sqlx::query_as(queue.postgres)
                .bind(&owner)
                .bind(until)
                .bind(now.micros())
                .bind(column(|seat| &seat.org))
                .bind(column(|seat| &seat.lane))
                .bind(column(|seat| seat.priority.as_str()))
                .bind(asking.iter().map(|(.., most)| *most).collect::<Vec<i64>>())
                .fetch_all(&mut **tx)
                .await
                .doing(queue.doing)?
        }
    };
    for (place, seat, _) in &asking {
        let mine = |row: &&ClaimedRow| row.0 == seat.org && row.2 == seat.lane && row.3 == seat.priority.as_str();
        shares.used(*place, claimed.iter().filter(mine).count());
    }
    Ok(claimed)
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
            ("what is due", DELIVERIES.due, "SEARCH d USING INDEX delivery_queue (org_id=? AND lane=? AND priority=?)"),
            ("the lanes", DELIVERIES.due, "SEARCH d USING INDEX delivery_queue (org_id=? AND lane>?)"),
            (
                "a claim",
                DELIVERIES.sqlite,
                "SEARCH d USING INDEX delivery_queue (org_id=? AND lane=? AND priority=? AND next_attempt_at<?)",
            ),
            ("an earlier version", DELIVERIES.sqlite, "SEARCH e USING INDEX delivery_order"),
            ("results due", RESULTS.due, "SEARCH r USING INDEX result_queue (org_id=? AND priority=?)"),
            (
                "a claim of results",
                RESULTS.sqlite,
                "SEARCH d USING INDEX result_queue (org_id=? AND priority=? AND next_attempt_at<?)",
            ),
            ("the next thing due", NEXT_DUE, "SEARCH d USING INDEX delivery_queue (org_id=? AND lane=? AND priority=?)"),
        ] {
            let plan = plan(sql).await;
            assert!(plan.contains(index), "{what}:\n{plan}");
            for table in ["d", "e", "r", "delivery", "result"] {
                assert!(!plan.lines().any(|step| step == format!("SCAN {table}")), "{what} reads all of {table}:\n{plan}");
            }
        }
    }
}
