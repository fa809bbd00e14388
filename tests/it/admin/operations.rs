//! `postern delivery` and `postern worklist`.

use postern::domain::{Reason, delivery::Event as E};

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
