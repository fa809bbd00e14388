//! No certificate to believe: looked at again, shown while it waits, and ended on the minute.

use std::time::Duration;

use postern::{
    domain::{DeliveryId, OrgScope, Reason, Timestamp, delivery::Fee, time::Clock as _},
    store::worklist::WorkKind,
};

use super::world::{Plan, World};

const HOUR: Duration = Duration::from_hours(1);

struct Case {
    world: World,
    org: postern::domain::OrgId,
    id: DeliveryId,
    start: Timestamp,
}

impl Case {
    /// One delivery to somebody whose certificate nobody has.
    async fn open() -> Self {
        let world = World::open(Plan::default()).await;
        let identity = super::world::signing(&world.practice, "results@direct.north.example", "hisp");
        let org = world.organization("north", "[[site]]\nlocal_id = \"RIVERSIDE01\"\n", &[identity]).await;
        let id = world.queued(org, "m").await;
        let start = world.clock.now();
        Self { world, org, id, start }
    }

    /// Lets the gateway do what is due at this time after the start; tells where the delivery stands and what is due next.
    async fn at(&self, after: Duration) -> (String, Option<Duration>) {
        self.world.clock.set(self.start.plus(after));
        self.world.gateway.drain().await.unwrap();
        let next = self.world.store.next_due().await.unwrap().map(|due| due.since(self.start));
        (self.world.stands(self.id).await, next)
    }

    /// Follows it, always to when it is due next, until it waits no more or `until` is reached.
    async fn follow(&self, from: Duration, until: Duration) -> (Duration, String) {
        let mut at = from;
        loop {
            let (stands, next) = self.at(at).await;
            match next {
                Some(next) if stands.starts_with("queued") && next <= until => at = next,
                _ => return (at, stands),
            }
        }
    }

    /// Makes looking for certificates impossible, or possible again.
    async fn blind(&self, blind: bool) {
        let (from, to) = if blind { ("certificate", "hidden") } else { ("hidden", "certificate") };
        self.world.run(&format!("ALTER TABLE {from} RENAME TO {to}")).await;
    }
}

fn due(state: &str, next: Duration) -> (String, Option<Duration>) {
    (state.to_owned(), Some(next))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_certificate_it_is_looked_at_again_after_1_6_and_24_hours_and_then_refused_without_a_fee() {
    let case = Case::open().await;
    // It lay in the queue for two days before anybody looked: that costs it nothing.
    let first = HOUR * 48;
    let moment = Duration::from_micros(1);
    for (at, next) in [(0, 1), (1, 6), (6, 24)] {
        let waits = due("queued(no_cert)", first + HOUR * next);
        assert_eq!(case.at(first + HOUR * at).await, waits);
        assert_eq!(case.at((first + HOUR * next).saturating_sub(moment)).await, waits, "not a moment too early");
    }
    assert_eq!(case.at(first + HOUR * 24).await, ("refused(no_cert)".to_owned(), None));
    let (view, _) = case.world.view(case.id).await;
    assert_eq!((view.fee, view.attempts), (Fee::None, 0), "waiting for a certificate is no attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_waits_for_is_shown_in_lists_and_on_the_worklist_while_it_is_queued() {
    let case = Case::open().await;
    case.at(HOUR).await;
    let store = &case.world.store;
    let filter = |reason| postern::store::survey::DeliveryFilter { reason: Some(reason), limit: 10, ..Default::default() };
    let listed = store.deliveries(OrgScope::One(case.org), filter(Reason::NoCert)).await.unwrap();
    assert_eq!(listed.iter().map(|view| view.id).collect::<Vec<_>>(), [case.id]);
    assert!(store.deliveries(OrgScope::One(case.org), filter(Reason::Untrusted)).await.unwrap().is_empty());
    let worklist = store.worklist(OrgScope::One(case.org)).await.unwrap();
    let item = worklist.first().expect("it is on the worklist");
    assert_eq!((item.kind, item.reason, item.since), (WorkKind::Delivery, Some(Reason::NoCert), case.start.plus(HOUR)));

    case.world.knows_recipients(case.org).await;
    assert_eq!(case.at(HOUR * 2).await.0, "accepted");
    assert!(store.worklist(OrgScope::One(case.org)).await.unwrap().is_empty());
    let kept = "SELECT rechecks || COALESCE(waiting_for, '') || COALESCE(distrusted_since, '') || COALESCE(unchecked_since, '') FROM delivery";
    assert_eq!(case.world.texts(kept).await, ["0"], "a later doubt would begin anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_checked_is_tried_for_24_hours_from_then_on_and_held() {
    let case = Case::open().await;
    case.blind(true).await;
    let first = HOUR * 30;
    assert_eq!(case.at(first).await.0, "queued(trust_unavailable)");
    let (at, stands) = case.follow(first, HOUR * 100).await;
    assert_eq!((at, stands.as_str()), (first + HOUR * 24, "held(trust_unavailable)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_not_answer_uses_up_no_recheck_and_what_is_seen_then_ends_its_clock() {
    let case = Case::open().await;
    case.blind(true).await;
    let (blind_until, stands) = case.follow(Duration::ZERO, HOUR * 20).await;
    assert_eq!(stands, "queued(trust_unavailable)");
    case.blind(false).await;
    let seen = case.world.store.next_due().await.unwrap().unwrap().since(case.start);
    assert!(seen > blind_until);
    assert_eq!(case.at(seen).await, due("queued(no_cert)", seen + HOUR));
    // Blind again from before the first recheck on: nobody looks, so the recheck is still to come.
    case.blind(true).await;
    let (_, stands) = case.follow(seen + HOUR, seen + HOUR * 4).await;
    assert_eq!(stands, "queued(trust_unavailable)");
    case.blind(false).await;
    let next = case.world.store.next_due().await.unwrap().unwrap().since(case.start);
    assert_eq!(case.at(next).await, due("queued(no_cert)", seen + HOUR * 6), "the second recheck is where it was");
    assert_eq!(case.at(seen + HOUR * 6).await, due("queued(no_cert)", seen + HOUR * 24));
    assert_eq!(case.at(seen + HOUR * 24).await.0, "refused(no_cert)");
}
