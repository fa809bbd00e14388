//! `/v1/directory`: looking NPIs up, and an organization's own decisions about addresses.

use postern::{
    domain::{OrgId, person::Right, route::DirectorySource},
    resolve::directory::{self, CsvDirectory, Mapping, Terms, drain, rows::Sink},
    store::directory::NewSnapshot,
};
use reqwest::Method;
use serde_json::{Value, json};

use super::Door;
use crate::support::counter::{order, with};

const NPI: &str = "2000000010";
const DECISIONS: &str = "/v1/directory/decisions";

async fn load(door: &Door, source: DirectorySource, org: Option<OrgId>, csv: &'static str) {
    let read = |sink: Sink<'_>| drain(CsvDirectory::new(csv.as_bytes(), &Mapping::default())?, sink);
    let new = NewSnapshot { source, org, file: "test" };
    directory::load(&door.counter.store, new, read, Terms::default()).await.unwrap();
}

async fn get(door: &Door, token: &str, path: &str) -> (u16, Value) {
    let (status, body, _) = door.ask(token, Method::GET, path, None, None).await;
    (status, body)
}

#[tokio::test]
async fn an_npi_is_looked_up_as_routing_would_for_this_organization_and_no_other() {
    let door = Door::open().await;
    load(&door, DirectorySource::DirectTrust, None, "npi,address,organization\n2000000010,p@alpha.example,Alpha\n").await;
    load(&door, DirectorySource::TenantList, Some(door.counter.org), "npi,address\n2000000010,own@d.example\n").await;
    let path = format!("/v1/directory/{NPI}");
    let (status, found) = get(&door, &door.admin, &path).await;
    assert_eq!((status, &found["reason"], &found["npi"]), (200, &Value::Null, &json!(NPI)), "{found}");
    let addresses: Vec<&str> = found["entries"].as_array().unwrap().iter().map(|at| at["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["own@d.example", "p@alpha.example"]);
    assert_eq!((&found["sources"][0]["source"], &found["sources"][0]["says"]), (&json!("tenant_list"), &json!("found")));

    let south = door.counter.organization("south").await;
    let other = door.counter.store.create_token_with(south, "office", false, true).await.unwrap();
    let (_, found) = get(&door, &other, &path).await;
    assert_eq!((found["entries"].as_array().unwrap().len(), &found["entries"][0]["address"]), (1, &json!("p@alpha.example")));

    let (status, none) = get(&door, &door.admin, "/v1/directory/1234567893").await;
    assert_eq!((status, &none["reason"]), (200, &json!("npi_unknown")), "that there is none is an answer");
    let (status, body) = get(&door, &door.admin, "/v1/directory/1234567890").await;
    assert_eq!((status, &body["code"]), (404, &json!("npi_invalid")));
    assert_eq!(get(&door, &door.sender, &path).await.0, 403, "a token that sends looks nobody up");
}

#[tokio::test]
async fn tr09_a_pin_over_the_api_settles_what_was_held_and_is_on_record() {
    let door = Door::open().await;
    let held = door.held("A1").await;
    let pin = json!({ "action": "pin", "npi": "1234567893", "address": "p@d.example", "reason": "called them" });
    let ask = async |token: &str, wish: Value| {
        let (status, body, _) = door.ask(token, Method::POST, DECISIONS, None, Some(&wish)).await;
        (status, body)
    };
    assert_eq!(ask(&door.sender, pin.clone()).await.0, 403);
    let (status, dry) = ask(&door.admin, with(pin.clone(), "dry_run", json!(true))).await;
    assert_eq!((status, &dry["rerouted"], &dry["dry_run"]), (200, &json!(1), &json!(true)), "{dry}");
    assert_eq!(get(&door, &door.admin, DECISIONS).await.1["pins"], json!([]), "a dry run changes nothing");
    let (status, told) = ask(&door.admin, pin).await;
    assert_eq!((status, &told["rerouted"], &told["before"]), (200, &json!(1), &Value::Null), "{told}");
    let state = &door.counter.results("A1").await[0];
    assert_eq!((state.id.to_string(), state.state.to_string()), (held, "received".to_owned()));

    let (_, shown) = get(&door, &door.admin, &format!("{DECISIONS}?history=true")).await;
    assert_eq!((&shown["pins"][0]["by"], &shown["pins"][0]["why"]), (&json!("token office"), &json!("called them")));
    assert_eq!(shown["history"][0]["what"], "pin");
    let unpin = json!({ "action": "unpin", "npi": "1234567893", "reason": "they moved" });
    assert_eq!(ask(&door.admin, unpin.clone()).await.1["before"], "p@d.example");
    assert_eq!(ask(&door.admin, unpin).await.0, 404, "nothing is pinned any more");
}

#[tokio::test]
async fn what_is_suppressed_over_the_api_is_lifted_there_and_a_wish_that_cannot_be_meant_is_refused_by_field() {
    let door = Door::open().await;
    let ask = async |wish: Value| {
        let (status, body, _) = door.ask(&door.admin, Method::POST, DECISIONS, None, Some(&wish)).await;
        (status, body)
    };
    let (status, told) = ask(json!({ "action": "suppress", "what": "webmail.example", "for": "30d", "reason": "x" })).await;
    assert_eq!((status, &told["kind"], told["until"].is_string()), (200, &json!("domain"), true), "{told}");
    assert_eq!(get(&door, &door.admin, DECISIONS).await.1["suppressions"][0]["what"], "webmail.example");
    let lift = json!({ "action": "unsuppress", "what": "webmail.example", "reason": "x" });
    assert_eq!(ask(lift.clone()).await.1["lifted"], true);
    assert_eq!(ask(lift).await.0, 404);
    for (wish, field) in [
        (json!({ "action": "pin", "npi": NPI, "reason": "x" }), "/address"),
        (json!({ "action": "pin", "address": "p@d.example", "reason": "x" }), "/npi"),
        (json!({ "action": "suppress", "reason": "x" }), "/what"),
        (json!({ "action": "unpin", "npi": NPI, "address": "p@d.example", "reason": "x" }), "/address"),
        (json!({ "action": "unsuppress", "what": "d.example", "for": "1d", "reason": "x" }), "/for"),
        (json!({ "action": "unpin", "npi": NPI, "reason": " " }), "/reason"),
        (json!({ "action": "unpin", "npi": "1234567890", "reason": "x" }), ""),
        (json!({ "action": "load", "reason": "x" }), ""),
    ] {
        let (status, body) = ask(wish.clone()).await;
        assert_eq!((status, &body["errors"][0]["field"]), (422, &json!(field)), "{wish}: {body}");
    }
    assert!(get(&door, &door.admin, DECISIONS).await.1["pins"].as_array().unwrap().is_empty());
    assert!(!postern::domain::person::Right::AddressesAct.of_the_installation(), "or no organization's token could have it");
    assert!(Right::DirectoryAct.of_the_installation());
}

/// How many rows every table has.
async fn rows(door: &Door) -> Vec<(String, i64)> {
    let url = format!("sqlite:{}", door.counter.dir.path().join("postern.db").display());
    let raw = sqlx::SqlitePool::connect(&url).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetch_all(&raw).await.unwrap();
    let mut counted = Vec::new();
    for table in tables {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{table}\""))).fetch_one(&raw).await;
        counted.push((table, count.unwrap()));
    }
    counted
}

#[tokio::test]
async fn what_if_over_the_api_leaves_no_row_anywhere() {
    let door = Door::open().await;
    load(&door, DirectorySource::DirectTrust, None, "npi,address\n2000000010,p@alpha.example\n").await;
    let order = with(order("W1"), "deliver_to", json!([{ "role": "pcp", "npi": NPI }]));
    // Whoever asks is known before the counting begins.
    assert_eq!(door.post("/v1/explain", json!({ "order": order })).await.0, 200);
    let before = rows(&door).await;
    assert!(before.len() > 20 && before.iter().any(|(table, count)| table == "directory_entry" && *count == 1), "{before:?}");
    let (status, body) = door.post("/v1/explain", json!({ "order": order })).await;
    assert_eq!((status, &body["route"]["targets"][0]["address"]), (200, &json!("p@alpha.example")), "{body}");
    assert_eq!(rows(&door).await, before);
}
