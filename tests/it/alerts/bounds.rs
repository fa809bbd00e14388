//! However much is wrong, people get few mails; however much is stored, looking costs little.

use std::time::{Duration, Instant};

use super::office::{MINUTE, Office};
use crate::store::world::World;

const OPS: &str = "ops@lab.example";

on_both_engines! {
    async fn hundreds_of_urgent_results_that_hang_are_one_mail(world: &World) {
        let office = Office::open(world, "held = 100000").await;
        let north = office.organization("north", "[alerts]\nto = [\"it@north.example\"]\n").await;
        let process = office.process().await;
        world.many(north, 1_000).await;
        world.run("UPDATE delivery SET priority = 'urgent'").await;
        world.pass(11 * MINUTE).await;
        let (changes, mails) = process.round().await;
        assert!(changes >= 500 && mails == 2, "{changes} {mails}");
        assert_eq!(office.mails(OPS).len(), 1);
        let mail = &office.mails(OPS)[0];
        assert!(mail.contains(" more: postern alerts list") && mail.len() < 20_000, "{mail}");
        world.pass(MINUTE).await;
        assert_eq!(process.round().await, (0, 0));
        world.run("UPDATE delivery SET state = 'cancelled'").await;
        world.pass(MINUTE).await;
        assert_eq!(process.round().await, (changes, 2));
        assert_eq!(office.mails(OPS).len(), 2);
    }

    async fn looking_costs_no_more_for_what_is_over(world: &World) {
        // With a million: POSTERN_ALERT_ROWS=1000000 and --no-capture, which prints the figures.
        let rows = std::env::var("POSTERN_ALERT_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(20_000);
        let took = look(world, rows).await;
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
}

/// Fills a table with deliveries that are over, some urgent, and a few that are not over; the shortest of ten looks.
async fn look(world: &World, count: usize) -> Duration {
    let office = Office::open(world, "").await;
    let north = office.organization("north", "").await;
    world.many(north, count).await;
    world
        .run("UPDATE delivery SET state = 'accepted', disposition = 'processed', relay = 'hisp', accepted_at = created_at, lane = 'hisp'
              WHERE address > '000000000064'")
        .await;
    world.run("UPDATE delivery SET priority = 'urgent' WHERE substr(address, 12, 1) IN ('1', '2')").await;
    world.run(world.either("ANALYZE", "VACUUM ANALYZE delivery")).await;
    let process = office.process().await;
    world.pass(60 * MINUTE).await;
    process.alerting.look_once().await.unwrap();
    let mut least = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        process.alerting.look_once().await.unwrap();
        least = least.min(began.elapsed());
    }
    eprintln!("looking at {count} deliveries on {}: {least:?}", world.either("sqlite", "postgres"));
    least
}
