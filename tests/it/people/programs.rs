//! Programs do what people do in the console, each thing by its right, on record, and on both engines.

use std::time::Duration;

use postern::{
    domain::{
        DeliveryId, OrgId, OrgScope,
        audit::{Actor, Witness},
        delivery::Event,
        id::{InboundId, ParkedId, PersonId},
        person::Right,
    },
    observe::{
        events::{PersonReset, SettingChanged},
        facts::{Configured, Named},
    },
    store::{
        audit::{AuditEvent, AuditFilter},
        inbound::Kept,
        person::Reset,
        sign_in::TryKey,
        webhook::Again,
    },
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    tokens::token,
    world::{Browser, Seen, World},
};
use crate::{
    events::receiver::{Mood, Receiver},
    store::make,
    support::counter,
};

/// A program with these rights, of an organization or of the installation.
async fn program(world: &World, org: Option<OrgId>, rights: &[Right]) -> Browser {
    let mut program = world.browser();
    let token = token(world, org, rights, None).await;
    program.headers.push(("authorization", format!("Bearer {token}")));
    program
}

fn told(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap_or_else(|_| panic!("{} {}", seen.status, seen.body))
}

async fn post(program: &mut Browser, path: &str, body: &Value) -> Seen {
    program.json(Method::POST, path, &body.to_string()).await
}

/// What is on record, the oldest first: action, and what was changed where it says so; but for who was let in to do it.
async fn record(world: &World) -> Vec<String> {
    let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let all = world.database.store.audit_events(OrgScope::All, &filter).await.unwrap();
    let word = |event: AuditEvent| event.facts["what"].as_str().map_or(event.action, str::to_owned);
    let let_in = |word: &String| word != "token_made" && word != "person_added";
    all.into_iter().rev().map(word).filter(let_in).collect()
}

async fn park(world: &World, org: OrgId, cursor: &str, item: &Value) -> ParkedId {
    let problems = json!({ "code": "invalid", "detail": "1 field cannot be taken as it is",
        "errors": [{ "field": "/site", "code": "missing", "message": "is missing" }] });
    let store = &world.database.store;
    store.park(org, "lab", cursor, &problems, item.to_string().as_bytes()).await.unwrap();
    store.parked(OrgScope::One(org)).await.unwrap().into_iter().find(|item| item.cursor == cursor).unwrap().id
}

fn item(order_id: &str) -> Value {
    let whole = counter::with(counter::result(order_id, "final"), "order", counter::order(order_id));
    counter::with(whole, "pdf", counter::base64(&counter::pdf(order_id)).into())
}

/// The delivery is for a primary care provider.
async fn for_provider(world: &World, id: DeliveryId) {
    let text = world.database.texts(&format!("SELECT target FROM delivery WHERE id = '{id}'")).await.remove(0);
    let mut target: Value = serde_json::from_str(&text).unwrap();
    target["recipient"] = json!({ "role": "pcp", "npi": "1234567893", "name": null, "organization": null });
    world.database.run(&format!("UPDATE delivery SET target = '{target}' WHERE id = '{id}'")).await;
}

on_both_engines! {
    async fn an_item_that_could_not_be_taken_is_listed_read_taken_and_thrown_away(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let good = park(world, north, "c1", &item("A1")).await;
        let bad = park(world, north, "c2", &json!({ "patient": make::FAMILY })).await;
        let theirs = park(world, south, "c1", &item("B1")).await;
        let mut looks = program(world, Some(north), &[Right::DeliveriesRead]).await;
        let first = told(&looks.get("/v1/parked?limit=1").await);
        assert_eq!((&first["items"][0]["id"], &first["next"]), (&json!(good), &json!(good)), "{first}");
        let second = told(&looks.get(&format!("/v1/parked?after={good}")).await);
        assert_eq!((second["items"].as_array().unwrap().len(), &second["items"][0]["id"], &second["next"]), (1, &json!(bad), &Value::Null));
        let one = looks.get(&format!("/v1/parked/{bad}")).await;
        assert!(told(&one)["says"][0] == "/site is missing [missing]" && !one.body.contains(make::FAMILY), "{}", one.body);
        assert_eq!(looks.get(&format!("/v1/parked/{theirs}")).await.status, 404);
        assert_eq!(post(&mut looks, &format!("/v1/parked/{bad}/read"), &json!({})).await.status, 403);

        let mut reads = program(world, Some(north), &[Right::PatientsReveal]).await;
        let read = post(&mut reads, &format!("/v1/parked/{bad}/read"), &json!({})).await;
        assert!(told(&read)["content"].as_str().unwrap().contains(make::FAMILY), "{}", read.body);
        assert_eq!(record(world).await.last().unwrap(), "parked_item_read");

        let mut writes = program(world, Some(north), &[Right::ResultsWrite]).await;
        let again = post(&mut writes, &format!("/v1/parked/{bad}/replay"), &json!({})).await;
        assert!(again.status == 409 && again.body.contains("refused_again") && !again.body.contains(make::FAMILY), "{}", again.body);
        let taken = post(&mut writes, &format!("/v1/parked/{good}/replay"), &json!({})).await;
        assert_eq!((taken.status, &told(&taken)["order_id"]), (201, &json!("A1")), "{}", taken.body);
        assert_eq!(post(&mut writes, &format!("/v1/parked/{good}/replay"), &json!({})).await.status, 404, "it is parked no longer");
        let asked = ["parked_item_replay_asked", "parked_item_refused", "parked_item_replay_asked", "parked_item_taken"];
        assert!(record(world).await.ends_with(&asked.map(str::to_owned)), "{:?}", record(world).await);
        let path = format!("/v1/parked/{bad}/discard");
        assert_eq!(post(&mut writes, &path, &json!({})).await.status, 422, "it must be meant");
        assert_eq!(post(&mut writes, &path, &json!({ "sure": false })).await.status, 422);
        assert_eq!(post(&mut writes, &format!("/v1/parked/{theirs}/discard"), &json!({ "sure": true })).await.status, 404);
        let before = record(world).await.len();
        assert_eq!(post(&mut writes, &path, &json!({ "sure": true })).await.status, 204);
        assert_eq!(post(&mut writes, &path, &json!({ "sure": true })).await.status, 404);
        assert_eq!(record(world).await[before..], ["parked_item_discarded".to_owned()], "once, with what was done");
        assert_eq!(world.database.store.parked(OrgScope::All).await.unwrap().len(), 1);
    }

    async fn mail_that_matches_no_organization_is_for_tokens_of_the_installation(world: &World) {
        let org = world.organization("north").await;
        let mut all = Vec::new();
        for n in 0..3_u64 {
            let mut mail = crate::store::inbound::mail(None, &format!("Subject: {n}\r\n\r\nto nobody here"));
            mail.received_at = mail.received_at.plus(Duration::from_secs(n));
            assert!(matches!(world.database.store.keep_inbound(&mail).await.unwrap(), Kept::New(_)));
            all.push(mail.id);
        }
        let own = crate::store::inbound::mail(Some(org), "Subject: theirs\r\n\r\nsecret");
        world.database.store.keep_inbound(&own).await.unwrap();
        let mut theirs = program(world, Some(org), &[Right::UnmatchedRead]).await;
        assert_eq!(theirs.get("/v1/inbox/unmatched").await.status, 403);
        let mut program = program(world, None, &[Right::UnmatchedRead]).await;
        let page = told(&program.get("/v1/inbox/unmatched?limit=2").await);
        assert_eq!((&page["messages"][0]["id"], &page["next"]), (&json!(all[2]), &json!(all[1])), "{page}");
        let rest = program.get(&format!("/v1/inbox/unmatched?after={}", all[1])).await;
        assert!(told(&rest)["messages"].as_array().unwrap().len() == 1 && !rest.body.contains("to nobody here"), "{}", rest.body);
        assert_eq!(program.get(&format!("/v1/inbox/unmatched?after={}", InboundId::new())).await.status, 400);
        let read = post(&mut program, &format!("/v1/inbox/unmatched/{}/read", all[0]), &json!({})).await;
        assert!(told(&read)["content"].as_str().unwrap().contains("to nobody here"), "{}", read.body);
        assert_eq!(record(world).await.last().unwrap(), "unmatched_read");
        let before = record(world).await.len();
        assert_eq!(post(&mut program, &format!("/v1/inbox/unmatched/{}/read", own.id), &json!({})).await.status, 404);
        assert_eq!(record(world).await.len(), before, "nothing was read");
    }

    async fn a_test_message_is_sent_once_under_its_key(world: &World) {
        let org = world.organization("north").await;
        let mut program = program(world, Some(org), &[Right::ResultsWrite]).await;
        let path = "/v1/organization/test-message";
        let wish = json!({ "site": make::SITE, "address": make::ADDRESS });
        assert_eq!(post(&mut program, path, &json!({ "site": "NOWHERE", "address": make::ADDRESS })).await.status, 422);
        assert_eq!(post(&mut program, path, &json!({ "site": make::SITE, "address": "nobody" })).await.status, 422);
        program.headers.push(("idempotency-key", "k1".to_owned()));
        let first = post(&mut program, path, &wish).await;
        let again = post(&mut program, path, &wish).await;
        assert_eq!((first.status, again.status), (201, 200), "{} {}", first.body, again.body);
        assert_eq!(told(&first)["id"], told(&again)["id"]);
        assert!(told(&first)["order_id"].as_str().unwrap().starts_with("TEST-"));
        program.headers.retain(|(name, _)| *name != "idempotency-key");
        assert_eq!(post(&mut program, path, &wish).await.status, 201, "another one");
        assert_eq!(world.database.number(&format!("SELECT COUNT(*) FROM result WHERE org_id = '{org}'")).await, 2);
        assert!(record(world).await.contains(&"test_message".to_owned()));
    }

    async fn a_webhook_is_tried_out_and_what_came_of_it_is_on_record(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let mut file = make::organization("north");
        file.webhooks = serde_json::from_value(json!([{ "name": "bridge", "url": receiver.url }])).unwrap();
        let org = world.database.store.apply_organization(&file, &[]).await.unwrap();
        let mut program = program(world, Some(org), &[Right::OrganizationsAct]).await;
        let before = record(world).await.len();
        let taken = told(&post(&mut program, "/v1/webhooks/bridge", &json!({ "action": "test" })).await);
        assert_eq!((&taken["taken"], &taken["answer"], &taken["told"]), (&json!(true), &json!("taken"), &json!(0)), "{taken}");
        assert_eq!(receiver.got()[0].kind(), "webhook.test");
        receiver.set(Mood::Says(401));
        let not = told(&post(&mut program, "/v1/webhooks/bridge", &json!({ "action": "test" })).await);
        assert!(not["taken"] == false && not["answer"].as_str().unwrap().contains("does it know the secret"), "{not}");
        assert_eq!(post(&mut program, "/v1/webhooks/nobody", &json!({ "action": "test" })).await.status, 404);
        let expected = ["webhook_test_asked", "webhook_test_taken", "webhook_test_asked", "webhook_test_not_taken"];
        assert_eq!(record(world).await[before..], expected);
    }

    async fn what_is_refused_is_not_on_record_as_done(world: &World) {
        let mut file = make::organization("north");
        file.webhooks = serde_json::from_value(json!([{ "name": "bridge", "url": "https://bridge.example/in" }])).unwrap();
        let org = world.database.store.apply_organization(&file, &[]).await.unwrap();
        let (store, actor) = (&world.database.store, Actor::shell(0, "root"));
        let event = SettingChanged { org: Some(org), what: Configured("w"), which: Named("x") };
        let witness = || Some(Witness::new(&actor, &event));
        assert!(!store.switch_webhook(org, "nobody", false, witness()).await.unwrap());
        assert!(store.rotate_webhook_secret(org, "nobody", Duration::ZERO, witness()).await.unwrap().is_none());
        assert!(!store.remove_bundle(org, "nobody", witness()).await.unwrap());
        assert!(!store.ack_alert(postern::domain::id::AlertId::new(), "jo", witness()).await.unwrap());
        assert_eq!(store.remove_certificate_as(org, "00", Witness::new(&actor, &event)).await.unwrap(), 0);
        assert!(record(world).await.is_empty(), "{:?}", record(world).await);
        assert!(store.switch_webhook(org, "bridge", false, witness()).await.unwrap());
        assert!(store.replay_webhook(org, "bridge", Again::Since(world.now()), witness()).await.unwrap().is_some());
        assert_eq!(record(world).await, ["w", "w"]);

        let mut program = program(world, Some(org), &[Right::OrganizationsAct, Right::TrustAct]).await;
        let gone = post(&mut program, "/v1/webhooks/bridge", &json!({ "action": "replay", "from": "999" })).await;
        assert_eq!(gone.status, 409, "{}", gone.body);
        let bundle = json!({ "name": "community", "url": "https://127.0.0.1:1/a.p7b" });
        assert_eq!(post(&mut program, "/v1/trust/bundles", &bundle).await.status, 409);
        assert_eq!(record(world).await[2..], ["trust_bundle_asked_for".to_owned()], "that it was asked for, and no more");

        world.database.run("ALTER TABLE audit_event RENAME TO taken_away").await;
        assert!(store.switch_webhook(org, "bridge", true, witness()).await.is_err());
        assert!(store.webhooks(OrgScope::One(org)).await.unwrap()[0].off.is_some(), "what cannot be recorded is not done");
    }

    async fn a_bundle_that_cannot_be_refreshed_is_on_record_as_asked_for_and_as_not_refreshed(world: &World) {
        let org = world.organization("north").await;
        let new = postern::store::bundle::NewBundle {
            name: "community".to_owned(),
            used_for: postern::store::trust::AnchorUse::Both,
            url: Some("https://127.0.0.1:1/a.p7b".to_owned()),
            internal: false,
            signer: None,
            refresh: Duration::from_hours(24),
            most_lost: 20,
        };
        world.database.store.import_bundle(org, &new, &[], None).await.unwrap();
        let mut program = program(world, Some(org), &[Right::TrustAct]).await;
        let asked = post(&mut program, "/v1/trust/bundles/community/refresh", &json!({})).await;
        assert_eq!(asked.status, 409, "{}", asked.body);
        assert_eq!(record(world).await, ["trust_bundle_refresh_asked", "trust_bundle_not_refreshed"]);
        assert_eq!(program.ask(Method::DELETE, "/v1/trust/bundles/community", None).await.status, 204);
        assert_eq!(program.ask(Method::DELETE, "/v1/trust/bundles/community", None).await.status, 404);
        assert_eq!(record(world).await[2..], ["trust_bundle_removed".to_owned()]);
    }

    async fn a_reset_takes_everything_at_once_or_nothing(world: &World) {
        let (store, actor) = (&world.database.store, Actor::shell(0, "root"));
        let jo = world.auditor().await;
        let mut browser = world.signed_in(jo).await;
        let _counted = store.begin_try(&[(TryKey::Name("jo@lab.example"), 0)]).await.unwrap().unwrap();
        let event = PersonReset { person: jo };
        let reset = Reset { person: jo, login: "jo@lab.example", hash: "h", first_until: world.now(), codes: None, provider: None };
        let nobody = Reset { person: PersonId::new(), ..reset };
        assert!(store.reset_person(&nobody, Witness::new(&actor, &event)).await.is_err());
        assert!(store.locked_until(&[TryKey::Name("jo@lab.example")]).await.unwrap().is_some(), "nothing was forgotten");
        let before = record(world).await;
        let reset = Reset { person: jo, ..nobody };
        store.reset_person(&reset, Witness::new(&actor, &event)).await.unwrap();
        assert_eq!(store.password_of(jo).await.unwrap().as_deref(), Some("h"));
        assert!(store.person(jo).await.unwrap().unwrap().first_until.is_some());
        assert!(store.locked_until(&[TryKey::Name("jo@lab.example")]).await.unwrap().is_none());
        assert_eq!(browser.get("/account").await.status, 303, "what they were signed in to has ended");
        assert_eq!(record(world).await[before.len()..], ["person_reset".to_owned()]);
    }

    async fn a_program_reads_all_that_the_page_of_a_delivery_says(world: &World) {
        let org = world.organization("north").await;
        let id = world.database.queued(org, "A1").await;
        let mut looks = program(world, Some(org), &[Right::DeliveriesRead]).await;
        let path = format!("/v1/deliveries/{id}");
        let seen = looks.get(&path).await;
        let one = told(&seen);
        assert_eq!((&one["priority"], &one["route"]["decision"]["state"]), (&json!("routine"), &json!("routed")), "{one}");
        assert!(one["evidence"]["pdf_sha256"].as_str().unwrap().len() == 64 && one["notices"] == json!([]), "{one}");
        assert!(!seen.body.contains(make::FAMILY));
        assert_eq!(post(&mut looks, &format!("{path}/document"), &json!({})).await.status, 403);
        let mut reads = program(world, Some(org), &[Right::PatientsReveal, Right::TrustRead]).await;
        let document = told(&post(&mut reads, &format!("{path}/document"), &json!({})).await);
        assert!(document["xml"].as_str().unwrap().contains("<ClinicalDocument") && document["parts"].to_string().contains(make::FAMILY));
        assert_eq!(record(world).await.last().unwrap(), "patient_revealed");
        assert_eq!(post(&mut reads, &format!("{path}/path"), &json!({})).await.status, 503, "nobody here answers probes");
        let mut acts = program(world, Some(org), &[Right::DeliveriesAct]).await;
        let two_lines = json!({ "reason": "a\nb" });
        assert_eq!(post(&mut acts, &format!("{path}/cancel"), &two_lines).await.status, 422);
        let cancelled = post(&mut acts, &format!("{path}/cancel"), &json!({ "reason": "sent by post" })).await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.body);
        let history = told(&looks.get(&path).await)["history"].to_string();
        assert!(history.contains("token t asked for it: sent by post"), "{history}");
    }

    async fn reports_and_lines_come_in_pages(world: &World) {
        let org = world.organization("north").await;
        for order in ["A1", "A2", "A3"] {
            let id = world.database.queued(org, order).await;
            world.database.lead(org, id, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
            for_provider(world, id).await;
        }
        let mut program = program(world, Some(org), &[Right::DeliveriesRead, Right::FeesRead]).await;
        let report = told(&program.get("/v1/reports/delivered?month=2026-03").await);
        assert_eq!((&report["totals"]["results"], &report["from"], &report["to"]), (&json!(3), &json!("2026-03-01"), &json!("2026-04-01")));
        assert_eq!((report["rows"].as_array().unwrap().len(), &report["next"]), (1, &Value::Null), "{report}");
        assert_eq!(record(world).await.last().unwrap(), "report_delivered");
        let csv = program.get("/v1/reports/delivered?month=2026-03&format=csv").await;
        assert!(csv.status == 200 && csv.body.starts_with("pcp_npi,"), "{}", csv.body);
        let behind = told(&program.get("/v1/reports/delivered?month=2026-03&after=1").await);
        assert_eq!(behind["rows"], json!([]));
        assert_eq!(program.get("/v1/reports/everything?month=2026-03").await.status, 404);
        assert_eq!(program.get("/v1/reports/delivered?month=March").await.status, 400);
        let first = told(&program.get("/v1/fees/lines?month=2026-03&limit=2").await);
        assert_eq!((first["lines"].as_array().unwrap().len(), &first["next"]), (2, &json!("2")), "{first}");
        let rest = told(&program.get("/v1/fees/lines?month=2026-03&after=2&entry_type=charge").await);
        assert_eq!((rest["lines"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null), "{rest}");
        assert_eq!(told(&program.get("/v1/fees/lines?site=nowhere").await)["lines"], json!([]));
    }
}

shown! {
    async fn a_payer_sees_its_reports_and_takes_them_out_on_record(world: &World) {
        use std::collections::BTreeSet;

        use postern::domain::person::{Reach, Role};

        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        let (id, other) = (world.database.queued(mine, "MINE1").await, world.database.queued(theirs, "THEIRS1").await);
        for (org, id) in [(mine, id), (theirs, other)] {
            world.database.lead(org, id, &[Event::Claimed, Event::Held(postern::domain::Reason::NoCert)]).await;
            for_provider(world, id).await;
        }
        let viewer = world.person("payer@plan.example", Role::Viewer, Reach::of(BTreeSet::from([mine]))).await;
        let mut browser = world.signed_in(viewer).await;
        let page = browser.get("/reports").await;
        assert!(page.body.contains("value=\"2026-03\"") && !page.body.contains("MINE1"), "{}", page.body);
        let page = browser.get("/reports?month=2026-03").await;
        assert!(page.status == 200 && page.body.contains("MINE1") && !page.body.contains("THEIRS1"), "{}", page.body);
        assert!(page.body.contains(&format!("/deliveries/{id}")), "{}", page.body);
        assert_eq!(browser.get("/reports?month=soon").await.status, 422);
        let file = browser.get("/reports/export?part=undeliverable&month=2026-03").await;
        assert!(file.status == 200 && file.body.contains("MINE1"), "{}", file.body);
        assert!(record(world).await.contains(&"report_undeliverable".to_owned()));
        let before = record(world).await.len();
        assert_eq!(browser.get("/reports/export?part=undeliverable&month=2026-03&organization=south").await.status, 404);
        assert_eq!(browser.get("/reports/export?part=all&month=2026-03").await.status, 404);
        assert_eq!(record(world).await.len(), before);
        let auditor = world.person("eve@lab.example", Role::Auditor, Reach::Installation).await;
        let all = world.signed_in(auditor).await.get("/reports?month=2026-03").await;
        assert!(all.body.contains("Choose an organization") && !all.body.contains("MINE1"), "{}", all.body);
    }

    async fn a_webhook_is_tried_out_in_the_console(world: &World) {
        use postern::domain::person::{Reach, Role};

        let receiver = Receiver::start(Mood::Says(204)).await;
        let mut file = make::organization("north");
        file.webhooks = serde_json::from_value(json!([{ "name": "bridge", "url": receiver.url }])).unwrap();
        world.database.store.apply_organization(&file, &[]).await.unwrap();
        let admin = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let mut browser = world.signed_in(admin).await;
        let named = [("for", "north"), ("name", "bridge")];
        let tried = browser.fill("/webhooks", "/webhooks/test", &named).await;
        assert!(tried.status == 200 && tried.body.contains("bridge took the test event"), "{}", tried.body);
        receiver.set(Mood::Says(500));
        let tried = browser.fill("/webhooks", "/webhooks/test", &named).await;
        assert!(tried.body.contains("did not take") && tried.body.contains("answered 500"), "{}", tried.body);
        let expected = ["webhook_test_asked", "webhook_test_taken", "webhook_test_asked", "webhook_test_not_taken"];
        assert_eq!(record(world).await, expected);
    }
}
