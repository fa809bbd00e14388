//! The API for who looks after an organization: its rules, its worklist, and why results go where they go.

mod addresses;

use std::collections::BTreeSet;

use postern::{
    config::{directory::DirectorySection, test::TestSection, web::WebSection},
    domain::{
        Reason,
        audit::{Actor, Witness},
        id::TokenId,
        person::Right,
        report::ResultStatus,
    },
    observe::{events::TokenMade, facts::Named, health::Health},
    resolve::directory::Live,
    store::token::NewToken,
    web::{Web, serve},
};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    store::make,
    support::counter::{Counter, order, result, with},
};

struct Door {
    counter: Counter,
    url: String,
    admin: String,
    sender: String,
}

impl Door {
    async fn open() -> Self {
        let counter = Counter::open().await;
        let admin = counter.store.create_token_with(counter.org, "office", false, true).await.unwrap();
        let sender = counter.store.create_token(counter.org, "feeder", false).await.unwrap();
        let web = Web::new(&WebSection::default(), counter.intake.clone(), Health::default(), None).explaining(
            &DirectorySection::default(),
            &TestSection::default(),
            std::sync::Arc::new(Live::new(&[], counter.store.clone())),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(web, listener, CancellationToken::new()));
        Self { counter, url, admin, sender }
    }

    async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        tag: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, Value, String) {
        let mut request = Client::new().request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned()).unwrap_or_default();
        (answer.status().as_u16(), answer.json().await.unwrap(), tag)
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let (status, body, _) = self.ask(&self.admin, Method::POST, path, None, Some(&body)).await;
        (status, body)
    }

    /// A result that is held for want of a target.
    async fn held(&self, order_id: &str) -> String {
        let store = &self.counter.store;
        store.take_order(self.counter.org, &make::order(order_id), postern::domain::order::Action::New).await.unwrap();
        store
            .take_result(self.counter.org, &make::report(order_id, ResultStatus::Final), Some(&make::pdf(1)), None, make::WAIT)
            .await
            .unwrap();
        let lease = make::lease();
        let work = store.claim_results(&lease, 1, 0).await.unwrap().remove(0);
        let mut routing = make::routing(work.org, work.id, &lease, &["p@d.example"]);
        routing.route.targets.clear();
        routing.route.decision = postern::domain::route::Decision::Held(Reason::NoTarget);
        let line = &mut routing.route.trace[0];
        (line.verdict, line.reason) = (postern::domain::route::Verdict::Dropped, Some(Reason::NpiUnknown));
        (line.npi, line.address) = (Some("1234567893".into()), None);
        postern::store::Committer::start(store.clone()).route(routing).await.unwrap();
        work.id.to_string()
    }
}

#[tokio::test]
async fn rules_are_read_and_changed_by_who_may_and_nobodys_change_is_undone_unseen() {
    let door = Door::open().await;
    let path = "/v1/organization";
    for method in [Method::GET, Method::PUT] {
        let (status, body, _) = door.ask(&door.sender, method, path, None, Some(&json!({}))).await;
        assert_eq!((status, &body["code"]), (403, &json!("forbidden")), "a token that sends may not change price, mode or rules");
    }
    let (status, mut file, tag) = door.ask(&door.admin, Method::GET, path, None, None).await;
    assert_eq!((status, &file["slug"]), (200, &json!("north-clinics")));
    file["routing"]["pcp_delivery"] = json!(false);
    file["choice"] = json!({ "allowed_domains": ["d.example"] });
    file["price"] = json!({ "rate": [{ "from": "2026-01-01", "fee_code": "direct", "amount": "0.25" }] });

    let (status, dry, same) = door.ask(&door.admin, Method::PUT, &format!("{path}?dry_run=true"), None, Some(&file)).await;
    assert_eq!((status, &dry["applied"], &same), (200, &json!(false), &tag), "{dry}");
    let fields: Vec<&str> = dry["changes"].as_array().unwrap().iter().map(|change| change["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["choice.allowed_domains", "routing.pcp_delivery", "price of direct from 2026-01-01"]);
    assert_eq!(door.ask(&door.admin, Method::PUT, path, None, Some(&file)).await.0, 428);
    assert_eq!(door.ask(&door.admin, Method::PUT, path, Some("\"other\""), Some(&file)).await.0, 412);
    assert_eq!(door.ask(&door.admin, Method::PUT, path, Some("other"), Some(&file)).await.0, 400);
    let (status, told, next) = door.ask(&door.admin, Method::PUT, path, Some(&tag), Some(&file)).await;
    assert_eq!((status, &told["applied"]), (200, &json!(true)), "{told}");
    assert_ne!(next, tag);
    assert_eq!(door.ask(&door.admin, Method::PUT, path, Some(&tag), Some(&file)).await.0, 412, "the mark is of the rules before");
    assert!(!door.counter.store.organization(door.counter.org).await.unwrap().unwrap().file.routing.pcp_delivery);
    let (_, again, _) = door.ask(&door.admin, Method::PUT, path, Some(&next), Some(&file)).await;
    assert_eq!((&again["applied"], &again["changes"]), (&json!(false), &json!([])));
    let said = door.counter.store.decisions(door.counter.org, None, 5).await.unwrap();
    assert_eq!((said.len(), said[0].decided.by.as_str()), (1, "token office"));
}

#[tokio::test]
async fn rules_that_cannot_be_meant_and_what_belongs_to_the_machine_are_refused_by_field() {
    let door = Door::open().await;
    let (_, file, tag) = door.ask(&door.admin, Method::GET, "/v1/organization", None, None).await;
    for (member, value, field) in [
        ("slug", json!("south"), "/slug"),
        (
            "identity",
            json!([{ "address": "a@d.example", "mode": "edge", "relay": "r", "password_file": "/etc/shadow" }]),
            "/identity",
        ),
        ("choice", json!({ "allowed_domains": ["no domain"] }), "/choice/allowed_domains/0"),
        ("choice", json!({ "suppress": ["1234567890"] }), ""),
        ("shoe_size", json!(46), ""),
    ] {
        let (status, body, _) =
            door.ask(&door.admin, Method::PUT, "/v1/organization", Some(&tag), Some(&with(file.clone(), member, value))).await;
        assert_eq!((status, &body["errors"][0]["field"]), (422, &json!(field)), "{member}: {body}");
    }
    let (_, _, same) = door.ask(&door.admin, Method::GET, "/v1/organization", None, None).await;
    assert_eq!(same, tag);
}

#[tokio::test]
async fn the_worklist_is_read_in_parts_and_resolved_by_who_may() {
    let door = Door::open().await;
    let (first, second) = (door.held("A1").await, door.held("A2").await);
    let (status, page, _) = door.ask(&door.sender, Method::GET, "/v1/worklist?limit=1&reason=npi_unknown", None, None).await;
    assert_eq!((status, &page["items"][0]["id"]), (200, &json!(first)), "{page}");
    assert_eq!(page["items"][0]["recipients"][0]["npi"], "1234567893");
    let next = format!("/v1/worklist?limit=5&after={}", page["next"].as_str().unwrap());
    let (_, rest, _) = door.ask(&door.sender, Method::GET, &next, None, None).await;
    assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!(second), &Value::Null));
    assert_eq!(door.ask(&door.sender, Method::GET, "/v1/worklist?after=x", None, None).await.0, 400);

    let pin = json!({ "action": "pin", "address": "p@d.example", "reason": "called them" });
    let path = format!("/v1/worklist/{first}");
    let (status, dry) = door.post(&path, with(pin.clone(), "dry_run", json!(true))).await;
    assert_eq!((status, dry["rerouted"].as_array().unwrap().len(), &dry["dry_run"]), (200, 2, &json!(true)), "{dry}");
    let dismiss = json!({ "action": "dismiss", "reason": "x", "dry_run": true });
    assert_eq!(door.post(&path, dismiss).await.1["told"], "the result is not delivered");
    assert!(door.counter.store.pins(door.counter.org, None).await.unwrap().is_empty(), "a dry run changes nothing");
    assert!(door.counter.store.decisions(door.counter.org, None, 5).await.unwrap().is_empty(), "and is no decision");
    assert_eq!(door.ask(&door.sender, Method::POST, &path, None, Some(&pin)).await.0, 403);
    let (status, settled) = door.post(&path, pin.clone()).await;
    assert_eq!((status, settled["rerouted"].as_array().unwrap().len()), (200, 2), "both wait for the NPI: {settled}");
    let pins = door.counter.store.pins(door.counter.org, None).await.unwrap();
    assert_eq!((pins[0].address.as_str(), pins[0].decided.by.as_str()), ("p@d.example", "token office"));

    assert_eq!(door.post(&path, json!({ "action": "pin", "reason": "x" })).await.1["errors"][0]["field"], "/address");
    assert_eq!(door.post(&path, json!({ "action": "dismiss", "reason": "" })).await.1["errors"][0]["field"], "/reason");
    assert_eq!(door.post(&path, json!({ "action": "shred", "reason": "x" })).await.0, 422);
    let other = Counter::open().await.org.to_string();
    assert_eq!(door.post(&format!("/v1/worklist/{other}"), pin).await.0, 404);
    let (status, body) = door.post("/v1/worklist/reroute", json!({ "waiting_for": "no_cert", "reason": "anchors came" })).await;
    assert_eq!((status, &body["results"]), (200, &json!([])), "{body}");
}

#[tokio::test]
async fn who_may_act_on_deliveries_alone_does_not_decide_about_addresses_by_way_of_the_worklist() {
    let door = Door::open().await;
    let path = format!("/v1/worklist/{}", door.held("A1").await);
    let only = BTreeSet::from([Right::DeliveriesAct]);
    let (id, org) = (TokenId::new(), Some(door.counter.org));
    let event = TokenMade { org, token: id, name: Named("desk"), rights: 1 };
    let new = NewToken { id, org, name: "desk", rights: only, ignore_unknown: false, expires_at: None };
    let token = door.counter.store.make_token(&new, Witness::new(&Actor::shell(0, "root"), &event)).await.unwrap();
    for dry_run in [true, false] {
        for mut wish in [
            json!({ "action": "pin", "address": "p@d.example" }),
            json!({ "action": "suppress" }),
            json!({ "action": "suppress", "what": "d.example" }),
        ] {
            (wish["reason"], wish["dry_run"]) = (json!("x"), json!(dry_run));
            let (status, body, _) = door.ask(&token, Method::POST, &path, None, Some(&wish)).await;
            assert_eq!((status, body["detail"].as_str().unwrap()), (403, "the token has not the right addresses:act"), "{body}");
        }
    }
    assert!(door.counter.store.pins(door.counter.org, None).await.unwrap().is_empty());
    let once = json!({ "action": "address", "address": "p@d.example", "reason": "for this order alone" });
    assert_eq!(door.ask(&token, Method::POST, &path, None, Some(&once)).await.0, 200);
}

#[tokio::test]
async fn who_pays_for_others_is_not_named_by_a_customer() {
    let door = Door::open().await;
    door.counter.organization("plan").await;
    let (_, mut file, tag) = door.ask(&door.admin, Method::GET, "/v1/organization", None, None).await;
    for (sponsor, code) in [("plan", "not_yours"), ("nobody", "not_yours"), ("north-clinics", "invalid")] {
        file["price"] = json!({ "terms": [{ "from": "2026-01-01", "sponsor": [{ "organization": sponsor }] }] });
        let (status, body, _) = door.ask(&door.admin, Method::PUT, "/v1/organization", Some(&tag), Some(&file)).await;
        let expected = (422, json!("/price/terms/0/sponsor/0/organization"), json!(code));
        assert_eq!((status, body["errors"][0]["field"].clone(), body["errors"][0]["code"].clone()), expected, "{body}");
    }
}

#[tokio::test]
async fn another_organizations_item_is_not_there() {
    let door = Door::open().await;
    let held = door.held("A1").await;
    let south = door.counter.organization("south").await;
    let token = door.counter.store.create_token_with(south, "office", false, true).await.unwrap();
    let pin = json!({ "action": "reroute", "reason": "x" });
    assert_eq!(door.ask(&token, Method::POST, &format!("/v1/worklist/{held}"), None, Some(&pin)).await.0, 404);
    assert_eq!(door.ask(&token, Method::GET, "/v1/worklist", None, None).await.1["items"], json!([]));
    assert_eq!(door.ask(&token, Method::POST, "/v1/explain", None, Some(&json!({ "order_id": "A1" }))).await.0, 404);
}

#[tokio::test]
async fn a_route_is_explained_for_an_order_nobody_stored_and_for_every_version_of_one_that_is() {
    let door = Door::open().await;
    let explain = async |body: Value| {
        let (status, body, _) = door.ask(&door.sender, Method::POST, "/v1/explain", None, Some(&body)).await;
        (status, body)
    };
    let (status, body) = explain(json!({ "order": order("B1") })).await;
    assert_eq!((status, &body["route"]["targets"][0]["address"]), (200, &json!("pcp.demo@direct.example.org")), "{body}");
    let (_, body) = explain(json!({ "order": order("B1"), "result": result("B1", "preliminary") })).await;
    assert_eq!(body["route"]["decision"]["state"], "not_sent");
    assert!(door.counter.store.find_order(door.counter.org, "B1").await.unwrap().is_none(), "nothing is stored");
    let (status, body) = explain(json!({ "order": with(order("B1"), "shoe_size", json!(46)) })).await;
    assert_eq!((status, &body["errors"][0]["field"]), (422, &json!("/order/shoe_size")), "{body}");
    assert_eq!(explain(json!({ "order_id": "B1" })).await.0, 404);
    assert_eq!(explain(json!({ "order": order("B1"), "order_id": "B1" })).await.0, 422);
    assert_eq!(explain(json!({})).await.0, 422);

    let held = door.held("A1").await;
    let (status, body) = explain(json!({ "order_id": "A1" })).await;
    assert_eq!((status, &body["results"][0]["result"]), (200, &json!(held)));
    assert_eq!(body["results"][0]["route"]["trace"][0]["reason"], "npi_unknown");
}
