//! What a customer's own token or biller is not told and may not move: what its sponsor pays, what HISPs ask, and who is on its
//! roster for whoever may not see patients.

use std::collections::{BTreeMap, BTreeSet};

use postern::{
    config::fees::FeesSection,
    domain::{
        OrgId,
        audit::{Actor, Witness},
        id::TokenId,
        person::{Reach, Right, Role},
        prices::Channel,
    },
    observe::{events::TokenMade, facts::Named},
    store::{ledger::read::LineQuery, token::NewToken},
};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    fees::{program, serving, shared, shared_with},
    world::{Browser, Seen, World},
};
use crate::{
    store::{billing::close, make},
    support::counter::{order, with},
};

/// A program with a token of its own for these rights: of an organization, or of the installation.
async fn with_rights(world: &World, org: Option<OrgId>, rights: BTreeSet<Right>) -> Browser {
    let id = TokenId::new();
    let event = TokenMade { org, token: id, name: Named("t"), rights: rights.len() };
    let new = NewToken { id, org, name: "t", rights, ignore_unknown: false, expires_at: None };
    let token = world.database.store.make_token(&new, Witness::new(&Actor::shell(0, "root"), &event)).await.unwrap();
    let mut program = world.browser();
    program.headers.push(("authorization", format!("Bearer {token}")));
    program
}

/// A program that may do everything for everybody.
async fn operator(world: &World) -> Browser {
    with_rights(world, None, Right::meant_by("admin")).await
}

fn read(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).unwrap_or_else(|error| panic!("{error}: {}", seen.body))
}

/// The field and the code of the only thing that is refused.
fn refused(seen: &Seen) -> (u16, String, String) {
    let body = read(seen);
    let all = body["errors"].as_array().cloned().unwrap_or_default();
    assert_eq!(all.len(), 1, "{body:#}");
    (seen.status, all[0]["field"].as_str().unwrap().to_owned(), all[0]["code"].as_str().unwrap().to_owned())
}

async fn biller(world: &World, login: &str, reach: Reach) -> Browser {
    let person = world.person(login, Role::Billing, reach).await;
    world.signed_in(person).await
}

async fn lines(world: &World, org: OrgId) -> usize {
    let all = LineQuery::of(org);
    world.database.store.ledger_page(postern::domain::OrgScope::All, &all, 0, 100).await.unwrap().len()
}

shown! {
    async fn a_customer_changes_neither_who_pays_for_it_nor_what_they_pay(world: &World) {
        let (north, _) = shared(world).await;
        let mut customer = program(world, north).await;
        let path = "/v1/organization";
        let seen = customer.get(path).await;
        let file = read(&seen);
        let mark = seen.headers["etag"].to_str().unwrap().to_owned();
        customer.headers.push(("if-match", mark.clone()));
        let changed = |at: &str, more: Value| {
            let mut file = file.clone();
            file["price"].as_object_mut().unwrap().entry(at).or_insert(json!([])).as_array_mut().unwrap().push(more);
            file
        };
        // The operator let the plan pay for copies to primary care providers.
        let everything = changed("terms", json!({ "from": "2026-04-01", "sponsor": [{ "organization": "plan" }] }));
        let nothing = changed("terms", json!({ "from": "2026-04-01", "minimum": "1" }));
        let dearer = changed("rate", json!({ "from": "2026-03-01", "fee_code": "direct", "amount": "900" }));
        let mut never = file.clone();
        never["price"]["credit_failures"] = json!("never");
        for (wish, field) in [
            (&everything, "/price/terms/1/sponsor/0"),
            (&nothing, "/price/terms/1/sponsor"),
            (&dearer, "/price/rate/1"),
            (&never, "/price/credit_failures"),
        ] {
            for query in ["", "?dry_run=true"] {
                let seen = customer.json(Method::PUT, &format!("{path}{query}"), &wish.to_string()).await;
                assert_eq!(refused(&seen), (422, field.to_owned(), "not_yours".to_owned()), "{}", seen.body);
            }
        }
        let seen = customer.json(Method::PUT, path, &with(file.clone(), "phone", json!("+1-937-555-0100")).to_string()).await;
        assert_eq!((seen.status, &read(&seen)["applied"]), (200, &json!(true)), "what is its own it changes: {}", seen.body);

        let mut operator = operator(world).await;
        operator.headers.push(("if-match", seen.headers["etag"].to_str().unwrap().to_owned()));
        let seen = operator.json(Method::PUT, "/v1/organization?organization=north", &dearer.to_string()).await;
        assert_eq!((seen.status, &read(&seen)["applied"]), (200, &json!(true)), "{}", seen.body);
    }

    async fn the_console_names_no_sponsor_that_nobody_knows(world: &World) {
        shared(world).await;
        let admin = world.person("ann@lab.example", Role::Admin, Reach::Installation).await;
        let mut browser = world.signed_in(admin).await;
        let page = browser.get("/organizations/north/edit").await;
        let file = "slug = \"north\"\nname = \"North\"\n[[price.terms]]\nfrom = \"2026-05-01\"\nsponsor = [{ organization = \"nobody\" }]\n";
        let fields = [("file", file), ("mark", &page.field("mark"))];
        let seen = browser.send(&page, "/organizations/north/edit", &fields).await;
        assert!(seen.status == 422 && seen.body.contains("is no organization that is known here"), "{}", seen.body);
    }

    async fn a_customer_corrects_nothing_that_its_sponsor_pays(world: &World) {
        let (north, plan) = shared(world).await;
        let ids = world.database.texts("SELECT id FROM delivery ORDER BY role DESC").await;
        let (theirs, own) = (&ids[0], &ids[1]);
        let sponsored = world.database.texts(&format!("SELECT id FROM ledger_line WHERE bill_to_org = '{plan}'")).await;
        let mut customer = program(world, north).await;
        let wish = |what: &str, id: &str| json!({ what: id, "amount": "1000000", "reason": "because" });
        for wish in [wish("delivery", theirs), wish("line", &sponsored[0])] {
            for dry_run in [true, false] {
                let wish = with(wish.clone(), "dry_run", json!(dry_run)).to_string();
                let seen = customer.json(Method::POST, "/v1/fees/adjust", &wish).await;
                assert_eq!((seen.status, read(&seen)["code"].as_str()), (403, Some("forbidden")), "{}", seen.body);
            }
        }
        // Nor does the sponsor correct what stands in the ledger of another.
        let mut sponsor = program(world, plan).await;
        assert_eq!(sponsor.json(Method::POST, "/v1/fees/adjust", &wish("delivery", theirs).to_string()).await.status, 404);
        assert_eq!(lines(world, north).await, 2, "nothing was written");
        let seen = customer.json(Method::POST, "/v1/fees/adjust", &with(wish("delivery", own), "amount", json!("0.10")).to_string()).await;
        assert_eq!(seen.status, 200, "{}", seen.body);
        let wish = with(wish("delivery", theirs), "amount", json!("0.10")).to_string();
        let seen = operator(world).await.json(Method::POST, "/v1/fees/adjust?organization=north", &wish).await;
        assert_eq!((seen.status, lines(world, north).await), (200, 6), "{}", seen.body);
    }

    async fn what_hisps_ask_is_told_to_nobody_who_is_confined(world: &World) {
        let (north, _) = shared(world).await;
        world.database.run("UPDATE delivery SET relay = 'hisp-a'").await;
        let fees = FeesSection {
            cost: BTreeMap::from([(Channel::Direct, "0.0731".parse().unwrap())]),
            cost_by_relay: BTreeMap::from([("hisp-a".to_owned(), "0.0417".parse().unwrap())]),
            ..FeesSection::default()
        };
        let url = serving(world.web.clone().costing(&fees)).await;
        let ids = world.database.texts("SELECT message_id FROM delivery ORDER BY id").await;
        let file = format!("Message-ID,Price\r\n{},999\r\n{},999\r\n", ids[0], ids[1]);
        let path = "/v1/fees/reconcile?month=2026-03";
        let seen = program(world, north).await.at(&url).sent(Method::POST, path, "text/csv", &file).await;
        let told = read(&seen);
        assert_eq!((seen.status, &told["totals"]["prices_compared"]), (200, &json!(false)), "{told:#}");
        assert_eq!((&told["totals"]["matched"], &told["totals"]["asked"]), (&json!(2), &json!("1998.00")), "the rest is compared: {told:#}");
        assert!(!seen.body.contains("0.04") && !seen.body.contains("0.07"), "{}", seen.body);
        let seen = operator(world).await.at(&url).sent(Method::POST, &format!("{path}&organization=north"), "text/csv", &file).await;
        assert_eq!((&read(&seen)["totals"]["price_differs"], seen.body.contains("0.0417")), (&json!(2), true), "{}", seen.body);

        let here = "/fees/north/2026-03/reconcile";
        for (login, reach, knows) in
            [("mo@north.example", Reach::of(BTreeSet::from([north])), false), ("mo@lab.example", Reach::Installation, true)]
        {
            let mut browser = biller(world, login, reach).await.at(&url);
            assert_eq!(browser.upload(here, here, &[("tolerance", "0")], ("file", file.as_bytes())).await.status, 303);
            let seen = browser.get(here).await;
            assert_eq!(seen.body.contains("0.0417"), knows, "{login}: {}", seen.body);
            assert_eq!(seen.body.contains("what HISPs ask is not known here"), !knows, "{login}: {}", seen.body);
        }
    }

    async fn what_a_sponsor_pays_is_told_to_nobody_whom_it_sponsors(world: &World) {
        // The first of each payer is free, so closing adds a line for either.
        let (north, plan) = shared_with(world, |list| list.rates[0].included = 1).await;
        let path = "/v1/fees/periods/2026-03/close";
        let dry = json!({ "dry_run": true, "force": true }).to_string();
        let payers = |seen: &Seen, what: &str| -> BTreeSet<String> {
            read(seen)[what].as_array().unwrap().iter().map(|row| row["bill_to"].as_str().unwrap().to_owned()).collect()
        };
        world.database.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let (one, both) = (BTreeSet::from([north.to_string()]), BTreeSet::from([north.to_string(), plan.to_string()]));
        let seen = program(world, north).await.json(Method::POST, path, &dry).await;
        assert_eq!((payers(&seen, "rows"), payers(&seen, "added")), (one.clone(), one), "{}", seen.body);
        let seen = operator(world).await.json(Method::POST, &format!("{path}?organization=north"), &dry).await;
        assert_eq!((payers(&seen, "rows"), payers(&seen, "added")), (both.clone(), both), "{}", seen.body);

        let mut customer = biller(world, "mo@north.example", Reach::of(BTreeSet::from([north]))).await;
        let mut whole = biller(world, "mo@lab.example", Reach::Installation).await;
        let rows = |seen: &Seen| seen.body.matches("<tr").count();
        let (confined, all) = (customer.get("/fees/north/2026-03/close?count=yes").await, whole.get("/fees/north/2026-03/close?count=yes").await);
        assert_eq!((confined.status, rows(&confined) + 2), (200, rows(&all)), "{}", confined.body);

        assert!(close(&world.database, north, "2026-03", true).await.unwrap().closed);
        let invoices = |seen: &Seen| seen.body.lines().filter(|line| line.starts_with("TRNS\t")).count();
        for (browser, sees, count) in [(&mut customer, false, 1), (&mut whole, true, 2)] {
            let month = browser.get("/fees/north/2026-03").await;
            assert_eq!(month.body.contains("Statement of Organization plan"), sees, "{}", month.body);
            let statement = browser.get("/fees/north/2026-03/statement?format=csv&bill_to=plan").await;
            assert_eq!(statement.status, if sees { 200 } else { 404 }, "{}", statement.body);
            assert_eq!(browser.get("/fees/north/2026-03/statement?format=csv&bill_to=north").await.status, 200);
            let iif = browser.get("/fees/north/2026-03/export?format=iif").await;
            assert_eq!((iif.status, invoices(&iif)), (200, count), "{}", iif.body);
            assert_eq!(iif.body.contains("north-2026-03-plan"), sees, "{}", iif.body);
        }
    }

    async fn a_what_if_asks_the_roster_only_for_who_hands_orders_in_or_sees_patients_and_on_record(world: &World) {
        let north = world.organization("north").await;
        let csv = "member_id,npi,birth_date\nM1,1234567893,1964-02-17\n";
        let loaded = program(world, north).await.sent(Method::POST, "/v1/rosters", "text/csv", csv).await;
        assert_eq!(loaded.status, 200, "{}", loaded.body);
        let asked = |member: &str, birth: &str| {
            let mut order = with(order("W1"), "health_plan", json!({ "id": "PLAN-DEMO", "member_id": member }));
            order["patient"]["birth_date"] = json!(birth);
            order["deliver_to"] = json!([{ "role": "other", "direct": "desk@direct.example.org" }]);
            json!({ "order": order }).to_string()
        };
        let roster = |told: &Value| -> Vec<Value> {
            told["route"]["trace"].as_array().unwrap().iter().filter(|line| line["rule"] == "roster").cloned().collect()
        };
        let questions = [asked("M1", "1964-02-17"), asked("M1", "1970-01-01"), asked("M2", "1964-02-17")];

        let mut reader = with_rights(world, Some(north), BTreeSet::from([Right::DeliveriesRead])).await;
        let mut answers = Vec::new();
        for question in &questions {
            let seen = reader.json(Method::POST, "/v1/explain", question).await;
            let told = read(&seen);
            assert_eq!((seen.status, roster(&told).len()), (200, 0), "{told:#}");
            let warning = &told["warnings"][0];
            assert_eq!((&warning["field"], &warning["code"]), (&json!("/order/health_plan/member_id"), &json!("not_asked")), "{told:#}");
            answers.push(told);
        }
        assert!(answers[0] == answers[1] && answers[1] == answers[2], "who is on the roster shows in nothing");
        assert!(!world.actions().await.contains(&"roster_asked".to_owned()));

        for (asked, right) in [Right::OrdersWrite, Right::PatientsReveal].into_iter().enumerate() {
            let mut knows = with_rights(world, Some(north), BTreeSet::from([Right::DeliveriesRead, right])).await;
            let mut says = BTreeSet::new();
            for question in &questions {
                let told = read(&knows.json(Method::POST, "/v1/explain", question).await);
                assert_eq!((roster(&told).len(), &told["warnings"]), (1, &json!([])), "{told:#}");
                says.insert(roster(&told)[0].to_string());
            }
            assert_eq!(says.len(), 3);
            let on_record = world.actions().await.iter().filter(|action| *action == "roster_asked").count();
            assert_eq!(on_record, 3 * (asked + 1), "each question is on record");
        }
    }
}
