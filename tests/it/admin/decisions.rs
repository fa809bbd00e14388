//! `postern directory pin ...`, `postern roster` and `postern worklist resolve`.

use postern::{
    domain::{OrgId, ResultId, order::Action, report::ResultStatus},
    source::wire::{self, Unknown},
    store::Store,
};
use serde_json::{Value, json};

use super::world::{World, org, words};
use crate::{
    store::make,
    support::counter::{order, with},
};

const NORTH: &str = "slug = \"north\"\nname = \"North\"\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n";
const NPI: &str = "2000000010";
const TWO: &str = "npi,address,organization\n2000000010,p@alpha.example,Alpha\n2000000010,p@beta.example,Beta\n";

/// Takes an order with its result.
async fn take(store: &Store, org: OrgId, order: &Value) {
    let today = "2026-11-21".parse().unwrap();
    let order = wire::order(order.to_string().as_bytes(), Unknown::Refuse, today).unwrap().value.order().unwrap();
    store.take_order(org, &order, Action::New).await.unwrap();
    let report = make::report(&order.order_id, ResultStatus::Final);
    store.take_result(org, &report, Some(&make::pdf(1)), None, make::WAIT).await.unwrap();
}

/// Routes what is there, by the rules, as a gateway does.
async fn route(store: &Store, org: OrgId) -> Vec<ResultId> {
    use postern::pipeline::knowledge::{About, gather};
    let lease = make::lease();
    let committer = postern::store::Committer::start(store.clone());
    let organization = store.organization(org).await.unwrap().unwrap();
    let mut routed = Vec::new();
    for work in store.claim_results(&lease, 100, 0).await.unwrap() {
        let (key, order) = work.order.as_ref().unwrap();
        let about = About { order: Some(*key), result: Some(work.id) };
        let age = postern::domain::time::Span::seconds(86_400);
        let live = postern::resolve::directory::Live::new(&[], store.clone());
        let knowledge = gather(store, &live, &organization, order, &work.report, about, age).await.unwrap();
        let route = postern::pipeline::routing::decide(
            &organization,
            order,
            &work.report,
            postern::resolve::Earlier::default(),
            &knowledge,
            false,
            &[],
        );
        let mut routing = make::routing(org, work.id, &lease, &[]);
        routing.terms.retry_until = store.now().await.unwrap().plus(std::time::Duration::from_hours(24));
        routing.next_attempt_at = store.now().await.unwrap();
        routing.route = route;
        committer.route(routing).await.unwrap();
        routed.push(work.id);
    }
    routed
}

fn by_npi(order_id: &str) -> Value {
    with(order(order_id), "deliver_to", json!([{ "role": "pcp", "npi": NPI }]))
}

const WHY: &[&str] = &["--organization", "north", "--reason", "called the practice", "--by", "ana"];

fn args<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [command, more].concat()
}

#[tokio::test]
async fn tr09_a_pin_settles_what_was_held_and_stays_on_record() {
    let world = World::with(NORTH);
    world.good(&["directory", "import", "csv", &world.write("d.csv", TWO)]);
    let store = world.store().await;
    let north = org(&store, "north").await;
    take(&store, north, &by_npi("A1")).await;
    let held = route(&store, north).await.remove(0).to_string();
    let items = world.json(&["worklist", "--reason", "ambiguous"]);
    assert_eq!(items[0]["recipients"][0]["addresses"], json!(["p@alpha.example", "p@beta.example"]));
    assert!(world.good(&["worklist"]).out.contains("deliver_to[0] NPI 2000000010 (ambiguous): p@alpha.example, p@beta.example"));

    let dry = world.good(&args(&["directory", "pin", NPI, "p@beta.example", "--dry-run"], WHY));
    assert!(dry.out.contains("1 result that waited") && dry.err.contains("nothing was changed"), "{dry:?}");
    assert_eq!(world.json(&["directory", "pins", "--organization", "north"])["pins"], json!([]));
    for (what, told) in [
        (&["--pin", "p@beta.example"][..], "2000000010 is pinned to p@beta.example\n1 result would be routed again\n"),
        (&["--dismiss"], "the result is not delivered\n"),
    ] {
        let dry = world.good(&args(&args(&["worklist", "resolve", &held, "--dry-run"], what), WHY));
        assert_eq!((dry.out.as_str(), dry.err.contains("nothing was changed")), (told, true), "{dry:?}");
    }
    assert_eq!(
        world.json(&["directory", "pins", "--organization", "north", "--history"])["history"],
        json!([]),
        "nothing is on record"
    );
    assert_eq!(world.json(&["worklist"]), items, "and nothing has moved");
    let resolved = world.json(&args(&["worklist", "resolve", &held, "--pin", "p@beta.example"], WHY));
    assert_eq!(resolved["rerouted"], json!([held]));
    route(&store, north).await;
    let explained = world.good(&["explain", "A1"]).out;
    assert!(explained.contains("it is pinned for this NPI") && explained.contains("pinned\n"), "{explained}");
    assert!(explained.contains("p@beta.example  queued"), "{explained}");
    let pins = world.json(&["directory", "pins", "--organization", "north", "--history"]);
    assert_eq!((&pins["pins"][0]["by"], &pins["history"][0]["result"]), (&json!("ana"), &json!(held)));
    assert_eq!(pins["pins"][0]["why"], "called the practice");

    world.good(&args(&["directory", "unpin", NPI], WHY));
    world.bad(&args(&["directory", "unpin", NPI], WHY));
    assert!(world.good(&["directory", "pins", "--organization", "north"]).err.contains("nothing is pinned"));
    assert_eq!(
        world.run(&["directory", "pin", NPI, "p@beta.example", "--organization", "north", "--reason", " ", "--by", "a"]).code,
        2
    );
}

#[tokio::test]
async fn what_is_suppressed_is_shown_and_lifted_and_the_files_own_are_told_apart() {
    let world = World::with(&format!("{NORTH}[choice]\nsuppress = [\"webmail.example\"]\n"));
    world.good(&args(&["directory", "suppress", "p@alpha.example", "--for", "30d"], WHY));
    let shown = world.good(&["directory", "pins", "--organization", "north"]).out;
    assert!(
        shown.contains("p@alpha.example") && shown.contains("webmail.example") && shown.contains("organization's file"),
        "{shown}"
    );
    world.good(&args(&["directory", "unsuppress", "P@alpha.example"], WHY));
    let ran = world.bad(&args(&["directory", "unsuppress", "webmail.example"], WHY));
    assert!(ran.out.contains("organization's file"), "{}", ran.out);
    assert_eq!(world.run(&args(&["directory", "suppress", "1234567890"], WHY)).code, 2, "neither address, NPI nor domain");
}

#[tokio::test]
async fn a_recipient_is_given_an_address_or_left_out_and_nothing_is_sent_twice() {
    let world = World::with(NORTH);
    world.good(&["directory", "import", "csv", &world.write("d.csv", TWO)]);
    let store = world.store().await;
    let north = org(&store, "north").await;
    let two = json!([{ "role": "pcp", "npi": NPI }, { "role": "ordering", "direct": "o@d.example" }, { "role": "other", "npi": "1245319599" }]);
    take(&store, north, &with(order("A1"), "deliver_to", two)).await;
    let id = route(&store, north).await.remove(0).to_string();
    let items = world.json(&["worklist", "--kind", "recipient"]);
    assert_eq!(
        (&items[0]["id"], items.as_array().unwrap().len()),
        (&json!(id), 1),
        "who is unknown was dropped, not held: {items}"
    );
    world.json(&args(&["worklist", "resolve", &id, "--address", "own@d.example"], WHY));
    route(&store, north).await;
    let deliveries = world.json(&["explain", "A1"])[0]["deliveries"].clone();
    let mut addresses: Vec<_> = deliveries.as_array().unwrap().iter().map(|d| d["address"].as_str().unwrap()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["o@d.example", "own@d.example"]);
    assert!(world.good(&["worklist"]).err.contains("nothing needs a person"));
    let ran = world.bad(&args(&["worklist", "resolve", &id, "--dismiss"], WHY));
    assert!(ran.err.contains("nothing about it can be decided"), "{}", ran.err);

    let both = json!([{ "role": "pcp", "npi": NPI }, { "role": "ordering", "npi": "1245319599" }]);
    take(&store, north, &with(order("A2"), "deliver_to", both)).await;
    let id = route(&store, north).await.remove(0).to_string();
    let ran = world.bad(&args(&["worklist", "resolve", &id, "--address", "x@d.example"], WHY));
    assert!(ran.err.contains("deliver_to[0], deliver_to[1]") && ran.err.contains("--recipient"), "{}", ran.err);
    world.good(&args(&["worklist", "resolve", &id, "--address", "x@d.example", "--recipient", "deliver_to[1]"], WHY));
    route(&store, north).await;
    world.good(&args(&["worklist", "resolve", &id, "--dismiss"], WHY));
    route(&store, north).await;
    let route = world.json(&["explain", "A2"])[0]["route"].clone();
    assert_eq!((&route["decision"]["state"], &route["trace"][0]["reason"]), (&json!("routed"), &json!("dismissed")));
    assert_eq!(
        world.run(&["worklist", "resolve", &id, "--reroute", "--dismiss", "--reason", "x", "--by", "a"]).code,
        2,
        "one at a time"
    );
    world.bad(&args(&["worklist", "resolve", &ResultId::new().to_string(), "--reroute"], WHY));
}

#[tokio::test]
async fn a_directory_loaded_later_lets_what_waited_for_it_flow_all_at_once() {
    let world = World::with(NORTH);
    let store = world.store().await;
    let north = org(&store, "north").await;
    for order_id in ["A1", "A2"] {
        take(&store, north, &by_npi(order_id)).await;
    }
    assert_eq!(route(&store, north).await.len(), 2);
    world.good(&["directory", "import", "csv", &world.write("d.csv", "npi,address\n2000000010,p@alpha.example\n")]);
    let again =
        |more: &[&'static str]| world.json(&args(&args(&["worklist", "reroute", "--waiting-for", "npi_unknown"], WHY), more));
    assert_eq!(again(&["--dry-run"])["results"].as_array().unwrap().len(), 2);
    assert!(route(&store, north).await.is_empty(), "a dry run changes nothing");
    assert_eq!(again(&[])["results"].as_array().unwrap().len(), 2);
    assert_eq!(route(&store, north).await.len(), 2);
    assert_eq!(world.json(&["worklist"]), json!([]));
    assert_eq!(again(&[])["results"], json!([]));
}

#[tokio::test]
async fn a_payers_roster_finds_the_primary_care_provider_of_an_order_and_its_version_stands_on_the_route() {
    let world = World::with(NORTH);
    world.good(&["directory", "import", "csv", &world.write("d.csv", "npi,address\n2000000010,p@alpha.example\n")]);
    let roster = "member_id,last,pcp_npi,pcp_eff,pcp_term\nMBR-000417,TESTER,2000000010,2026-01-01,\nMBR-2,TESTER,1234567890,,\n\
        MBR-3,TESTER,1234567893,,\nMBR-4,TESTER,1234567893,,\nMBR-5,T,1234567893,,\nMBR-6,T,1234567893,,\nMBR-7,T,1234567893,,\n\
        MBR-8,T,1234567893,,\nMBR-9,T,1234567893,,\nMBR-10,T,1234567893,,\n";
    let file = world.write("roster.csv", roster);
    let import = ["roster", "import", &file, "--organization", "north"];
    let loaded = world.json(&import);
    assert_eq!((&loaded["members"], &loaded["rejected"]), (&json!(9), &json!(1)));
    let rejects = std::fs::read_to_string(world.path("roster.csv.rejects.csv")).unwrap();
    assert!(rejects.contains("3,npi,") && !rejects.contains("MBR") && !rejects.contains("1234567890"), "{rejects}");

    let payer = with(with(order("A1"), "deliver_to", json!([])), "health_plan", json!({ "id": "H1", "member_id": "mbr000417" }));
    let file = world.write("order.json", payer.to_string());
    let route = world.json(&["explain", "--order", &file, "--organization", "north"]);
    assert_eq!((&route["targets"][0]["address"], &route["targets"][0]["rule"]), (&json!("p@alpha.example"), &json!("roster")));
    assert_eq!((&route["trace"][0]["roster"], &route["trace"][0]["role"]), (&loaded["roster"], &json!("pcp")));
    assert!(!route.to_string().contains("000417"), "the member number is shown nowhere");

    world.write("roster.csv", "member_id,pcp_npi\nMBR-1,1234567893\n");
    let ran = world.bad(&import);
    assert!(ran.err.contains("1 member, more than 10 % off the 9 in force") && ran.err.contains("stays in force"), "{}", ran.err);
    assert_eq!(world.json(&["roster", "list", "--organization", "north"])[0]["roster"], loaded["roster"]);
    world.good(&args(&import, &["--force"]));
    let versions = world.json(&["roster", "list", "--organization", "north"]);
    assert_eq!((versions.as_array().unwrap().len(), &versions[1]["state"]), (2, &json!("retired")));
    let raw = std::fs::read(world.path("postern.db")).unwrap();
    assert!(!String::from_utf8_lossy(&raw).contains("MBR-"), "no member number is in the database");
    let line = world.good(&["roster", "list", "--organization", "north"]).out;
    assert!(words(line.lines().nth(1).unwrap()).contains(&"active"), "{line}");
}
