//! Leases: who may work on a row or run a periodic task, and until when.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use uuid::Uuid;

use super::{
    Db, Doing as _, Result, Store, StoreError,
    delivery::{Move, apply_move},
    ledger::Charges,
    read,
    shares::Seat,
};
use crate::domain::{delivery::Event, id::ProcessId};

/// Who holds leases, and for how long at a time.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    /// A random id for each batch of claims (and for each start of a process, for its tasks): a restarted process, and a
    /// task that outlived its claim, is somebody else.
    pub owner: ProcessId,
    /// How long a lease lasts unless renewed.
    pub length: Duration,
}

/// Renews rows named by their ids; an engine has its own way to take a list.
macro_rules! renewal {
    ($table:literal, $states:literal) => {
        (renewal!($table, $states, "(SELECT value FROM json_each($4))"), renewal!($table, $states, "(SELECT unnest($4::text[]))"))
    };
    ($table:literal, $states:literal, $ids:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " SET lease_until = $1 WHERE lease_owner = $2 AND lease_until > $3 AND state IN ",
            $states,
            " AND id IN ",
            $ids
        )
    };
}

/// The rows this process is working on. What nobody has in hand - the answer to the claim was lost, the work on it failed
/// or could not be recorded - is not renewed, and so comes free by itself.
#[derive(Clone, Default)]
pub(super) struct Hands(Arc<Mutex<HashMap<(Uuid, ProcessId), InHand>>>);

/// One row in hand.
#[derive(Default)]
struct InHand {
    copies: usize,
    /// The place it takes; results take none.
    seat: Option<Seat>,
}

/// One claimed row in hand, until the last copy of it is dropped.
#[derive(Clone)]
pub(super) struct Hold(Arc<Held>);

struct Held {
    hands: Hands,
    row: (Uuid, ProcessId),
}

impl Hands {
    pub(super) fn take(&self, row: Uuid, owner: ProcessId) -> Hold {
        self.hold((row, owner), None)
    }

    /// The same of a row whose work takes a place.
    pub(super) fn take_seat(&self, row: Uuid, owner: ProcessId, seat: Seat) -> Hold {
        self.hold((row, owner), Some(seat))
    }

    /// The places taken.
    pub(super) fn seats(&self) -> Vec<Seat> {
        self.rows().values().filter_map(|in_hand| in_hand.seat.clone()).collect()
    }

    fn hold(&self, row: (Uuid, ProcessId), seat: Option<Seat>) -> Hold {
        let mut rows = self.rows();
        let in_hand = rows.entry(row).or_default();
        in_hand.copies += 1;
        in_hand.seat = seat.or(in_hand.seat.take());
        Hold(Arc::new(Held { hands: self.clone(), row }))
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<(Uuid, ProcessId), InHand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Gives the place up for a while.
    pub(super) fn stand(&self) -> Standing {
        let seat = self.0.hands.rows().get_mut(&self.0.row).and_then(|in_hand| in_hand.seat.take());
        Standing { hold: self.clone(), seat }
    }
}

/// A claim without its place. It has it again when this is dropped, even when all of them are taken by then.
#[derive(Debug)]
pub struct Standing {
    hold: Hold,
    seat: Option<Seat>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let (Some(seat), Some(in_hand)) = (self.seat.take(), self.hold.0.hands.rows().get_mut(&self.hold.0.row)) {
            in_hand.seat = Some(seat);
        }
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.0.row.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Entry::Occupied(mut row) = self.hands.rows().entry(self.row) {
            row.get_mut().copies -= 1;
            if row.get().copies == 0 {
                row.remove();
            }
        }
    }
}

impl Store {
    /// Renews the leases of the rows this process has in hand. Rows whose lease has already run out are not taken back.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew(&self, lease: &Lease) -> Result<()> {
        let mine = |(row, owner): &(Uuid, ProcessId)| (*owner == lease.owner).then(|| row.to_string());
        let rows: Vec<String> = self.hands.rows().keys().filter_map(mine).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let now = self.now().await?;
        let (owner, until) = (lease.owner.to_string(), now.plus(lease.length).micros());
        for (sqlite, postgres) in [
            renewal!("delivery", "('claimed', 'on_wire')"),
            renewal!("result", "('received', 'waiting')"),
            renewal!("inbound", "('received')"),
            renewal!("reply", "('queued')"),
            renewal!("webhook", "('on')"),
        ] {
            match &self.db {
                Db::Sqlite(pool) => {
                    let rows = serde_json::Value::from(rows.clone()).to_string();
                    sqlx::query(sqlite).bind(until).bind(&owner).bind(now.micros()).bind(rows).execute(pool).await.map(drop)
                }
                Db::Postgres(pool) => {
                    sqlx::query(postgres).bind(until).bind(&owner).bind(now.micros()).bind(&rows).execute(pool).await.map(drop)
                }
            }
            .doing("renew leases")?;
        }
        Ok(())
    }

    /// Whose leases are to be renewed: those of every claim somebody works on.
    #[must_use]
    pub fn owners_in_hand(&self) -> BTreeSet<ProcessId> {
        self.hands.rows().keys().map(|(_, owner)| *owner).collect()
    }

    /// Gives back everything this process has claimed and not begun to send; returns how many deliveries.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn release_all(&self, lease: &Lease) -> Result<usize> {
        let owner = lease.owner.to_string();
        on!(&self.db, pool => sqlx::query("UPDATE result SET lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1")
            .bind(&owner).execute(pool).await.map(drop))
        .doing("release results")?;
        let claimed: Vec<(String, String)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, id FROM delivery WHERE lease_owner = $1 AND state = 'claimed' ORDER BY org_id, id").bind(&owner).fetch_all(pool).await)
        .doing("find claimed deliveries")?;
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let (mut released, mut charges) = (0, Charges::default());
        for (org, id) in &claimed {
            let change = Move {
                owner: Some(lease.owner),
                ..Move::new(read("organization id", org)?, read("delivery id", id)?, Event::Released)
            };
            match apply_move(&mut tx, &mut charges, &change, now).await {
                Ok(_) => released += 1,
                Err(StoreError::Lost | StoreError::Illegal(_)) => {}
                Err(error) => return Err(error),
            }
        }
        charges.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(released)
    }

    /// Takes or renews the lease of a periodic task; `false` when somebody else runs it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_task(&self, name: &str, lease: &Lease) -> Result<bool> {
        let now = self.now().await?;
        let taken = on!(&self.db, pool => sqlx::query(
            "INSERT INTO task_lease (name, owner, until) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
             WHERE task_lease.owner = excluded.owner OR task_lease.until <= $4")
            .bind(name).bind(lease.owner.to_string()).bind(now.plus(lease.length).micros()).bind(now.micros())
            .execute(pool).await.map(|done| done.rows_affected()))
        .doing("take a task's lease")?;
        Ok(taken == 1)
    }

    /// Renews the lease of a periodic task; `false` when it ran out or is somebody else's by now. Unlike
    /// [`Store::take_task`] it never takes the lease anew: what was begun under it is not known to be alone any more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn renew_task(&self, name: &str, lease: &Lease) -> Result<bool> {
        let now = self.now().await?;
        let renewed =
            on!(&self.db, pool => sqlx::query("UPDATE task_lease SET until = $1 WHERE name = $2 AND owner = $3 AND until > $4")
            .bind(now.plus(lease.length).micros()).bind(name).bind(lease.owner.to_string()).bind(now.micros())
            .execute(pool).await.map(|done| done.rows_affected()))
            .doing("renew a task's lease")?;
        Ok(renewed == 1)
    }

    /// Gives a task's lease back, so that another process can go on at once.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_back_task(&self, name: &str, lease: &Lease) -> Result<()> {
        on!(&self.db, pool => sqlx::query("DELETE FROM task_lease WHERE name = $1 AND owner = $2")
            .bind(name).bind(lease.owner.to_string()).execute(pool).await.map(drop))
        .doing("give a task's lease back")
    }
}
