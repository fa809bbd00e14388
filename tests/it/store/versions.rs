//! Versions of one result: a correction takes the place of what has not left, and goes to everyone who got the wrong one.

use postern::{
    domain::{
        Reason,
        delivery::{Event, NoticeKind, State},
        report::ResultStatus,
    },
    store::intake::ResultTaken,
};

use super::{make, world::World};

use Event as E;

on_both_engines! {
    async fn a_correction_takes_the_place_of_what_has_not_left(world: &World) {
        let org = world.organization("north").await;
        for (order_id, way) in
            [("A1", &[][..]), ("A2", &[E::Claimed]), ("A3", &[E::Claimed, E::Held(Reason::NoCert)]), ("A4", &[E::Claimed, E::Deferred])]
        {
            let first = world.queued(org, order_id).await;
            world.lead(org, first, way).await;
            world.report(org, order_id, ResultStatus::Corrected, 2).await;
            world.route(&[make::ADDRESS]).await;
            assert_eq!(world.state(first).await, State::Superseded, "{way:?}");
        }
        assert_eq!(world.claim(&make::lease(), 10).await.len(), 4);
    }

    async fn an_unknown_version_is_never_sent_again_once_its_successor_exists(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        world.lead(org, first, &[E::Claimed, E::WireStarted, E::Lost]).await;
        world.report(org, "A1", ResultStatus::Corrected, 2).await;
        world.route(&[make::ADDRESS]).await;
        world.lead(org, first, &[E::UnknownWaitOver]).await;
        assert_eq!((world.state(first).await, world.column(first, "reason").await), (State::Held, "unconfirmed_send".into()));
    }

    async fn a_version_the_relay_puts_off_after_its_successor_exists_is_superseded(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        world.lead(org, first, &[E::Claimed, E::WireStarted]).await;
        world.report(org, "A1", ResultStatus::Corrected, 2).await;
        let second = world.route(&[make::ADDRESS]).await;
        world.lead(org, first, &[E::Deferred]).await;
        assert_eq!(world.state(first).await, State::Superseded);
        assert_eq!(world.claim(&make::lease(), 10).await, second);
    }

    async fn a_refused_version_cannot_be_retried_past_its_successor(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        world.lead(org, first, &[E::Claimed, E::Refused(Reason::NoCert)]).await;
        world.report(org, "A1", ResultStatus::Corrected, 2).await;
        world.route(&[make::ADDRESS]).await;
        assert!(world.happen(org, first, E::Retry).await.is_err());
        assert_eq!(world.state(first).await, State::Refused, "what happened to it stays true");
    }

    async fn a_version_routed_after_its_successor_is_not_sent(world: &World) {
        let org = world.organization("north").await;
        let first = world.result(org, "A1").await;
        let slow = make::lease();
        assert_eq!(world.store.claim_results(&slow, 10, 0).await.unwrap().len(), 1);
        let second = world.report(org, "A1", ResultStatus::Corrected, 2).await;
        let made = world.route(&[make::ADDRESS]).await;
        let late = world.record(make::routing(org, first, &slow, &[make::ADDRESS])).await.unwrap();
        assert!(late.deliveries.is_empty());
        assert_eq!(world.result_state(first).await, "not_sent(superseded)");
        assert_eq!(world.result_state(second).await, "routed");
        assert_eq!(world.claim(&make::lease(), 10).await, made);
    }

    async fn versions_that_waited_together_for_their_order_end_with_the_latest_alone(world: &World) {
        let org = world.organization("north").await;
        for (status, pdf) in [(ResultStatus::Final, 1), (ResultStatus::Corrected, 2), (ResultStatus::Addendum, 3)] {
            let taken = world.take(org, "A1", status, pdf).await;
            assert!(matches!(taken, ResultTaken::Waiting(..)), "{taken:?}");
        }
        world.order(org, "A1").await;
        world.route(&[make::ADDRESS]).await;
        let versions = world.texts("SELECT CAST(version AS TEXT) FROM delivery WHERE state = 'queued' ORDER BY version").await;
        assert_eq!(versions, ["2", "3"]);
    }

    async fn a_correction_knows_everyone_who_got_or_may_have_got_the_wrong_one(world: &World) {
        let org = world.organization("north").await;
        world.result(org, "A1").await;
        let addresses = ["a@d.example", "b@d.example", "c@d.example", "d@d.example", "e@d.example"];
        let made = world.route(&addresses).await;
        let ways: [&[Event]; 5] = [
            &[E::Claimed, E::WireStarted, E::Accepted],
            &[E::Claimed, E::WireStarted, E::Lost],
            &[E::Claimed, E::WireStarted, E::Lost, E::UnknownWaitOver],
            &[E::Claimed, E::WireStarted, E::Refused(Reason::Rejected5xx)],
            &[],
        ];
        for (id, way) in made.iter().zip(ways) {
            world.lead(org, *id, way).await;
        }
        world.report(org, "A1", ResultStatus::Corrected, 2).await;
        let work = world.store.claim_results(&make::lease(), 10, 0).await.unwrap().remove(0);
        let order = work.order.unwrap().0;
        let earlier = world.store.earlier_targets(org, order, work.version).await.unwrap();
        let earlier: Vec<&str> = earlier.iter().map(|target| target.address.as_str()).collect();
        assert_eq!(earlier, ["a@d.example", "b@d.example", "c@d.example"]);
    }

    async fn a_correction_routed_while_the_wrong_one_reached_somebody_is_routed_anew(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        let second = world.report(org, "A1", ResultStatus::Corrected, 2).await;
        let lease = make::lease();
        let work = world.store.claim_results(&lease, 10, 0).await.unwrap().remove(0);
        let order = work.order.clone().unwrap().0;
        let seen = world.store.earlier_targets(org, order, work.version).await.unwrap();
        assert!(seen.is_empty(), "nobody has the wrong one yet");
        // Between finding the route and recording it, the wrong one goes out. The correction's route does not name who got it.
        world.lead(org, first, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
        let mut routing = make::routing(org, second, &lease, &[make::ELSEWHERE]);
        routing.earlier = Some(std::collections::BTreeSet::new());
        let routed = world.record(routing.clone()).await.unwrap();
        assert!(routed.overtaken && routed.deliveries.is_empty() && routed.superseded == 0, "{routed:?}");
        assert_eq!(world.result_state(second).await, "received", "nothing was recorded");
        let earlier = world.store.earlier_targets(org, order, work.version).await.unwrap();
        assert_eq!(earlier.iter().map(|target| target.address.as_str()).collect::<Vec<_>>(), [make::ADDRESS]);
        routing.earlier = Some(earlier.iter().map(|target| target.address.key()).collect());
        let routed = world.record(routing).await.unwrap();
        assert!(!routed.overtaken && routed.deliveries.len() == 1, "{routed:?}");
        drop(work);
    }

    async fn a_correction_names_the_document_it_replaces_only_to_who_has_it(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        assert_eq!(world.store.work(org, first).await.unwrap().parent, None);
        world.lead(org, first, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        world.report(org, "A1", ResultStatus::Corrected, 2).await;
        world.route(&[make::ADDRESS, make::ELSEWHERE]).await;
        let mut parents = Vec::new();
        for id in world.claim(&make::lease(), 10).await {
            let work = world.store.work(org, id).await.unwrap();
            parents.push((work.target.address.to_string(), work.parent.map(|parent| (parent.document_id.to_string(), parent.version))));
        }
        parents.sort();
        let document = world.column(first, "document_id").await;
        assert_eq!(parents, [(make::ELSEWHERE.to_owned(), None), (make::ADDRESS.to_owned(), Some((document, 1)))]);
    }

    async fn a_correction_names_no_document_that_is_known_not_to_have_arrived(world: &World) {
        let org = world.organization("north").await;
        let sent = [E::Claimed, E::WireStarted, E::Accepted];
        let parent = async |id| world.store.work(org, id).await.unwrap().parent.map(|parent| parent.version);
        for (order_id, end, names) in
            [("A1", E::Notice(NoticeKind::Failed), None), ("A2", E::DeadlinePassed, Some(1)), ("A3", E::Notice(NoticeKind::Processed), Some(1))]
        {
            let first = world.queued(org, order_id).await;
            world.lead(org, first, &sent).await;
            world.pass(std::time::Duration::from_hours(1)).await;
            world.lead(org, first, &[end]).await;
            world.report(org, order_id, ResultStatus::Corrected, 2).await;
            let second = world.route(&[make::ADDRESS]).await[0];
            assert_eq!(parent(second).await, names, "{end:?}: silence proves nothing, a failure does");
        }
        // The version before the one that did not arrive is what the recipient has.
        let first = world.queued(org, "A4").await;
        world.lead(org, first, &sent).await;
        world.report(org, "A4", ResultStatus::Corrected, 2).await;
        let second = world.route(&[make::ADDRESS]).await[0];
        world.lead(org, second, &sent).await;
        world.lead(org, second, &[E::Notice(NoticeKind::Failed)]).await;
        world.report(org, "A4", ResultStatus::Corrected, 3).await;
        let third = world.route(&[make::ADDRESS]).await[0];
        assert_eq!(parent(third).await, Some(1));
    }

    async fn every_document_of_an_order_is_its_own_in_one_set(world: &World) {
        let org = world.organization("north").await;
        world.result(org, "A1").await;
        let mut made = world.route(&[make::ADDRESS, make::ELSEWHERE]).await;
        world.report(org, "A1", ResultStatus::Addendum, 2).await;
        made.extend(world.route(&[make::ADDRESS]).await);
        let (mut documents, mut sets) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for id in &made {
            let work = world.store.work(org, *id).await.unwrap();
            documents.insert(work.document_id);
            sets.insert(work.set_id);
        }
        assert_eq!((documents.len(), sets.len()), (3, 1));
    }

    async fn a_resend_goes_out_beside_what_was_sent_and_names_the_same_parent(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        world.lead(org, first, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let report = make::report("A1", ResultStatus::Resend);
        let taken = world.store.take_result(org, &report, None, None, make::WAIT).await.unwrap();
        assert!(matches!(taken, ResultTaken::New(_, 1)), "{taken:?}");
        let again = world.route(&[make::ADDRESS]).await;
        assert_eq!(again.len(), 1);
        assert_eq!(world.state(first).await, State::Accepted);
        let work = world.store.work(org, again[0]).await.unwrap();
        assert_eq!((work.version, work.parent), (1, None));
        assert_ne!(world.column(again[0], "message_id").await, world.column(first, "message_id").await);
    }

    async fn an_address_added_after_a_resend_gets_the_result_once(world: &World) {
        let org = world.organization("north").await;
        let first = world.queued(org, "A1").await;
        world.lead(org, first, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        world.store.take_result(org, &make::report("A1", ResultStatus::Resend), None, None, make::WAIT).await.unwrap();
        assert_eq!(world.route(&[make::ADDRESS]).await.len(), 1);
        let mut order = make::order("A1");
        order.encounter = Some("ENC2".into());
        world.store.take_order(org, &order, postern::domain::order::Action::Change).await.unwrap();
        let made = world.route(&[make::ADDRESS, make::ELSEWHERE]).await;
        assert_eq!(made.len(), 1, "the result goes to the new address, its resend does not go there too");
        assert_eq!(world.column(made[0], "fee_code").await, "direct");
    }

    async fn the_same_address_twice_in_a_route_is_one_delivery(world: &World) {
        let org = world.organization("north").await;
        world.result(org, "A1").await;
        let made = world.route(&[make::ADDRESS, "PCP.Demo@Direct.Example.org"]).await;
        assert_eq!(made.len(), 1);
        assert_eq!(world.column(made[0], "address").await, make::ADDRESS, "as first written");
    }

    async fn a_route_without_targets_is_never_called_routed(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let lease = make::lease();
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        let mut routing = make::routing(org, result, &lease, &[]);
        routing.route.decision = postern::domain::route::Decision::Routed;
        world.record(routing).await.unwrap();
        assert_eq!(world.result_state(result).await, "held(no_target)");
    }

    async fn the_trace_of_a_route_is_kept_and_replaced_with_it(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let lease = make::lease();
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        let routing = make::routing(org, result, &lease, &[make::ADDRESS, make::ELSEWHERE]);
        world.record(routing.clone()).await.unwrap();
        assert_eq!(world.store.trace(org, result).await.unwrap(), routing.route.trace);
        let order = postern::domain::Order { do_not_deliver: true, ..make::order("A1") };
        world.store.take_order(org, &order, postern::domain::order::Action::Change).await.unwrap();
        world.route(&[make::ELSEWHERE]).await;
        assert_eq!(world.store.trace(org, result).await.unwrap().len(), 1);
    }
}
