//! Group commit: changes of many workers go into one transaction and so share one fsync.
//!
//! Each change stands alone: one that the rules or a lost lease refuse writes nothing and does not touch the others. When
//! the database itself fails, the batch is rolled back and each change is tried once by itself, so that a poisonous one
//! cannot hold the rest.

use tokio::sync::{mpsc, oneshot};

use uuid::Uuid;

use super::{
    Result, Store, StoreError, Tx,
    delivery::{Move, Moved},
    ledger::Charges,
    moves::apply_moves,
    result::{Routed, Routing, apply_route},
};
use crate::domain::OrgId;

/// Most changes in one transaction.
const MOST: usize = 128;

enum Change {
    Move(Box<Move>, oneshot::Sender<Result<Moved>>),
    Route(Box<Routing>, oneshot::Sender<Result<Routed>>),
}

impl Change {
    /// Where it stands in a batch: results before deliveries, both in the order of their ids. Changes of one row stay in the
    /// order they were handed in.
    fn place(&self) -> (bool, OrgId, Uuid) {
        match self {
            Self::Route(routing, _) => (false, routing.org, routing.result.0),
            Self::Move(change, _) => (true, change.org, change.id.0),
        }
    }
}

/// Where workers hand in their changes.
#[derive(Clone)]
pub struct Committer {
    changes: mpsc::Sender<Change>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

impl Committer {
    /// Starts the committing task. It ends when the last handle is dropped and everything handed in is committed.
    #[must_use]
    pub fn start(store: Store) -> Self {
        let (changes, inbox) = mpsc::channel(MOST * 2);
        tokio::spawn(run(store, inbox));
        Self { changes }
    }

    /// Moves a delivery; returns once it is durable.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the lease is no longer held, [`StoreError::Illegal`] when the rules refuse.
    pub async fn apply(&self, change: Move) -> Result<Moved> {
        let (done, answer) = oneshot::channel();
        self.changes.send(Change::Move(Box::new(change), done)).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// Records a route with its deliveries; returns once it is durable.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn route(&self, routing: Routing) -> Result<Routed> {
        let (done, answer) = oneshot::channel();
        self.changes.send(Change::Route(Box::new(routing), done)).await.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }
}

async fn run(store: Store, mut inbox: mpsc::Receiver<Change>) {
    let mut batch = Vec::with_capacity(MOST);
    while inbox.recv_many(&mut batch, MOST).await > 0 {
        // A database that cannot be reached is asked once for the whole batch, not once for each change in it.
        let tx = match store.begin().await {
            Ok(tx) => tx,
            Err(error) => {
                let mut error = Some(error);
                for change in batch.drain(..) {
                    reply(change, Err(error.take().unwrap_or(StoreError::Stopped)));
                }
                continue;
            }
        };
        // Rows are locked in the same order by every process, so that two batches do not wait for each other.
        batch.sort_by_key(Change::place);
        match together(&store, Some(tx), &batch).await {
            Ok(answers) => batch.drain(..).zip(answers).for_each(|(change, answer)| reply(change, answer)),
            Err(error) if batch.len() == 1 && !error.is_collision() => {
                batch.drain(..).zip([error]).for_each(|(change, error)| reply(change, Err(error)));
            }
            Err(_) => {
                for change in batch.drain(..) {
                    let answer = alone(&store, &change).await;
                    reply(change, answer);
                }
            }
        }
    }
}

async fn alone(store: &Store, change: &Change) -> Result<Done> {
    let answers = insist!(together(store, None, std::slice::from_ref(change)));
    answers?.pop().unwrap_or(Err(StoreError::Stopped))
}

enum Done {
    Moved(Moved),
    Routed(Routed),
}

/// All in one transaction. The outer error means that nothing was written.
async fn together(store: &Store, begun: Option<Tx>, batch: &[Change]) -> Result<Vec<Result<Done>>> {
    let mut tx = match begun {
        Some(tx) => tx,
        None => store.begin().await?,
    };
    let now = store.now_within(&mut tx).await?;
    let mut charges = Charges::by(&store.books);
    let mut answers = Vec::with_capacity(batch.len());
    let mut moves = Vec::with_capacity(batch.len());
    for change in batch {
        match change {
            Change::Move(change, _) => moves.push(&**change),
            // Results stand before deliveries.
            Change::Route(routing, _) => answers.push(match apply_route(&mut tx, &mut charges, routing, now).await {
                // Refused before anything was written: the others go on.
                Err(refused @ (StoreError::Lost | StoreError::Illegal(_))) => Err(refused),
                Err(broken) => return Err(broken),
                Ok(routed) => Ok(Done::Routed(routed)),
            }),
        }
    }
    let moved = apply_moves(&mut tx, &mut charges, &moves, now).await?;
    answers.extend(moved.into_iter().map(|answer| answer.map(Done::Moved)));
    charges.write(&mut tx, now).await?;
    tx.commit().await?;
    Ok(answers)
}

fn reply(change: Change, answer: Result<Done>) {
    // A worker that no longer waits has been cancelled; what it handed in stays committed.
    match (change, answer) {
        (Change::Move(_, to), Ok(Done::Moved(moved))) => drop(to.send(Ok(moved))),
        (Change::Route(_, to), Ok(Done::Routed(routed))) => drop(to.send(Ok(routed))),
        (Change::Move(_, to), Err(error)) => drop(to.send(Err(error))),
        (Change::Route(_, to), Err(error)) => drop(to.send(Err(error))),
        (Change::Move(..), Ok(Done::Routed(_))) | (Change::Route(..), Ok(Done::Moved(_))) => {}
    }
}
