//! Wakes workers when something new is durable. Inside a process by a signal; between processes on PostgreSQL by
//! LISTEN/NOTIFY. Only a hint: polling is the net beneath it.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::PgListener;
use tokio::sync::Notify;

use super::{Db, Doing as _, Result, Store, Tx};

const CHANNEL: &str = "postern_work";

#[derive(Clone)]
pub(super) struct Wake {
    signal: Arc<Notify>,
}

impl Wake {
    pub(super) async fn new(db: &Db) -> Self {
        let signal = Arc::new(Notify::new());
        if let Db::Postgres(pool) = db {
            match PgListener::connect_with(pool).await {
                Ok(listener) => drop(tokio::spawn(listen(listener, Arc::downgrade(&signal)))),
                Err(error) => tracing::warn!(%error, "cannot listen for new work; polling instead"),
            }
        }
        Self { signal }
    }
}

async fn listen(mut listener: PgListener, signal: std::sync::Weak<Notify>) {
    if let Err(error) = listener.listen(CHANNEL).await {
        tracing::warn!(%error, "cannot listen for new work; polling instead");
        return;
    }
    loop {
        // The listener reconnects by itself; a hint lost in between is what polling is for.
        let heard = listener.recv().await;
        let Some(signal) = signal.upgrade() else { return };
        match heard {
            Ok(_) => signal.notify_one(),
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) => {
                tracing::debug!(%error, "listening for new work was interrupted");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

impl Store {
    /// Returns when something new may be due.
    pub async fn woken(&self) {
        self.wake.signal.notified().await;
    }

    /// Something new is durable: wake this process's workers.
    pub fn wake(&self) {
        self.wake.signal.notify_one();
    }

    /// Tells other processes, as soon as this transaction commits.
    pub(super) async fn announce(&self, tx: &mut Tx) -> Result<()> {
        if let Tx::Postgres(tx) = tx {
            sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut **tx).await.doing("tell other processes")?;
        }
        Ok(())
    }
}
