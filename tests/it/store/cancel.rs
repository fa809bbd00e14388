//! Cancelling an order: what has not left stops, what has is named.

use postern::{
    domain::{
        DeliveryId, OrgId, Reason,
        delivery::{Event, NoticeKind, State},
        order::Action,
        organization::{Billable, WhenUnknown},
        report::ResultStatus,
    },
    store::{
        fallback::{FailedDelivery, Following, NewTerms, Place},
        intake::{OrderTaken, ResultTaken},
    },
};

use super::{make, world::World};

use Event as E;

const TO_UNKNOWN: &[Event] = &[E::Claimed, E::WireStarted, E::Lost];

async fn cancel(world: &World, org: OrgId, order_id: &str) -> Vec<DeliveryId> {
    match world.store.take_order(org, &make::order(order_id), Action::Cancel).await.unwrap() {
        OrderTaken::Cancelled(_, too_late) => too_late,
        other => panic!("{other:?}"),
    }
}

/// One delivery of a new order, led along a way, then the order cancelled: its state and whether it is named as too late.
async fn after_cancel(world: &World, org: OrgId, order_id: &str, way: &[Event]) -> (State, bool) {
    let id = world.queued(org, order_id).await;
    world.lead(org, id, way).await;
    let too_late = cancel(world, org, order_id).await;
    assert!(too_late.iter().all(|late| *late == id));
    (world.state(id).await, !too_late.is_empty())
}

const ACCEPTED: &[Event] = &[E::Claimed, E::WireStarted, E::Accepted];
const REFUSED: &[Event] = &[E::Claimed, E::WireStarted, E::Refused(Reason::Rejected5xx)];

/// The one failure that is due, and what the tracking loop would let follow: a delivery elsewhere.
async fn due(world: &World, id: DeliveryId) -> (FailedDelivery, Following) {
    let failed = world.store.due_fallbacks(10, &Place::default()).await.unwrap().remove(0).failed.unwrap();
    assert_eq!(failed.id, id);
    let mut routing = make::routing(failed.org, failed.result, &make::lease(), &[make::ELSEWHERE]);
    let terms = NewTerms {
        from_domain: "direct.lab.example".into(),
        billable: Billable::Accepted,
        when_unknown: WhenUnknown::Resend,
        lane: String::new(),
        retry_until: routing.terms.retry_until,
    };
    let target = (make::target(make::ELSEWHERE), routing.route.trace.remove(0));
    (failed, Following::Deliveries(vec![target], terms))
}

/// Lets it follow; the mark that leaves.
async fn falls_back(world: &World, id: DeliveryId) -> String {
    let (failed, following) = due(world, id).await;
    let made = world.store.fall_back(&failed, &following, &[]).await.unwrap();
    let mark = world.column(id, "fallback").await;
    assert_eq!(made.len(), usize::from(mark == "made"), "{mark}");
    mark
}

on_both_engines! {
    async fn what_was_too_late_to_stop_goes_no_other_way_when_it_fails(world: &World) {
        let org = world.organization("north").await;
        for (order_id, failure) in [("A1", E::Notice(NoticeKind::Failed)), ("A2", E::DeadlinePassed)] {
            let id = world.queued(org, order_id).await;
            world.lead(org, id, ACCEPTED).await;
            assert_eq!(cancel(world, org, order_id).await, [id]);
            world.pass(std::time::Duration::from_hours(1)).await;
            world.lead(org, id, &[failure]).await;
            assert_eq!(falls_back(world, id).await, "needless");
        }
        // The sender's next word takes the order up again, and what fails then goes its other way.
        let id = world.queued(org, "A3").await;
        world.lead(org, id, ACCEPTED).await;
        cancel(world, org, "A3").await;
        world.store.take_order(org, &make::order("A3"), Action::Change).await.unwrap();
        assert!(world.route(&[make::ADDRESS]).await.is_empty());
        world.lead(org, id, &[E::Notice(NoticeKind::Failed)]).await;
        assert_eq!(falls_back(world, id).await, "made");
    }

    async fn what_had_failed_before_its_order_was_cancelled_goes_no_other_way_after_it(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, REFUSED).await;
        cancel(world, org, "A1").await;
        assert_eq!(falls_back(world, id).await, "needless");
        // Taken up again it is made anew, and once only: the old one does not fall back beside it.
        let id = world.queued(org, "A2").await;
        world.lead(org, id, REFUSED).await;
        cancel(world, org, "A2").await;
        world.store.take_order(org, &make::order("A2"), Action::Change).await.unwrap();
        assert_eq!(world.route(&[make::ADDRESS]).await.len(), 1);
        assert_eq!(falls_back(world, id).await, "needless");
    }

    async fn what_follows_from_a_failure_at_the_moment_of_a_cancellation_is_stopped_by_it(world: &World) {
        let org = world.organization("north").await;
        for number in 0..20 {
            let order_id = format!("A{number}");
            let id = world.queued(org, &order_id).await;
            world.lead(org, id, &[ACCEPTED, &[E::Notice(NoticeKind::Failed)]].concat()).await;
            let (failed, following) = due(world, id).await;
            let (fell_back, cancelled) =
                tokio::join!(world.store.fall_back(&failed, &following, &[]), world.store.take_cancellation(org, &order_id));
            fell_back.unwrap();
            cancelled.unwrap();
            assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE state = 'queued'").await, 0, "{number}");
        }
    }

    async fn what_may_not_be_delivered_any_more_goes_no_other_way(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, ACCEPTED).await;
        let order = postern::domain::Order { do_not_deliver: true, ..make::order("A1") };
        world.store.take_order(org, &order, Action::Change).await.unwrap();
        world.route(&[]).await;
        world.lead(org, id, &[E::Notice(NoticeKind::Failed)]).await;
        assert_eq!(falls_back(world, id).await, "needless");
    }

    async fn what_has_not_left_is_cancelled(world: &World) {
        let org = world.organization("north").await;
        for (order_id, way) in
            [("A1", &[][..]), ("A2", &[E::Claimed]), ("A3", &[E::Claimed, E::Held(Reason::NoCert)]), ("A4", &[E::Claimed, E::Deferred])]
        {
            assert_eq!(after_cancel(world, org, order_id, way).await, (State::Cancelled, false), "{way:?}");
        }
    }

    async fn what_may_have_left_is_named_as_too_late(world: &World) {
        let org = world.organization("north").await;
        let held = [TO_UNKNOWN, &[E::UnknownWaitOver, E::Claimed, E::WireStarted, E::Lost, E::UnknownWaitOver]].concat();
        for (order_id, way, state) in [
            ("A1", &[E::Claimed, E::WireStarted][..], State::OnWire),
            ("A2", &[E::Claimed, E::WireStarted, E::Accepted], State::Accepted),
            ("A3", TO_UNKNOWN, State::Unknown),
            ("A4", &[TO_UNKNOWN, &[E::UnknownWaitOver]].concat(), State::Unknown),
            ("A5", &held, State::Held),
        ] {
            assert_eq!(after_cancel(world, org, order_id, way).await, (state, true), "{way:?}");
        }
        // What was stopped is never sent again.
        let again = world.texts("SELECT id FROM delivery WHERE state <> 'accepted' AND stopped = FALSE").await;
        assert!(again.is_empty(), "{again:?}");
    }

    async fn a_refused_delivery_was_never_too_late_and_cannot_be_retried_any_more(world: &World) {
        let org = world.organization("north").await;
        let way = [E::Claimed, E::WireStarted, E::Refused(Reason::Rejected5xx)];
        assert_eq!(after_cancel(world, org, "A1", &way).await, (State::Refused, false));
        let id = world.texts("SELECT id FROM delivery").await.remove(0).parse().unwrap();
        assert!(world.happen(org, id, E::Retry).await.is_err(), "the order says: deliver nothing further");
        assert!(world.store.worklist(postern::domain::OrgScope::All).await.unwrap().is_empty());
    }

    async fn a_delivery_whose_relay_says_later_after_the_cancel_is_not_sent_again(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted]).await;
        assert_eq!(cancel(world, org, "A1").await, [id]);
        world.lead(org, id, &[E::Deferred]).await;
        assert_eq!(world.state(id).await, State::Cancelled);
    }

    async fn a_worker_that_was_sealing_cannot_put_a_cancelled_one_on_the_wire(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let lease = make::lease();
        assert_eq!(world.claim(&lease, 10).await, [id]);
        assert!(cancel(world, org, "A1").await.is_empty());
        assert!(world.committer.apply(make::by(&lease, org, id, E::WireStarted)).await.is_err());
        assert_eq!(world.state(id).await, State::Cancelled);
    }

    async fn results_that_were_not_routed_yet_are_not_sent(world: &World) {
        let org = world.organization("north").await;
        let received = world.result(org, "A1").await;
        let lease = make::lease();
        assert_eq!(world.store.claim_results(&lease, 10, 0).await.unwrap().len(), 1);
        cancel(world, org, "A1").await;
        assert_eq!(world.result_state(received).await, "not_sent(cancelled)");
        assert!(world.record(make::routing(org, received, &lease, &[make::ADDRESS])).await.is_err());
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery").await, 0);
        // One that comes later is kept, and not sent either.
        let later = world.take(org, "A1", ResultStatus::Corrected, 2).await;
        assert!(matches!(later, ResultTaken::Cancelled(_, 2)), "{later:?}");
        assert!(world.route(&[make::ADDRESS]).await.is_empty());
    }

    async fn cancelling_twice_says_the_same_twice(world: &World) {
        let org = world.organization("north").await;
        let sent = world.queued(org, "A1").await;
        world.lead(org, sent, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        assert_eq!(cancel(world, org, "A1").await, [sent]);
        assert_eq!(cancel(world, org, "A1").await, [sent]);
    }

    async fn a_change_takes_a_cancelled_order_up_again_and_a_repeat_of_new_does_not(world: &World) {
        let org = world.organization("north").await;
        let before = world.queued(org, "A1").await;
        cancel(world, org, "A1").await;
        assert_eq!(world.store.take_order(org, &make::order("A1"), Action::New).await.unwrap(), OrderTaken::Differs);
        assert_eq!(world.state(before).await, State::Cancelled);

        let again = world.store.take_order(org, &make::order("A1"), Action::Change).await.unwrap();
        assert!(matches!(again, OrderTaken::Changed(_)), "{again:?}");
        let made = world.route(&[make::ADDRESS]).await;
        assert_eq!(made.len(), 1);
        assert_eq!(world.column(made[0], "resend_of").await, before.to_string());
        assert_eq!(world.claim(&make::lease(), 10).await, made);
    }

    async fn a_refused_delivery_of_an_order_taken_up_again_is_made_anew(world: &World) {
        let org = world.organization("north").await;
        let refused = world.queued(org, "A1").await;
        world.lead(org, refused, &[E::Claimed, E::Refused(Reason::NoCert)]).await;
        cancel(world, org, "A1").await;
        world.store.take_order(org, &make::order("A1"), Action::Change).await.unwrap();
        let made = world.route(&[make::ADDRESS]).await;
        assert_eq!(made.len(), 1);
        assert_eq!(world.column(made[0], "resend_of").await, refused.to_string());
    }
}
