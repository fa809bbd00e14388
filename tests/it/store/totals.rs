//! Totals tie, whatever happened: results = routed + waiting + held + not_sent (and those just received); deliveries = the
//! sum over their states; each is charged or has a reason for no charge; and what needs a person is on the worklist.

use std::{collections::BTreeSet, time::Duration};

use postern::{
    domain::{
        OrgId, OrgScope, Reason,
        delivery::{Event, Fee, NoticeKind, State},
        order::Action,
        report::{ResultState, ResultStatus},
        route::Decision,
    },
    store::{StoreError, queue::Unfinished, survey::DeliveryFilter, worklist::WorkKind},
};

use super::{make, moves::picks, world::World};

use Event as E;

const ADDRESSES: [&str; 4] = ["a@d.example", "b@d.example", "c@d.example", "d@d.example"];

/// Routes everything there is to route, each result another way.
async fn route_somehow(world: &World, pick: &mut impl FnMut(usize) -> usize) {
    let lease = make::lease();
    for work in world.store.claim_results(&lease, 50, 0).await.unwrap() {
        let targets = if work.order.is_some() { pick(4) } else { 0 };
        let mut routing = make::routing(work.org, work.id, &lease, &ADDRESSES[..targets]);
        routing.next_attempt_at = postern::domain::Clock::now(&*world.clock).plus(Duration::from_mins(1));
        if targets == 0 {
            let decisions = [
                Decision::Held(Reason::NoTarget),
                Decision::Waiting(Reason::DirectoryUnavailable),
                Decision::NotSent(Reason::Preliminary),
            ];
            routing.route.decision = decisions[pick(3)];
        }
        world.record(routing).await.unwrap();
    }
}

/// Something happens to some deliveries.
async fn work_somehow(world: &World, pick: &mut impl FnMut(usize) -> usize) {
    let lease = make::lease();
    let outcomes: [&[Event]; 9] = [
        &[E::WireStarted, E::Accepted],
        &[E::WireStarted, E::Accepted, E::Notice(NoticeKind::Processed)],
        &[E::WireStarted, E::Accepted, E::Notice(NoticeKind::Failed)],
        &[E::WireStarted, E::Deferred],
        &[E::WireStarted, E::Lost],
        &[E::WireStarted, E::Refused(Reason::Rejected5xx)],
        &[E::Held(Reason::NoCert)],
        &[E::Released],
        &[],
    ];
    for claimed in world.store.claim_deliveries(&lease, 12, pick(7)).await.unwrap() {
        for event in outcomes[pick(outcomes.len())] {
            // An earlier unknown attempt makes some of these end otherwise: that is what is wanted here.
            match world.committer.apply(make::by(&lease, claimed.org, claimed.id, *event)).await {
                Ok(_) | Err(StoreError::Illegal(_) | StoreError::Lost) => {}
                Err(other) => panic!("{event:?}: {other:?}"),
            }
        }
    }
}

async fn time_passes(world: &World) {
    world.pass(Duration::from_secs(61)).await;
    for Unfinished { org, id, state, .. } in world.store.abandoned_deliveries().await.unwrap() {
        let event = if state == State::OnWire { E::Lost } else { E::Released };
        world.happen(org, id, event).await.unwrap();
    }
    for Unfinished { org, id, .. } in world.store.unknown_overdue().await.unwrap() {
        world.happen(org, id, E::UnknownWaitOver).await.unwrap();
    }
}

async fn totals_tie(world: &World, scope: OrgScope) {
    let counts = world.store.counts(scope).await.unwrap();
    let only = scope.org().map(|org| format!(" WHERE org_id = '{org}'")).unwrap_or_default();
    let rows = async |table: &str| u64::try_from(world.number(&format!("SELECT COUNT(*) FROM {table}{only}")).await).unwrap();
    assert_eq!(counts.results.values().sum::<u64>(), rows("result").await);
    assert_eq!(counts.deliveries.values().sum::<u64>(), rows("delivery").await);
    assert_eq!(counts.held.values().sum::<u64>(), counts.results.get(&ResultState::Held).copied().unwrap_or(0));
    assert_eq!((counts.charged, counts.untied), (counts.charge_lines, 0));
    assert_eq!(counts.charged, counts.deliveries.get(&State::Accepted).copied().unwrap_or(0), "billable at acceptance");
    let deliveries = world.store.deliveries(scope, DeliveryFilter { limit: 10_000, ..DeliveryFilter::default() }).await.unwrap();
    assert_eq!(u64::try_from(deliveries.len()).unwrap(), rows("delivery").await);
    for delivery in &deliveries {
        assert_eq!(delivery.fee == Fee::Charged, delivery.state == State::Accepted);
        if matches!(delivery.state, State::Held | State::Refused) {
            assert!(delivery.reason.is_some(), "{} without a reason", delivery.state);
        }
    }
}

/// Every result is routed, deliberately not sent, just received, or on the worklist with a reason.
async fn nothing_is_dropped(world: &World, scope: OrgScope) {
    let items = world.store.worklist(scope).await.unwrap();
    assert!(items.iter().all(|item| item.reason.is_some()), "everything says why");
    let listed: BTreeSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
    for id in world.texts("SELECT id FROM result WHERE state IN ('waiting', 'held')").await {
        assert!(listed.contains(id.as_str()), "result {id} is on no worklist");
    }
    for id in world.texts("SELECT id FROM delivery WHERE state IN ('held', 'refused') AND stopped = FALSE").await {
        assert!(listed.contains(id.as_str()), "delivery {id} is on no worklist");
    }
    let lost = world
        .texts(
            "SELECT r.id FROM result r WHERE r.state = 'routed'
        AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.org_id = r.org_id AND d.result_id = r.id)",
        )
        .await;
    assert!(lost.is_empty(), "routed to nobody: {lost:?}");
}

on_both_engines! {
    async fn after_three_hundred_results_and_everything_that_can_happen_the_totals_tie(world: &World) {
        let mut pick = picks(41);
        let mut orgs: Vec<OrgId> = Vec::new();
        for slug in ["north", "south", "west"] {
            orgs.push(world.organization(slug).await);
        }
        let mut taken = 0;
        while taken < 300 {
            let org = orgs[pick(orgs.len())];
            let order_id = format!("A{}", pick(120));
            match pick(12) {
                0..=3 => drop(world.store.take_order(org, &make::order(&order_id), Action::New).await.unwrap()),
                4 => drop(world.store.take_order(org, &make::urgent(&order_id), Action::Change).await.unwrap()),
                5 if pick(3) == 0 => drop(world.store.take_order(org, &make::order(&order_id), Action::Cancel).await.unwrap()),
                6..=10 => {
                    let status = ResultStatus::ALL[pick(ResultStatus::ALL.len())];
                    let number = u8::try_from(pick(5)).unwrap();
                    world.take(org, &order_id, status, number).await;
                    taken += 1;
                }
                _ => {
                    let deliveries = world.texts("SELECT id FROM delivery ORDER BY id DESC LIMIT 20").await;
                    if let Some(id) = deliveries.get(pick(20)) {
                        let event = [E::Retry, E::Cancel][pick(2)];
                        match world.store.ask_delivery(OrgScope::All, id.parse().unwrap(), event, "asked").await {
                            Ok(_) | Err(StoreError::Illegal(_)) => {}
                            Err(other) => panic!("{event:?}: {other:?}"),
                        }
                    }
                }
            }
            if taken % 8 == 0 {
                route_somehow(world, &mut pick).await;
                work_somehow(world, &mut pick).await;
            }
            if taken % 25 == 0 {
                time_passes(world).await;
                totals_tie(world, OrgScope::All).await;
            }
        }
        for scope in orgs.iter().map(|org| OrgScope::One(*org)).chain([OrgScope::All]) {
            totals_tie(world, scope).await;
            nothing_is_dropped(world, scope_of_rows(scope)).await;
        }
        for org in &orgs {
            assert!(world.store.verify_ledger(*org).await.unwrap().is_ok());
        }
        let counts = world.store.counts(OrgScope::All).await.unwrap();
        assert_eq!(counts.results.len(), ResultState::ALL.len(), "the walk must reach every state: {:?}", counts.results);
        for state in [State::Accepted, State::Refused, State::Held, State::Cancelled] {
            assert!(counts.deliveries.contains_key(&state), "the walk must reach {state}: {:?}", counts.deliveries);
        }
    }

    async fn a_held_recipient_beside_a_taken_one_is_on_the_worklist(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let lease = make::lease();
        world.store.claim_results(&lease, 10, 0).await.unwrap();
        let mut routing = make::routing(org, result, &lease, &[make::ADDRESS, make::ELSEWHERE]);
        routing.route.targets.pop();
        routing.route.trace[1].verdict = postern::domain::route::Verdict::Held;
        routing.route.trace[1].reason = Some(Reason::Ambiguous);
        world.record(routing).await.unwrap();
        let items = world.store.worklist(OrgScope::One(org)).await.unwrap();
        assert_eq!(items.iter().map(|item| (item.kind, item.reason)).collect::<Vec<_>>(), [(WorkKind::Recipient, Some(Reason::Ambiguous))]);
    }

    async fn lists_are_narrowed_by_state_and_reason(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 6).await;
        for (number, id) in ids.iter().enumerate() {
            let reason = [Reason::NoCert, Reason::Revoked][number % 2];
            world.lead(org, *id, &[E::Claimed, E::Refused(reason)][..number.min(2)]).await;
        }
        let narrowed = async |state, reason, limit| {
            world.store.deliveries(OrgScope::All, DeliveryFilter { state, reason, limit }).await.unwrap().len()
        };
        assert_eq!(narrowed(None, None, 100).await, 6);
        assert_eq!(narrowed(None, None, 4).await, 4);
        assert_eq!(narrowed(Some(State::Refused), None, 100).await, 4);
        assert_eq!(narrowed(Some(State::Refused), Some(Reason::Revoked), 100).await, 2);
        assert_eq!(narrowed(Some(State::Queued), Some(Reason::Revoked), 100).await, 0);
    }
}

/// The rows looked at are everybody's, so the list must be too.
const fn scope_of_rows(_: OrgScope) -> OrgScope {
    OrgScope::All
}
