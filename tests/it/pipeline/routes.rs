//! What a route is made with: the price table of the day where the organization is.

use std::time::Duration;

use postern::domain::time::Clock as _;

use super::world::{Plan, World};

/// What every delivery was agreed to be billed at, in the order they were made.
async fn billable(world: &World) -> Vec<String> {
    world.texts("SELECT billable FROM delivery ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_billable_moment_is_that_of_the_price_in_force_on_the_local_day_whatever_the_file_says_now() {
    let world = World::open(Plan::default()).await;
    let site = "[[site]]\nlocal_id = \"RIVERSIDE01\"\n";
    let prices = "time_zone = \"America/Los_Angeles\"\n[price]\nrate = [
        { from = \"2020-01-01\", fee_code = \"direct\", amount = \"0.20\", billable = \"processed\" },
        { from = \"2031-03-02\", fee_code = \"direct\", amount = \"0.30\", billable = \"dispatched\" } ]\n";
    let org = world.organization("north", &format!("{prices}{site}"), &[]).await;
    // Prices are never removed: a file that no longer names them changes nothing.
    world.organization("north", &format!("time_zone = \"America/Los_Angeles\"\n{site}"), &[]).await;
    // In Los Angeles the second of March begins eight hours after UTC's.
    let midnight: postern::domain::OffsetTime = "2031-03-02T00:00:00-08:00".parse().unwrap();
    world.clock.set(midnight.at.minus(Duration::from_secs(1)));
    assert!(world.clock.now().to_string().starts_with("2031-03-02"), "in UTC it is that day already");
    world.queued(org, "a").await;
    world.clock.set(midnight.at);
    world.queued(org, "b").await;
    assert_eq!(billable(&world).await, ["processed", "dispatched"]);
    let unpriced = world.organization("south", site, &[]).await;
    world.queued(unpriced, "c").await;
    assert_eq!(billable(&world).await[2], "accepted", "nothing was agreed");
}
