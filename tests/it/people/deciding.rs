//! What people decide in the console about addresses, deliveries and what waits.

use postern::{
    domain::{
        OrgScope, Reason,
        delivery::{Event, State},
        person::{Reach, Role},
    },
    store::feed::Parked,
};

use super::world::{Browser, World};
use crate::store::make;

async fn operator(world: &World) -> Browser {
    let id = world.person("jo@lab.example", Role::Operator, Reach::Installation).await;
    world.signed_in(id).await
}

shown! {
    async fn an_address_is_pinned_and_suppressed_and_both_are_taken_back(world: &World) {
        let org = world.organization("north").await;
        let mut browser = operator(world).await;
        let send = async |browser: &mut Browser, fields: &[(&str, &str)]| {
            browser.fill("/directory", "/directory/decisions", &[&[("for", "north")][..], fields].concat()).await
        };
        let pin = [("action", "pin"), ("npi", "1234567893"), ("address", make::ADDRESS)];
        let refused = send(&mut browser, &[&pin[..], &[("why", "")]].concat()).await;
        assert!(refused.status == 422 && refused.body.contains("Say why"), "{}", refused.body);
        let refused = send(&mut browser, &[("action", "pin"), ("npi", "1234567890"), ("address", make::ADDRESS), ("why", "asked")]).await;
        assert!(refused.status == 422 && refused.body.contains("is not an NPI"), "{}", refused.body);
        assert!(world.database.store.pins(org, None).await.unwrap().is_empty());
        let done = send(&mut browser, &[&pin[..], &[("why", "the clinic asked")]].concat()).await;
        assert_eq!((done.status, done.location.as_str()), (303, "/directory?organization=north&done=pinned"));
        let pins = world.database.store.pins(org, None).await.unwrap();
        assert!(pins.len() == 1 && pins[0].decided.by.contains("jo@lab.example") && pins[0].decided.why == "the clinic asked");
        let page = browser.get("/directory").await;
        assert!(page.body.contains("1234567893") && page.body.contains("the clinic asked"), "{}", page.body);
        let done = send(&mut browser, &[("action", "unpin"), ("npi", "1234567893"), ("why", "moved")]).await;
        assert!(done.location.ends_with("done=unpinned"));
        let done = send(&mut browser, &[("action", "unpin"), ("npi", "1234567893"), ("why", "moved")]).await;
        assert!(done.location.ends_with("done=not-unpinned"));
        for (what, good) in [("bad.example", true), (make::ADDRESS, true), ("no such thing", false)] {
            let done = send(&mut browser, &[("action", "suppress"), ("what", what), ("lasting", "30d"), ("why", "bounces")]).await;
            assert_eq!(done.status, if good { 303 } else { 422 }, "{what}");
        }
        let known = world.database.store.suppressions(org).await.unwrap();
        assert!(known.len() == 2 && known.iter().all(|one| one.until.is_some()), "{known:?}");
        let done = send(&mut browser, &[("action", "unsuppress"), ("what", "bad.example"), ("why", "mended")]).await;
        assert!(done.location.ends_with("done=unsuppressed"));
        assert!(world.actions().await.iter().filter(|action| *action == "setting_changed").count() >= 5);
    }

    async fn a_held_delivery_is_decided_on_its_own_page(world: &World) {
        let org = world.organization("north").await;
        let id = world.database.queued(org, "A1").await;
        world.database.lead(org, id, &[Event::Claimed, Event::Held(Reason::NoIdentity)]).await;
        let mut browser = operator(world).await;
        let page = browser.get(&format!("/deliveries/{id}")).await;
        assert!(page.body.contains("What is to be done") && page.body.contains("routed to 1 address"), "{}", page.body);
        let retried = browser.send(&page, &format!("/deliveries/{id}"), &[("what", "retry"), ("why", "the key came")]).await;
        assert!(retried.location.ends_with("done=retried-1"));
        let (_, history) = world.database.store.delivery_view(OrgScope::All, id).await.unwrap().unwrap();
        assert!(history.iter().any(|line| line.detail.as_deref().is_some_and(|text| text.contains("the key came"))), "{history:?}");
        world.database.lead(org, id, &[Event::Claimed, Event::Held(Reason::NoIdentity)]).await;
        let closed = browser.send(&page, &format!("/worklist/{id}"), &[("action", "dismiss"), ("why", "sent by post")]).await;
        assert_eq!(closed.location, "/worklist?done=decided", "{}", closed.body);
        assert_eq!(world.database.state(id).await, State::Cancelled);
    }

    async fn everything_that_waits_for_a_reason_is_routed_again_once_it_was_seen_how_many(world: &World) {
        let org = world.organization("north").await;
        let result = world.database.result(org, "A1").await;
        world.database.route(&[]).await;
        assert_eq!(world.database.result_state(result).await, "held(no_target)");
        let mut browser = operator(world).await;
        let page = browser.get("/worklist?reason=no_target").await;
        assert!(page.body.contains("Route all of these again"), "{}", page.body);
        let fields = [("reason", "no_target"), ("why", "the directory was loaded")];
        let asked = browser.send(&page, "/worklist/reroute", &fields).await;
        assert!(asked.status == 200 && asked.body.contains("Route 1 result again"), "{}", asked.body);
        assert_eq!(world.database.result_state(result).await, "held(no_target)", "nothing has happened yet");
        let done = browser.send(&asked, "/worklist/reroute", &[&fields[..], &[("sure", "yes")]].concat()).await;
        assert_eq!(done.location, "/worklist?done=rerouted-1");
        assert_ne!(world.database.result_state(result).await, "held(no_target)");
    }

    async fn an_item_that_could_not_be_taken_is_read_taken_and_thrown_away(world: &World) {
        let org = world.organization("north").await;
        let store = &world.database.store;
        let problems = serde_json::json!({ "code": "invalid", "detail": "the item cannot be taken", "errors": [{ "field": "/site", "message": "is missing", "code": "missing" }] });
        store.park(org, "lab", "c1", &problems, format!("{{\"patient\": \"{}\"}}", make::FAMILY).as_bytes()).await.unwrap();
        let item: Parked = store.parked(OrgScope::All).await.unwrap().remove(0);
        let mut browser = operator(world).await;
        assert!(browser.get("/worklist").await.body.contains(&format!("/parked/{}", item.id)));
        let here = format!("/parked/{}", item.id);
        let page = browser.get(&here).await;
        assert!(page.body.contains("/site is missing") && !page.body.contains(make::FAMILY), "{}", page.body);
        let read = browser.send(&page, &format!("{here}/read"), &[]).await;
        assert!(read.body.contains(make::FAMILY) && world.actions().await.contains(&"parked_item_read".to_owned()));
        let again = browser.send(&page, &format!("{here}/replay"), &[]).await;
        assert_eq!(again.location, format!("{here}?done=parked-refused"));
        assert_eq!(browser.send(&page, &format!("{here}/discard"), &[]).await.status, 422);
        let gone = browser.send(&page, &format!("{here}/discard"), &[("sure", "yes")]).await;
        assert_eq!(gone.location, "/worklist?done=discarded");
        assert!(store.parked(OrgScope::All).await.unwrap().is_empty());
        assert_eq!(browser.get(&here).await.status, 404);
    }
}
