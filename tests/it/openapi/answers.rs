//! One journey through every route of the API: each answer, and each request, is as the document says.

use std::{collections::BTreeSet, time::Duration};

use postern::{
    crypto::Hex,
    domain::{
        OrgId, Reason, Timestamp,
        audit::{Actor, Witness},
        delivery::Event,
        id::TokenId,
        person::Right,
    },
    observe::{events::TokenMade, facts::Named},
    store::token::NewToken,
    trust::authority::{Authority, Binding, KeyKind, Order},
    web::api::openapi,
};
use serde_json::{Value, json};

use super::held::Held;
use crate::{
    people::world::World,
    store::{make, world::START},
    support::counter,
};

/// What is not walked through here, and where it is instead.
const ELSEWHERE: &[&str] = &[
    // It needs somebody who answers probes: scripts/conformance, and discovery::*.
    "GET /v1/probe/{address}",
    "POST /v1/probe",
    "POST /v1/deliveries/{id}/path",
    // It needs a server that publishes bundles: scripts/conformance sees it refused, keys::bundles fetches.
    "POST /v1/trust/bundles/{name}/refresh",
    // A letter is one that came in by mail: track::letters.
    "GET /v1/inbox/{id}",
    "POST /v1/inbox/{id}/read",
    // Alerts are judged by a loop of the gateway: alerts::*.
    "POST /v1/alerts/{id}/care",
    // Documents here are made up, and lie nowhere: people::pages.
    "GET /v1/results/{id}/document",
];

async fn admin(world: &World) -> String {
    let (id, rights) = (TokenId::new(), Right::meant_by("admin"));
    let event = TokenMade { org: None, token: id, name: Named("root"), rights: rights.len() };
    let new = NewToken { id, org: None, name: "root", rights, ignore_unknown: false, expires_at: None };
    world.database.store.make_token(&new, Witness::new(&Actor::shell(0, "root"), &event)).await.unwrap()
}

const NORTH: &str = "?organization=north";

fn at(path: &str) -> String {
    format!("{path}{NORTH}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_the_document_says() {
    let world = World::sqlite().await;
    let org = world.organization("north").await;
    let mut api = Held::new(&world, admin(&world).await);
    api.good("GET", openapi::PATH, openapi::PATH, None).await;
    let held = deliveries(&mut api, &world, org).await;
    senders(&mut api).await;
    people_decide(&mut api, &world, org, &held).await;
    rules(&mut api).await;
    trust(&mut api).await;
    fees(&mut api, &world, org).await;
    left_over(&mut api, &world, org).await;
    operators(&mut api, &held).await;
    access(&mut api).await;
    assert!(api.faults.is_empty(), "{}", api.faults.join("\n"));

    let described: BTreeSet<String> = openapi::described().iter().map(|(method, path)| format!("{method} {path}")).collect();
    let elsewhere: BTreeSet<String> = ELSEWHERE.iter().map(|&name| name.to_owned()).collect();
    let walked: BTreeSet<String> = api.seen.union(&elsewhere).cloned().collect();
    assert_eq!(walked, described, "a route was not walked through, or is not there any more");
    assert!(api.seen.is_disjoint(&elsewhere), "{:?} is walked through after all", api.seen.intersection(&elsewhere));
}

async fn senders(api: &mut Held) {
    let (orders, results) = (at("/v1/orders"), at("/v1/results"));
    api.good("POST", "/v1/orders", &orders, Some(counter::order("W1"))).await;
    assert_eq!(api.ask("POST", "/v1/orders", &orders, Some(counter::order("W1"))).await.0, 200);
    let bad = json!({ "order_id": "W2", "site": "RIVERSIDE01", "patient": { "name": { "family": "T" }, "birth_date": "x", "gender": "?" } });
    assert_eq!(api.ask("POST", "/v1/orders", &orders, Some(bad)).await.0, 422);
    let result = counter::with(counter::result("W1", "final"), "pdf", counter::base64(&counter::pdf("one")).into());
    let taken = api.good("POST", "/v1/results", &results, Some(result)).await;
    let shown = format!("/v1/results/{}", taken["id"].as_str().unwrap());
    api.good("GET", "/v1/results/{id}", &shown, None).await;
    let patient = api.good("POST", "/v1/results/{id}/patient", &format!("{shown}/patient"), None).await;
    assert_eq!(patient["patient"]["name"]["family"], "Testriver");
    assert_eq!(api.ask("GET", "/v1/results/{id}", "/v1/results/x", None).await.0, 404);
    let waits = counter::with(counter::result("W9", "final"), "pdf", counter::base64(&counter::pdf("nine")).into());
    assert_eq!(api.ask("POST", "/v1/results", &results, Some(waits)).await.0, 202);
    let stored = json!({ "order_id": "W1" });
    api.good("POST", "/v1/explain", &at("/v1/explain"), Some(stored)).await;
    api.good("POST", "/v1/explain", &at("/v1/explain"), Some(json!({ "order": counter::order("W3") }))).await;
}

/// What came in and could not be taken, or is nobody's; what is told a payer.
async fn left_over(api: &mut Held, world: &World, org: OrgId) {
    let store = &world.database.store;
    let whole = counter::with(counter::result("P1", "final"), "order", counter::order("P1"));
    let whole = counter::with(whole, "pdf", counter::base64(&counter::pdf("p")).into());
    let problems = json!({ "code": "invalid", "detail": "it cannot be taken", "errors": [] });
    for (cursor, item) in [("c1", whole.to_string()), ("c2", "{}".to_owned())] {
        store.park(org, "lab", cursor, &problems, item.as_bytes()).await.unwrap();
    }
    let first = api.good("GET", "/v1/parked", &format!("/v1/parked{NORTH}&limit=1"), None).await;
    let good = first["items"][0]["id"].as_str().unwrap().to_owned();
    let rest = api.good("GET", "/v1/parked", &format!("/v1/parked?after={good}"), None).await;
    let bad = rest["items"][0]["id"].as_str().unwrap().to_owned();
    let one = |id: &str, act: &str| format!("/v1/parked/{id}{act}");
    api.good("GET", "/v1/parked/{id}", &one(&bad, ""), None).await;
    api.good("POST", "/v1/parked/{id}/read", &one(&bad, "/read"), None).await;
    let path = "/v1/parked/{id}/replay";
    assert_eq!(api.ask("POST", path, &one(&bad, "/replay"), None).await.0, 409, "it is refused again");
    assert_eq!(api.ask("POST", path, &one(&good, "/replay"), None).await.0, 201);
    assert_eq!(api.ask("POST", path, &one(&good, "/replay"), None).await.0, 404);
    let path = "/v1/parked/{id}/discard";
    assert_eq!(api.ask("POST", path, &one(&bad, "/discard"), Some(json!({ "sure": false }))).await.0, 422);
    assert_eq!(api.ask("POST", path, &one(&bad, "/discard"), Some(json!({ "sure": true }))).await.0, 204);

    let mail = crate::store::inbound::mail(None, "Subject: hello\r\n\r\nto nobody here");
    store.keep_inbound(&mail).await.unwrap();
    api.good("GET", "/v1/inbox/unmatched", "/v1/inbox/unmatched", None).await;
    let path = "/v1/inbox/unmatched/{id}/read";
    api.good("POST", path, &format!("/v1/inbox/unmatched/{}/read", mail.id), None).await;
    assert_eq!(api.ask("POST", path, &format!("/v1/inbox/unmatched/{org}/read"), None).await.0, 404);

    for report in ["delivered", "undeliverable", "no-address"] {
        let path = format!("/v1/reports/{report}{NORTH}&month=2026-03");
        api.good("GET", "/v1/reports/{report}", &path, None).await;
        let csv = api.good("GET", "/v1/reports/{report}", &format!("{path}&format=csv"), None).await;
        assert!(csv.as_str().unwrap().contains(','));
    }
    let path = "/v1/organization/test-message";
    let wish = json!({ "site": make::SITE, "address": make::ADDRESS });
    assert_eq!(api.ask("POST", path, &at(path), Some(wish)).await.0, 201);
    assert_eq!(api.ask("POST", path, &at(path), Some(json!({ "site": "NOWHERE", "address": make::ADDRESS }))).await.0, 422);
}

/// Gives one that is held.
async fn deliveries(api: &mut Held, world: &World, org: OrgId) -> String {
    let database = &world.database;
    let accepted = database.queued(org, "A1").await;
    database.lead(org, accepted, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
    let refused = database.queued(org, "A2").await.to_string();
    database.lead(org, refused.parse().unwrap(), &[Event::Claimed, Event::Refused(Reason::Rejected5xx)]).await;
    let list = api.good("GET", "/v1/deliveries", &format!("/v1/deliveries{NORTH}&limit=1"), None).await;
    let next = format!("/v1/deliveries{NORTH}&after={}", list["next"].as_str().unwrap());
    api.good("GET", "/v1/deliveries", &next, None).await;
    assert_eq!(api.ask("GET", "/v1/deliveries", &format!("/v1/deliveries{NORTH}&state=lost"), None).await.0, 400);
    let one = |id: &str, act: &str| format!("/v1/deliveries/{id}{act}{NORTH}");
    api.good("GET", "/v1/deliveries/{id}", &one(&accepted.to_string(), ""), None).await;
    api.good("POST", "/v1/deliveries/{id}/document", &one(&accepted.to_string(), "/document"), None).await;
    let path = "/v1/deliveries/{id}/path";
    assert_eq!(api.ask("POST", path, &one(&accepted.to_string(), "/path"), None).await.0, 503, "nobody here answers probes");
    api.good("GET", "/v1/deliveries/{id}/receipt", &one(&accepted.to_string(), "/receipt"), None).await;
    api.good("GET", "/v1/events", &format!("/v1/events{NORTH}&after=0"), None).await;
    for (question, found) in [
        (json!({ "order_id": "A1" }), 1),
        (json!({ "address": make::ADDRESS, "limit": 1 }), 1),
        (json!({ "patient": "nobody" }), 0),
        (json!({ "message_id": "nobody@nowhere.example" }), 0),
    ] {
        let seen = api.good("POST", "/v1/deliveries/search", "/v1/deliveries/search", Some(question)).await;
        assert_eq!(seen["deliveries"].as_array().unwrap().len(), found, "{seen}");
    }
    let again = json!({ "ids": [refused, accepted] });
    let told = api.good("POST", "/v1/deliveries/retry", "/v1/deliveries/retry", Some(again)).await;
    assert_eq!((&told["retried"], &told["deliveries"][1]["retried"]), (&json!(1), &json!(false)), "{told}");
    let path = "/v1/deliveries/{id}/retry";
    assert_eq!(api.ask("POST", path, &one(&refused, "/retry"), None).await.0, 409, "it is queued already");
    let why = Some(json!({ "reason": "sent by post" }));
    api.good("POST", "/v1/deliveries/{id}/cancel", &one(&refused, "/cancel"), why).await;
    assert_eq!(api.ask("POST", "/v1/deliveries/{id}/cancel", &one(&accepted.to_string(), "/cancel"), None).await.0, 409);
    let held = database.queued(org, "A3").await;
    database.lead(org, held, &[Event::Claimed, Event::Held(Reason::NoCert)]).await;
    let retried = api.good("POST", path, &one(&held.to_string(), "/retry"), None).await;
    assert_eq!(retried["state"], "queued");
    database.lead(org, held, &[Event::Claimed, Event::Held(Reason::NoCert)]).await;
    let (path, key) = ("/v1/deliveries/{id}/resend", [("idempotency-key", "once")]);
    let resent = api.send("POST", path, &one(&accepted.to_string(), "/resend"), &key, None).await;
    assert_eq!(resent.0, 201, "{}", resent.1);
    let same = api.send("POST", path, &one(&accepted.to_string(), "/resend"), &key, None).await;
    assert_eq!((same.0, &same.1["id"]), (200, &resent.1["id"]));
    let actions = world.actions().await;
    assert_eq!(actions.iter().filter(|action| *action == "delivery_asked").count(), 5, "{actions:?}");
    held.to_string()
}

async fn people_decide(api: &mut Held, world: &World, org: OrgId, held: &str) {
    api.good("GET", "/v1/directory/{npi}", &at("/v1/directory/1234567893"), None).await;
    api.good("GET", "/v1/directory/snapshots", &at("/v1/directory/snapshots"), None).await;
    let list = || Some(("text/csv", format!("npi,direct\n1234567893,{}\n", make::ADDRESS)));
    for more in ["&dry_run=true", ""] {
        let loaded =
            api.send("POST", "/v1/directory/snapshots", &format!("/v1/directory/snapshots{NORTH}{more}"), &[], list()).await;
        assert_eq!((loaded.0, &loaded.1["entries"]), (200, &json!(1)), "{}", loaded.1);
    }
    let none = Some(("text/csv", "npi,direct\n".to_owned()));
    assert_eq!(api.send("POST", "/v1/directory/snapshots", &at("/v1/directory/snapshots"), &[], none).await.0, 409);
    let decisions = "/v1/directory/decisions";
    for wish in [
        json!({ "action": "pin", "npi": "1234567893", "address": make::ADDRESS, "reason": "called them" }),
        json!({ "action": "suppress", "what": "old.example", "for": "30d", "reason": "closed" }),
        json!({ "action": "unpin", "npi": "1234567893", "reason": "moved", "dry_run": true }),
        json!({ "action": "unsuppress", "what": "old.example", "reason": "open again" }),
    ] {
        api.good("POST", decisions, &at(decisions), Some(wish)).await;
    }
    api.good("GET", decisions, &format!("{decisions}{NORTH}&history=true"), None).await;
    let list = api.good("GET", "/v1/worklist", &at("/v1/worklist"), None).await;
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["id"] == held), "{list}");
    let again = json!({ "waiting_for": "no_cert", "reason": "they have one", "dry_run": true });
    api.good("POST", "/v1/worklist/reroute", &at("/v1/worklist/reroute"), Some(again)).await;
    let before = world.actions().await.len();
    let done = json!({ "action": "dismiss", "reason": "told by telephone" });
    api.good("POST", "/v1/worklist/{id}", &at(&format!("/v1/worklist/{held}")), Some(done.clone())).await;
    assert_eq!(world.actions().await[before..], ["setting_changed".to_owned()], "on record before it was done");
    assert_eq!(api.ask("POST", "/v1/worklist/{id}", &at(&format!("/v1/worklist/{}", OrgId::new())), Some(done)).await.0, 404);
    let csv = Some(("text/csv", "member_id,npi\nM1,1234567893\n".to_owned()));
    let looked = api.send("POST", "/v1/rosters", &format!("/v1/rosters{NORTH}&dry_run=true"), &[], csv.clone()).await;
    assert_eq!((looked.0, &looked.1["changes"]["added"], &looked.1["roster"]), (200, &json!(1), &json!(null)), "{}", looked.1);
    assert_eq!(api.good("GET", "/v1/rosters", &at("/v1/rosters"), None).await["rosters"], json!([]), "nothing is left of a look");
    let loaded = api.send("POST", "/v1/rosters", &at("/v1/rosters"), &[], csv).await;
    assert_eq!((loaded.0, &loaded.1["members"]), (200, &json!(1)), "{}", loaded.1);
    let odd = Some(("text/csv", "who,what\n1,2\n".to_owned()));
    assert_eq!(api.send("POST", "/v1/rosters", &at("/v1/rosters"), &[], odd).await.0, 422);
    api.good("GET", "/v1/rosters", &at("/v1/rosters"), None).await;
    let _ = org;
}

async fn rules(api: &mut Held) {
    let path = "/v1/organization";
    let (_, mut file, tag) = api.ask("GET", path, &at(path), None).await;
    file["webhook"] = json!([{ "name": "bridge", "url": "https://127.0.0.1:9/in" }]);
    assert_eq!(api.ask("PUT", path, &at(path), Some(file.clone())).await.0, 428);
    let sent = || Some(("application/json", file.to_string()));
    let dry = api.send("PUT", path, &format!("{path}{NORTH}&dry_run=true"), &[], sent()).await;
    assert!(dry.0 == 200 && dry.1["applied"] == false && dry.1["changes"].as_array().is_some_and(|all| !all.is_empty()));
    assert_eq!(api.send("PUT", path, &at(path), &[("if-match", &tag)], sent()).await.0, 200);
    assert_eq!(api.send("PUT", path, &at(path), &[("if-match", &tag)], sent()).await.0, 412);
    api.good("GET", "/v1/organization/prices", &at("/v1/organization/prices"), None).await;
    let new = json!({ "slug": "east", "name": "East", "site": [{ "local_id": "E1" }] });
    let dry = api.good("POST", "/v1/organizations", "/v1/organizations?dry_run=true", Some(new.clone())).await;
    assert_eq!((&dry["applied"], &dry["id"]), (&json!(false), &Value::Null));
    assert_eq!(api.ask("POST", "/v1/organizations", "/v1/organizations", Some(new.clone())).await.0, 201);
    assert_eq!(api.ask("POST", "/v1/organizations", "/v1/organizations", Some(new)).await.0, 409);
    let all = api.good("GET", "/v1/organizations", "/v1/organizations", None).await;
    assert_eq!(all["organizations"].as_array().unwrap().len(), 2);

    // A webhook of the new rules is there.
    let hooks = api.good("GET", "/v1/webhooks", &at("/v1/webhooks"), None).await;
    assert_eq!(hooks["webhooks"][0]["name"], "bridge", "{hooks}");
    let hook = at("/v1/webhooks/bridge");
    for act in [
        json!({ "action": "replay", "from": "0", "dry_run": true }),
        json!({ "action": "replay", "since": "2026-01-01T00:00:00Z" }),
        json!({ "action": "disable" }),
        json!({ "action": "enable" }),
        json!({ "action": "test" }),
    ] {
        api.good("POST", "/v1/webhooks/{name}", &hook, Some(act)).await;
    }
    let rotated = api.good("POST", "/v1/webhooks/{name}", &hook, Some(json!({ "action": "rotate_secret", "keep": "1h" }))).await;
    assert!(rotated["secret"].as_str().unwrap().starts_with("whsec_"));
}

async fn trust(api: &mut Held) {
    let (day, from) = (Duration::from_hours(24), Timestamp(START.micros()));
    let authority = Authority::new("Test CA", KeyKind::P256, from.minus(day * 30), from.plus(day * 900)).unwrap();
    let pem = authority.certificate().pem().unwrap();
    let digits = |certificate: &postern::trust::Certificate| Hex(&certificate.fingerprint()).to_string();
    let (anchors, certificates) = ("/v1/trust/anchors", "/v1/trust/certificates");
    for dry in [true, false] {
        api.good("POST", anchors, &at(anchors), Some(json!({ "certificates": pem, "use": "send", "dry_run": dry }))).await;
    }
    let known = api.good("GET", anchors, &at(anchors), None).await;
    assert_eq!(known["anchors"].as_array().unwrap().len(), 1);
    let order = Order::new(Binding::Domain("d.example".to_owned()), from.minus(day), from.plus(day * 300));
    let own = authority.issue(&order).unwrap().certificate;
    let wrong = json!({ "certificates": own.pem().unwrap() });
    assert_eq!(api.ask("POST", anchors, &at(anchors), Some(wrong.clone())).await.0, 422, "it is no authority");
    api.good("POST", certificates, &at(certificates), Some(wrong)).await;
    api.good("GET", certificates, &at(certificates), None).await;
    api.good("GET", "/v1/trust/identities", &at("/v1/trust/identities"), None).await;
    let gone = |shelf: &str, digits: &str| at(&format!("{shelf}/{digits}"));
    api.good("DELETE", "/v1/trust/anchors/{fingerprint}", &gone(anchors, &digits(authority.certificate())), None).await;
    api.good("DELETE", "/v1/trust/certificates/{fingerprint}", &gone(certificates, &digits(&own)), None).await;
    let path = "/v1/trust/certificates/{fingerprint}";
    assert_eq!(api.ask("DELETE", path, &gone(certificates, &digits(&own)), None).await.0, 404);
    let bundles = "/v1/trust/bundles";
    let bundle = json!({ "name": "partners", "content": pem });
    api.good("POST", bundles, &at(bundles), Some(bundle)).await;
    let inward = json!({ "name": "inward", "url": "http://127.0.0.1/x" });
    assert_eq!(api.ask("POST", bundles, &at(bundles), Some(inward)).await.0, 422);
    let listed = api.good("GET", bundles, &at(bundles), None).await;
    assert_eq!(listed["bundles"][0]["anchors"], 1);
    let path = "/v1/trust/bundles/{name}/refresh";
    assert_eq!(api.ask("POST", path, &at("/v1/trust/bundles/partners/refresh"), Some(json!({}))).await.0, 409);
    api.good("DELETE", "/v1/trust/bundles/{name}", &at("/v1/trust/bundles/partners"), None).await;
}

async fn fees(api: &mut Held, world: &World, org: OrgId) {
    let report = "/v1/fees/report";
    api.good("GET", report, &format!("{report}{NORTH}&month=2026-03&by=site,month"), None).await;
    let csv = api.good("GET", report, &format!("{report}{NORTH}&month=2026-03&format=csv"), None).await;
    assert!(csv.as_str().unwrap().contains("currency"));
    let periods = api.good("GET", "/v1/fees/periods", &at("/v1/fees/periods"), None).await;
    assert_eq!(periods["periods"][0]["month"], "2026-03", "{periods}");
    let statement = "/v1/fees/statement/{month}";
    for format in ["json", "csv", "html", "pdf"] {
        api.good("GET", statement, &format!("/v1/fees/statement/2026-03{NORTH}&format={format}"), None).await;
    }
    let page = api.good("GET", "/v1/fees/lines", &format!("/v1/fees/lines{NORTH}&month=2026-03&limit=1"), None).await;
    assert_eq!(page["lines"].as_array().unwrap().len(), 1, "{page}");
    let lines = api.good("GET", "/v1/fees/export", &at("/v1/fees/export"), None).await;
    let line: Value = serde_json::from_str(lines.as_str().unwrap().lines().next().unwrap()).unwrap();
    let adjust = |dry: bool| json!({ "delivery": line["delivery"], "amount": "0.10", "reason": "agreed", "dry_run": dry });
    for dry in [true, false] {
        let told = api.good("POST", "/v1/fees/adjust", &at("/v1/fees/adjust"), Some(adjust(dry))).await;
        assert_eq!(told["lines"].as_array().unwrap().len(), 2, "{told}");
    }
    assert_eq!(api.ask("POST", "/v1/fees/adjust", &at("/v1/fees/adjust"), Some(adjust(false))).await.0, 409, "it stands so");
    let reconcile = "/v1/fees/reconcile";
    let usage = || Some(("text/csv", "message_id\n<nobody@nowhere.example>\n".to_owned()));
    let signed = format!("{reconcile}{NORTH}&month=2026-03&sign_off=true&note=looked");
    let told = api.send("POST", reconcile, &signed, &[], usage()).await;
    assert_eq!(told.0, 200, "{}", told.1);
    api.good("GET", reconcile, &format!("{reconcile}{NORTH}&month=2026-03"), None).await;
    let path = "/v1/fees/periods/{month}/close";
    let close = at("/v1/fees/periods/2026-03/close");
    assert_eq!(api.ask("POST", path, &close, Some(json!({}))).await.0, 409, "it has not ended");
    world.database.pass(Duration::from_hours(24 * 40)).await;
    api.good("POST", path, &close, Some(json!({ "dry_run": true, "force": true }))).await;
    let closed = api.good("POST", path, &close, Some(json!({ "force": true }))).await;
    assert_eq!((&closed["closed"], &closed["ties"]), (&json!(true), &json!(true)), "{closed}");
    assert_eq!(api.ask("POST", path, &close, Some(json!({ "force": true }))).await.0, 409, "closed is closed");
    let statement = api.good("GET", statement, &at("/v1/fees/statement/2026-03"), None).await;
    assert_eq!(statement["state"], "closed");
    let _ = org;
}

async fn operators(api: &mut Held, held: &str) {
    api.good("GET", "/v1/health", "/v1/health", None).await;
    let counts = api.good("GET", "/v1/overview", &at("/v1/overview"), None).await;
    assert_eq!(counts["ties"], true);
    api.good("GET", "/v1/alerts", "/v1/alerts?all=true", None).await;
    let path = "/v1/alerts/{id}/care";
    assert_eq!(api.ask("POST", path, &format!("/v1/alerts/{held}/care"), None).await.0, 404);
    api.good("GET", "/v1/inbox", "/v1/inbox", None).await;
    assert_eq!(api.ask("GET", "/v1/inbox/{id}", &format!("/v1/inbox/{held}"), None).await.0, 404);
    let page = api.good("GET", "/v1/audit", "/v1/audit?limit=3", None).await;
    let next = format!("/v1/audit?after={}", page["next"].as_str().unwrap());
    api.good("GET", "/v1/audit", &next, None).await;
    let verified = api.good("GET", "/v1/audit/verification", &at("/v1/audit/verification"), None).await;
    assert_eq!(verified["verified"], true);
}

async fn access(api: &mut Held) {
    let new = json!({ "login": "jo@lab.example", "role": "viewer", "organizations": ["north"] });
    let (status, jo, _) = api.ask("POST", "/v1/people", "/v1/people", Some(new.clone())).await;
    assert!(status == 201 && jo["password"].as_str().unwrap().len() == 23, "{jo}");
    assert_eq!(api.ask("POST", "/v1/people", "/v1/people", Some(new)).await.0, 409);
    let path = format!("/v1/people/{}", jo["id"].as_str().unwrap());
    for act in [
        json!({ "action": "disable" }),
        json!({ "action": "enable" }),
        json!({ "action": "reset", "codes": true }),
        json!({ "action": "role", "role": "billing" }),
    ] {
        api.good("POST", "/v1/people/{id}", &path, Some(act)).await;
    }
    let bare = json!({ "action": "role", "role": "viewer" });
    assert_eq!(api.ask("POST", "/v1/people/{id}", &path, Some(bare)).await.0, 422, "a viewer of nothing");
    let people = api.good("GET", "/v1/people", "/v1/people", None).await;
    assert_eq!((&people["people"][0]["role"], people.to_string().contains("password\":\"")), (&json!("billing"), false));
    let made = api.good("POST", "/v1/tokens", &at("/v1/tokens"), Some(json!({ "name": "bridge", "expires": "90d" }))).await;
    assert!(made["token"].as_str().unwrap().starts_with("pt_"));
    let odd = json!({ "name": "odd", "scopes": ["everything"] });
    assert_eq!(api.ask("POST", "/v1/tokens", &at("/v1/tokens"), Some(odd)).await.0, 422);
    let rotate = Some(json!({ "name": "bridge", "overlap": "1h" }));
    api.good("POST", "/v1/tokens/rotate", &at("/v1/tokens/rotate"), rotate).await;
    let listed = api.good("GET", "/v1/tokens", &at("/v1/tokens"), None).await;
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 2, "{listed}");
    let revoked = api.good("POST", "/v1/tokens/revoke", &at("/v1/tokens/revoke"), Some(json!({ "name": "bridge" }))).await;
    assert_eq!(revoked["revoked"], 2);
    assert_eq!(api.ask("POST", "/v1/tokens/revoke", &at("/v1/tokens/revoke"), Some(json!({ "name": "bridge" }))).await.0, 404);
}
