//! What leaves the ledger at the shell: reports by anything, exports, and the comparison with a HISP's usage.

use std::sync::Arc;

use postern::domain::{DeliveryId, OffsetTime, delivery::Event as E};

use super::{
    fees::tamper,
    world::{World, deliveries, happened, org},
};
use crate::support::clock::TestClock;

const PLAN: &str = "slug = \"plan\"\nname = \"The Plan: North\"\n";
const NORTH: &str = "\
slug = \"north\"
name = \"North Clinics\"
[[site]]
local_id = \"RIVERSIDE01\"
[price]
rate = [{ from = \"2026-01-01\", fee_code = \"direct\", amount = \"0.125\" }]
[[price.terms]]
from = \"2026-01-01\"
cost_center = { RIVERSIDE01 = \"=4711\" }
";

/// Three handed over in January and one in February; the first of January is given back.
async fn months(world: &World) -> Vec<(DeliveryId, String)> {
    let mut made = Vec::new();
    for (number, at) in
        ["2026-01-15T12:00:00Z", "2026-01-16T12:00:00Z", "2026-01-17T12:00:00Z", "2026-02-10T12:00:00Z"].iter().enumerate()
    {
        let store = world.store_at(Arc::new(TestClock::at(at.parse::<OffsetTime>().unwrap().at))).await;
        let ids = deliveries(&store, org(&store, "north").await, &format!("A{number}"), &["pcp@direct.example.org"]).await;
        happened(&store, ids[0], &[E::Claimed, E::WireStarted, E::Accepted]).await;
        if number == 0 {
            happened(&store, ids[0], &[E::Notice(postern::domain::delivery::NoticeKind::Failed), E::CreditDue]).await;
        }
        let sent = store
            .sent_page(
                org(&store, "north").await,
                at.parse::<OffsetTime>().unwrap().at,
                postern::domain::Timestamp(i64::MAX),
                None,
                10,
            )
            .await;
        let sent = sent.unwrap().into_iter().find(|sent| sent.delivery == ids[0]).unwrap();
        made.push((ids[0], sent.message_id));
        store.close().await;
    }
    made
}

#[tokio::test]
async fn a_report_by_anything_ties_with_its_totals_and_months_show_their_change() {
    let world = World::with(NORTH);
    months(&world).await;
    let report = world.json(&["fees", "report", "--month", "2026-01", "--to-month", "2026-02", "--by", "site,month"]);
    let rows = report["rows"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row["month"].as_str().unwrap(), row["amount"].as_str().unwrap(), row["change"].as_str()))
        .collect();
    assert_eq!(told, [("2026-01", "0.25", None), ("2026-02", "0.125", Some("-0.125"))]);
    assert_eq!((&rows[0]["charged"], &rows[0]["credited"]), (&"0.375".into(), &"-0.125".into()));
    assert_eq!((&report["totals"][0]["amount"], &report["totals"][0]["charges"]), (&"0.375".into(), &4.into()));
    let unknown = world.run(&["fees", "report", "--month", "2026-01", "--margin"]);
    assert!(unknown.code == 2 && unknown.err.contains("[fees]"), "{}", unknown.err);
    let config = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    world.write("postern.toml", config.replace("#cost = {}", "cost = { direct = \"0.04\" }"));
    let margin = world.json(&["fees", "report", "--month", "2026-01", "--margin"]);
    assert_eq!((&margin["rows"][0]["cost"], &margin["rows"][0]["margin"]), (&"0.12".into(), &"0.13".into()));
    tamper(&world, "UPDATE delivery SET relay = CASE WHEN accepted_at < 1768500000000000 THEN 'hisp-a' ELSE 'mx' END").await;
    let config = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    world.write("postern.toml", config.replace("#cost_by_relay = {}", "cost_by_relay = { hisp-a = \"0.02\" }"));
    let margin = world.json(&["fees", "report", "--month", "2026-01", "--by", "relay", "--margin"]);
    let told: Vec<_> =
        margin["rows"].as_array().unwrap().iter().map(|row| (row["relay"].as_str(), row["cost"].as_str())).collect();
    assert_eq!(told, [(Some("hisp-a"), Some("0.02")), (Some("mx"), Some("0.08"))], "{margin:#}");
    let table = world.good(&["fees", "report", "--month", "2026-01", "--by", "status", "--margin"]).out;
    assert!(table.lines().any(|line| super::world::words(line).first() == Some(&"all")) && table.contains("MARGIN"), "{table}");
    assert_eq!(world.run(&["fees", "report", "--month", "2026-01", "--by", "patient"]).code, 2);
    assert_eq!(world.run(&["fees", "report"]).code, 2);
}

#[tokio::test]
async fn bl_30_an_export_neutralizes_formulas_in_texts_alone_and_an_invoice_adds_up_to_zero() {
    let world = World::with(NORTH);
    months(&world).await;
    let export = |format: &str, more: &[&str]| {
        world.run(&[&["fees", "export", "--organization", "north", "--month", "2026-01", "--format", format], more].concat())
    };
    let csv = export("csv", &[]);
    let credit = csv.out.lines().find(|line| line.contains(",credit,")).unwrap();
    assert!(credit.contains(",'=4711,") && credit.contains(",1,-0.125,-0.125,USD,"), "{credit}");
    assert!(
        csv.out.lines().count() == 5 && csv.out.contains("\r\n") && csv.err.contains("4 lines that add up to 0.25 USD"),
        "{}",
        csv.err
    );
    let jsonl = export("jsonl", &["--after", "2"]);
    let lines: Vec<serde_json::Value> = jsonl.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["line"].as_i64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    let open = export("iif", &[]);
    assert!(open.code == 2 && open.err.contains("has not closed 2026-01"), "{}", open.err);
    world.good(&["fees", "close", "2026-01", "--organization", "north", "--force"]);
    let iif = export("iif", &[]).out;
    let amount = |line: &str| line.split('\t').nth(5).unwrap().parse::<postern::domain::Money>().unwrap().micros();
    let entries: Vec<i64> = iif.lines().filter(|line| line.starts_with("TRNS") || line.starts_with("SPL")).map(amount).collect();
    assert!(entries.len() >= 3 && entries.iter().sum::<i64>() == 0, "{iif}");
    assert!(
        iif.contains("TRNS\tINVOICE\t01/31/26\tAccounts Receivable\tNorth Clinics\t") && iif.contains("\tnorth-2026-01\t"),
        "{iif}"
    );
    let actions = world.json(&["audit", "list", "--organization", "north", "--action", "data_exported"]);
    assert_eq!(actions.as_array().unwrap().len(), 4, "each try is on record");
}

#[tokio::test]
async fn a_usage_file_is_explained_row_by_row_and_signed_for_once_and_for_ever() {
    let world = World::with(NORTH);
    let made = months(&world).await;
    let config = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    world.write("postern.toml", config.replace("#cost = {}", "cost = { direct = \"0.04\" }"));
    let usage = format!(
        "\u{feff}Msg,Price,State\r\n{},0.04,delivered\r\n{},0.05,delivered\r\n{},0.05,delivered\r\n{},0.04,ok\r\n<nobody@x.example>,0.04,\r\n=SUM(B2),0.22,\r\n",
        made[0].1, made[1].1, made[1].1, made[3].1
    );
    let file = world.write("usage.csv", usage);
    let map = "message_id=msg,price=price,outcome=state";
    let base = ["fees", "reconcile", "--organization", "north", "--month", "2026-01"];
    let asked = [&base[..], &["--file", &file, "--map", map]].concat();
    let ran = world.bad(&[&asked[..], &["--json", "--csv", "differences.csv"]].concat());
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let count = |name: &str| told["totals"][name].as_u64().unwrap();
    let counts = ["rows", "messages", "matched", "ours_only", "theirs_only", "price_differs", "outcome_differs"].map(count);
    assert_eq!(counts, [6, 3, 0, 1, 4, 1, 1], "{told:#}");
    let whys: Vec<&str> = told["differences"].as_array().unwrap().iter().map(|one| one["why"].as_str().unwrap()).collect();
    for part in [
        "counted this message before",
        "in another month",
        "no message of this organization",
        "neither a Message-ID",
        "another price",
        "says it failed",
    ] {
        assert!(whys.iter().any(|why| why.contains(part)), "{part} in {whys:?}");
    }
    let csv = std::fs::read_to_string(world.path("differences.csv")).unwrap();
    assert_eq!(csv.lines().count(), 8, "{csv}");
    let shown = world.bad(&asked).out;
    assert!(shown.contains("-> dispute it"), "{shown}");
    assert_eq!(world.run(&[&asked[..], &["--sign-off"]].concat()).code, 2, "without a note");
    world.bad(&[&asked[..], &["--sign-off", "--note", "agreed with the HISP", "--by", "Biller"]].concat());
    world.bad(&[&asked[..], &["--sign-off", "--note", "once more", "--by", "Auditor"]].concat());
    let signed = world.json(&base);
    let by: Vec<_> = signed.as_array().unwrap().iter().map(|one| one["signed_by"].as_str().unwrap()).collect();
    assert_eq!(by, ["Biller", "Auditor"]);
    let actions = world.json(&["audit", "list", "--organization", "north", "--action", "reconciliation_signed"]);
    assert_eq!(actions.as_array().unwrap().len(), 2);
    let nothing = world.write("other.csv", "A,B\r\n1,2\r\n");
    let ran = world.run(&[&base[..], &["--file", &nothing]].concat());
    assert!(ran.code == 2 && ran.err.contains("nothing to find a message by"), "{}", ran.err);
}

#[tokio::test]
async fn messages_without_ids_are_found_by_day_and_recipient_each_once() {
    let world = World::with(NORTH);
    months(&world).await;
    let rows =
        ["2026-01-15", "2026-01-16T09:00:00Z", "2026-01-17", "2026-01-17"].map(|day| format!("{day},PCP@Direct.Example.org\r\n"));
    let file = world.write("usage.csv", format!("Date,To\r\n{}", rows.concat()));
    let ran = world.bad(&["fees", "reconcile", "--organization", "north", "--month", "2026-01", "--file", &file, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&told["totals"]["matched"], &told["totals"]["theirs_only"], &told["totals"]["ours_only"]),
        (&3.into(), &1.into(), &0.into()),
        "{told:#}"
    );
}

#[tokio::test]
async fn a_usage_file_parted_by_semicolons_or_tabs_is_read_and_prices_may_differ_by_as_much_as_is_set() {
    let world = World::with(NORTH);
    let made = months(&world).await;
    let config = std::fs::read_to_string(world.path("postern.toml")).unwrap();
    let config = config.replace("#cost = {}", "cost = { direct = \"0.04\" }");
    world.write("postern.toml", &config);
    let base = ["fees", "reconcile", "--organization", "north", "--month", "2026-01"];
    let rows = |by: char, prices: [&str; 3]| {
        let row = |(at, price): (usize, &&str)| format!("{}{by}\"delivered, or so\"{by}{price}\r\n", made[at].1);
        format!("Message-ID{by}State{by}Price\r\n{}", prices.iter().enumerate().map(row).collect::<String>())
    };
    for (by, word, prices) in [(';', "semicolon", ["0,04", "0,05", "0,04 €"]), ('\t', "tab", ["0.04", "0.05", "$0.04"])] {
        let file = world.write("usage.csv", rows(by, prices));
        let ran = world.bad(&[&base[..], &["--file", &file, "--json"]].concat());
        let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let totals = &told["totals"];
        assert_eq!(
            (&totals["separator"], &totals["matched"], &totals["price_differs"]),
            (&word.into(), &2.into(), &1.into()),
            "{told:#}"
        );
        assert_eq!(told["differences"][0]["theirs"], "0.05");
        let shown = world.bad(&[&base[..], &["--file", &file]].concat());
        assert!(shown.err.contains(&format!("parted by: {word}")), "{}", shown.err);
        // Named, it is taken at its word.
        assert_eq!(world.run(&[&base[..], &["--file", &file, "--separator", "comma"]].concat()).code, 2);
        let near = world.good(&[&base[..], &["--file", &file, "--tolerance", "0.01"]].concat());
        assert!(near.err.contains("no more than 0.01"), "{}", near.err);
    }
    // Nothing may differ unless somebody sets it.
    world.write("postern.toml", config.replace("#tolerance = \"0.00\"", "tolerance = \"0.01\""));
    world.good(&[&base[..], &["--file", "usage.csv"]].concat());
    world.bad(&[&base[..], &["--file", "usage.csv", "--tolerance", "0.009"]].concat());
}

#[test]
fn a_sponsor_nobody_knows_is_an_error_when_the_file_is_applied() {
    let world = World::new();
    let file = world.write("north.toml", format!("{NORTH}[[price.terms.sponsor]]\norganization = \"plan\"\n"));
    let ran = world.bad(&["org", "apply", &file]);
    assert!(ran.err.contains("price.terms[0].sponsor[0].organization") && ran.err.contains("\"plan\""), "{}", ran.err);
    world.good(&["org", "apply", &world.write("plan.toml", PLAN)]);
    world.good(&["org", "apply", &file]);
    let own = world.write("own.toml", format!("{NORTH}[[price.terms.sponsor]]\norganization = \"north\"\n"));
    let ran = world.bad(&["org", "apply", &own]);
    assert!(ran.err.contains("sponsor[0].organization is the organization itself"), "{}", ran.err);
}
