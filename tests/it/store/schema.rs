//! The schema: the same on both engines, and bringing a database up to date twice does it once.

use std::sync::Arc;

use postern::store::{Store, StoreError, StoreOptions};

use super::world::World;
use crate::support::clock::TestClock;

on_both_engines! {
    async fn opening_again_changes_nothing(world: &World) {
        let org = world.organization("north").await;
        let again = world.neighbour(Arc::clone(&world.clock)).await;
        assert_eq!(again.organization(org).await.unwrap().map(|org| org.id), Some(org));
        assert_eq!(world.number("SELECT COUNT(*) - COUNT(DISTINCT version) FROM _sqlx_migrations").await, 0);
    }

    async fn many_that_open_at_once_share_a_schema(world: &World) {
        world.organization("north").await;
        let mut opening = Vec::new();
        for _ in 0..4 {
            opening.push(world.neighbour(Arc::clone(&world.clock)));
        }
        for store in futures_util::future::join_all(opening).await {
            store.ping().await.unwrap();
        }
    }

    async fn it_says_which_engine_it_is_and_stops_when_closed(world: &World) {
        assert_eq!(world.store.engine(), world.either("sqlite", "postgres"));
        world.store.ping().await.unwrap();
        let other = world.neighbour(Arc::clone(&world.clock)).await;
        other.close().await;
        assert!(other.ping().await.is_err());
        world.store.ping().await.unwrap();
    }
}

/// Tables and columns as `table.column kind`.
async fn columns(world: &World) -> Vec<String> {
    let sqlite = "SELECT m.name || '.' || c.name || ' ' || CASE c.type WHEN 'BLOB' THEN 'bytes' ELSE lower(c.type) END
        || CASE WHEN c.\"notnull\" OR c.pk THEN ' required' ELSE '' END
        FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE '%sqlx%' AND m.name NOT LIKE 'sqlite%'
        ORDER BY 1";
    let postgres = "SELECT table_name || '.' || column_name || ' ' || CASE data_type WHEN 'bytea' THEN 'bytes' ELSE data_type END
        || CASE is_nullable WHEN 'NO' THEN ' required' ELSE '' END
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '%sqlx%' ORDER BY 1";
    let mut columns = world.texts(world.either(sqlite, postgres)).await;
    columns.sort();
    columns
}

/// Indexes by name.
async fn indexes(world: &World) -> Vec<String> {
    let sqlite = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL";
    let postgres = "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'
        AND indexname NOT LIKE '%_key' AND indexname NOT LIKE '%sqlx%'";
    let mut indexes = world.texts(world.either(sqlite, postgres)).await;
    indexes.sort();
    indexes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_tables_columns_and_indexes() {
    let (sqlite, postgres) = (World::sqlite().await, World::postgres().await);
    let names = columns(&sqlite).await;
    assert!(names.len() > 100, "{} columns found", names.len());
    assert_eq!(names, columns(&postgres).await);
    let names = indexes(&sqlite).await;
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(names, indexes(&postgres).await);
}

#[tokio::test]
async fn many_that_create_the_same_file_at_once_all_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new.db").display());
    let opening = (0..6).map(|_| {
        let master = postern::crypto::MasterKey::generate().unwrap();
        Store::open(StoreOptions { url: url.clone(), connections: 2, master }, Arc::new(TestClock::at(super::world::START)))
    });
    for opened in futures_util::future::join_all(opening).await {
        opened.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn an_address_that_names_no_engine_is_refused() {
    for url in ["mysql://localhost/x", "postern.db", ""] {
        let master = postern::crypto::MasterKey::generate().unwrap();
        let options = StoreOptions { url: url.to_owned(), connections: 2, master };
        let opened = Store::open(options, Arc::new(TestClock::at(super::world::START))).await;
        assert!(matches!(opened, Err(StoreError::Url)), "{url}");
    }
}
