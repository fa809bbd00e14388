//! `postern explain`.

use postern::domain::OrgScope;
use serde_json::{Value, json};

use super::world::{World, deliveries, org};
use crate::support::counter::{order, with};

const NORTH: &str = "slug = \"north\"\nname = \"North\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";

fn what_if(world: &World, order: &Value, more: &[&str]) -> crate::support::command::Ran {
    let file = world.write("order.json", order.to_string());
    world.run(&[&["explain", "--order", &file, "--organization", "north"], more].concat())
}

#[tokio::test]
async fn what_would_happen_to_an_order_is_told_and_nothing_is_stored() {
    let world = World::with(NORTH);
    let by_npi = with(order("A1"), "deliver_to", json!([{ "role": "pcp", "npi": "1234567893" }]));
    let ran = what_if(&world, &by_npi, &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("held ("), "{}", ran.out);

    let csv = world.write("d.csv", "npi,address\n1234567893,pcp@direct.example.org\n");
    world.good(&["directory", "import", "csv", &csv]);
    let ran = what_if(&world, &by_npi, &["--json"]);
    let route: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(route["decision"]["state"], "routed", "{route}");
    assert_eq!(route["targets"][0]["address"], "pcp@direct.example.org");
    assert_eq!(route["targets"][0]["rule"], "directory");

    let result =
        world.write("result.json", json!({ "order_id": "A1", "site": "RIVERSIDE01", "status": "preliminary" }).to_string());
    let ran = what_if(&world, &by_npi, &["--result", &result]);
    assert!(ran.out.starts_with("not sent (preliminary)"), "{}", ran.out);
    assert_eq!(what_if(&world, &order("A2"), &["--result", &result]).code, 1);

    let store = world.store().await;
    assert!(store.counts(OrgScope::All).await.unwrap().results.is_empty());
    assert!(store.find_order(org(&store, "north").await, "A1").await.unwrap().is_none());
}

#[test]
fn an_order_that_would_be_refused_is_refused_here_field_by_field() {
    let world = World::with(NORTH);
    let bad = with(with(order("A1"), "shoe_size", 46.into()), "patient", json!({ "name": { "family": "Testriver" } }));
    let ran = what_if(&world, &bad, &[]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    for field in ["/shoe_size", "/patient/birth_date", "/patient/gender", "/patient/name/given"] {
        assert!(ran.err.contains(field), "{field}: {}", ran.err);
    }
    let ran = what_if(&world, &with(order("A1"), "deliver_to", json!([{ "npi": "1234567890" }])), &[]);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("warning: order.json: /deliver_to/0/npi"), "{}", ran.err);
    assert!(ran.out.contains("npi_invalid"), "{}", ran.out);
}

#[tokio::test]
async fn a_stored_result_is_explained_by_its_order_or_its_id() {
    let world = World::with(NORTH);
    let store = world.store().await;
    let north = org(&store, "north").await;
    deliveries(&store, north, "A1", &["pcp@direct.example.org"]).await;
    let by_order = world.good(&["explain", "A1"]).out;
    assert!(by_order.contains("version 1 (final) of order A1") && by_order.contains("routed to 1 address"), "{by_order}");
    assert!(by_order.contains("pcp@direct.example.org  queued"), "{by_order}");
    let json = world.json(&["explain", "A1", "--organization", "north"]);
    let id = json[0]["result"].as_str().unwrap();
    assert_eq!(world.good(&["explain", id]).out, by_order);
    assert_eq!(json[0]["route"]["trace"][0]["verdict"], "taken");

    store.take_order(north, &crate::store::make::order("A2"), postern::domain::order::Action::New).await.unwrap();
    let waiting = world.good(&["explain", "A2"]);
    assert!(waiting.err.contains("no result of it yet") && waiting.out.contains("routed to 1 address"), "{waiting:?}");
    world.bad(&["explain", "A3"]);
    assert_eq!(world.run(&["explain"]).code, 2);
    assert_eq!(world.run(&["explain", "--order", "order.json"]).code, 2);
}

#[tokio::test]
async fn another_organizations_order_is_not_there() {
    let world = World::with(NORTH);
    world.good(&["org", "apply", &world.write("south.toml", NORTH.replace("north", "south"))]);
    let store = world.store().await;
    deliveries(&store, org(&store, "south").await, "A1", &["pcp@direct.example.org"]).await;
    world.bad(&["explain", "A1", "--organization", "north"]);
    world.good(&["explain", "A1", "--organization", "south"]);
}
