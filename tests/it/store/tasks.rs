//! Leases of periodic tasks.

use std::time::Duration;

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
}
