//! Places: who is at work keeps them, by organization and lane, and a newcomer finds one.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use postern::{
    domain::{Doubt, OrgId, OrgScope, Reason, delivery::Event, order::Action},
    store::{
        delivery::Move,
        queue::{Batch, Claimed},
        shares::Places,
    },
};

use super::{
    make,
    world::{START, World},
};

fn places(all: usize, lanes: &[(&str, usize)]) -> Places {
    Places::new(all, lanes.iter().map(|(lane, limit)| ((*lane).to_owned(), *limit)).collect::<HashMap<_, _>>())
}

async fn claim(world: &World, places: &Places) -> Batch {
    world.store.claim_for(&make::lease(), places, 0).await.unwrap()
}

fn by_org(claimed: &[Claimed]) -> BTreeMap<OrgId, usize> {
    claimed.iter().fold(BTreeMap::new(), |mut counts, claimed| {
        *counts.entry(claimed.org).or_default() += 1;
        counts
    })
}

on_both_engines! {
    async fn who_holds_on_to_its_places_gets_no_more_and_a_newcomer_begins_at_once(world: &World) {
        let (large, small) = (world.organization("large").await, world.organization("small").await);
        world.many(large, 100).await;
        let house = places(16, &[]);
        let first = claim(world, &house).await;
        assert_eq!((first.claimed.len(), first.more), (14, true));
        assert!(claim(world, &house).await.claimed.is_empty(), "they are all still at work");
        world.many(small, 3).await;
        let second = claim(world, &house).await;
        assert_eq!(by_org(&second.claimed), BTreeMap::from([(small, 1)]));
        // What is given back goes to who has fewest.
        let mut first = first.claimed;
        first.truncate(11);
        let third = claim(world, &house).await;
        assert_eq!(by_org(&third.claimed).get(&small), Some(&2), "{:?}", by_org(&third.claimed));
        drop((second, third));
        let last = claim(world, &house).await;
        assert!(by_org(&last.claimed).keys().all(|org| *org == large), "small has nothing left to do");
    }

    async fn a_copy_of_a_claim_keeps_its_place(world: &World) {
        let (org, _other) = (world.organization("north").await, world.organization("south").await);
        world.many(org, 20).await;
        let house = places(4, &[]);
        let mut claimed = claim(world, &house).await.claimed;
        assert_eq!(claimed.len(), 3);
        let copy = claimed[0].clone();
        claimed.remove(0);
        assert!(claim(world, &house).await.claimed.is_empty());
        drop(copy);
        assert_eq!(claim(world, &house).await.claimed.len(), 1);
    }

    async fn a_lane_has_its_own_limit_and_what_waits_in_it_holds_no_other_back(world: &World) {
        let org = world.organization("north").await;
        world.many(org, 300).await;
        world.run("UPDATE delivery SET lane = 'slow'").await;
        world.run("UPDATE delivery SET lane = 'quick', next_attempt_at = next_attempt_at + 1 WHERE id IN (SELECT id FROM delivery ORDER BY id DESC LIMIT 9)").await;
        world.pass(Duration::from_secs(1)).await;
        let house = places(8, &[("slow", 2), ("quick", 4)]);
        let batch = claim(world, &house).await;
        let lanes = |claimed: &[Claimed]| {
            let of = |lane: &str| claimed.iter().filter(|claimed| claimed.lane == lane).count();
            (of("slow"), of("quick"))
        };
        assert_eq!((lanes(&batch.claimed), batch.more), ((2, 4), true));
        let mut claimed = batch.claimed;
        claimed.retain(|claimed| claimed.lane == "slow");
        let next = claim(world, &house).await;
        assert_eq!(lanes(&next.claimed), (0, 4), "although hundreds have waited longer");
        assert_eq!(claimed.len(), 2);
    }

    async fn routine_work_moves_however_much_is_urgent(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        for number in 0..12 {
            world.store.take_order(north, &make::urgent(&format!("U{number}")), Action::New).await.unwrap();
            world.result_only(north, &format!("U{number}")).await;
        }
        world.route(&[make::ADDRESS]).await;
        world.many(south, 12).await;
        let house = places(9, &[]);
        // One place at a time is given back, always an urgent one: routine work still gets its quarter.
        let mut at_work = claim(world, &house).await.claimed;
        for _ in 0..5 {
            let urgent = at_work.iter().position(|claimed| claimed.org == north).expect("urgent work");
            at_work.remove(urgent);
            at_work.extend(claim(world, &house).await.claimed);
        }
        let shares = by_org(&at_work);
        assert!(shares[&south] >= 2 && shares[&north] >= 5, "{shares:?}");
    }

    async fn a_delivery_given_another_lane_is_claimed_from_there(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let batch = claim(world, &places(4, &[("there", 1)])).await;
        let claimed = &batch.claimed[0];
        world.store.change_lane(claimed, "there").await.unwrap();
        world.committer.apply(Move { owner: Some(claimed.owner), ..Move::new(org, id, Event::Released) }).await.unwrap();
        let next = claim(world, &places(4, &[("there", 1)])).await;
        assert_eq!((next.claimed[0].id, next.claimed[0].lane.as_str()), (id, "there"));
        world.store.change_lane(claimed, "elsewhere").await.unwrap();
        assert_eq!(world.column(id, "lane").await, "there", "only its holder moves it");
    }

    async fn how_deep_the_queue_is_is_told_by_state_with_the_age_of_the_oldest(world: &World) {
        let org = world.organization("north").await;
        let before = world.store.depth().await.unwrap();
        assert!(before.deliveries.iter().all(|level| level.count == 0) && before.results.iter().all(|level| level.count == 0));
        let ids = world.many(org, 7).await;
        world.lead(org, ids[0], &[Event::Claimed]).await;
        world.lead(org, ids[1], &[Event::Claimed, Event::WireStarted]).await;
        world.lead(org, ids[2], &[Event::Claimed, Event::WireStarted, Event::Lost]).await;
        world.lead(org, ids[3], &[Event::Held(Reason::NoIdentity)]).await;
        world.lead(org, ids[4], &[Event::Claimed, Event::Refused(Reason::Rejected5xx)]).await;
        world.result(org, "R1").await;
        // The ids were made by the machine's clock.
        let made = ids[0].0.get_timestamp().unwrap().to_unix();
        let made = postern::domain::Timestamp(i64::try_from(made.0 * 1_000_000 + u64::from(made.1) / 1_000).unwrap());
        world.set_time(made.plus(Duration::from_mins(5))).await;
        let depth = world.store.depth().await.unwrap();
        let counts: Vec<(&str, u64)> = depth.deliveries.iter().map(|level| (level.state.as_str(), level.count)).collect();
        assert_eq!(counts, [("queued", 2), ("claimed", 1), ("on_wire", 1), ("unknown", 1), ("held", 1)]);
        let counts: Vec<(&str, u64)> = depth.results.iter().map(|level| (level.state.as_str(), level.count)).collect();
        assert_eq!(counts, [("received", 1), ("waiting", 0), ("held", 0)]);
        assert!(depth.deliveries.iter().all(|level| level.oldest == Duration::from_mins(5)), "{depth:?}");
    }

    async fn what_a_delivery_waits_for_is_kept_and_shown_while_it_waits(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let doubt = Doubt {
            reason: Some(Reason::Untrusted),
            distrusted_since: Some(START),
            rechecks: 2,
            unchecked_since: Some(START.plus(Duration::from_secs(1))),
        };
        world.lead(org, id, &[Event::Claimed]).await;
        world.committer.apply(Move { doubt: Some(doubt), ..Move::new(org, id, Event::Deferred) }).await.unwrap();
        assert_eq!(world.store.work(org, id).await.unwrap().doubt, doubt);
        let (view, _) = world.store.delivery_view(OrgScope::One(org), id).await.unwrap().unwrap();
        assert_eq!(view.reason, Some(Reason::Untrusted));
        assert_eq!(world.store.worklist(OrgScope::One(org)).await.unwrap().len(), 1);
        world.lead(org, id, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
        let (view, _) = world.store.delivery_view(OrgScope::One(org), id).await.unwrap().unwrap();
        assert_eq!(view.reason, None);
        assert!(world.store.worklist(OrgScope::One(org)).await.unwrap().is_empty());
    }
}
