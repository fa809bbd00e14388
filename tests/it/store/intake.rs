//! Orders and results come in, each exactly once.

use std::time::Duration;

use postern::{
    domain::{ResultId, order::Action, report::ResultStatus},
    store::intake::{OrderTaken, ResultTaken},
};

use super::{make, world::World};

/// The only result there is.
fn version_of(taken: &ResultTaken) -> (ResultId, u32) {
    match taken {
        ResultTaken::New(id, version) | ResultTaken::Same(id, version) | ResultTaken::Waiting(id, version) => (*id, *version),
        other => panic!("{other:?}"),
    }
}

on_both_engines! {
    async fn the_same_order_twice_is_one(world: &World) {
        let org = world.organization("north").await;
        let OrderTaken::New(key) = world.store.take_order(org, &make::order("A1"), Action::New).await.unwrap() else { panic!() };
        for action in [Action::New, Action::Change] {
            let again = world.store.take_order(org, &make::order("A1"), action).await.unwrap();
            assert_eq!(again, OrderTaken::Same(key));
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM order_").await, 1);
    }

    async fn a_new_order_that_says_something_else_under_a_known_key_differs(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let other = postern::domain::Order { encounter: Some("ENC1".into()), ..make::order("A1") };
        assert_eq!(world.store.take_order(org, &other, Action::New).await.unwrap(), OrderTaken::Differs);
        let before = world.texts("SELECT content FROM order_").await;
        assert!(matches!(world.store.take_order(org, &other, Action::Change).await.unwrap(), OrderTaken::Changed(_)));
        assert_ne!(world.texts("SELECT content FROM order_").await, before);
        assert!(matches!(world.store.take_order(org, &other, Action::New).await.unwrap(), OrderTaken::Same(_)));
    }

    async fn the_same_key_in_two_organizations_is_two_orders(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        world.order(north, "A1").await;
        world.order(south, "A1").await;
        let (one, other) = (world.result_only(north, "A1").await, world.result_only(south, "A1").await);
        assert_ne!(one, other);
    }

    async fn an_order_that_is_not_known_can_be_neither_changed_nor_cancelled(world: &World) {
        let org = world.organization("north").await;
        for action in [Action::Change, Action::Cancel] {
            assert_eq!(world.store.take_order(org, &make::order("A1"), action).await.unwrap(), OrderTaken::Unknown);
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM order_").await, 0);
    }

    async fn the_same_result_twice_is_one(world: &World) {
        let org = world.organization("north").await;
        let first = world.result(org, "A1").await;
        assert_eq!(world.take(org, "A1", ResultStatus::Final, 1).await, ResultTaken::Same(first, 1));
        // Also after it was routed.
        world.route(&[make::ADDRESS]).await;
        assert_eq!(world.take(org, "A1", ResultStatus::Final, 1).await, ResultTaken::Same(first, 1));
        assert_eq!(world.number("SELECT COUNT(*) FROM result").await, 1);
    }

    async fn a_second_final_result_with_other_content_must_be_called_corrected(world: &World) {
        let org = world.organization("north").await;
        world.result(org, "A1").await;
        assert_eq!(world.take(org, "A1", ResultStatus::Final, 2).await, ResultTaken::UseCorrected);
        assert_eq!(world.take(org, "A1", ResultStatus::Preliminary, 2).await, ResultTaken::UseCorrected);
        assert_eq!(version_of(&world.take(org, "A1", ResultStatus::Corrected, 2).await).1, 2);
        assert_eq!(world.take(org, "A1", ResultStatus::Final, 3).await, ResultTaken::UseCorrected);
    }

    async fn every_new_content_is_the_next_version(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let mut versions = Vec::new();
        for (status, pdf) in [
            (ResultStatus::Preliminary, 1),
            (ResultStatus::Preliminary, 2),
            (ResultStatus::Final, 3),
            (ResultStatus::Addendum, 4),
            (ResultStatus::Corrected, 5),
        ] {
            versions.push(version_of(&world.take(org, "A1", status, pdf).await).1);
        }
        assert_eq!(versions, [1, 2, 3, 4, 5]);
    }

    async fn a_resend_acts_on_the_latest_version_and_repeats_only_under_its_key(world: &World) {
        let org = world.organization("north").await;
        world.result(org, "A1").await;
        let latest = world.report(org, "A1", ResultStatus::Corrected, 2).await;
        let resend = |key: Option<&'static str>| async move {
            let report = make::report("A1", ResultStatus::Resend);
            world.store.take_result(org, &report, None, key, make::WAIT).await.unwrap()
        };
        let first = resend(Some("k1")).await;
        let (id, version) = version_of(&first);
        assert!(matches!(first, ResultTaken::New(..)) && version == 2, "{first:?}");
        assert_eq!(resend(Some("k1")).await, ResultTaken::Same(id, 2));
        for other in [resend(Some("k2")).await, resend(None).await, resend(None).await] {
            assert!(matches!(other, ResultTaken::New(..)), "{other:?}");
        }
        let of = world.texts("SELECT DISTINCT resend_of || ' ' || status || ' ' || pdf FROM result WHERE resend_of IS NOT NULL").await;
        assert_eq!(of, [format!("{latest} corrected pdf-02")], "it carries the document of the version it sends again");
        // It is no version of its own.
        assert_eq!(version_of(&world.take(org, "A1", ResultStatus::Corrected, 3).await).1, 3);
    }

    async fn there_is_nothing_to_resend_before_the_first_result(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let report = make::report("A1", ResultStatus::Resend);
        let taken = world.store.take_result(org, &report, None, Some("k"), make::WAIT).await.unwrap();
        assert_eq!(taken, ResultTaken::NothingToResend);
    }

    async fn an_idempotency_key_used_before_never_swallows_another_result(world: &World) {
        let org = world.organization("north").await;
        for order in ["A1", "A2"] {
            world.order(org, order).await;
            let report = make::report(order, ResultStatus::Final);
            let taken = world.store.take_result(org, &report, Some(&make::pdf(1)), Some("k"), make::WAIT).await.unwrap();
            assert!(matches!(taken, ResultTaken::New(..)), "{order}: {taken:?}");
            let resend = make::report(order, ResultStatus::Resend);
            let taken = world.store.take_result(org, &resend, None, Some("k"), make::WAIT).await.unwrap();
            assert!(matches!(taken, ResultTaken::New(..)), "{order} again: {taken:?}");
        }
        let report = make::report("A1", ResultStatus::Corrected);
        let taken = world.store.take_result(org, &report, Some(&make::pdf(9)), Some("k"), make::WAIT).await.unwrap();
        assert!(matches!(taken, ResultTaken::New(_, 2)), "{taken:?}");
    }

    async fn a_result_before_its_order_waits_and_goes_on_when_it_arrives(world: &World) {
        let org = world.organization("north").await;
        let waiting = world.take(org, "A1", ResultStatus::Final, 1).await;
        let ResultTaken::Waiting(id, 1) = waiting else { panic!("{waiting:?}") };
        assert_eq!(world.result_state(id).await, "waiting(waiting_for_order)");
        assert!(world.store.claim_results(&make::lease(), 10, 0).await.unwrap().is_empty(), "it is not due");
        assert_eq!(world.take(org, "A1", ResultStatus::Final, 1).await, ResultTaken::Same(id, 1));

        world.store.take_order(org, &make::urgent("A1"), Action::New).await.unwrap();
        assert_eq!(world.result_state(id).await, "received");
        let work = world.store.claim_results(&make::lease(), 10, 0).await.unwrap();
        assert_eq!(work.len(), 1);
        assert_eq!((work[0].id, work[0].priority.as_str(), work[0].wait_until), (id, "urgent", None));
        assert_eq!(work[0].order.as_ref().map(|(_, order)| order), Some(&make::urgent("A1")));
    }

    async fn a_result_held_for_want_of_its_order_goes_on_when_it_arrives(world: &World) {
        let org = world.organization("north").await;
        let (id, _) = version_of(&world.take(org, "A1", ResultStatus::Final, 1).await);
        world.pass(Duration::from_secs(3601)).await;
        let lease = make::lease();
        let work = world.store.claim_results(&lease, 10, 0).await.unwrap();
        assert!(work.len() == 1 && work[0].order.is_none(), "it is due when its wait is over");
        let mut held = make::routing(org, id, &lease, &[]);
        held.route.decision = postern::domain::route::Decision::Held(postern::domain::Reason::WaitingForOrder);
        world.record(held).await.unwrap();
        assert_eq!(world.result_state(id).await, "held(waiting_for_order)");

        world.order(org, "A1").await;
        assert_eq!(world.result_state(id).await, "received");
        assert_eq!(world.route(&[make::ADDRESS]).await.len(), 1);
    }

    async fn a_worker_that_gives_up_waiting_loses_against_the_order_that_arrives(world: &World) {
        let org = world.organization("north").await;
        let (id, _) = version_of(&world.take(org, "A1", ResultStatus::Final, 1).await);
        world.pass(Duration::from_secs(3601)).await;
        let lease = make::lease();
        assert_eq!(world.store.claim_results(&lease, 10, 0).await.unwrap().len(), 1);
        world.order(org, "A1").await;
        let lost = world.record(make::routing(org, id, &lease, &[])).await;
        assert!(matches!(lost, Err(postern::store::StoreError::Lost)), "{lost:?}");
        assert_eq!(world.result_state(id).await, "received");
        assert_eq!(world.route(&[make::ADDRESS]).await.len(), 1, "it is routed at once");
    }

    async fn a_result_of_another_site_than_its_order_is_refused(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let report = postern::domain::Report { site: "HILLTOP02".into(), ..make::report("A1", ResultStatus::Final) };
        let taken = world.store.take_result(org, &report, Some(&make::pdf(1)), None, make::WAIT).await.unwrap();
        assert_eq!(taken, ResultTaken::OtherSite);
        assert_eq!(world.number("SELECT COUNT(*) FROM result").await, 0);
    }

    async fn an_order_of_another_site_does_not_release_a_waiting_result(world: &World) {
        let org = world.organization("north").await;
        let report = postern::domain::Report { site: "HILLTOP02".into(), ..make::report("A1", ResultStatus::Final) };
        let waiting = world.store.take_result(org, &report, Some(&make::pdf(1)), None, make::WAIT).await.unwrap();
        world.order(org, "A1").await;
        let (id, _) = version_of(&waiting);
        assert_eq!(world.result_state(id).await, "waiting(waiting_for_order)", "a person must see that the sites disagree");
        // The sender notices and says it again with the right site.
        let right = world.take(org, "A1", ResultStatus::Corrected, 1).await;
        assert!(matches!(right, ResultTaken::New(_, 2)), "{right:?}");
    }

    async fn many_identical_requests_at_once_end_as_one(world: &World) {
        let org = world.organization("north").await;
        let orders = (0..16).map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move { store.take_order(org, &make::order("A1"), Action::New).await.unwrap() })
        });
        let mut new = 0;
        for order in orders.collect::<Vec<_>>() {
            new += usize::from(matches!(order.await.unwrap(), OrderTaken::New(_)));
        }
        assert_eq!(new, 1);
        let results = (0..16).map(|_| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let report = make::report("A1", ResultStatus::Final);
                store.take_result(org, &report, Some(&make::pdf(1)), None, make::WAIT).await.unwrap()
            })
        });
        let mut ids = std::collections::BTreeMap::<ResultId, usize>::new();
        for result in results.collect::<Vec<_>>() {
            let taken = result.await.unwrap();
            *ids.entry(version_of(&taken).0).or_default() += usize::from(matches!(taken, ResultTaken::New(..)));
        }
        assert_eq!(ids.into_values().collect::<Vec<_>>(), [1], "one id, new once");
        assert_eq!(world.number("SELECT COUNT(*) FROM order_").await + world.number("SELECT COUNT(*) FROM result").await, 2);
    }

    async fn an_order_and_its_result_at_the_same_moment_always_find_each_other(world: &World) {
        let org = world.organization("north").await;
        for round in 0..12 {
            let order_id = format!("A{round}");
            let (store, id) = (world.store.clone(), order_id.clone());
            let order = tokio::spawn(async move { store.take_order(org, &make::order(&id), Action::New).await.unwrap() });
            let (store, id) = (world.store.clone(), order_id.clone());
            let result = tokio::spawn(async move {
                let report = make::report(&id, ResultStatus::Final);
                store.take_result(org, &report, Some(&make::pdf(1)), None, make::WAIT).await.unwrap()
            });
            order.await.unwrap();
            result.await.unwrap();
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM result WHERE state = 'received' AND order_key IS NOT NULL").await, 12);
    }

    async fn versions_that_come_at_the_same_moment_are_numbered_without_gaps(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let corrections = (1..=8).map(|pdf| {
            let store = world.store.clone();
            tokio::spawn(async move {
                let report = make::report("A1", ResultStatus::Corrected);
                store.take_result(org, &report, Some(&make::pdf(pdf)), None, make::WAIT).await.unwrap()
            })
        });
        let mut versions = Vec::new();
        for correction in corrections.collect::<Vec<_>>() {
            versions.push(version_of(&correction.await.unwrap()).1);
        }
        versions.sort_unstable();
        assert_eq!(versions, (1..=8).collect::<Vec<_>>());
    }
}
