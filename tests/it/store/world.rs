//! One empty database, a clock that stands still, and the few steps most journeys begin with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use postern::{
    crypto::MasterKey,
    domain::{
        DeliveryId, OrgId, ResultId, Timestamp,
        delivery::{Event, State},
        order::Action,
        report::ResultStatus,
    },
    store::{
        Committer, Store, StoreError, StoreOptions,
        delivery::{Move, Moved},
        intake::{OrderTaken, ResultTaken},
        lease::Lease,
        result::{Routed, Routing},
    },
};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use tempfile::TempDir;

use super::make;
use crate::support::{clock::TestClock, postgres::TestDatabase};

/// A store on an empty database.
pub(crate) struct World {
    /// What is tested.
    pub(crate) store: Store,
    /// The clock of this machine.
    pub(crate) clock: Arc<TestClock>,
    /// Where changes are handed in.
    pub(crate) committer: Committer,
    place: Place,
    raw: Raw,
}

/// Where the database is.
enum Place {
    File(TempDir),
    Server(TestDatabase),
}

/// A way to the rows past the store.
enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The time at which every journey begins: 2026-03-02 15:00 UTC.
pub(crate) const START: Timestamp = Timestamp(1_772_463_600_000_000);

/// Shadows the server's own clock: the store asks for `clock_timestamp()` and finds ours first.
const FAKE_CLOCK: &str = "CREATE SCHEMA fake; CREATE TABLE fake.now (micros BIGINT NOT NULL);
    CREATE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
        $$ SELECT timestamptz 'epoch' + (SELECT micros FROM fake.now) * interval '1 microsecond' $$;";

impl World {
    pub(crate) async fn sqlite() -> Self {
        let place = Place::File(tempfile::tempdir().expect("a folder"));
        Self::open(place).await
    }

    pub(crate) async fn postgres() -> Self {
        let database = TestDatabase::fresh();
        database.query(&format!("{FAKE_CLOCK} INSERT INTO fake.now VALUES ({});", START.micros()));
        database.query("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, fake, pg_catalog', current_database()); END $$");
        Self::open(Place::Server(database)).await
    }

    async fn open(place: Place) -> Self {
        let clock = Arc::new(TestClock::at(START));
        let store = open(&place, Arc::clone(&clock), master()).await.expect("open the store");
        let raw = match &place {
            Place::File(folder) => {
                let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file(folder)).foreign_keys(false);
                Raw::Sqlite(SqlitePool::connect_with(options).await.expect("open the file"))
            }
            Place::Server(database) => Raw::Postgres(PgPool::connect(&database.url).await.expect("connect")),
        };
        let committer = Committer::start(store.clone());
        Self { store, clock, committer, place, raw }
    }

    /// The store as another process on another machine opens it, with a clock of its own.
    pub(crate) async fn neighbour(&self, clock: Arc<TestClock>) -> Store {
        open(&self.place, clock, master()).await.expect("open the store once more")
    }

    /// The store opened with a master key that never sealed anything in it.
    pub(crate) async fn with_another_master_key(&self) -> Store {
        let other = MasterKey::generate().expect("a key");
        open(&self.place, Arc::clone(&self.clock), other).await.expect("open the store once more")
    }

    /// The database file; `None` on PostgreSQL.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::File(folder) => Some(file(folder)),
            Place::Server(_) => None,
        }
    }

    /// Lets time pass, here and at the database server.
    pub(crate) async fn pass(&self, by: Duration) {
        self.clock.pass(by);
        self.set_server_clock().await;
    }

    /// Sets the clock, here and at the database server.
    pub(crate) async fn set_time(&self, at: Timestamp) {
        self.clock.set(at);
        self.set_server_clock().await;
    }

    async fn set_server_clock(&self) {
        if let Raw::Postgres(_) = &self.raw {
            use postern::domain::Clock as _;
            self.run(&format!("UPDATE fake.now SET micros = {}", self.clock.now().micros())).await;
        }
    }

    /// Runs one statement past the store; gives how many rows it touched.
    pub(crate) async fn run(&self, sql: &str) -> u64 {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::raw_sql(query).execute(pool).await.map(|done| done.rows_affected()),
            Raw::Postgres(pool) => sqlx::raw_sql(query).execute(pool).await.map(|done| done.rows_affected()),
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The first column of every row, which must be text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query_scalar(query).fetch_all(pool).await,
            Raw::Postgres(pool) => sqlx::query_scalar(query).fetch_all(pool).await,
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one number a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let query = AssertSqlSafe(sql.to_owned());
        match &self.raw {
            Raw::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
            Raw::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await,
        }
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// One of two texts, by engine.
    pub(crate) fn either<'a>(&self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self.place {
            Place::File(_) => sqlite,
            Place::Server(_) => postgres,
        }
    }

    /// An organization in production that charges 0.25 for each delivery.
    pub(crate) async fn organization(&self, slug: &str) -> OrgId {
        self.store.apply_organization(&make::organization(slug), &[]).await.expect("apply an organization")
    }

    /// Takes a new order and its final result.
    pub(crate) async fn result(&self, org: OrgId, order_id: &str) -> ResultId {
        self.order(org, order_id).await;
        self.result_only(org, order_id).await
    }

    /// Takes the final result of an order that is there.
    pub(crate) async fn result_only(&self, org: OrgId, order_id: &str) -> ResultId {
        self.report(org, order_id, ResultStatus::Final, 1).await
    }

    /// Takes a new order.
    pub(crate) async fn order(&self, org: OrgId, order_id: &str) {
        let taken = self.store.take_order(org, &make::order(order_id), Action::New).await.expect("take an order");
        assert!(matches!(taken, OrderTaken::New(_)), "{taken:?}");
    }

    /// Takes a result of an order that is there.
    pub(crate) async fn report(&self, org: OrgId, order_id: &str, status: ResultStatus, pdf: u8) -> ResultId {
        let taken = self.take(org, order_id, status, pdf).await;
        let ResultTaken::New(id, _) = taken else { panic!("{taken:?}") };
        id
    }

    /// Takes a result.
    pub(crate) async fn take(&self, org: OrgId, order_id: &str, status: ResultStatus, pdf: u8) -> ResultTaken {
        let report = make::report(order_id, status);
        self.store.take_result(org, &report, Some(&make::pdf(pdf)), None, make::WAIT).await.expect("take a result")
    }

    /// Claims every result there is to route and sends each to these addresses.
    pub(crate) async fn route(&self, addresses: &[&str]) -> Vec<DeliveryId> {
        let lease = make::lease();
        let mut made = Vec::new();
        for work in self.store.claim_results(&lease, 1000, 0).await.expect("claim results") {
            let routed = self.record(make::routing(work.org, work.id, &lease, addresses)).await.expect("record a route");
            made.extend(routed.deliveries);
        }
        made
    }

    /// Records one route.
    pub(crate) async fn record(&self, routing: Routing) -> Result<Routed, StoreError> {
        self.committer.route(routing).await
    }

    /// One queued delivery of a new order to one address.
    pub(crate) async fn queued(&self, org: OrgId, order_id: &str) -> DeliveryId {
        self.result(org, order_id).await;
        let made = self.route(&[make::ADDRESS]).await;
        assert_eq!(made.len(), 1);
        made[0]
    }

    /// So many queued deliveries, all of one result, each to another address.
    pub(crate) async fn many(&self, org: OrgId, count: usize) -> Vec<DeliveryId> {
        let seed = self.queued(org, "MANY").await;
        let hex = self.either("printf('%012x', n.i)", "lpad(to_hex(n.i), 12, '0')");
        self.run(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)
             INSERT INTO delivery (org_id, id, result_id, order_key, version, site, address, address_key, target, message_id, document_id,
                fee_code, test, priority, state, fee, unknown_attempts, stopped, billable, when_unknown, wants_dispatched, attempts,
                next_attempt_at, retry_until, rechecks, created_at, updated_at)
             SELECT d.org_id, substr(d.id, 1, 24) || {hex}, d.result_id, d.order_key, d.version, d.site, {hex} || '@d.example',
                {hex} || '@d.example', d.target, '<' || {hex} || substr(d.message_id, 2), d.document_id, d.fee_code, d.test, d.priority, d.state, d.fee,
                d.unknown_attempts, d.stopped, d.billable, d.when_unknown, d.wants_dispatched, d.attempts, d.next_attempt_at,
                d.retry_until, d.rechecks, d.created_at, d.updated_at
             FROM delivery d, n WHERE d.id = '{seed}' AND {count} > 1"
        ))
        .await;
        let ids = self.texts(&format!("SELECT id FROM delivery WHERE org_id = '{org}' ORDER BY id")).await;
        ids.iter().map(|id| id.parse().expect("a delivery id")).collect()
    }

    /// What happened to a delivery, by nobody in particular.
    pub(crate) async fn happen(&self, org: OrgId, id: DeliveryId, event: Event) -> Result<Moved, StoreError> {
        self.committer.apply(Move::new(org, id, event)).await
    }

    /// Leads a queued delivery along a way of events.
    pub(crate) async fn lead(&self, org: OrgId, id: DeliveryId, way: &[Event]) {
        for event in way {
            self.happen(org, id, *event).await.unwrap_or_else(|error| panic!("{event:?}: {error}"));
        }
    }

    /// Where a delivery stands.
    pub(crate) async fn state(&self, id: DeliveryId) -> State {
        self.column(id, "state").await.parse().expect("a state")
    }

    /// One column of a delivery as text; empty when NULL.
    pub(crate) async fn column(&self, id: DeliveryId, column: &str) -> String {
        self.texts(&format!("SELECT COALESCE(CAST({column} AS TEXT), '') FROM delivery WHERE id = '{id}'")).await.remove(0)
    }

    /// Where a result stands and why.
    pub(crate) async fn result_state(&self, id: ResultId) -> String {
        self.texts(&format!("SELECT state || COALESCE('(' || reason || ')', '') FROM result WHERE id = '{id}'")).await.remove(0)
    }

    /// Claims up to `most` deliveries; the ids, in no particular order.
    pub(crate) async fn claim(&self, lease: &Lease, most: usize) -> Vec<DeliveryId> {
        let claimed = self.store.claim_deliveries(lease, most, 0).await.expect("claim deliveries");
        claimed.into_iter().map(|claimed| claimed.id).collect()
    }
}

fn master() -> MasterKey {
    MasterKey::from_text(&"5ac3".repeat(16)).expect("a key")
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("postern.db")
}

async fn open(place: &Place, clock: Arc<TestClock>, master: MasterKey) -> Result<Store, StoreError> {
    let url = match place {
        Place::File(folder) => format!("sqlite:{}", file(folder).display()),
        Place::Server(database) => database.url.clone(),
    };
    Store::open(StoreOptions { url, connections: 12, master }, clock).await
}
