//! A live directory that does not answer, seen from everybody else.

use std::time::{Duration, Instant};

use postern::config::{live_directory::LiveDirectory, worker::WorkerSection};
use postern::domain::text::Stated;

use super::{
    fair::{SECONDS, accepted, work},
    world::{Plan, World},
};
use crate::store::make;

/// Takes connections, and never says a word.
async fn dead() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_directory_that_hangs_holds_up_who_asks_it_and_nobody_else() {
    let more =
        "name = \"dead\"\nkind = \"nppes\"\ninternal = true\ntimeout = \"10m\"\nbreaker_after = 1000\nmax_concurrent = 2\n";
    let live: LiveDirectory = toml::from_str(&format!("{more}url = \"{}\"", dead().await)).unwrap();
    let plan = Plan::default();
    // Eight places for routing.
    let world =
        World::open(Plan { worker: WorkerSection { concurrency: 2, batch: 8, ..plan.worker }, live: vec![live], ..plan }).await;
    let (large, small) = (world.sender("large", "hisp").await, world.sender("small", "hisp").await);
    for number in 0..40 {
        let mut order = make::order(&format!("L{number}"));
        order.deliver_to.truncate(1);
        (order.deliver_to[0].direct, order.deliver_to[0].npi) = (None, Some(Stated::parse("2000000010")));
        world.result(large, &order).await;
    }
    let working = work(&world);
    let began = Instant::now();
    while world.gateway.live.waiting() < 40 {
        assert!(began.elapsed() < SECONDS, "{} of 40 wait: who waits takes a place", world.gateway.live.waiting());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.results(small, "s", 12).await;
    let took = accepted(&world, small, 12).await;
    assert!(took < SECONDS, "{took:?}");
    assert_eq!((world.accepted(large).await, world.gateway.live.waiting()), (0, 40), "they still wait");
    working.end().await;
}
