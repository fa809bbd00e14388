//! The queue: nobody takes what another has, urgent first, fair, in order.

use std::{collections::BTreeMap, time::Duration};

use postern::{
    domain::{DeliveryId, OrgId, delivery::Event, delivery::State, order::Action, report::ResultStatus},
    store::lease::Lease,
};

use super::{
    make,
    world::{START, World},
};

use Event as E;

/// How many of a batch belong to each organization.
async fn shares(world: &World, lease: &Lease, most: usize, turn: usize) -> BTreeMap<OrgId, usize> {
    let mut shares = BTreeMap::new();
    for claimed in world.store.claim_deliveries(lease, most, turn).await.unwrap() {
        *shares.entry(claimed.org).or_default() += 1;
    }
    shares
}

on_both_engines! {
    async fn two_workers_never_claim_the_same_delivery(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        world.many(north, 300).await;
        world.many(south, 200).await;
        let workers = (0..8).map(|turn| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let (lease, mut mine) = (make::lease(), Vec::new());
                loop {
                    let batch = store.claim_deliveries(&lease, 7, turn).await.unwrap();
                    if batch.is_empty() {
                        return mine;
                    }
                    assert!(batch.len() <= 7);
                    mine.extend(batch.into_iter().map(|claimed| claimed.id));
                }
            })
        });
        let mut all = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            all.extend(worker.await.unwrap());
        }
        let claimed = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((claimed, all.len()), (500, 500));
    }

    async fn two_workers_never_route_the_same_result(world: &World) {
        let org = world.organization("north").await;
        for round in 0..40 {
            world.result(org, &format!("A{round}")).await;
        }
        let workers = (0..6).map(|turn| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let (lease, mut mine) = (make::lease(), Vec::new());
                loop {
                    let batch = store.claim_results(&lease, 3, turn).await.unwrap();
                    if batch.is_empty() {
                        return mine;
                    }
                    mine.extend(batch.into_iter().map(|work| work.id));
                }
            })
        });
        let mut all = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            all.extend(worker.await.unwrap());
        }
        let claimed = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((claimed, all.len()), (40, 40));
    }

    async fn urgent_deliveries_and_results_go_first(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        world.many(north, 50).await;
        world.store.take_order(south, &make::urgent("U1"), Action::New).await.unwrap();
        let result = world.result_only(south, "U1").await;
        world.result(north, "A1").await;
        let first = world.store.claim_results(&make::lease(), 1, 0).await.unwrap();
        assert_eq!(first[0].id, result);
        world.pass(Duration::from_secs(61)).await;
        let urgent = world.route(&[make::ADDRESS]).await;
        world.run("UPDATE delivery SET next_attempt_at = next_attempt_at - 1000000 WHERE priority = 'routine'").await;
        let batch = world.store.claim_deliveries(&make::lease(), 1, 0).await.unwrap();
        assert_eq!(batch[0].org, south, "although the routine ones have been due for longer");
        assert!(urgent.contains(&batch[0].id));
        let rest = world.store.claim_deliveries(&make::lease(), 10, 0).await.unwrap();
        assert_eq!(rest.len(), 10);
    }

    async fn an_organization_with_thousands_queued_does_not_delay_one_with_five(world: &World) {
        let (large, small) = (world.organization("large").await, world.organization("small").await);
        world.many(large, 2000).await;
        world.many(small, 5).await;
        let lease = make::lease();
        let first = shares(world, &lease, 16, 0).await;
        assert_eq!((first.get(&small), first.get(&large)), (Some(&5), Some(&11)), "and what it leaves goes to the other");
        assert_eq!(shares(world, &lease, 16, 1).await.get(&large), Some(&16));
    }

    async fn routing_is_fair_in_the_same_way(world: &World) {
        let (large, small) = (world.organization("large").await, world.organization("small").await);
        for round in 0..30 {
            world.result(large, &format!("A{round}")).await;
        }
        for round in 0..3 {
            world.result(small, &format!("A{round}")).await;
        }
        let batch = world.store.claim_results(&make::lease(), 8, 0).await.unwrap();
        assert_eq!(batch.iter().filter(|work| work.org == small).count(), 3);
    }

    async fn with_more_organizations_than_a_batch_has_room_for_each_gets_its_turn(world: &World) {
        let mut waiting = std::collections::BTreeSet::new();
        for number in 0..20 {
            let org = world.organization(&format!("org{number}")).await;
            world.many(org, 30).await;
            waiting.insert(org);
        }
        let (lease, mut turn) = (make::lease(), 0);
        for _ in 0..5 {
            let batch = shares(world, &lease, 4, turn).await;
            assert_eq!(batch.values().sum::<usize>(), 4);
            turn += 4;
            waiting.retain(|org| !batch.contains_key(org));
        }
        assert!(waiting.is_empty(), "20 organizations in 5 batches of 4: {} were left out", waiting.len());
    }

    async fn what_is_not_due_is_not_claimed(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let lease = make::lease();
        assert_eq!(world.claim(&lease, 10).await, [id]);
        let later = postern::store::delivery::Move { backoff: Duration::from_secs(30), ..make::by(&lease, org, id, E::Deferred) };
        world.committer.apply(later).await.unwrap();
        world.pass(Duration::from_secs(29)).await;
        assert!(world.claim(&lease, 10).await.is_empty());
        assert_eq!(world.store.next_due().await.unwrap(), Some(START.plus(Duration::from_secs(30))));
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(world.claim(&lease, 10).await, [id]);
    }

    async fn what_is_due_next_is_never_what_somebody_already_has(world: &World) {
        let org = world.organization("north").await;
        assert_eq!(world.store.next_due().await.unwrap(), None);
        world.result(org, "A1").await;
        assert_eq!(world.store.next_due().await.unwrap(), Some(START));
        let lease = make::lease();
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        let until = START.plus(lease.length);
        assert_eq!(world.store.next_due().await.unwrap(), Some(until), "when its lease runs out");
        world.pass(lease.length).await;
        let id = world.route(&[make::ADDRESS]).await[0];
        world.lead(org, id, &[E::Claimed, E::WireStarted, E::Lost]).await;
        assert_eq!(world.store.next_due().await.unwrap(), Some(until.plus(Duration::from_hours(1))), "when its wait is over");
        world.lead(org, id, &[E::Notice(postern::domain::delivery::NoticeKind::Processed)]).await;
        assert_eq!(world.store.next_due().await.unwrap(), None);
    }

    async fn an_earlier_version_in_flight_to_the_same_address_holds_the_later_back(world: &World) {
        let org = world.organization("north").await;
        for (order_id, way, end) in [
            ("A1", &[E::Claimed][..], &[E::WireStarted, E::Accepted][..]),
            ("A2", &[E::Claimed, E::WireStarted], &[E::Accepted]),
            ("A3", &[E::Claimed, E::WireStarted, E::Lost], &[E::UnknownWaitOver]),
        ] {
            let first = world.queued(org, order_id).await;
            world.lead(org, first, way).await;
            let status = if way.len() == 1 { ResultStatus::Addendum } else { ResultStatus::Corrected };
            world.report(org, order_id, status, 2).await;
            let made = world.route(&[make::ADDRESS, make::ELSEWHERE]).await;
            let free = world.claim(&make::lease(), 10).await;
            assert_eq!(free.len(), 1, "{order_id}: only the one to the other address");
            assert_eq!(world.column(free[0], "address").await, make::ELSEWHERE);
            world.lead(org, first, end).await;
            let second: Vec<DeliveryId> = made.into_iter().filter(|id| *id != free[0]).collect();
            assert_eq!(world.claim(&make::lease(), 10).await, second, "{order_id}: the one before is settled");
        }
    }

    async fn an_addendum_never_overtakes_its_report(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        world.report(org, "A1", ResultStatus::Addendum, 2).await;
        let second = world.route(&[make::ADDRESS]).await;
        assert_eq!(world.state(first).await, State::Queued, "an addendum takes nothing's place");
        let lease = make::lease();
        assert_eq!(world.claim(&lease, 10).await, [first], "not both in one batch");
        // The report waits for its next attempt: the addendum waits with it.
        let later = postern::store::delivery::Move { backoff: Duration::from_mins(10), ..make::by(&lease, org, first, E::Deferred) };
        world.committer.apply(later).await.unwrap();
        assert!(world.claim(&lease, 10).await.is_empty());
        world.lead(org, first, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        assert_eq!(world.claim(&lease, 10).await, second);
    }

    async fn two_workers_at_the_same_moment_never_take_two_versions_to_one_address(world: &World) {
        let org = world.organization("north").await;
        for round in 0..10 {
            world.queued(org, &format!("A{round}")).await;
        }
        for round in 0..10 {
            world.report(org, &format!("A{round}"), ResultStatus::Addendum, 2).await;
        }
        world.route(&[make::ADDRESS]).await;
        let workers = (0..6).map(|turn| {
            let store = world.store.clone();
            tokio::spawn(async move { store.claim_deliveries(&make::lease(), 3, turn).await.unwrap().len() })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.unwrap();
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE state = 'claimed' AND version = 2").await, 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE state = 'claimed'").await, 10);
    }
}
