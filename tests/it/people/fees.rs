//! The ledger over the API: whoever pays a line sees it, and nobody else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use postern::{
    config::{fees::FeesSection, web::WebSection},
    domain::{
        OrgId,
        audit::{Actor, Witness},
        delivery::Event as E,
        id::TokenId,
        organization::PriceList,
        person::Right,
        prices::Channel,
    },
    observe::{events::TokenMade, facts::Named, health::Health},
    store::{delivery::Move, token::NewToken},
    web::{Web, serve},
};
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;

use super::world::{Browser, World};
use crate::store::{billing::close, make};

/// An organization with one delivery that the plan pays for and one that it pays itself.
pub(super) async fn shared(world: &World) -> (OrgId, OrgId) {
    shared_with(world, |_| {}).await
}

/// The same at other prices.
pub(super) async fn shared_with(world: &World, prices: impl FnOnce(&mut PriceList)) -> (OrgId, OrgId) {
    let plan = world.organization("plan").await;
    let mut file = make::organization("north");
    let terms = r#"[{ "from": "2026-01-01", "sponsor": [{ "organization": "plan", "role": "pcp" }] }]"#;
    file.price.as_mut().unwrap().terms = serde_json::from_str(terms).unwrap();
    prices(file.price.as_mut().unwrap());
    let north = world.database.store.apply_organization(&file, &[]).await.unwrap();
    world.database.result(north, "A1").await;
    let made = world.database.route(&[make::ADDRESS, make::ELSEWHERE]).await;
    world.database.run(&format!("UPDATE delivery SET role = 'pcp' WHERE id = '{}'", made[0])).await;
    for id in made {
        for event in [E::Claimed, E::WireStarted, E::Accepted] {
            world.database.committer.apply(Move::new(north, id, event)).await.unwrap();
        }
    }
    (north, plan)
}

/// A token with the rights about fees: of an organization, or of the installation.
async fn token(world: &World, org: Option<OrgId>) -> String {
    let id = TokenId::new();
    let rights = BTreeSet::from([Right::FeesRead, Right::FeesAct, Right::OrdersWrite]);
    let event = TokenMade { org, token: id, name: Named("t"), rights: rights.len() };
    let new = NewToken { id, org, name: "t", rights, ignore_unknown: false, expires_at: None };
    world.database.store.make_token(&new, Witness::new(&Actor::shell(0, "root"), &event)).await.unwrap()
}

pub(super) async fn serving(web: Web) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(web, listener, CancellationToken::new()));
    url
}

pub(super) async fn program(world: &World, org: OrgId) -> Browser {
    let token = world.database.store.create_token_with(org, "t", false, true).await.unwrap();
    let mut program = world.browser();
    program.headers.push(("authorization", format!("Bearer {token}")));
    program
}

fn json(body: &str) -> serde_json::Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

on_both_engines! {
    async fn each_sees_the_lines_it_pays_and_no_others(world: &World) {
        let (north, plan) = shared(world).await;
        let other = world.organization("other").await;
        for (org, rows) in [(north, 1), (plan, 1), (other, 0)] {
            let mut program = program(world, org).await;
            let seen = program.get("/v1/fees/report?month=2026-03&by=organization,bill_to").await;
            assert_eq!(seen.status, 200, "{}", seen.body);
            let report = json(&seen.body);
            assert_eq!(report["rows"].as_array().unwrap().len(), rows, "{report:#}");
            if rows == 1 {
                let payer = if org == plan { "plan" } else { "north" };
                assert_eq!((&report["rows"][0]["bill_to"], &report["rows"][0]["organization"]), (&payer.into(), &"north".into()));
                assert_eq!((&report["totals"][0]["amount"], &report["totals"][0]["charges"]), (&"0.25".into(), &1.into()));
            }
        }
        let mut sponsor = program(world, plan).await;
        let lines = sponsor.get("/v1/fees/export?ledger=north").await;
        assert_eq!((lines.status, lines.body.lines().count()), (200, 1), "{}", lines.body);
        assert_eq!(json(&lines.body)["bill_to"], "plan");
        let statement = json(&sponsor.get("/v1/fees/statement/2026-03?ledger=north").await.body);
        assert_eq!((&statement["bill_to"]["slug"], &statement["totals"][0]["total"]), (&"plan".into(), &"0.25".into()));
        assert!(statement["controls"].is_null(), "how many deliveries others have is none of a sponsor's business");
        let mut stranger = program(world, other).await;
        for path in ["/v1/fees/report?month=2026-03&ledger=north", "/v1/fees/export?ledger=north", "/v1/fees/statement/2026-03?ledger=north",
            "/v1/fees/report?month=2026-03&bill_to=north", "/v1/fees/report?month=2026-03&bill_to=nobody", "/v1/fees/statement/nonsense", "/v1/fees/statement/1999-01"] {
            assert_eq!(stranger.get(path).await.status, 404, "{path}");
        }
        assert_eq!(stranger.get("/v1/fees/report?month=2026").await.status, 400);
        assert!(json(&stranger.get("/v1/fees/periods").await.body)["periods"].as_array().unwrap().is_empty());
        assert!(world.actions().await.iter().any(|action| action == "data_exported"));
    }

    async fn the_installations_token_has_over_the_api_what_the_shell_has(world: &World) {
        let (north, plan) = shared(world).await;
        world.database.run("UPDATE delivery SET relay = CASE role WHEN 'pcp' THEN 'hisp-a' ELSE 'mx' END").await;
        let fees = FeesSection {
            cost: BTreeMap::from([(Channel::Direct, "0.05".parse().unwrap())]),
            cost_by_relay: BTreeMap::from([("hisp-a".to_owned(), "0.02".parse().unwrap())]),
            ..FeesSection::default()
        };
        let url = serving(world.web.clone().costing(&fees)).await;
        let get = async |token: &str, path: &str| {
            let answer = reqwest::Client::new().get(format!("{url}/v1/fees/{path}")).bearer_auth(token).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (whole, customer) = (token(world, None).await, token(world, Some(north)).await);
        let margin = "report?month=2026-03&by=relay&margin=true";
        let (status, body) = get(&whole, margin).await;
        let rows = json(&body)["rows"].clone();
        assert_eq!((status, &rows[0]["relay"], &rows[0]["cost"], &rows[0]["margin"]), (200, &"hisp-a".into(), &"0.02".into(), &"0.23".into()), "{body}");
        assert_eq!((&rows[1]["relay"], &rows[1]["cost"], &rows[1]["margin"]), (&"mx".into(), &"0.05".into(), &"0.20".into()), "{body}");
        assert_eq!(json(&body)["totals"][0]["cost"], "0.07");
        assert_eq!(get(&customer, margin).await.0, 403, "what the operator earns is none of a customer's business");
        assert_eq!(get(&customer, "report?month=2026-03&by=relay").await.0, 200);

        let (_, priced) = get(&whole, "report?month=2026-03&priced=true&organization=plan").await;
        let priced = json(&priced);
        assert_eq!((&priced["rows"][0]["unit_price"], &priced["rows"][0]["quantity"]), (&"0.25".into(), &1.into()), "{priced:#}");
        assert_eq!(get(&whole, "report?month=2026-03&priced=true&by=site").await.0, 400);
        assert!(get(&whole, "report?month=2026-03&priced=true&format=csv").await.1.starts_with("organization,site,entry_type,"));

        assert_eq!(get(&whole, "export?format=jsonl").await.0, 400, "it must say whose ledger");
        assert_eq!(get(&whole, "export?ledger=north").await.1.lines().count(), 2, "all of it");
        assert_eq!(get(&whole, "export?ledger=north&bill_to=plan").await.1.lines().count(), 1);
        let iif = "export?ledger=north&month=2026-03&format=iif";
        assert_eq!((get(&whole, iif).await.0, json(&get(&whole, iif).await.1)["code"].as_str()), (409, Some("month_open")));
        world.database.set_time(make::at("2026-04-10T15:00:00Z")).await;
        assert!(close(&world.database, north, "2026-03", true).await.unwrap().closed);
        let invoices = |body: &str| body.lines().filter(|line| line.starts_with("TRNS\t")).map(|line| line.split('\t').nth(6).unwrap().to_owned()).collect::<Vec<_>>();
        let (status, body) = get(&whole, iif).await;
        assert_eq!((status, invoices(&body).len()), (200, 2), "{body}");
        for token in [token(world, Some(plan)).await, whole.clone()] {
            let (_, body) = get(&token, &format!("{iif}{}", if token == whole { "&bill_to=plan" } else { "" })).await;
            assert_eq!(invoices(&body), ["north-2026-03-plan"], "{body}");
        }
    }

    async fn a_usage_file_over_the_api_takes_a_place_among_the_uploads_of_its_organization(world: &World) {
        let (north, _) = shared(world).await;
        let token = token(world, Some(north)).await;
        let settings = WebSection { uploads_per_organization: 1, ..WebSection::default() };
        let url = serving(Web::new(&settings, world.web.intake.clone(), Health::default(), None)).await;
        // Somebody's upload that takes its time.
        let mut slow = tokio::net::TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        let head = format!("POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{");
        slow.write_all(head.as_bytes()).await.unwrap();
        let send = async || {
            let request = reqwest::Client::new().post(format!("{url}/v1/fees/reconcile?month=2026-03")).bearer_auth(&token);
            let answer = request.header("content-type", "text/csv; charset=utf-8").body("Message-ID\r\nx@y.example\r\n").send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, body) = tokio::time::timeout(Duration::from_mins(1), async {
            // The place is taken once the head was read.
            loop {
                let told = send().await;
                if told.0 != 200 { break told }
            }
        }).await.expect("the place is taken");
        assert_eq!((status, json(&body)["code"].as_str()), (429, Some("too_many_uploads")), "{body}");
        drop(slow);
        tokio::time::timeout(Duration::from_mins(1), async { while send().await.0 != 200 {} }).await.expect("it comes free again");
    }

    async fn a_usage_file_is_compared_and_signed_for_over_the_api(world: &World) {
        let (north, _) = shared(world).await;
        let ids = world.database.texts("SELECT message_id FROM delivery ORDER BY id").await;
        let rights = BTreeSet::from([Right::FeesRead, Right::FeesAct]);
        assert!(Right::meant_by("fees") == rights);
        let token = world.database.store.create_token_with(north, "t", false, true).await.unwrap();
        let send = async |query: &str, kind: &str| {
            let request = reqwest::Client::new().post(format!("{}/v1/fees/reconcile?month=2026-03{query}", world.url));
            let body = format!("Message-ID,To\r\n{},x\r\n", ids[0]);
            let answer = request.bearer_auth(&token).header("content-type", kind).body(body).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, body) = send("&sign_off=true&note=agreed", "text/csv").await;
        assert_eq!(status, 200, "{body}");
        let told = json(&body);
        assert_eq!((&told["totals"]["matched"], &told["totals"]["ours_only"]), (&1.into(), &1.into()), "{told:#}");
        assert!(told["signed_at"].is_string());
        assert_eq!((&told["totals"]["separator"], &told["totals"]["tolerance"]), (&"comma".into(), &"0.00".into()));
        assert_eq!(send("&separator=semicolon", "text/csv").await.0, 422, "there is one column then");
        assert_eq!(send("&separator=pipe", "text/csv").await.0, 400);
        let (_, other) = send("&relay=hisp-b&tolerance=0.01", "text/csv").await;
        let other = json(&other);
        assert_eq!((&other["totals"]["messages"], &other["totals"]["theirs_only"]), (&0.into(), &1.into()), "{other:#}");
        assert_eq!(other["totals"]["tolerance"], "0.01");
        assert_eq!(send("", "application/json").await.0, 415);
        assert_eq!(send("&map=nonsense", "text/csv").await.0, 400);
        assert_eq!(send("&map=message_id=Nope", "text/csv").await.0, 422);
        assert_eq!(send("&sign_off=true", "text/csv").await.0, 400);
        let mut program = program(world, north).await;
        let signed = json(&program.get("/v1/fees/reconcile?month=2026-03").await.body);
        assert_eq!((signed["signed"].as_array().unwrap().len(), &signed["signed"][0]["note"]), (1, &"agreed".into()));
    }
}
