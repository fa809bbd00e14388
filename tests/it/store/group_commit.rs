//! Group commit: many changes share one transaction, and one that cannot be made does not disturb the others.

use postern::{
    domain::{
        DeliveryId,
        delivery::{Event, State},
    },
    store::{Committer, StoreError, delivery::Move},
};

use super::{make, world::World};

use Event as E;

/// Makes the database itself refuse a change whose note is `poison`.
async fn poison(world: &World) {
    world
        .run(world.either(
            "CREATE TRIGGER poison BEFORE INSERT ON delivery_event WHEN NEW.detail = 'poison' BEGIN SELECT RAISE(ABORT, 'poison'); END",
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.detail = 'poison' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER poison BEFORE INSERT ON delivery_event FOR EACH ROW EXECUTE FUNCTION poison()",
        ))
        .await;
}

/// How many transactions recorded these events.
async fn transactions(world: &World, event: &str) -> i64 {
    match world.file() {
        // A frame of the write-ahead log that ends a transaction has the size of the database in it.
        Some(file) => {
            let log = std::fs::read(file.with_extension("db-wal")).unwrap();
            let page = u32::from_be_bytes(log[8..12].try_into().unwrap());
            let frames = log[32..].chunks_exact(24 + usize::try_from(page).unwrap());
            let salt = &log[16..24];
            i64::try_from(frames.filter(|frame| frame[4..8] != [0; 4] && frame[8..16] == *salt).count()).unwrap()
        }
        None => world.number(&format!("SELECT COUNT(DISTINCT xmin::text) FROM delivery_event WHERE event = '{event}'")).await,
    }
}

async fn empty_log(world: &World) {
    if world.file().is_some() {
        world.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
    }
}

on_both_engines! {
    async fn two_hundred_moves_at_once_share_a_few_transactions(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 200).await;
        empty_log(world).await;
        let moves = ids.into_iter().map(|id| {
            let committer = world.committer.clone();
            tokio::spawn(async move { committer.apply(Move::new(org, id, E::Claimed)).await.unwrap() })
        });
        for moved in moves.collect::<Vec<_>>() {
            moved.await.unwrap();
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery_event WHERE event = 'claimed'").await, 200);
        let transactions = transactions(world, "claimed").await;
        assert!((1..=40).contains(&transactions), "{transactions} transactions for 200 moves");
    }

    async fn a_change_the_rules_or_a_lost_lease_refuse_does_not_disturb_the_others(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 60).await;
        let moves = ids.iter().enumerate().map(|(number, id)| {
            let change = match number % 3 {
                0 => Move::new(org, *id, E::Claimed),
                1 => Move::new(org, *id, E::Accepted),
                _ => make::by(&make::lease(), org, *id, E::Claimed),
            };
            let committer = world.committer.clone();
            tokio::spawn(async move { committer.apply(change).await })
        });
        for (number, moved) in moves.collect::<Vec<_>>().into_iter().enumerate() {
            match (number % 3, moved.await.unwrap()) {
                (0, Ok(_)) | (1, Err(StoreError::Illegal(_))) | (2, Err(StoreError::Lost)) => {}
                (_, other) => panic!("{number}: {other:?}"),
            }
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE state = 'claimed'").await, 20);
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery_event WHERE event <> 'routed'").await, 20);
    }

    async fn a_change_the_database_refuses_is_undone_and_the_others_get_in(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 50).await;
        poison(world).await;
        let moves = ids.iter().enumerate().map(|(number, id)| {
            let note = (number == 25).then(|| "poison".to_owned());
            let (committer, change) = (world.committer.clone(), Move { note, ..Move::new(org, *id, E::Claimed) });
            tokio::spawn(async move { committer.apply(change).await })
        });
        for (number, moved) in moves.collect::<Vec<_>>().into_iter().enumerate() {
            let moved = moved.await.unwrap();
            match number {
                25 => assert!(matches!(moved, Err(StoreError::Database { .. })), "{moved:?}"),
                _ => assert!(moved.is_ok(), "{number}: {moved:?}"),
            }
        }
        assert_eq!(world.state(ids[25]).await, State::Queued);
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE state = 'claimed'").await, 49);
    }

    async fn a_route_the_database_refuses_leaves_nothing_behind(world: &World) {
        let org = world.organization("north").await;
        let old = world.queued(org, "A1").await;
        let result = world.report(org, "A1", postern::domain::report::ResultStatus::Corrected, 2).await;
        let lease = make::lease();
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        let mut routing = make::routing(org, result, &lease, &[make::ADDRESS, make::ELSEWHERE]);
        world.run(world.either(
            "CREATE TRIGGER poison BEFORE INSERT ON delivery WHEN NEW.address_key LIKE 'other@%' BEGIN SELECT RAISE(ABORT, 'poison'); END",
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.address_key LIKE 'other@%' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER poison BEFORE INSERT ON delivery FOR EACH ROW EXECUTE FUNCTION poison()",
        )).await;
        let refused = world.record(routing.clone()).await;
        assert!(matches!(refused, Err(StoreError::Database { .. })), "{refused:?}");
        assert_eq!(world.state(old).await, State::Queued, "nothing was superseded by a route that was not recorded");
        assert!(world.store.trace(org, result).await.unwrap().is_empty());
        routing.route.targets.pop();
        assert_eq!(world.record(routing).await.unwrap().deliveries.len(), 1, "its lease is still good");
    }

    async fn a_route_of_a_result_nobody_knows_is_lost(world: &World) {
        let (org, lease) = (world.organization("north").await, make::lease());
        let result = world.result(org, "A1").await;
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        for routing in [
            make::routing(postern::domain::OrgId::new(), result, &lease, &[make::ADDRESS]),
            make::routing(org, postern::domain::ResultId::new(), &lease, &[make::ADDRESS]),
        ] {
            assert!(matches!(world.record(routing).await, Err(StoreError::Lost)));
        }
    }

    async fn what_was_handed_in_is_committed_even_when_nobody_waits_for_it(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted]).await;
        let committer = Committer::start(world.store.clone());
        let waiting = committer.apply(Move::new(org, id, E::Accepted));
        // It has been handed in when the first poll returns.
        let cut_short = tokio::time::timeout(std::time::Duration::ZERO, waiting).await;
        drop(committer);
        if cut_short.is_err() {
            for _ in 0..200 {
                if world.state(id).await == State::Accepted {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
        assert_eq!(world.state(id).await, State::Accepted);
    }

    async fn moves_of_one_delivery_keep_the_order_they_were_handed_in(world: &World) {
        let org = world.organization("north").await;
        let ids: Vec<DeliveryId> = world.many(org, 10).await;
        // Handed in backwards, so that a committer that sorts its batch has something to sort.
        let workers = ids.iter().rev().map(|id| {
            let (committer, id) = (world.committer.clone(), *id);
            tokio::spawn(async move {
                let event = |event| committer.apply(Move::new(org, id, event));
                let (claimed, wire, accepted) = tokio::join!(event(E::Claimed), event(E::WireStarted), event(E::Accepted));
                claimed.and(wire).and(accepted).unwrap()
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            assert_eq!(worker.await.unwrap().delivery.state, State::Accepted);
        }
    }

    async fn two_processes_with_the_same_deliveries_in_another_order_both_get_through(world: &World) {
        let mut ids = Vec::new();
        for slug in ["north", "south", "west"] {
            let org = world.organization(slug).await;
            ids.extend(world.many(org, 30).await.into_iter().map(|id| (org, id)));
        }
        world.run("UPDATE delivery SET state = 'on_wire'").await;
        let neighbour = Committer::start(world.neighbour(std::sync::Arc::clone(&world.clock)).await);
        let mut moves = Vec::new();
        for (committer, backwards) in [(world.committer.clone(), false), (neighbour, true)] {
            let mut mine = ids.clone();
            if backwards {
                mine.reverse();
            }
            for (org, id) in mine {
                let committer = committer.clone();
                moves.push(tokio::spawn(async move { committer.apply(Move::new(org, id, E::Accepted)).await }));
            }
        }
        for moved in moves {
            moved.await.unwrap().unwrap();
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM ledger_line").await, 90);
        assert_eq!(world.store.counts(postern::domain::OrgScope::All).await.unwrap().untied, 0);
    }
}

/// Counts the statements that change these tables, whatever each of them changes: only PostgreSQL has such triggers, and both
/// engines are given the same statements.
pub(super) async fn count_statements(world: &World, tables: &[&str]) {
    world
        .run(
            "CREATE TABLE statement_seen (what TEXT NOT NULL);
             CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN INSERT INTO statement_seen VALUES (TG_TABLE_NAME); RETURN NULL; END $$",
        )
        .await;
    for table in tables {
        world
            .run(&format!(
                "CREATE TRIGGER counted AFTER INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION count_statement()"
            ))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_takes_one_statement_for_each_table_however_many_deliveries_move_and_are_charged() {
    const TABLES: [&str; 4] = ["delivery", "delivery_event", "ledger_line", "ledger_head"];
    let world = World::postgres().await;
    let mut ids = Vec::new();
    for slug in ["north", "south"] {
        let org = world.organization(slug).await;
        ids.extend(world.many(org, 60).await.into_iter().map(|id| (org, id)));
        // The first charge of a month begins it.
        world.store.begin_periods(org).await.unwrap();
    }
    count_statements(&world, &TABLES).await;
    for event in [E::Claimed, E::WireStarted, E::Accepted] {
        let moves = ids.iter().map(|(org, id)| {
            let (committer, change) = (world.committer.clone(), Move::new(*org, *id, event));
            tokio::spawn(async move { committer.apply(change).await.unwrap() })
        });
        for moved in moves.collect::<Vec<_>>() {
            moved.await.unwrap();
        }
    }
    assert_eq!(world.number("SELECT COUNT(*) FROM ledger_line").await, 120);
    let (mut all, mut charging) = (0, 0);
    for event in ["claimed", "on_wire", "accepted"] {
        charging = transactions(&world, event).await;
        all += charging;
    }
    for (table, most) in TABLES.into_iter().zip([all, all, charging, charging]) {
        let seen = world.number(&format!("SELECT COUNT(*) FROM statement_seen WHERE what = '{table}'")).await;
        assert!((1..=most).contains(&seen), "{seen} statements changed {table} in {most} transactions");
    }
}
