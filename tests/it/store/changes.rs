//! Changing an order: what is not on the wire is routed again.

use postern::{
    domain::{
        DeliveryId, Order, OrgId, Reason,
        delivery::{Event, State},
        order::{Action, Priority},
        report::ResultStatus,
        route::Decision,
    },
    store::{StoreError, intake::OrderTaken, queue::Unfinished},
};

use super::{make, world::World};

use Event as E;

/// The order with something changed that routing would look at.
fn changed(order_id: &str) -> Order {
    Order { deliver_to: vec![], ..make::order(order_id) }
}

async fn change(world: &World, org: OrgId, order: &Order) {
    let taken = world.store.take_order(org, order, Action::Change).await.unwrap();
    assert!(matches!(taken, OrderTaken::Changed(_)), "{taken:?}");
}

async fn address(world: &World, id: DeliveryId) -> String {
    world.column(id, "address").await
}

on_both_engines! {
    async fn the_patients_identifier_and_the_site_never_change(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let mut other = make::order("A1");
        other.patient.local_id = Some("ZZ000418".into());
        let taken = world.store.take_order(org, &other, Action::Change).await.unwrap();
        assert_eq!(taken, OrderTaken::Immutable("/patient/local_id"));
        let other = Order { site: "HILLTOP02".into(), ..make::order("A1") };
        assert_eq!(world.store.take_order(org, &other, Action::Change).await.unwrap(), OrderTaken::Immutable("/site"));
        assert!(matches!(world.store.take_order(org, &make::order("A1"), Action::New).await.unwrap(), OrderTaken::Same(_)));
    }

    async fn the_latest_version_is_routed_again_to_where_the_order_says_now(world: &World) {
        let org = world.organization("north").await;
        let before = world.queued(org, "A1").await;
        change(world, org, &changed("A1")).await;
        assert!(world.claim(&make::lease(), 10).await.is_empty(), "nothing goes to the old address while it is routed again");
        let made = world.route(&[make::ELSEWHERE]).await;
        assert_eq!(made.len(), 1);
        assert_eq!(address(world, made[0]).await, make::ELSEWHERE);
        assert_eq!(world.state(before).await, State::Cancelled);
        assert_eq!(world.claim(&make::lease(), 10).await, made);
    }

    async fn a_delivery_still_wanted_stays_the_same_delivery(world: &World) {
        let org = world.organization("north").await;
        let before = world.queued(org, "A1").await;
        let message_id = world.column(before, "message_id").await;
        change(world, org, &changed("A1")).await;
        let made = world.route(&[make::ADDRESS, make::ELSEWHERE]).await;
        assert_eq!(made.len(), 1, "only the other address is new");
        assert_eq!((world.state(before).await, world.column(before, "message_id").await), (State::Queued, message_id));
        assert_eq!(world.claim(&make::lease(), 10).await.len(), 2);
    }

    async fn what_is_on_the_wire_or_settled_stays_as_it_is(world: &World) {
        let org = world.organization("north").await;
        for (order_id, way, state) in [
            ("A1", &[E::Claimed, E::WireStarted][..], State::OnWire),
            ("A2", &[E::Claimed, E::WireStarted, E::Accepted], State::Accepted),
            ("A3", &[E::Claimed, E::WireStarted, E::Lost], State::Unknown),
            ("A4", &[E::Claimed, E::Refused(Reason::NoCert)], State::Refused),
        ] {
            let id = world.queued(org, order_id).await;
            world.lead(org, id, way).await;
            change(world, org, &changed(order_id)).await;
            assert_eq!(world.route(&[make::ELSEWHERE]).await.len(), 1);
            assert_eq!(world.state(id).await, state);
        }
    }

    async fn a_worker_that_sealed_the_order_as_it_was_cannot_put_it_on_the_wire(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let lease = make::lease();
        assert_eq!(world.claim(&lease, 10).await, [id]);
        change(world, org, &changed("A1")).await;
        let refused = world.committer.apply(make::by(&lease, org, id, E::WireStarted)).await;
        assert!(matches!(refused, Err(StoreError::Lost)), "{refused:?}");
        // It is not lost: recovery gives it back, and the same delivery goes out with what the order says now.
        world.route(&[make::ADDRESS]).await;
        for Unfinished { org, id, state, .. } in world.store.abandoned_deliveries().await.unwrap() {
            assert_eq!(state, State::Claimed);
            world.happen(org, id, E::Released).await.unwrap();
        }
        assert_eq!(world.claim(&make::lease(), 10).await, [id]);
    }

    async fn a_worker_that_routed_the_order_as_it_was_records_nothing(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let lease = make::lease();
        assert_eq!(world.store.claim_results(&lease, 10, 0).await.unwrap().len(), 1);
        change(world, org, &changed("A1")).await;
        let lost = world.record(make::routing(org, result, &lease, &[make::ADDRESS])).await;
        assert!(matches!(lost, Err(StoreError::Lost)), "{lost:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery").await, 0);
        assert_eq!(world.route(&[make::ELSEWHERE]).await.len(), 1);
    }

    async fn a_change_and_a_route_at_the_same_moment_never_end_with_the_order_as_it_was(world: &World) {
        let org = world.organization("north").await;
        for round in 0..15 {
            let order_id = format!("A{round}");
            let result = world.result(org, &order_id).await;
            let lease = make::lease();
            assert_eq!(world.store.claim_results(&lease, 10, 0).await.unwrap().len(), 1);
            let (store, id) = (world.store.clone(), order_id.clone());
            let change = tokio::spawn(async move { store.take_order(org, &changed(&id), Action::Change).await });
            let routed = world.record(make::routing(org, result, &lease, &[make::ADDRESS])).await;
            assert!(matches!(change.await.unwrap(), Ok(OrderTaken::Changed(_))));
            assert!(matches!(routed, Ok(_) | Err(StoreError::Lost)), "{routed:?}");
            assert_eq!(world.result_state(result).await, "received", "the change is always routed");
            assert_eq!(world.route(&[make::ELSEWHERE]).await.len(), 1);
            assert_eq!(world.number(&format!("SELECT COUNT(*) FROM delivery WHERE address = '{}' AND state = 'queued'", make::ADDRESS)).await, 0);
        }
    }

    async fn an_order_that_now_says_do_not_deliver_stops_what_is_queued(world: &World) {
        let org = world.organization("north").await;
        for (order_id, decision) in [
            ("A1", Decision::Held(Reason::DoNotDeliver)),
            ("A2", Decision::NotSent(Reason::PcpDeliveryOff)),
        ] {
            let id = world.queued(org, order_id).await;
            change(world, org, &Order { do_not_deliver: true, ..make::order(order_id) }).await;
            let lease = make::lease();
            let work = world.store.claim_results(&lease, 10, 0).await.unwrap().remove(0);
            let mut routing = make::routing(org, work.id, &lease, &[]);
            routing.route.decision = decision;
            world.record(routing).await.unwrap();
            assert_eq!(world.state(id).await, State::Cancelled, "{decision:?}");
        }
        assert!(world.claim(&make::lease(), 10).await.is_empty());
    }

    async fn while_a_changed_order_waits_for_the_directory_nothing_of_it_is_sent(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        change(world, org, &changed("A1")).await;
        let lease = make::lease();
        let work = world.store.claim_results(&lease, 10, 0).await.unwrap().remove(0);
        let mut routing = make::routing(org, work.id, &lease, &[]);
        routing.route.decision = Decision::Waiting(Reason::DirectoryUnavailable);
        world.record(routing).await.unwrap();
        assert_eq!(world.state(id).await, State::Queued, "it may still be wanted");
        assert!(world.claim(&make::lease(), 10).await.is_empty());
        assert!(world.route(&[make::ADDRESS]).await.is_empty());
        assert_eq!(world.claim(&make::lease(), 10).await, [id]);
    }

    async fn a_change_of_priority_moves_what_waits(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        change(world, org, &Order { priority: Priority::Urgent, ..make::order("A1") }).await;
        world.route(&[make::ADDRESS]).await;
        assert_eq!(world.column(id, "priority").await, "urgent");
    }

    async fn a_held_result_is_routed_again_and_only_the_latest_version(world: &World) {
        let org = world.organization("north").await;
        let first = world.result(org, "A1").await;
        world.route(&[]).await;
        let second = world.report(org, "A1", ResultStatus::Corrected, 2).await;
        world.route(&[]).await;
        change(world, org, &changed("A1")).await;
        assert_eq!(world.result_state(first).await, "held(no_target)");
        assert_eq!(world.result_state(second).await, "received");
    }

    async fn an_addendum_does_not_keep_its_report_from_being_routed_again(world: &World) {
        let org = world.organization("north").await;
        let report = world.queued(org, "A1").await;
        world.report(org, "A1", ResultStatus::Addendum, 2).await;
        let addendum = world.route(&[make::ADDRESS]).await;
        change(world, org, &changed("A1")).await;
        assert_eq!(world.route(&[make::ELSEWHERE]).await.len(), 2);
        assert_eq!([world.state(report).await, world.state(addendum[0]).await], [State::Cancelled; 2]);
    }

    async fn a_change_is_found_again_by_the_members_new_number(world: &World) {
        let org = world.organization("north").await;
        world.order(org, "A1").await;
        let before = world.texts("SELECT member FROM order_").await;
        let mut other = make::order("A1");
        other.health_plan.as_mut().unwrap().member_id = Some("MBR-000999".into());
        change(world, org, &other).await;
        assert_ne!(world.texts("SELECT member FROM order_").await, before);
    }
}
