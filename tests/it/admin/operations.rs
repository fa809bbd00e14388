//! `postern delivery` and `postern worklist`.

use std::time::Duration;

use postern::{
    domain::{Clock as _, Doubt, Reason, delivery::Event as E},
    observe::SystemClock,
    store::{Committer, delivery::Move},
};

use super::world::{World, deliveries, happened, org, words};

const NORTH: &str = "slug = \"north\"\nname = \"North\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";

/// A delivery to which this has happened.
async fn delivery(world: &World, events: &[E]) -> String {
    let store = world.store().await;
    let made = deliveries(&store, org(&store, "north").await, "A1", &["pcp@direct.example.org"]).await;
    happened(&store, made[0], events).await;
    store.close().await;
    made[0].to_string()
}

#[tokio::test]
async fn a_delivery_that_has_not_left_is_cancelled() {
    let world = World::with(NORTH);
    let id = delivery(&world, &[]).await;
    world.good(&["delivery", "cancel", &id]);
    assert_eq!(world.json(&["delivery", "show", &id])["state"], "cancelled");
    assert!(world.bad(&["delivery", "cancel", &id]).err.contains("nothing to cancel"));
    assert!(world.bad(&["delivery", "retry", &id]).err.contains("stays so"));
}

#[tokio::test]
async fn what_is_on_the_wire_or_unknown_cannot_be_called_back_and_is_not_tried_again() {
    for events in [&[E::Claimed, E::WireStarted][..], &[E::Claimed, E::WireStarted, E::Lost]] {
        let world = World::with(NORTH);
        let id = delivery(&world, events).await;
        let ran = world.bad(&["delivery", "cancel", &id]);
        assert!(ran.err.contains("cannot be called back") && ran.err.contains("No further attempt"), "{}", ran.err);
        let store = world.store().await;
        let last = if events.len() == 2 { &[E::Lost, E::UnknownWaitOver][..] } else { &[E::UnknownWaitOver] };
        happened(&store, id.parse().unwrap(), last).await;
        assert_eq!(world.json(&["delivery", "show", &id])["state"], "held");
        assert!(world.bad(&["delivery", "retry", &id]).err.contains("not sent any more"));
    }
}

#[tokio::test]
async fn what_was_handed_over_cannot_be_called_back() {
    let world = World::with(NORTH);
    let id = delivery(&world, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    assert!(world.bad(&["delivery", "cancel", &id]).err.contains("it was handed over"));
    assert!(world.bad(&["delivery", "retry", &id]).err.contains("status resend"));
}

#[tokio::test]
async fn a_refused_delivery_says_why_and_what_to_do_and_goes_back_into_the_queue() {
    let world = World::with(NORTH);
    let id = delivery(&world, &[E::Claimed, E::Refused(Reason::NoCert)]).await;
    let shown = world.good(&["delivery", "show", &id]).out;
    assert!(shown.contains(Reason::NoCert.meaning()) && shown.contains(Reason::NoCert.remedy()), "{shown}");
    assert_eq!(world.json(&["delivery", "list", "--state", "refused", "--reason", "no_cert"])[0]["id"], id);
    assert_eq!(world.json(&["delivery", "list", "--state", "held"]), serde_json::json!([]));
    assert_eq!(world.run(&["delivery", "list", "--state", "lost"]).code, 2);

    world.good(&["delivery", "retry", &id]);
    let history = world.json(&["delivery", "show", &id])["history"].clone();
    assert_eq!(history.as_array().unwrap().last().unwrap()["event"], "retry");
    assert!(world.bad(&["delivery", "retry", &id]).err.contains("on its way"));
    let nobody = postern::domain::DeliveryId::new().to_string();
    for what in ["show", "retry", "cancel"] {
        world.bad(&["delivery", what, &nobody]);
    }
}

#[tokio::test]
async fn the_worklist_names_everything_that_needs_a_person_with_what_to_do() {
    let world = World::with(NORTH);
    assert_eq!(world.good(&["worklist"]).err, "nothing needs a person\n");
    let id = delivery(&world, &[E::Claimed, E::Held(Reason::NoIdentity)]).await;
    let store = world.store().await;
    deliveries(&store, org(&store, "north").await, "A2", &[]).await;
    let shown = world.good(&["worklist", "--organization", "north"]).out;
    assert!(shown.lines().any(|line| words(line).ends_with(&["north", "delivery", &id, "A1", "no_identity"])), "{shown}");
    for reason in [Reason::NoIdentity, Reason::NoTarget] {
        assert!(shown.contains(reason.meaning()) && shown.contains(reason.remedy()), "{shown}");
    }
    let items = world.json(&["worklist"]);
    assert_eq!((items.as_array().unwrap().len(), &items[1]["kind"]), (2, &"result".into()), "{items}");
}

#[tokio::test]
async fn a_delivery_that_waits_for_a_certificate_says_so_although_it_is_queued() {
    let world = World::with(NORTH);
    let id = delivery(&world, &[E::Claimed]).await;
    let store = world.store().await;
    let north = org(&store, "north").await;
    let doubt = Doubt { reason: Some(Reason::NoCert), distrusted_since: Some(SystemClock.now()), ..Doubt::default() };
    let waits =
        Move { doubt: Some(doubt), backoff: Duration::from_hours(1), ..Move::new(north, id.parse().unwrap(), E::Deferred) };
    Committer::start(store.clone()).apply(waits).await.unwrap();
    store.close().await;
    let listed = world.json(&["delivery", "list", "--state", "queued", "--reason", "no_cert"]);
    assert_eq!((&listed[0]["id"], &listed[0]["reason"]), (&id.as_str().into(), &"no_cert".into()));
    let shown = world.good(&["delivery", "show", &id]).out;
    assert!(shown.contains("queued") && shown.contains(Reason::NoCert.remedy()), "{shown}");
    let worklist = world.json(&["worklist"]);
    assert_eq!((&worklist[0]["id"], &worklist[0]["reason"]), (&id.as_str().into(), &"no_cert".into()), "{worklist}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_tell_how_deep_the_queue_is_and_how_old_the_oldest_of_each_state() {
    let world = World::with(NORTH);
    let id = delivery(&world, &[]).await;
    let store = world.store().await;
    let north = org(&store, "north").await;
    deliveries(&store, north, "A2", &["a@direct.example.org", "b@direct.example.org"]).await;
    let serving = world.serve(Some("web"));
    let page = async || reqwest::get(format!("{}/metrics", serving.url)).await.unwrap().text().await.unwrap();
    let figure = |page: &str, series: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
        line.unwrap_or_else(|| panic!("{series} in\n{page}")).parse().unwrap()
    };
    let first = page().await;
    for (series, expected) in [
        ("postern_deliveries{state=\"queued\"}", 3.0),
        ("postern_deliveries{state=\"held\"}", 0.0),
        ("postern_results{state=\"waiting\"}", 0.0),
        ("postern_deliveries_oldest_seconds{state=\"held\"}", 0.0),
    ] {
        assert!((figure(&first, series) - expected).abs() < 1e-9, "{series} in\n{first}");
    }
    happened(&store, id.parse().unwrap(), &[E::Held(Reason::NoIdentity)]).await;
    // Measured anew every few seconds, whoever asks.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let second = page().await;
    assert!((figure(&second, "postern_deliveries{state=\"held\"}") - 1.0).abs() < 1e-9, "{second}");
    assert!((figure(&second, "postern_deliveries{state=\"queued\"}") - 2.0).abs() < 1e-9, "{second}");
    assert!(figure(&second, "postern_deliveries_oldest_seconds{state=\"held\"}") >= 2.0, "{second}");
    assert!(figure(&second, "postern_deliveries_oldest_seconds{state=\"queued\"}") >= 2.0, "{second}");
}
