//! `postern fees` and `postern verify`.

use std::sync::Arc;

use postern::domain::{OffsetTime, delivery::Event as E};

use super::world::{World, deliveries, happened, org, words};
use crate::support::clock::TestClock;

const NORTH: &str = "\
slug = \"north\"
name = \"North\"
time_zone = \"America/New_York\"
[[site]]
local_id = \"RIVERSIDE01\"
[price]
rate = [{ from = \"2026-01-01\", fee_code = \"direct\", amount = \"0.25\" },
        { from = \"2026-02-01\", fee_code = \"direct\", amount = \"0.30\" }]
";

const SENT: [E; 3] = [E::Claimed, E::WireStarted, E::Accepted];

/// One delivery handed over at each of these instants.
async fn handed_over(world: &World, slug: &str, instants: &[&str]) {
    for (number, at) in instants.iter().enumerate() {
        let clock = TestClock::at(at.parse::<OffsetTime>().unwrap().at);
        let store = world.store_at(Arc::new(clock)).await;
        let made = deliveries(&store, org(&store, slug).await, &format!("A{number}"), &["pcp@direct.example.org"]).await;
        happened(&store, made[0], &SENT).await;
        store.close().await;
    }
}

fn report(world: &World, more: &[&str]) -> String {
    let months = ["fees", "report", "--from", "2026-01-01", "--to", "2026-02-01"];
    world.good(&[&months[..], more].concat()).out
}

#[tokio::test]
async fn a_period_ends_before_its_last_day_begins_in_the_organizations_own_zone() {
    let world = World::with(NORTH);
    // 2025-12-31 23:59:59, 2026-01-01 00:00:00, 2026-01-31 23:59:59 and 2026-02-01 00:00:00 in New York.
    let instants = ["2026-01-01T04:59:59Z", "2026-01-01T05:00:00Z", "2026-02-01T04:59:59Z", "2026-02-01T05:00:00Z"];
    handed_over(&world, "north", &instants).await;
    let csv = report(&world, &["--format", "csv"]);
    assert_eq!(
        csv,
        "organization,site,entry_type,fee_code,note,quantity,unit_price,amount,currency\r\n\
         north,RIVERSIDE01,charge,direct,,2,0.25,0.50,USD\r\n"
    );
    let december = world.good(&["fees", "report", "--from", "2025-12-01", "--to", "2026-01-01", "--format", "csv"]).out;
    assert!(december.ends_with("north,RIVERSIDE01,charge,direct,unpriced,1,0.00,0.00,USD\r\n"), "{december}");
    let february = world.json(&["fees", "report", "--from", "2026-02-01", "--to", "2026-03-01"]);
    assert_eq!(
        february["totals"],
        serde_json::json!([{ "currency": "USD", "charges": 1, "unpriced": 0, "test": 0, "amount": "0.30" }])
    );
}

#[tokio::test]
async fn each_organization_has_its_rows_and_its_sum() {
    let world = World::with(NORTH);
    let south = NORTH.replace("\"north\"", "\"south\"").replace("time_zone", "mode = \"test\"\ntime_zone");
    world.good(&["org", "apply", &world.write("south.toml", south)]);
    for slug in ["north", "south"] {
        handed_over(&world, slug, &["2026-01-15T12:00:00Z"]).await;
    }
    let table = report(&world, &[]);
    let sums: Vec<_> = table.lines().map(words).filter(|line| line.first() == Some(&"all")).collect();
    assert_eq!(sums, [["all", "2", "0", "0", "0.50", "USD"]], "{table}");
    let json = report(&world, &["--format", "json", "--org", "south"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["rows"].as_array().unwrap().len(), &json["rows"][0]["organization"]), (1, &"south".into()));
    assert_eq!(report(&world, &["--site", "NOWHERE", "--format", "csv"]).lines().count(), 1);
    let backwards = world.run(&["fees", "report", "--from", "2026-02-01", "--to", "2026-01-01"]);
    assert_eq!(backwards.code, 2);
    assert_eq!(world.run(&["fees", "report", "--from", "2026-01-01", "--to", "2026-02-30"]).code, 2);
    assert_eq!(world.run(&["fees", "report", "--from", "2026-01-01", "--to", "2026-02-01", "--organization", "west"]).code, 2);
}

#[tokio::test]
async fn a_ledger_somebody_changed_does_not_verify() {
    let world = World::with(NORTH);
    world.good(&["verify"]);
    handed_over(&world, "north", &["2026-01-15T12:00:00Z", "2026-01-16T12:00:00Z"]).await;
    let ran = world.bad(&["verify"]);
    assert!(ran.out.contains("document that a result refers to is missing"), "{}", ran.out);
    assert!(!ran.err.contains("do not bill"), "that is no fault of the ledger: {}", ran.err);
    let store = world.store().await;
    let document = world.path("blobs").join(org(&store, "north").await.to_string()).join("pdf-01");
    std::fs::create_dir_all(document.parent().unwrap()).unwrap();
    std::fs::write(document, "sealed").unwrap();
    store.close().await;
    let good = world.json(&["verify"]);
    assert_eq!((&good["verified"], &good["organizations"][0]["ledger_lines"]), (&true.into(), &2.into()));

    tamper(&world, "UPDATE ledger_line SET amount = 10000000 WHERE seq = 2").await;
    let ran = world.bad(&["verify"]);
    assert!(ran.out.contains("its chain breaks at line 2"), "{}", ran.out);
    tamper(&world, "UPDATE ledger_line SET amount = 250000 WHERE seq = 2").await;
    world.good(&["verify", "--organization", "north"]);
    tamper(&world, "UPDATE delivery SET fee = 'none'").await;
    let ran = world.bad(&["verify"]);
    assert!(ran.out.contains("2 deliveries do not tie with their charge"), "{}", ran.out);
}

pub(super) async fn tamper(world: &World, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path("postern.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    assert!(sqlx::query(sql).execute(&pool).await.unwrap().rows_affected() > 0);
    pool.close().await;
}
