//! Leases of periodic tasks.

use std::time::Duration;

use postern::store::StoreError;

use super::{make, world::World};

on_both_engines! {
    async fn a_task_is_run_by_one_process_at_a_time(world: &World) {
        let (one, other) = (make::lease(), make::lease());
        assert!(world.store.take_task("feed", &one).await.unwrap());
        assert!(!world.store.take_task("feed", &other).await.unwrap());
        assert!(world.store.take_task("folder", &other).await.unwrap(), "another task is another lease");
        assert!(world.store.take_task("feed", &one).await.unwrap(), "its holder renews it");
    }

    async fn a_task_is_taken_over_when_its_lease_runs_out_and_not_before(world: &World) {
        let (dead, next) = (make::lease(), make::lease());
        assert!(world.store.take_task("feed", &dead).await.unwrap());
        world.pass(dead.length.saturating_sub(Duration::from_micros(1))).await;
        assert!(!world.store.take_task("feed", &next).await.unwrap());
        world.pass(Duration::from_micros(1)).await;
        assert!(world.store.take_task("feed", &next).await.unwrap());
        assert!(!world.store.take_task("feed", &dead).await.unwrap(), "who was gone has lost it");
    }

    async fn a_task_given_back_is_free_at_once_and_only_its_holder_gives_it_back(world: &World) {
        let (one, other) = (make::lease(), make::lease());
        assert!(world.store.take_task("feed", &one).await.unwrap());
        world.store.give_back_task("feed", &other).await.unwrap();
        assert!(!world.store.take_task("feed", &other).await.unwrap());
        world.store.give_back_task("feed", &one).await.unwrap();
        assert!(world.store.take_task("feed", &other).await.unwrap());
    }

    async fn of_many_that_ask_at_once_one_gets_the_task(world: &World) {
        let asking = (0..12).map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move { store.take_task("feed", &make::lease()).await.unwrap() })
        });
        let mut got = 0;
        for answer in asking.collect::<Vec<_>>() {
            got += usize::from(answer.await.unwrap());
        }
        assert_eq!(got, 1);
    }

    async fn a_lease_is_renewed_by_its_holder_and_never_taken_anew_by_renewing(world: &World) {
        let (one, other) = (make::lease(), make::lease());
        assert!(!world.store.renew_task("feed", &one).await.unwrap(), "nobody has it");
        assert!(world.store.take_task("feed", &one).await.unwrap());
        world.pass(one.length / 2).await;
        assert!(world.store.renew_task("feed", &one).await.unwrap());
        assert!(!world.store.renew_task("feed", &other).await.unwrap());
        world.pass(one.length / 2).await;
        assert!(!world.store.take_task("feed", &other).await.unwrap(), "it was renewed");
        world.pass(one.length).await;
        assert!(!world.store.renew_task("feed", &one).await.unwrap(), "it ran out; somebody may have had it since");
    }

    async fn a_cursor_moves_only_under_the_lease_it_is_claimed_with(world: &World) {
        let (slow, quick) = (make::lease(), make::lease());
        let move_to = async |cursor: &str, lease| world.store.move_feed_cursor("lab", cursor, "feed:lab", lease).await;
        assert!(matches!(move_to("c1", &slow).await, Err(StoreError::Lost)), "nobody has it");
        assert!(world.store.take_task("feed:lab", &slow).await.unwrap());
        move_to("c1", &slow).await.unwrap();
        world.pass(slow.length).await;
        assert!(matches!(move_to("c2", &slow).await, Err(StoreError::Lost)), "it has run out");
        assert!(world.store.take_task("feed:lab", &quick).await.unwrap());
        move_to("c9", &quick).await.unwrap();
        assert!(matches!(move_to("c2", &slow).await, Err(StoreError::Lost)));
        world.store.give_back_task("feed:lab", &quick).await.unwrap();
        assert!(matches!(move_to("c2", &slow).await, Err(StoreError::Lost)), "it is free, and not ours");
        assert_eq!(world.store.feed_cursor("lab").await.unwrap().as_deref(), Some("c9"));
    }

    async fn of_two_that_fight_for_a_feed_none_sets_it_back(world: &World) {
        // Each takes the lease, moves on from where it stands, and is interrupted or not: the cursor only ever grows.
        let fighter = || {
            let store = world.store.clone();
            tokio::spawn(async move {
                for _ in 0..40 {
                    let lease = make::lease();
                    if !store.take_task("feed:lab", &lease).await.unwrap() {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let stands: u32 = store.feed_cursor("lab").await.unwrap().map_or(0, |cursor| cursor.parse().unwrap());
                    let late = store.clone();
                    let next = (stands + 1).to_string();
                    let moving = tokio::spawn(async move { late.move_feed_cursor("lab", &next, "feed:lab", &lease).await });
                    store.give_back_task("feed:lab", &lease).await.unwrap();
                    if moving.await.unwrap().is_ok() {
                        let now: u32 = store.feed_cursor("lab").await.unwrap().unwrap().parse().unwrap();
                        assert!(now > stands, "{now} after {stands}");
                    }
                }
            })
        };
        for fight in [fighter(), fighter(), fighter()] {
            fight.await.unwrap();
        }
    }
}
