//! Leases of deliveries and results: nothing begins under a lease that ran out, and a fact counts whoever holds it.

use std::{sync::Arc, time::Duration};

use postern::{
    domain::{
        Reason,
        delivery::{Event, State},
        time::Clock,
    },
    store::{StoreError, lease::Lease, queue::Unfinished},
};

use super::{make, world::World};
use crate::support::clock::TestClock;

use Event as E;

/// What recovery does with every delivery whose worker died.
async fn recover(world: &World) -> Vec<Event> {
    let mut done = Vec::new();
    for Unfinished { org, id, state, .. } in world.store.abandoned_deliveries().await.unwrap() {
        let event = if state == State::OnWire { E::Lost } else { E::Released };
        world.happen(org, id, event).await.unwrap();
        done.push(event);
    }
    done
}

on_both_engines! {
    async fn what_a_dead_worker_had_is_taken_over_when_its_lease_runs_out(world: &World) {
        let org = world.organization("north").await;
        let (first, second) = (world.queued(org, "A1").await, world.queued(org, "A2").await);
        let dead = make::lease();
        assert_eq!(world.claim(&dead, 10).await.len(), 2);
        world.committer.apply(make::by(&dead, org, second, E::WireStarted)).await.unwrap();
        world.pass(dead.length.saturating_sub(Duration::from_micros(1))).await;
        assert!(recover(world).await.is_empty());
        world.pass(Duration::from_micros(1)).await;
        let mut done = recover(world).await;
        done.sort_by_key(|event| *event == E::Lost);
        assert_eq!(done, [E::Released, E::Lost]);
        assert_eq!([world.state(first).await, world.state(second).await], [State::Queued, State::Unknown]);
        assert_eq!(world.claim(&make::lease(), 10).await, [first], "what may have arrived waits");
    }

    async fn a_worker_whose_lease_ran_out_begins_nothing(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let late = make::lease();
        world.claim(&late, 10).await;
        world.pass(late.length).await;
        for event in [E::WireStarted, E::Deferred, E::Released, E::Refused(Reason::NoCert), E::Held(Reason::NoCert), E::Exhausted] {
            let lost = world.committer.apply(make::by(&late, org, id, event)).await;
            assert!(matches!(lost, Err(StoreError::Lost)), "{event:?}: {lost:?}");
        }
        assert_eq!(world.state(id).await, State::Claimed);
    }

    async fn a_250_settles_whoever_holds_the_lease(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let late = make::lease();
        world.claim(&late, 10).await;
        world.committer.apply(make::by(&late, org, id, E::WireStarted)).await.unwrap();
        world.pass(late.length).await;
        recover(world).await;
        world.lead(org, id, &[E::UnknownWaitOver]).await;
        let next = make::lease();
        assert_eq!(world.claim(&next, 10).await, [id]);
        world.committer.apply(make::by(&late, org, id, E::Accepted)).await.unwrap();
        assert_eq!(world.state(id).await, State::Accepted);
        let lost = world.committer.apply(make::by(&next, org, id, E::WireStarted)).await;
        assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}: the second try must not begin");
        assert_eq!(world.number("SELECT COUNT(*) FROM ledger_line").await, 1);
    }

    async fn renewing_keeps_what_is_in_hand_and_brings_nothing_back(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.result(org, "R1").await;
        let lease = make::lease();
        let results = world.store.claim_results(&lease, 10, 0).await.unwrap();
        let deliveries = world.store.claim_deliveries(&lease, 10, 0).await.unwrap();
        assert_eq!((results.len(), deliveries.len()), (1, 1));
        for _ in 0..5 {
            world.pass(lease.length / 3).await;
            world.store.renew(&lease).await.unwrap();
        }
        assert!(world.store.abandoned_deliveries().await.unwrap().is_empty());
        assert!(world.store.claim_results(&make::lease(), 10, 0).await.unwrap().is_empty());

        world.pass(lease.length).await;
        world.store.renew(&lease).await.unwrap();
        assert_eq!(world.store.abandoned_deliveries().await.unwrap().len(), 1);
        assert_eq!(world.store.claim_results(&make::lease(), 10, 0).await.unwrap().len(), 1);
        assert!(world.committer.apply(make::by(&lease, org, id, E::WireStarted)).await.is_err());
        drop((results, deliveries));
    }

    async fn what_nobody_has_in_hand_any_more_comes_free_although_its_process_lives(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 2).await;
        for order_id in ["R1", "R2"] {
            world.result(org, order_id).await;
        }
        let lease = make::lease();
        let mut results = world.store.claim_results(&lease, 10, 0).await.unwrap();
        let mut deliveries = world.store.claim_deliveries(&lease, 10, 0).await.unwrap();
        // The work on one of each failed, and nobody could say so.
        let copy = deliveries[1].clone();
        let (given_up, kept) = (results.remove(0).id, deliveries.remove(1).id);
        let lost = deliveries.remove(0).id;
        for _ in 0..3 {
            world.pass(lease.length / 2).await;
            world.store.renew(&lease).await.unwrap();
        }
        let abandoned = world.store.abandoned_deliveries().await.unwrap();
        assert_eq!(abandoned.iter().map(|left| left.id).collect::<Vec<_>>(), [lost]);
        let again = world.store.claim_results(&make::lease(), 10, 0).await.unwrap();
        assert_eq!(again.iter().map(|work| work.id).collect::<Vec<_>>(), [given_up]);
        assert!(ids.contains(&lost) && copy.id == kept, "a copy keeps what it is a copy of");
    }

    async fn renewing_touches_only_ones_own(world: &World) {
        let org = world.organization("north").await;
        world.queued(org, "A1").await;
        let dead = make::lease();
        world.claim(&dead, 10).await;
        world.pass(dead.length / 2).await;
        world.store.renew(&make::lease()).await.unwrap();
        world.pass(dead.length / 2).await;
        assert_eq!(world.store.abandoned_deliveries().await.unwrap().len(), 1);
    }

    async fn a_restarted_process_steals_nothing_before_the_lease_runs_out(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.result(org, "R1").await;
        let before = make::lease();
        world.claim(&before, 10).await;
        world.store.claim_results(&before, 10, 0).await.unwrap();
        let restarted = Lease { owner: postern::domain::id::ProcessId::new(), ..before };
        let store = world.neighbour(Arc::clone(&world.clock)).await;
        assert!(store.abandoned_deliveries().await.unwrap().is_empty());
        assert!(store.claim_deliveries(&restarted, 10, 0).await.unwrap().is_empty());
        assert!(store.claim_results(&restarted, 10, 0).await.unwrap().is_empty());
        let stolen = world.committer.apply(make::by(&restarted, org, id, E::WireStarted)).await;
        assert!(matches!(stolen, Err(StoreError::Lost)), "{stolen:?}");
        world.committer.apply(make::by(&before, org, id, E::WireStarted)).await.unwrap();
    }

    async fn recovery_that_looked_too_early_does_not_take_a_delivery_from_its_next_worker(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.claim(&make::lease(), 10).await;
        world.pass(Duration::from_secs(61)).await;
        let stale = world.store.abandoned_deliveries().await.unwrap();
        recover(world).await;
        let alive = make::lease();
        assert_eq!(world.claim(&alive, 10).await, [id]);
        // A second process acts on what it saw before.
        assert_eq!(stale.len(), 1);
        let lost = world.happen(org, id, E::Released).await;
        assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}");
        world.committer.apply(make::by(&alive, org, id, E::WireStarted)).await.unwrap();
        let lost = world.happen(org, id, E::Lost).await;
        assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}");
        assert_eq!(world.state(id).await, State::OnWire);
    }

    async fn a_result_given_back_can_be_claimed_when_it_is_due_again(world: &World) {
        let org = world.organization("north").await;
        let id = world.result(org, "A1").await;
        let (lease, other) = (make::lease(), make::lease());
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        let again_at = world.clock.now().plus(Duration::from_secs(5));
        world.store.release_result(org, id, &other, again_at).await.unwrap();
        world.pass(Duration::from_secs(5)).await;
        assert!(world.store.claim_results(&other, 10, 0).await.unwrap().is_empty(), "only its holder can give it back");
        world.store.release_result(org, id, &lease, world.clock.now()).await.unwrap();
        assert_eq!(world.store.claim_results(&other, 10, 0).await.unwrap().len(), 1);
    }

    async fn a_route_found_under_a_lease_that_ran_out_is_not_recorded(world: &World) {
        let org = world.organization("north").await;
        let id = world.result(org, "A1").await;
        let (late, next) = (make::lease(), make::lease());
        world.store.claim_results(&late, 10, 0).await.unwrap();
        world.pass(late.length).await;
        let lost = world.record(make::routing(org, id, &late, &[make::ADDRESS])).await;
        assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}");
        assert_eq!(world.store.claim_results(&next, 10, 0).await.unwrap().len(), 1);
        let lost = world.record(make::routing(org, id, &late, &[make::ADDRESS])).await;
        assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM route_recipient").await, 0);
        world.record(make::routing(org, id, &next, &[make::ADDRESS])).await.unwrap();
        let twice = world.record(make::routing(org, id, &next, &[make::ADDRESS])).await;
        assert!(matches!(twice, Err(StoreError::Lost)), "{twice:?}");
    }
}

/// On SQLite there is one clock: the one machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_machine_whose_clock_is_an_hour_off_steals_nothing_and_loses_nothing() {
    let world = World::postgres().await;
    let org = world.organization("north").await;
    let (mine, theirs) = (world.queued(org, "A1").await, world.queued(org, "A2").await);
    let hour = Duration::from_hours(1);
    for skewed in [world.clock.now().plus(hour), world.clock.now().minus(hour)] {
        let store = world.neighbour(Arc::new(TestClock::at(skewed))).await;
        assert_eq!(store.now().await.unwrap(), world.clock.now(), "the database's clock counts");
        let (here, there) = (make::lease(), make::lease());
        let held_here = world.store.claim_deliveries(&here, 1, 0).await.unwrap();
        let skewed = postern::store::Committer::start(store.clone());
        let held_there = store.claim_deliveries(&there, 1, 0).await.unwrap();
        assert_eq!((held_here.len(), held_there.len()), (1, 1), "both see what is due");
        assert!(store.abandoned_deliveries().await.unwrap().is_empty(), "it steals nothing");
        assert!(store.take_task("expiry", &there).await.unwrap());
        assert!(!world.store.take_task("expiry", &here).await.unwrap(), "its lease is good");
        world.pass(here.length / 2).await;
        store.renew(&there).await.unwrap();
        world.store.renew(&here).await.unwrap();
        world.pass(here.length / 2).await;
        assert!(world.store.abandoned_deliveries().await.unwrap().is_empty(), "it loses nothing");
        for id in [mine, theirs] {
            let lease = if world.column(id, "lease_owner").await == here.owner.to_string() { here } else { there };
            skewed.apply(make::by(&lease, org, id, E::WireStarted)).await.unwrap();
            skewed.apply(make::by(&lease, org, id, E::Deferred)).await.unwrap();
        }
        store.give_back_task("expiry", &there).await.unwrap();
    }
}
