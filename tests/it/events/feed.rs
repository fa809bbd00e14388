//! The feed: every change once, numbered in the order it became durable, and nobody else's.

use std::{collections::BTreeSet, time::Duration};

use postern::{
    domain::{
        OrgId, Reason,
        delivery::{Event, NoticeKind},
        event::{Cursor, EventKind},
        order::Action,
        report::ResultStatus,
    },
    store::{
        Committer,
        delivery::Move,
        event::{EventView, FeedError},
    },
};

use crate::store::{make, world::World};

const ACCEPTED: [Event; 3] = [Event::Claimed, Event::WireStarted, Event::Accepted];

async fn feed(world: &World, org: OrgId) -> Vec<EventView> {
    world.store.events_after(org, Cursor::default(), 1_000).await.unwrap()
}

fn kinds(events: &[EventView]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

on_both_engines! {
    async fn each_change_of_a_result_and_its_delivery_is_told_once(world: &World) {
        let org = world.organization("north").await;
        let delivery = world.queued(org, "A1").await;
        world.lead(org, delivery, &ACCEPTED).await;
        world.lead(org, delivery, &[Event::Notice(NoticeKind::Processed), Event::Notice(NoticeKind::Failed)]).await;
        world.lead(org, delivery, &[Event::CreditDue]).await;
        let events = feed(world, org).await;
        assert_eq!(
            kinds(&events),
            ["delivery.queued", "result.routed", "delivery.accepted", "delivery.processed", "delivery.credited"]
        );
        let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        let accepted = &events[2];
        assert_eq!((accepted.delivery, accepted.order_id.as_deref(), accepted.version), (Some(delivery), Some("A1"), Some(1)));
        assert_eq!((accepted.state.as_deref(), accepted.site.as_deref()), (Some("accepted"), Some("RIVERSIDE01")));
        assert_eq!(accepted.fee, Some(postern::domain::delivery::Fee::Charged));
    }

    async fn a_cancelled_order_tells_of_its_result_and_of_its_delivery(world: &World) {
        let org = world.organization("north").await;
        world.queued(org, "A1").await;
        world.result(org, "A2").await;
        for order in ["A1", "A2"] {
            world.store.take_order(org, &make::order(order), Action::Cancel).await.unwrap();
        }
        assert_eq!(kinds(&feed(world, org).await), ["delivery.queued", "result.routed", "delivery.cancelled", "result.not_sent"]);
    }

    async fn a_newer_version_tells_what_it_takes_the_place_of(world: &World) {
        let org = world.organization("north").await;
        world.queued(org, "A1").await;
        world.report(org, "A1", ResultStatus::Corrected, 2).await;
        world.route(&[make::ADDRESS]).await;
        let kinds: Vec<_> = kinds(&feed(world, org).await).into_iter().skip(2).collect();
        assert_eq!(kinds, ["delivery.superseded", "delivery.queued", "result.routed"]);
    }

    async fn a_change_that_is_refused_tells_nothing(world: &World) {
        let org = world.organization("north").await;
        let delivery = world.queued(org, "A1").await;
        world.happen(org, delivery, Event::Accepted).await.unwrap_err();
        world.lead(org, delivery, &[Event::Cancel]).await;
        world.happen(org, delivery, Event::Cancel).await.ok();
        assert_eq!(kinds(&feed(world, org).await), ["delivery.queued", "result.routed", "delivery.cancelled"]);
    }

    async fn an_organization_reads_its_own_events_and_no_others(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let (one, other) = (world.queued(north, "A1").await, world.queued(south, "A1").await);
        world.lead(south, other, &ACCEPTED).await;
        assert!(feed(world, north).await.iter().all(|event| event.delivery.is_none_or(|id| id == one)));
        assert_eq!(feed(world, south).await.len(), 3);
    }

    async fn whoever_reads_on_while_many_write_misses_nothing(world: &World) {
        // Two processes commit at once; a third reads on after the last number it saw, all the time.
        let org = world.organization("north").await;
        let all = world.many(org, 200).await;
        let neighbour = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        let committers = [world.committer.clone(), Committer::start(neighbour.clone())];
        let reader = {
            let store = world.store.clone();
            tokio::spawn(async move {
                let (mut place, mut seen) = (Cursor::default(), Vec::new());
                while seen.len() < 402 {
                    let page = store.events_after(org, place, 7).await.unwrap();
                    place = page.last().map_or(place, EventView::cursor);
                    seen.extend(page.into_iter().map(|event| (event.seq, event.delivery, event.kind)));
                    tokio::task::yield_now().await;
                }
                seen
            })
        };
        let writing = all.iter().enumerate().map(|(i, id)| {
            let committer = committers[i % 2].clone();
            async move {
                for event in [Event::Claimed, Event::Held(Reason::TestMode), Event::Retry] {
                    committer.apply(Move::new(org, *id, event)).await.unwrap();
                }
            }
        });
        futures_util::future::join_all(writing).await;
        let seen = tokio::time::timeout(Duration::from_mins(1), reader).await.expect("all of them").unwrap();
        let numbers: Vec<u64> = seen.iter().map(|(seq, ..)| *seq).collect();
        assert_eq!(numbers, (1..=402).collect::<Vec<u64>>(), "in order, without a gap");
        let held: BTreeSet<_> = seen.iter().filter(|(_, _, kind)| *kind == EventKind::DeliveryHeld).map(|(_, id, _)| *id).collect();
        assert_eq!(held.len(), 200);
    }

    async fn old_events_are_forgotten_and_who_comes_too_late_is_told(world: &World) {
        let org = world.organization("north").await;
        let delivery = world.queued(org, "A1").await;
        let old = feed(world, org).await[0].cursor();
        world.pass(Duration::from_hours(48)).await;
        world.lead(org, delivery, &ACCEPTED).await;
        let before = world.store.now().await.unwrap().minus(Duration::from_hours(24));
        assert_eq!(world.store.forget_events(org, before).await.unwrap(), 2);
        assert_eq!(world.store.forget_events(org, before).await.unwrap(), 0);
        let refused = world.store.events_after(org, old, 10).await;
        assert!(matches!(refused, Err(FeedError::TooOld { forgotten: 2 })), "{refused:?}");
        // Who begins, and who had read all that is gone, misses nothing that is there.
        for seq in [0, 2] {
            assert_eq!(world.store.events_after(org, Cursor { seq, mark: None }, 10).await.unwrap().len(), 1);
        }
        world.lead(org, delivery, &[Event::Notice(NoticeKind::Processed)]).await;
        assert_eq!(feed(world, org).await.last().unwrap().seq, 4, "numbers are not used again");
    }

    async fn a_cursor_of_another_feed_is_noticed(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        world.queued(north, "A1").await;
        world.queued(south, "A1").await;
        let theirs = feed(world, south).await[1].cursor();
        for place in [theirs, Cursor { seq: 99, mark: None }] {
            let refused = world.store.events_after(north, place, 10).await;
            assert!(matches!(refused, Err(FeedError::Elsewhere)), "{place}: {refused:?}");
        }
        let ours = feed(world, north).await[0].cursor();
        assert_eq!(world.store.events_after(north, ours, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_feed_holds_nothing_about_a_patient() {
    let world = World::sqlite().await;
    let org = world.organization("north").await;
    let delivery = world.queued(org, "A1").await;
    world.lead(org, delivery, &ACCEPTED).await;
    let shown: String = feed(&world, org)
        .await
        .iter()
        .map(|event| serde_json::to_string(&postern::track::event::Told::of(event, "north", true)).unwrap())
        .collect();
    for word in ["Testriver", "Morgan", "1964", "ZZ000417", "@", "Sample", "MBR"] {
        assert!(!shown.contains(word), "{word} in {shown}");
    }
}
