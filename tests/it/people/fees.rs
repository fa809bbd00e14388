//! The ledger over the API: whoever pays a line sees it, and nobody else.

use std::collections::BTreeSet;

use postern::{
    domain::{OrgId, delivery::Event as E, person::Right},
    store::delivery::Move,
};

use super::world::{Browser, World};
use crate::store::make;

/// An organization with one delivery that the plan pays for and one that it pays itself.
async fn shared(world: &World) -> (OrgId, OrgId) {
    let plan = world.organization("plan").await;
    let mut file = make::organization("north");
    let terms = r#"[{ "from": "2026-01-01", "sponsor": [{ "organization": "plan", "role": "pcp" }] }]"#;
    file.price.as_mut().unwrap().terms = serde_json::from_str(terms).unwrap();
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

async fn program(world: &World, org: OrgId) -> Browser {
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
        assert_eq!(send("", "application/json").await.0, 415);
        assert_eq!(send("&map=nonsense", "text/csv").await.0, 400);
        assert_eq!(send("&map=message_id=Nope", "text/csv").await.0, 422);
        assert_eq!(send("&sign_off=true", "text/csv").await.0, 400);
        let mut program = program(world, north).await;
        let signed = json(&program.get("/v1/fees/reconcile?month=2026-03").await.body);
        assert_eq!((signed["signed"].as_array().unwrap().len(), &signed["signed"][0]["note"]), (1, &"agreed".into()));
    }
}
