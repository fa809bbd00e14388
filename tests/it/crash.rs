//! Kill the gateway at any point and start it again: no result is lost, nothing is charged twice.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use postern::observe::failpoint;

use crate::support::installation::{Installation, Serving};

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
            assert_eq!([$($point),+], failpoint::NAMES);
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
