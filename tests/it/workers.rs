//! Several workers on one PostgreSQL share the work: none sends what another sends, and they inherit from the dead.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::support::{
    installation::{Installation, Serving},
    postgres::TestDatabase,
};

/// Four at a time leave something to do for the others.
const WORKER: &str = "concurrency = 4\nbatch = 4\ngrace = \"30s\"";
/// The same, with a lease that is soon over.
const MORTAL: &str = "concurrency = 4\nbatch = 4\nlease = \"4s\"";

/// Submits results `numbers` for mailboxes of their own, whose names begin with `mailbox`.
async fn submit(installation: &Installation, web: &Serving, mailbox: &str, numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    let mut results = BTreeSet::new();
    for number in numbers {
        let submitted = installation.submit(web, number, &format!("{mailbox}{number}")).await;
        results.insert(submitted.unwrap_or_else(|error| panic!("{error}\n{}", installation.logs())));
    }
    results
}

/// Waits until so many messages have arrived.
async fn arrived(installation: &Installation, messages: usize) {
    let began = Instant::now();
    while installation.arrivals().len() < messages {
        assert!(began.elapsed() < Duration::from_mins(1), "{:?}\n{}", installation.states(), installation.logs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_on_one_database_send_each_message_once() {
    let database = TestDatabase::fresh();
    let installation = Installation::open(WORKER, Some(&database.url)).await;
    let web = installation.serve(Some("web"), None);
    let _workers = [(); 3].map(|()| installation.serve(Some("worker"), None));
    let results = submit(&installation, &web, "pcp", 0..60).await;
    installation.settled(60);
    installation.ties(&results);
    assert!(installation.arrivals().values().all(|&copies| copies == 1), "{:?}", installation.arrivals());
    let owners = database.query("SELECT count(*) FROM delivery WHERE state IN ('claimed', 'on_wire')");
    assert_eq!(owners, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_held_is_sent_by_the_others_after_its_lease() {
    let database = TestDatabase::fresh();
    let installation = Installation::open(MORTAL, Some(&database.url)).await;
    let web = installation.serve(Some("web"), None);
    let results = submit(&installation, &web, "slow1+", 0..20).await;
    // It has the queue to itself, so it holds something when it dies.
    let mut first = installation.serve(Some("worker"), None);
    arrived(&installation, 1).await;
    first.kill();
    let held = database.query("SELECT count(*) FROM delivery WHERE state IN ('claimed', 'on_wire')");
    assert_ne!(held, "0", "the dead worker held something");
    let _others = [(); 2].map(|()| installation.serve(Some("worker"), None));
    installation.settled(20);
    installation.ties(&results);
    // Only what the dead one had on the wire can have arrived twice, under the same Message-ID.
    let twice = installation.arrivals().values().filter(|&&copies| copies > 1).count();
    assert!(twice <= 4, "{:?}", installation.arrivals());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_asked_to_stop_finishes_what_it_sends_and_releases_the_rest() {
    let database = TestDatabase::fresh();
    let installation = Installation::open(WORKER, Some(&database.url)).await;
    let web = installation.serve(Some("web"), None);
    let results = submit(&installation, &web, "slow1+", 0..16).await;
    let mut worker = installation.serve(Some("worker"), None);
    arrived(&installation, 1).await;
    worker.terminate();
    assert!(worker.end().success(), "{}", installation.logs());
    let states = installation.states();
    assert!(states.keys().all(|state| state == "accepted" || state == "queued"), "{states:?}\n{}", installation.logs());
    assert!(states.contains_key("queued"), "it was stopped in the middle: {states:?}");
    let claimed = database.query("SELECT count(*) FROM delivery WHERE lease_owner IS NOT NULL");
    assert_eq!(claimed, "0", "a claim was left behind");

    let _next = installation.serve(Some("worker"), None);
    installation.settled(16);
    installation.ties(&results);
    assert!(installation.arrivals().values().all(|&copies| copies == 1), "{:?}", installation.arrivals());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_may_not_finish_leaves_only_what_is_on_the_wire() {
    let database = TestDatabase::fresh();
    let installation = Installation::open(&format!("{MORTAL}\ngrace = \"200ms\""), Some(&database.url)).await;
    let web = installation.serve(Some("web"), None);
    let results = submit(&installation, &web, "slow2+", 0..6).await;
    let mut worker = installation.serve(Some("worker"), None);
    let began = Instant::now();
    while !installation.states().contains_key("on_wire") {
        assert!(began.elapsed() < Duration::from_mins(1), "{}", installation.logs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.terminate();
    assert!(worker.end().success(), "{}", installation.logs());
    assert!(!installation.states().contains_key("claimed"), "{:?}\n{}", installation.states(), installation.logs());

    let _next = installation.serve(Some("worker"), None);
    installation.settled(6);
    installation.ties(&results);
}
