//! One customer's trouble is not another's: however many results wait at a relay that does not answer, others' go out in seconds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postern::{config::worker::WorkerSection, domain::OrgId};
use tokio_util::sync::CancellationToken;

use super::world::{Plan, World, plain};
use crate::support::misbehaving::{Act, Misbehaving, hear, hello, message, say, wait};

/// Seconds, on a machine that does other things beside.
pub(super) const SECONDS: Duration = Duration::from_secs(20);

/// A server that takes connections and then never answers MAIL.
async fn hanging() -> Misbehaving {
    Misbehaving::start(vec![[hello(), vec![hear("MAIL"), Act::Hang]].concat()]).await
}

/// A server that takes four seconds for each message.
async fn tarpit() -> Misbehaving {
    Misbehaving::start(vec![[message(), vec![wait(4_000), say("250 at last"), hear("QUIT")]].concat()]).await
}

/// Eight places, and a relay named `slow` that may have so many of them.
fn plan(slow: &Misbehaving, connections: usize) -> Plan {
    let plan = Plan::default();
    let mut relay = plain("slow", slow.address.port());
    relay.max_connections = connections;
    Plan { worker: WorkerSection { concurrency: 8, ..plan.worker }, relays: vec![relay], ..plan }
}

pub(super) struct Working {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

pub(super) fn work(world: &World) -> Working {
    let (gateway, stop) = (Arc::clone(&world.gateway), CancellationToken::new());
    let stopped = stop.clone();
    Working { stop, task: tokio::spawn(async move { gateway.work_until(&stopped).await }) }
}

impl Working {
    pub(super) async fn end(self) {
        self.stop.cancel();
        self.task.abort();
        let _ = self.task.await;
    }
}

/// Waits until so many of an organization's deliveries are accepted; tells how long that took.
pub(super) async fn accepted(world: &World, org: OrgId, count: usize) -> Duration {
    let began = Instant::now();
    while world.accepted(org).await < count {
        let states = world
            .texts("SELECT o.slug || ' ' || d.state || ' ' || d.lane FROM delivery d JOIN organization o ON o.id = d.org_id")
            .await;
        assert!(began.elapsed() < Duration::from_mins(1), "{} of {count}: {states:?}", world.accepted(org).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    began.elapsed()
}

/// Waits until the slow organization has as many places as it can get.
async fn busy(world: &World, org: OrgId) -> usize {
    let (began, mut before) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let sql =
            format!("SELECT CAST(COUNT(*) AS TEXT) FROM delivery WHERE org_id = '{org}' AND state IN ('claimed', 'on_wire')");
        let now: usize = world.texts(&sql).await[0].parse().unwrap();
        if now > 0 && now == before {
            return now;
        }
        before = now;
        assert!(began.elapsed() < Duration::from_mins(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_hangs_costs_its_own_customer_everything_and_the_others_seconds() {
    let slow = hanging().await;
    let world = World::open(plan(&slow, 64)).await;
    let large = world.sender("large", "slow").await;
    let small = world.sender("small", "hisp").await;
    let third = world.sender("third", "hisp").await;
    world.results(large, "l", 40).await;
    let working = work(&world);
    assert_eq!(busy(&world, large).await, 7, "nearly everything, and the rest is kept for a newcomer");
    // Routing them needs no place, and sending them has the one that is kept.
    world.results(small, "s", 12).await;
    let took = accepted(&world, small, 12).await;
    assert!(took < SECONDS, "{took:?}");
    world.results(third, "t", 3).await;
    let took = accepted(&world, third, 3).await;
    assert!(took < SECONDS, "{took:?}");
    assert_eq!(world.accepted(large).await, 0);
    working.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_has_no_more_places_than_it_carries_messages_and_one_hung_relay_of_a_customer_leaves_it_the_other() {
    let slow = hanging().await;
    let world = World::open(plan(&slow, 2)).await;
    let slowly = super::world::signing(&world.practice, "results@direct.two.example", "slow");
    let quickly = super::world::signing(&world.practice, "quick@direct.two.example", "hisp");
    let sites = "[[site]]\nlocal_id = \"RIVERSIDE01\"\n[[site]]\nlocal_id = \"QUICK\"\nidentity = \"quick@direct.two.example\"\n";
    let org = world.organization("two", sites, &[slowly, quickly]).await;
    world.knows_recipients(org).await;
    world.results(org, "l", 30).await;
    let working = work(&world);
    assert_eq!(busy(&world, org).await, 4, "two on the wire, two made meanwhile: half of the places are free");
    assert_eq!(slow.count("MAIL"), 2);
    for number in 0..6 {
        let mut order = crate::store::make::order(&format!("Q{number}"));
        "QUICK".clone_into(&mut order.site);
        order.deliver_to[0].direct = Some(postern::domain::text::Stated::parse(&format!("q{number}@{}", super::world::DOMAIN)));
        world.result(org, &order).await;
    }
    let took = accepted(&world, org, 6).await;
    assert!(took < SECONDS, "{took:?}");
    working.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tarpit_delays_only_who_sends_into_it() {
    let slow = tarpit().await;
    let world = World::open(plan(&slow, 64)).await;
    let (large, small) = (world.sender("large", "slow").await, world.sender("small", "hisp").await);
    world.results(large, "l", 60).await;
    let working = work(&world);
    busy(&world, large).await;
    world.results(small, "s", 30).await;
    let took = accepted(&world, small, 30).await;
    assert!(took < SECONDS, "{took:?}");
    let theirs = world.accepted(large).await;
    assert!(theirs < 60, "it was still at work: {theirs}");
    working.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_whose_senders_way_has_changed_goes_the_new_way_and_waits_in_its_lane() {
    let slow = hanging().await;
    let world = World::open(plan(&slow, 2)).await;
    let org = world.sender("north", "slow").await;
    let id = world.queued(org, "m").await;
    assert_eq!(world.texts("SELECT lane FROM delivery").await, ["slow"]);
    let identity = super::world::signing(&world.practice, "results@direct.north.example", "hisp");
    world.organization("north", "[[site]]\nlocal_id = \"RIVERSIDE01\"\n", &[identity]).await;
    // What is believed of an organization lasts for seconds.
    world.clock.pass(Duration::from_secs(10));
    world.gateway.drain().await.unwrap();
    let (view, history) = world.view(id).await;
    assert_eq!((view.state, view.attempts), (postern::domain::delivery::State::Accepted, 1), "{history:?}");
    assert_eq!(world.texts("SELECT lane || ' ' || relay FROM delivery").await, ["hisp hisp"]);
    assert!(history.iter().any(|line| line.detail.as_deref() == Some("its sender's way is now hisp")), "{history:?}");
    assert_eq!(slow.count("MAIL"), 0);
}
