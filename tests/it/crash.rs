//! Kill the gateway at any point and start it again: no result is lost, nothing is charged twice.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use postern::observe::failpoint;

use crate::support::{
    dovecot::Dovecot,
    installation::{Arrangement, Installation, Serving},
    postgres::TestDatabase,
};

/// A lease that a restart need not wait long for, and that a busy machine does not let run out under a living process.
const WORKER: &str = "lease = \"6s\"";

/// Submits as a sender does: again and again until it is told that its result is durable. A gateway that has died is
/// started again, without a failpoint.
async fn submit(installation: &Installation, serving: &mut Serving, number: usize, died: &mut bool) -> String {
    let began = Instant::now();
    loop {
        match installation.submit(serving, number, &format!("pcp{number}")).await {
            Ok(id) => return id,
            Err(error) => assert!(began.elapsed() < Duration::from_mins(1), "{error}\n{}", installation.logs()),
        }
        if !*died {
            serving.aborts();
            *died = true;
            *serving = installation.serve(None, None);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Dies at `point` and starts again. Tells how many copies arrived beyond the first of each.
async fn dies_at(point: &str) -> usize {
    let installation = Installation::open(WORKER, None).await;
    let mut serving = installation.serve(None, Some(point));
    let (mut results, mut died) = (BTreeSet::new(), false);
    for number in 0..3 {
        results.insert(submit(&installation, &mut serving, number, &mut died).await);
    }
    if !died {
        serving.aborts();
        serving = installation.serve(None, None);
    }
    assert_eq!(results.len(), 3);
    installation.settled(3);
    installation.ties(&results);
    drop(serving);
    installation.arrivals().values().sum::<usize>() - 3
}

/// One test for each failpoint, so that they run beside each other and one that fails says which; and one that counts them.
macro_rules! dies_at {
    ($($test:ident: $point:literal, $copies:expr;)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let copies = dies_at($point).await;
            assert!($copies.contains(&copies), "{copies} copies too many");
        })+

        #[test]
        fn every_failpoint_has_its_test() {
            assert_eq!([&[$($point),+][..], MAIL, NOTICES].concat(), failpoint::NAMES);
        }
    };
}

dies_at! {
    death_before_an_order_is_durable_makes_its_sender_send_it_again: "order_before_commit", (0..=0);
    death_after_an_order_is_durable_makes_no_second_one_of_it: "order_after_commit", (0..=0);
    death_before_a_result_is_durable_makes_its_sender_send_it_again: "intake_before_commit", (0..=0);
    death_after_a_result_is_durable_makes_no_second_one_of_it: "intake_after_commit", (0..=0);
    death_before_a_route_is_recorded_loses_no_result: "routing_before_commit", (0..=0);
    death_after_a_route_is_recorded_routes_nothing_twice: "routing_after_commit", (0..=2);
    death_with_a_delivery_claimed_sends_it_later: "delivery_claimed", (0..=2);
    death_with_a_message_sealed_sends_it_later: "delivery_sealed", (0..=2);
    death_before_the_wire_sends_it_later: "delivery_before_on_wire", (0..=2);
    death_on_the_wire_sends_it_once_more_under_its_message_id: "delivery_on_wire", (0..=2);
    death_with_the_answer_in_hand_sends_it_once_more_and_charges_once: "delivery_answered", (1..=3);
    death_after_the_answer_is_recorded_sends_nothing_twice: "delivery_settled", (0..=2);
}

/// What can be died at while mail comes in: it is durable, and whoever brought it was not told.
const MAIL: &[&str] = &["mail_kept", "mail_fetched"];

/// How often each verdict was given on what came in.
fn verdicts(database: &TestDatabase) -> String {
    database.query("SELECT verdict, count(*) FROM inbound GROUP BY 1 ORDER BY 1")
}

/// Waits until the database says so.
fn until(installation: &Installation, database: &TestDatabase, sql: &str, says: &str) {
    let began = Instant::now();
    while database.query(sql) != says {
        let now = database.query(sql);
        assert!(began.elapsed() < Duration::from_mins(1), "{sql}: {now} instead of {says}\n{}", installation.logs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_between_keeping_a_message_and_saying_250_has_it_brought_again_and_kept_once() {
    let database = TestDatabase::fresh();
    let arrangement = Arrangement { worker: WORKER, url: Some(&database.url), notices_come: true, ..Arrangement::default() };
    let installation = Installation::arranged(arrangement).await;
    let web = installation.serve(Some("web"), None);
    let _worker = installation.serve(Some("worker"), None);
    let mut door = installation.serve(Some("track"), Some(&format!("{}:2", MAIL[0])));
    let (mut results, mut web, mut died) = (BTreeSet::new(), web, true);
    for number in 0..3 {
        results.insert(submit(&installation, &mut web, number, &mut died).await);
    }
    door.aborts();
    // The second is durable, and the HISP was told nothing: it brings it again. Others came beside it.
    let durable: usize = database.query("SELECT count(*) FROM inbound").parse().unwrap();
    assert!((2..=6).contains(&durable), "{durable}");
    let _door = installation.serve(Some("track"), None);
    // Of two about one delivery the later may be dealt with first.
    until(&installation, &database, "SELECT count(*) FROM inbound WHERE state = 'settled'", "6");
    assert_eq!(database.query("SELECT count(*) FROM delivery WHERE disposition = 'dispatched'"), "3");
    assert_eq!(verdicts(&database), "notice|6", "each once: {}", installation.notices());
    installation.ties(&results);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_between_keeping_a_message_and_deleting_it_in_the_mailbox_fetches_it_again_and_keeps_it_once() {
    const US: &str = "clinic@lab.example";
    let dovecot = Dovecot::start(&[(US, "pw")]);
    for number in 0..3 {
        dovecot.deliver(US, &format!("From: <pcp@clinic.example>\r\nTo: {US}\r\nMessage-ID: <{number}@clinic.example>\r\nSubject: Hello\r\n\r\nText\r\n"));
    }
    let database = TestDatabase::fresh();
    let imap = format!("imap = {{ host = \"localhost\", port = {} }}", dovecot.imaps);
    let relay = format!("[[relay]]\nname = \"edge\"\nhost = \"localhost\"\nca_file = \"{}\"\n{imap}", dovecot.ca.display());
    let installation = Installation::arranged(Arrangement {
        worker: WORKER,
        url: Some(&database.url),
        relay: &relay,
        edge: Some((US, "pw")),
        ..Arrangement::default()
    })
    .await;
    let mut fetching = installation.serve(Some("track"), Some(&format!("{}:2", MAIL[1])));
    fetching.aborts();
    assert_eq!(database.query("SELECT count(*) FROM inbound"), "2", "the second is durable");
    assert_eq!(dovecot.messages(US).len(), 2, "and still there: it is deleted only after that");
    let _fetching = installation.serve(Some("track"), None);
    until(&installation, &database, "SELECT count(*) FROM inbound WHERE state = 'settled'", "3");
    let began = Instant::now();
    while !dovecot.messages(US).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}\n{}", dovecot.messages(US), installation.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(verdicts(&database), "letter|3");
    assert_eq!(database.query("SELECT count(*) FROM letter"), "3");
}

/// What can be died at while a notice is dealt with.
const NOTICES: &[&str] = &["inbound_claimed", "notice_before_commit", "notice_after_commit"];

/// Dies while it deals with the second of six notices, starts again, and has done each once.
async fn dies_with_a_notice_at(point: &str, billable: &str) {
    let installation = Installation::open(WORKER, None).await;
    installation.bill_at(billable);
    let mut serving = installation.serve(None, None);
    let (mut results, mut died) = (BTreeSet::new(), true);
    for number in 0..3 {
        results.insert(submit(&installation, &mut serving, number, &mut died).await);
    }
    installation.settled(3);
    serving.terminate();
    serving.end();
    // `processed` and `dispatched` of each.
    installation.bring_notices(6).await;
    let mut serving = installation.serve(None, Some(&format!("{point}:2")));
    serving.aborts();
    let _serving = installation.serve(None, None);
    let began = Instant::now();
    loop {
        let deliveries = installation.deliveries();
        if deliveries.iter().all(|delivery| delivery["disposition"] == "dispatched") {
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{deliveries:?}\n{}", installation.logs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for delivery in installation.deliveries() {
        let shown = installation.json(&["delivery", "show", delivery["id"].as_str().unwrap()]);
        let said: Vec<(&str, &str)> = shown["notices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| (n["stated"].as_str().unwrap(), n["verdict"].as_str().unwrap()))
            .collect();
        let applied = said.iter().filter(|(_, verdict)| *verdict == "applied").count();
        // Two read together may be committed in either order: `processed` after `dispatched` is late.
        assert!(
            said.len() == 2 && (1..=2).contains(&applied) && said.iter().all(|(_, v)| ["applied", "late"].contains(v)),
            "{said:?}"
        );
    }
    installation.ties(&results);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_with_a_notice_claimed_does_it_later() {
    dies_with_a_notice_at(NOTICES[0], "accepted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_before_a_notice_is_committed_does_it_later_and_once() {
    dies_with_a_notice_at(NOTICES[1], "accepted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn death_after_a_notice_is_committed_does_it_no_second_time() {
    dies_with_a_notice_at(NOTICES[2], "accepted").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bl_25_death_with_the_notice_claimed_that_makes_a_delivery_billable_charges_once() {
    dies_with_a_notice_at(NOTICES[0], "dispatched").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bl_25_death_before_the_notice_is_committed_that_makes_a_delivery_billable_charges_once() {
    dies_with_a_notice_at(NOTICES[1], "dispatched").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bl_25_death_after_the_notice_is_committed_that_makes_a_delivery_billable_charges_once() {
    dies_with_a_notice_at(NOTICES[2], "dispatched").await;
}

/// Twice: a gateway under load is killed at a moment nobody chose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_under_load_loses_nothing_and_charges_nothing_twice() {
    let installation = Installation::open(WORKER, None).await;
    let mut serving = installation.serve(None, None);
    let mut results = BTreeSet::new();
    for round in 0..2_usize {
        // Any moment will do; the random end of an id picks it.
        let kill_after = 6 + usize::from(uuid::Uuid::now_v7().as_bytes()[15] % 10);
        for number in 0..20 {
            if number == kill_after {
                serving.kill();
                serving = installation.serve(None, None);
            }
            let mut died = true;
            results.insert(submit(&installation, &mut serving, round * 20 + number, &mut died).await);
        }
        // Before the next round: a delivery whose outcome is unknown twice is held, as it should be.
        installation.settled((round + 1) * 20);
        installation.ties(&results);
    }
    assert!(installation.arrivals().values().all(|&copies| copies <= 2), "{:?}", installation.arrivals());
}
