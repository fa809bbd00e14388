//! The only room with SQL: one [`Store`] over SQLite and PostgreSQL.
//!
//! The SQL text is shared (`$1` works in both); only what truly differs is written twice. No transaction is ever open
//! across network I/O. On SQLite every writing transaction begins IMMEDIATE, because a read that later becomes a write
//! on a stale snapshot fails at once, whatever the busy time-out.

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use crate::{
    crypto::MasterKey,
    domain::{Clock, Timestamp, failure::Class},
};

/// Runs one query on whichever engine is open. `$on` is bound to the pool or the connection.
macro_rules! on {
    ($db:expr, $on:ident => $query:expr) => {
        match $db {
            $crate::store::Db::Sqlite($on) => $query,
            $crate::store::Db::Postgres($on) => $query,
        }
    };
}
/// The same inside a transaction.
macro_rules! within {
    ($tx:expr, $on:ident => $query:expr) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => {
                let $on = &mut **tx;
                $query
            }
            $crate::store::Tx::Postgres(tx) => {
                let $on = &mut **tx;
                $query
            }
        }
    };
}
/// Reads rows that the transaction is about to change: on PostgreSQL they are locked until it ends, and rows that no longer
/// match once their lock is had are left out. On SQLite BEGIN IMMEDIATE already holds the only writer's place.
/// Several rows are asked for `ORDER BY created_at, id`: everybody locks them in one order, and SQLite does not read all of
/// an organization along its primary key to get them sorted, as it would for `ORDER BY id`.
macro_rules! locked {
    ($tx:expr, $how:ident($sql:literal) $($rest:tt)*) => {
        match $tx {
            $crate::store::Tx::Sqlite(tx) => sqlx::$how($sql) $($rest)* (&mut **tx).await,
            $crate::store::Tx::Postgres(tx) => sqlx::$how(concat!($sql, " FOR UPDATE")) $($rest)* (&mut **tx).await,
        }
    };
}
/// Does something in one transaction, and again when it collided with another.
macro_rules! insist {
    ($attempt:expr) => {{
        let mut tries = 1;
        loop {
            let done: $crate::store::Result<_> = $attempt.await;
            match done {
                Err(error) if tries < $crate::store::COLLISIONS && error.is_collision() => tries += 1,
                done => break done,
            }
        }
    }};
}

/// Alerts, what is still to be said about them, and to whom.
pub mod alert;
/// Data keys of organizations, and sealing with them.
pub mod at_rest;
/// Who did what.
pub mod audit;
/// Statements that were handed out.
pub mod billing_statement;
/// PDFs.
pub mod blobs;
/// Deliveries as people look for them.
pub mod browse;
/// Bundles of trust anchors.
pub mod bundle;
/// What DNS and LDAP said about certificates.
pub mod certificate_cache;
/// What an applied organization file would change.
pub mod changes;
/// Group commit: many changes, one transaction, one fsync.
pub mod commit;
/// What people decided about where results go.
pub mod decision;
/// Deliveries: queue, work and evidence.
pub mod delivery;
/// Lists of deliveries, page by page.
pub mod delivery_list;
/// How deep the queue is.
pub mod depth;
/// Directory snapshots and look-ups.
pub mod directory;
/// What stands between a delivery and a certificate to believe.
mod doubt;
/// What happened, numbered as it became durable.
pub mod event;
/// How deliveries to an address went.
mod experience;
/// What follows when a delivery has failed for good.
pub mod fallback;
/// Where a feed stands, and what could not be taken from it.
pub mod feed;
/// What the first page of the console shows.
pub mod figures;
/// What is measured for alerts.
pub mod gauge;
/// How recipient domains answer.
pub mod habit;
/// Generations of our own certificates and keys.
pub mod identity_key;
/// Mail that came for us: kept before it is acknowledged.
pub mod inbound;
/// Orders and results come in.
pub mod intake;
/// Leases of the queue and of periodic tasks.
pub mod lease;
/// The fee ledger.
pub mod ledger;
/// What crashes and refusals leave behind.
pub mod leftover;
/// Messages for people.
pub mod letter;
/// How far a metering system knows the ledgers.
pub mod metering;
mod migrations;
mod moves;
/// Notices: what they said, what counted, and whose clock has run out.
pub mod notice;
/// Organizations, sites and identities.
pub mod organization;
/// What became of the results of a period: what payers are told.
pub mod outcome;
/// What recipient domains have shown they understand.
pub mod peer;
/// Months that are billed.
pub mod period;
/// People who sign in.
pub mod person;
/// Prices and terms.
pub mod price;
/// People whom an OpenID provider vouches for.
mod provider;
/// What is due: claimed under leases, urgent first and fair across organizations.
pub mod queue;
/// Whether a database answers, without changing anything in it.
pub mod reach;
/// What was handed over, held against what a HISP has counted.
pub mod reconciliation;
/// Notices we owe to others.
pub mod reply;
/// Results and their routes.
pub mod result;
/// Patient data for one look, which is on record before it is given.
pub mod reveal;
/// Rosters of payers: versions, and who a member is attributed to.
pub mod roster;
mod rows;
/// An organization's rules, read and changed where somebody else may be changing them too.
pub mod rules;
/// Filters that people keep.
pub mod saved_filter;
/// Who is signed in.
pub mod session;
/// Who gets the next place: a pure rule.
pub mod shares;
/// Wrong tries in a row.
pub mod sign_in;
/// What issuers publish about their certificates.
pub mod statement;
/// What people look at: lists, counts, the worklist.
pub mod survey;
/// API tokens.
pub mod token;
/// Codes of six digits, and those for the day the telephone is lost.
pub mod totp;
/// Imported certificates and trust anchors.
pub mod trust;
/// Mail that matches no organization.
pub mod unmatched;
/// Wakes workers when something new is durable.
mod wake;
/// The mailboxes that notices come into.
pub mod way_in;
/// Programs that are told of events.
pub mod webhook;
/// What needs a person, and what a person does about it.
pub mod worklist;

pub use commit::Committer;

/// The two engines.
#[derive(Debug, Clone)]
pub enum Db {
    /// Embedded.
    Sqlite(SqlitePool),
    /// A server, for more than one machine.
    Postgres(PgPool),
}

/// An open transaction on either.
#[derive(Debug)]
pub enum Tx {
    /// Embedded.
    Sqlite(Transaction<'static, Sqlite>),
    /// A server.
    Postgres(Transaction<'static, Postgres>),
}

/// Everything durable.
#[derive(Clone)]
pub struct Store {
    db: Db,
    /// SQLite has one writer at a time; its transactions all go through one connection. Others would find its place taken
    /// and sleep until it is free, and read again what this one still has in its cache.
    /// The queue is read there too. On PostgreSQL it is the same as `db`.
    writing: Db,
    clock: Arc<dyn Clock>,
    keys: Arc<at_rest::KeyRing>,
    wake: wake::Wake,
    hands: lease::Hands,
    books: ledger::Books,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("engine", &self.engine()).finish_non_exhaustive()
    }
}

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no engine we have.
    #[error("the store URL must begin with sqlite: or postgres:")]
    Url,
    /// The database refused or cannot be reached.
    #[error("{doing}")]
    Database {
        /// The operation and its object.
        doing: &'static str,
        /// The cause.
        #[source]
        cause: sqlx::Error,
    },
    /// Migrating failed.
    #[error("cannot bring the database to this version's schema")]
    Migrate(#[source] sqlx::migrate::MigrateError),
    /// A sealed value cannot be opened: wrong master key, or tampering.
    #[error("cannot open the sealed {0}: wrong master key, or the data was changed")]
    Sealed(&'static str),
    /// A row holds something this version cannot read.
    #[error("the stored {what} cannot be read")]
    Row {
        /// Which value.
        what: &'static str,
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such organization.
    #[error("there is no such organization")]
    NoOrganization,
    /// The change is not possible any more; somebody else was first.
    #[error("the row has changed in the meantime")]
    Lost,
    /// The rules say no.
    #[error(transparent)]
    Illegal(#[from] crate::domain::delivery::IllegalMove),
    /// A key or random number could not be made.
    #[error("the crypto library failed")]
    Crypto(#[from] crate::crypto::CryptoError),
    /// It is there already.
    #[error("there is already {0}")]
    Taken(&'static str),
    /// The committing task has stopped.
    #[error("the store is shutting down")]
    Stopped,
}

impl StoreError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Database { .. } | Self::Stopped => Class::Retry,
            _ => Class::Permanent,
        }
    }

    /// Whether PostgreSQL undid the transaction only because another stood in its way: the same again gets through.
    fn is_collision(&self) -> bool {
        // deadlock_detected, serialization_failure
        matches!(self, Self::Database { cause: sqlx::Error::Database(cause), .. }
            if matches!(cause.code().as_deref(), Some("40P01" | "40001")))
    }
}

/// The result of anything here.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Names the operation of a database error.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, sqlx::Error> {
    fn doing(self, doing: &'static str) -> Result<T> {
        self.map_err(|cause| StoreError::Database { doing, cause })
    }
}

/// So often a transaction that collided is tried.
const COLLISIONS: usize = 5;

/// Reads a stored word, id or number back into its type.
pub(crate) fn read<T: FromStr>(what: &'static str, text: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|cause: T::Err| StoreError::Row { what, cause: Box::new(cause) })
}

/// Reads stored JSON back into its type.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(what: &'static str, json: &[u8]) -> Result<T> {
    // serde's own words quote the value, which may be a patient's.
    serde_json::from_slice(json).map_err(|cause| StoreError::Row {
        what,
        cause: format!("{:?} error at line {}, column {}", cause.classify(), cause.line(), cause.column()).into(),
    })
}

/// Writes a value as JSON.
pub(crate) fn write_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| StoreError::Row { what, cause: Box::new(cause) })
}

/// How to open a store.
pub struct StoreOptions {
    /// `sqlite:PATH` or `postgres://...`.
    pub url: String,
    /// Most connections.
    pub connections: u32,
    /// Wraps the organizations' data keys.
    pub master: MasterKey,
}

impl Store {
    /// Opens the database and brings its schema to this version.
    ///
    /// # Errors
    /// When it cannot be reached or migrated.
    pub async fn open(options: StoreOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        let (db, writing) = if let Some(path) = options.url.strip_prefix("sqlite:") {
            (open_sqlite(path, options.connections.max(2)).await?, open_sqlite(path, 1).await?)
        } else if options.url.starts_with("postgres:") || options.url.starts_with("postgresql:") {
            let connect = PgConnectOptions::from_str(&options.url).doing("read the store URL")?;
            let pool = PgPoolOptions::new()
                .max_connections(options.connections)
                .acquire_timeout(Duration::from_secs(10))
                // Our statements are short; where the planner takes one for long, compiling it takes ten times what running it does.
                .after_connect(|connection, _| {
                    Box::pin(async { sqlx::query("SET jit = off").execute(connection).await.map(drop) })
                });
            let db = Db::Postgres(pool.connect_with(connect).await.doing("connect to PostgreSQL")?);
            (db.clone(), db)
        } else {
            return Err(StoreError::Url);
        };
        migrations::run(&db).await?;
        let wake = wake::Wake::new(&db).await;
        Ok(Self {
            db,
            writing,
            clock,
            keys: Arc::new(at_rest::KeyRing::new(options.master)),
            wake,
            hands: lease::Hands::default(),
            books: ledger::Books::default(),
        })
    }

    /// `sqlite` or `postgres`.
    #[must_use]
    pub const fn engine(&self) -> &'static str {
        match self.db {
            Db::Sqlite(_) => "sqlite",
            Db::Postgres(_) => "postgres",
        }
    }

    /// The clock handed in.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The time that leases and the queue go by. On PostgreSQL it is the database's, so that a machine whose clock is
    /// wrong steals nothing from its neighbours.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn now(&self) -> Result<Timestamp> {
        match &self.db {
            Db::Sqlite(_) => Ok(self.clock.now()),
            Db::Postgres(pool) => {
                let micros: i64 = sqlx::query_scalar(PG_NOW).fetch_one(pool).await.doing("ask the database for the time")?;
                Ok(Timestamp(micros))
            }
        }
    }

    /// Begins a writing transaction.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        match &self.writing {
            Db::Sqlite(pool) => Ok(Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await.doing("begin a transaction")?)),
            Db::Postgres(pool) => Ok(Tx::Postgres(pool.begin().await.doing("begin a transaction")?)),
        }
    }

    /// Begins a transaction that sees everything as it is at this instant and changes nothing.
    pub(crate) async fn begin_reading(&self) -> Result<Tx> {
        const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
        match &self.db {
            Db::Sqlite(pool) => Ok(Tx::Sqlite(pool.begin().await.doing("begin to read")?)),
            Db::Postgres(pool) => Ok(Tx::Postgres(pool.begin_with(SNAPSHOT).await.doing("begin to read")?)),
        }
    }

    /// The time inside a transaction, as [`Store::now`].
    pub(crate) async fn now_within(&self, tx: &mut Tx) -> Result<Timestamp> {
        match tx {
            Tx::Sqlite(_) => Ok(self.clock.now()),
            Tx::Postgres(tx) => {
                let micros: i64 = sqlx::query_scalar(PG_NOW).fetch_one(&mut **tx).await.doing("ask the database for the time")?;
                Ok(Timestamp(micros))
            }
        }
    }

    /// Whether the database answers: for the health page.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        on!(&self.db, pool => sqlx::query("SELECT 1").execute(pool).await.map(drop)).doing("ask the database anything")
    }

    /// Closes every connection.
    pub async fn close(&self) {
        on!(&self.writing, pool => pool.close().await);
        on!(&self.db, pool => pool.close().await);
    }
}

const PG_NOW: &str = "SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint";

impl Tx {
    /// Makes everything durable.
    pub(crate) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
        .doing("commit a transaction")
    }
}

async fn open_sqlite(path: &str, connections: u32) -> Result<Db> {
    let path = path.trim_start_matches("//");
    create_private(path);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Acknowledged means durable: FULL syncs the log at every commit.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(30))
        .pragma("wal_autocheckpoint", "2000")
        .pragma("temp_store", "memory")
        // The pages a busy queue comes back to all the time stay in memory: 16 MiB for each connection, in KiB.
        .pragma("cache_size", "-16384")
        // A statement with many rows is another one for each number of them.
        .statement_cache_capacity(250);
    // There is no server that could have gone away, so a connection is not asked whether it is still there.
    let pool =
        SqlitePoolOptions::new().max_connections(connections).acquire_timeout(Duration::from_secs(30)).test_before_acquire(false);
    Ok(Db::Sqlite(pool.connect_with(options).await.doing("open the SQLite file")?))
}

/// Patient data is encrypted inside, but nobody else needs to read the file at all. SQLite gives its -wal and -shm files the
/// permissions of the file itself.
fn create_private(path: &str) {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let created = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    let restricted = created.and_then(|file| file.set_permissions(std::fs::Permissions::from_mode(0o600)));
    if let Err(error) = restricted {
        tracing::debug!(%error, "cannot restrict the permissions of the database file");
    }
}
