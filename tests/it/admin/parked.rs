//! `postern parked`: what a feed gave and nobody could take.

use postern::{domain::OrgScope, store::feed::Parked};
use serde_json::{Value, json};

use super::world::{World, org, words};
use crate::support::{
    command::{command, run},
    counter::{base64, order, result, with},
};

const NORTH: &str = "slug = \"north\"\nname = \"North\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";

/// Parks these results, one after the other.
async fn parked(world: &World, results: &[Value]) -> Vec<Parked> {
    let store = world.store().await;
    let north = org(&store, "north").await;
    let problems = json!({ "code": "invalid", "detail": "1 field cannot be taken as it is",
        "errors": [{ "field": "/order/patient/birth_date", "code": "missing", "message": "is required" }] });
    for (n, result) in results.iter().enumerate() {
        store.park(north, "lab", &format!("c{n}"), &problems, result.to_string().as_bytes()).await.unwrap();
    }
    let parked = store.parked(OrgScope::All).await.unwrap();
    store.close().await;
    parked
}

fn good(order_id: &str) -> Value {
    let pdf = base64(&postern::sandbox::story::chapter(0).pdf());
    with(with(result(order_id, "final"), "order", order(order_id)), "pdf", pdf.into())
}

#[tokio::test]
async fn a_parked_item_is_on_the_worklist_and_says_what_is_wrong_with_it() {
    let world = World::with(NORTH);
    assert_eq!(world.good(&["parked", "list"]).err, "nothing is parked\n");
    let item = parked(&world, &[good("A1")]).await.remove(0);
    let id = item.id.to_string();
    let worklist = world.good(&["worklist"]).out;
    assert!(worklist.lines().any(|line| words(line).ends_with(&["north", "parked", &id, "lab", "c0", "-"])), "{worklist}");
    assert!(worklist.contains("postern parked show"), "{worklist}");
    assert_eq!(world.json(&["worklist"])[0]["kind"], "parked");

    let listed = world.good(&["parked", "list", "--organization", "north"]).out;
    assert!(listed.contains(&id) && listed.contains("/order/patient/birth_date is required [missing]"), "{listed}");
    assert_eq!(world.json(&["parked", "list"])[0]["problems"]["errors"][0]["code"], "missing");
    let shown = world.good(&["parked", "show", &id]);
    assert!(
        shown.out.contains("/order/patient/birth_date is required [missing]") && shown.out.contains("parked replay"),
        "{}",
        shown.out
    );
    assert!(!shown.err.contains("parked_item_read"), "nothing of the patient was shown: {}", shown.err);
    assert!(world.json(&["parked", "show", &id]).get("payload").is_none());
    world.bad(&["parked", "show", &postern::domain::DeliveryId::new().to_string()]);
}

#[tokio::test]
async fn its_content_is_shown_when_asked_for_and_that_is_on_record() {
    let world = World::with(NORTH);
    let mut odd = good("A1");
    odd["title"] = json!("\u{1b}[2J\u{202e}");
    let id = parked(&world, &[odd]).await[0].id.to_string();
    // Not through `World::run`: there nothing about the patient may be shown.
    let ran = run(command(&world.path("")).args(["parked", "show", &id, "--payload"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("Testriver") && !ran.out.contains(['\u{1b}', '\u{202e}']), "{}", ran.out);
    assert!(ran.err.contains("parked_item_read") && ran.err.contains(&id) && !ran.err.contains("Testriver"), "{}", ran.err);
    let ran = run(command(&world.path("")).args(["parked", "show", &id, "--payload", "--json"]));
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(shown["payload"].as_str().unwrap().contains("Testriver"));
}

#[tokio::test]
async fn what_is_replayed_is_taken_like_any_other_and_parked_no_longer() {
    let world = World::with(NORTH);
    let mut odd = good("A2");
    odd["colour"] = json!("red");
    let items = parked(&world, &[good("A1"), odd, with(good("A3"), "status", json!("finished"))]).await;
    let ids: Vec<_> = items.iter().map(|item| item.id.to_string()).collect();
    let ran = world.bad(&["parked", "replay", "--all"]);
    assert!(
        ran.err.contains(&format!("{}: taken, as result ", ids[0])) && ran.err.contains("parked_item_replayed"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("/colour is not a field of this object [unknown_field]"), "{}", ran.err);
    let left = world.json(&["parked", "list"]);
    assert_eq!(left.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(), ids[1..]);
    assert_eq!(left[1]["problems"]["errors"][0]["field"], "/status", "what is wrong now");
    let store = world.store().await;
    assert_eq!(store.results_of_order(OrgScope::All, "A1").await.unwrap().len(), 1);
    assert!(store.results_of_order(OrgScope::All, "A2").await.unwrap().is_empty());
    store.close().await;

    // Its feed is told to read past such fields; the same item is taken now.
    let config = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    let feed = "\n[[feed]]\nname = \"lab\"\norganization = \"north\"\nurl = \"https://lab.example/r\"\nignore_unknown = true\n";
    world.write("postern.toml", config + feed);
    let taken = world.json(&["parked", "replay", &ids[1]]);
    assert_eq!((&taken[0]["taken"], &taken[0]["result"]["order_id"]), (&true.into(), &"A2".into()), "{taken}");
    world.bad(&["parked", "replay", &ids[1]]);
}

#[tokio::test]
async fn nothing_is_thrown_away_unless_that_is_meant() {
    let world = World::with(NORTH);
    let ids: Vec<_> = parked(&world, &[good("A1"), good("A2")]).await.iter().map(|item| item.id.to_string()).collect();
    let asked = world.run(&["parked", "discard", &ids[0]]);
    assert!(asked.code == 2 && asked.err.contains("--yes"), "{}", asked.err);
    assert_eq!(world.run(&["parked", "discard", "--yes"]).code, 2, "which ones must be said");
    assert_eq!(world.json(&["parked", "list"]).as_array().unwrap().len(), 2);
    let ran = world.good(&["parked", "discard", &ids[0], "--yes"]);
    assert!(ran.err.contains("parked_item_discarded") && ran.err.contains(&ids[0]), "{}", ran.err);
    assert_eq!(world.json(&["parked", "list"])[0]["id"], ids[1]);
    world.good(&["parked", "discard", "--all", "--yes"]);
    assert_eq!(world.good(&["parked", "discard", "--all", "--yes"]).err, "nothing is parked\n");
    assert_eq!(world.good(&["worklist"]).err, "nothing needs a person\n");
}
