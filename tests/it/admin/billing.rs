//! A biller's month at the shell: periods, close, statement, adjust; and what verify says about signed heads.

use std::sync::Arc;

use postern::domain::{DeliveryId, OffsetTime, delivery::Event as E};

use super::world::{World, deliveries, happened, org};
use crate::support::{
    clock::TestClock,
    command::{command, run},
};

const NORTH: &str = "\
slug = \"north\"
name = \"North Clinics\"
time_zone = \"America/New_York\"
[[site]]
local_id = \"RIVERSIDE01\"
[price]
rate = [{ from = \"2026-01-01\", fee_code = \"direct\", amount = \"0.25\", tier = [{ above = 1, amount = \"0.125\" }] }]
[[price.terms]]
from = \"2026-01-01\"
minimum = \"10\"
cost_center = { RIVERSIDE01 = \"4711\" }
";

/// Deliveries handed over in January.
async fn january(world: &World) -> Vec<DeliveryId> {
    let at: OffsetTime = "2026-01-15T12:00:00Z".parse().unwrap();
    let store = world.store_at(Arc::new(TestClock::at(at.at))).await;
    let made = deliveries(&store, org(&store, "north").await, "A1", &["a@d.example", "b@d.example", "c@d.example"]).await;
    for id in &made {
        happened(&store, *id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    }
    store.close().await;
    made
}

#[tokio::test]
async fn a_month_goes_from_open_to_closed_and_its_statement_is_the_same_wherever_it_is_made() {
    let world = World::with(NORTH);
    january(&world).await;
    let periods = world.json(&["fees", "periods"]);
    assert_eq!((&periods[0]["month"], &periods[0]["state"]), (&"2026-01".into(), &"grace".into()));
    let draft = world.good(&["fees", "statement", "2026-01", "--organization", "north", "--format", "html"]);
    assert!(draft.out.contains("Draft") && draft.err.contains("a draft"));
    let dry = world.good(&["fees", "close", "2026-01", "--organization", "north", "--dry-run"]);
    assert!(dry.out.contains("minimum") && dry.err.contains("nothing was written"), "{}{}", dry.out, dry.err);
    let closed = world.json(&["fees", "close", "2026-01", "--organization", "north", "--by", "Biller"]);
    assert_eq!((&closed["closed"], &closed["ties"]), (&true.into(), &true.into()));
    let again = world.bad(&["fees", "close", "2026-01", "--organization", "north", "--force"]);
    assert!(again.err.contains("stays closed"), "{}", again.err);

    let formats = ["json", "csv", "html", "pdf"];
    let write = |name: &str, zone: &str, locale: &str| {
        for format in formats {
            let mut command = command(world.dir.path());
            command.env("TZ", zone).env("LC_ALL", locale).env("LANG", locale);
            command.args([
                "fees",
                "statement",
                "2026-01",
                "--organization",
                "north",
                "--format",
                format,
                "--output",
                &format!("{name}.{format}"),
            ]);
            let ran = run(&mut command);
            assert_eq!(ran.code, 0, "{}", ran.err);
        }
    };
    write("one", "Asia/Kathmandu", "de_DE.UTF-8");
    super::fees::tamper(&world, "DELETE FROM billing_statement").await;
    write("other", "America/Los_Angeles", "C");
    for format in formats {
        let read = |name: &str| std::fs::read(world.path(&format!("{name}.{format}"))).unwrap();
        assert!(read("one") == read("other"), "{format}");
    }
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(world.path("one.json")).unwrap()).unwrap();
    assert_eq!((&json["totals"][0]["total"], &json["controls"]["ties"]), (&"10.00".into(), &true.into()));
    assert_eq!(json["controls"]["charged"], 3);
    let table = world.good(&["fees", "statement", "2026-01", "--organization", "north"]).out;
    assert!(table.contains("RIVERSIDE01 / 4711") && table.contains("Up to the monthly minimum"), "{table}");

    super::fees::tamper(&world, "UPDATE billing_statement SET document = document || ' '").await;
    let differs = world.bad(&["fees", "statement", "2026-01", "--organization", "north"]);
    assert!(differs.err.contains("not the statement that was handed out"), "{}", differs.err);
}

#[tokio::test]
async fn a_correction_says_who_and_why_and_goes_to_the_open_month() {
    let world = World::with(NORTH);
    let made = january(&world).await;
    world.good(&["fees", "close", "2026-01", "--organization", "north"]);
    let id = made[0].to_string();
    let adjust = ["fees", "adjust", "--delivery", &id, "--amount", "0.10", "--reason", "agreed", "--by", "Biller"];
    let dry = world.good(&[&adjust[..], &["--dry-run"]].concat());
    assert!(dry.err.contains("nothing was written"), "{}", dry.err);
    let lines = world.json(&adjust);
    // Of the closed month is taken back what the last one of that price cost.
    assert_eq!((&lines["lines"][0]["amount"], &lines["lines"][1]["amount"]), (&"-0.125".into(), &"0.10".into()));
    assert_eq!((&lines["lines"][0]["relates_to"], &lines["lines"][0]["entered_by"]), (&"2026-01".into(), &"Biller".into()));
    let same = world.bad(&adjust);
    assert!(same.err.contains("stands at this amount already"), "{}", same.err);
    assert_eq!(world.run(&["fees", "adjust", "--amount", "1", "--reason", "x"]).code, 2);
}

#[tokio::test]
async fn verify_holds_the_ledger_against_heads_that_were_kept_elsewhere() {
    let world = World::with(NORTH);
    january(&world).await;
    assert_eq!(world.run(&["verify", "--save-head-key", "key.pem"]).code, 2, "nothing has been signed yet");
    world.good(&["fees", "close", "2026-01", "--organization", "north"]);
    world.run(&["verify", "--save-head-key", "key.pem", "--save-heads", "heads.jsonl"]);
    let kept = ["verify", "--head-key", "key.pem", "--heads", "heads.jsonl"];
    let good = world.run(&kept);
    assert!(!good.out.contains("ledger"), "{}", good.out.replace("LEDGER LINES", ""));
    super::fees::tamper(&world, "DELETE FROM ledger_line WHERE seq > 3").await;
    super::fees::tamper(&world, "DELETE FROM ledger_seal").await;
    super::fees::tamper(&world, "UPDATE ledger_head SET seq = 3, hash = (SELECT hash FROM ledger_line WHERE seq = 3)").await;
    let unaware = world.run(&["verify"]);
    assert!(!unaware.out.contains("cut off"), "{}", unaware.out);
    let caught = world.bad(&kept);
    assert!(caught.out.contains("the tail was cut off"), "{}", caught.out);
}
