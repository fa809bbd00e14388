//! Somebody with the database file and any SQL tool, but without the program and its keys: what `postern verify` says about each
//! thing they can do to a ledger. The chain is recomputed here from what docs/billing.md says of it, by code of its own.

use std::{fs, sync::Arc};

use postern::{
    crypto::{Hex, sha256},
    domain::{OffsetTime, delivery::Event as E},
};
use sqlx::{AssertSqlSafe, Row as _, SqlitePool, sqlite::SqliteConnectOptions};

use super::world::{World, deliveries, happened, org};
use crate::support::clock::TestClock;

const NORTH: &str = "\
slug = \"north\"
name = \"North\"
[[site]]
local_id = \"RIVERSIDE01\"
[price]
rate = [{ from = \"2026-01-01\", fee_code = \"direct\", amount = \"0.25\" }]
";

/// The database as it was before anybody touched it.
const UNTOUCHED: &str = "untouched.db";

/// A ledger with six lines, closed and its end signed, which verifies; its heads and their key are kept elsewhere, as an auditor
/// would.
async fn closed() -> World {
    let world = World::with(NORTH);
    let at: OffsetTime = "2026-01-15T12:00:00Z".parse().unwrap();
    let store = world.store_at(Arc::new(TestClock::at(at.at))).await;
    let north = org(&store, "north").await;
    let addresses = ["a@d.example", "b@d.example", "c@d.example", "d@d.example", "e@d.example"];
    let made = deliveries(&store, north, "A1", &addresses).await;
    for id in &made {
        happened(&store, *id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    }
    store.close().await;
    let document = world.path("blobs").join(north.to_string()).join("pdf-01");
    fs::create_dir_all(document.parent().unwrap()).unwrap();
    fs::write(document, "sealed").unwrap();
    world.good(&[
        "fees",
        "adjust",
        "--delivery",
        &made[1].to_string(),
        "--amount",
        "0",
        "--reason",
        "as agreed",
        "--by",
        "Biller",
    ]);
    world.good(&["fees", "close", "2026-01", "--organization", "north", "--force", "--by", "Biller"]);
    let verified = world.json(&["verify", "--save-heads", "heads.jsonl", "--save-head-key", "head.pem"]);
    assert_eq!((&verified["verified"], &verified["organizations"][0]["ledger_lines"]), (&true.into(), &6.into()), "{verified:#}");
    let database = open(&world).await;
    // Everything into the one file.
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&database).await.unwrap();
    database.close().await;
    fs::copy(world.path("postern.db"), world.path(UNTOUCHED)).unwrap();
    world
}

async fn open(world: &World) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(world.path("postern.db")).foreign_keys(false);
    SqlitePool::connect_with(options).await.unwrap()
}

/// Begins again with the database as it was, and runs this in it.
async fn tamper(world: &World, sql: &str) -> SqlitePool {
    for beside in ["postern.db-wal", "postern.db-shm"] {
        let _ = fs::remove_file(world.path(beside));
    }
    fs::copy(world.path(UNTOUCHED), world.path("postern.db")).unwrap();
    let database = open(world).await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&database).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    database
}

/// Makes the chain sound again from end to end, with the right hash in each line and at its end: as good as it can be done.
async fn chain_anew(database: &SqlitePool) {
    const TEXTS: [&str; 20] = [
        "previous",
        "org_id",
        "id",
        "bill_to_org",
        "cost_center",
        "delivery_id",
        "site",
        "payer",
        "channel",
        "status",
        "entry_type",
        "fee_code",
        "currency",
        "price_id",
        "note",
        "period",
        "relates_to",
        "reverses",
        "reason",
        "entered_by",
    ];
    const NUMBERS: [&str; 6] = ["seq", "quantity", "unit_price", "amount", "occurred_at", "recorded_at"];
    let lines = sqlx::query("SELECT * FROM ledger_line ORDER BY org_id, seq").fetch_all(database).await.unwrap();
    let mut previous = String::new();
    for line in &lines {
        let mut all = String::new();
        for name in TEXTS {
            let text = if name == "previous" { Some(previous.clone()) } else { line.get::<Option<String>, _>(name) };
            all += &text.map_or("-:".to_owned(), |text| format!("{}:{text}", text.len()));
        }
        for name in NUMBERS {
            all += &format!("{};", line.get::<i64, _>(name));
        }
        let hash = Hex(&sha256(all.as_bytes())).to_string();
        let set = sqlx::query("UPDATE ledger_line SET previous = ?, hash = ? WHERE id = ?");
        set.bind(&previous).bind(&hash).bind(line.get::<String, _>("id")).execute(database).await.unwrap();
        previous = hash;
    }
    let end = sqlx::query("UPDATE ledger_head SET seq = ?, hash = ?");
    end.bind(i64::try_from(lines.len()).unwrap()).bind(previous).execute(database).await.unwrap();
}

/// As if every line had been added up, to nothing.
const FALSE_SUMS: &str = "INSERT OR REPLACE INTO ledger_summed SELECT org_id, seq FROM ledger_head";

#[tokio::test]
async fn a_line_changed_removed_or_put_in_and_a_tail_cut_off_are_each_named_by_verify() {
    let world = closed().await;
    for (sql, named) in [
        ("UPDATE ledger_line SET amount = 0, unit_price = 0 WHERE seq = 3", "its chain breaks at line 3: line 3 was changed"),
        ("UPDATE ledger_line SET reason = 'as nobody agreed' WHERE seq = 6", "its chain breaks at line 6: line 6 was changed"),
        ("DELETE FROM ledger_line WHERE seq = 2", "its chain breaks at line 2: line 2 was removed"),
        (
            "DELETE FROM ledger_line WHERE seq = 2; UPDATE ledger_line SET seq = seq - 1 WHERE seq > 2; UPDATE ledger_head SET seq = 5",
            "its chain breaks at line 2: line 2 was removed",
        ),
        (
            "UPDATE ledger_line SET seq = -seq - 1 WHERE seq > 3; UPDATE ledger_line SET seq = -seq WHERE seq < 0;
             INSERT INTO ledger_line SELECT org_id, 4, 'x' || id, bill_to_org, cost_center, NULL, site, payer, channel, status, 'adjustment',
                fee_code, quantity, unit_price, amount, currency, price_id, note, period, relates_to, NULL, reason, entered_by,
                occurred_at, recorded_at, hash, previous FROM ledger_line WHERE seq = 3;
             UPDATE ledger_head SET seq = 7",
            "its chain breaks at line 4: line 4 was",
        ),
        (
            "DELETE FROM ledger_line WHERE seq > 4;
             UPDATE ledger_head SET seq = 4, hash = (SELECT hash FROM ledger_line WHERE seq = 4)",
            "the tail was cut off: lines from 5 to 6 are gone",
        ),
        ("DELETE FROM ledger_head", "the ledger's end is gone"),
        (FALSE_SUMS, "the sums that reports show are not those of its lines"),
    ] {
        tamper(&world, sql).await.close().await;
        let ran = world.bad(&["verify"]);
        assert!(ran.out.contains(named) && ran.err.contains("do not bill"), "{sql}\n{}{}", ran.out, ran.err);
    }
    tamper(&world, FALSE_SUMS).await.close().await;
    world.good(&["fees", "add-up"]);
    world.good(&["verify"]);
    tamper(&world, "SELECT 1").await.close().await;
    world.good(&["verify"]);
}

#[tokio::test]
async fn a_chain_written_anew_with_every_hash_right_is_named_against_its_signed_head() {
    let world = closed().await;
    // The hash is what this test believes it to be: computed again over what is there, nothing changes.
    let database = tamper(&world, "SELECT 1").await;
    chain_anew(&database).await;
    database.close().await;
    world.good(&["verify"]);

    let database = tamper(&world, "UPDATE ledger_line SET amount = 1, unit_price = 1 WHERE seq = 3").await;
    chain_anew(&database).await;
    database.close().await;
    let ran = world.bad(&["verify"]);
    let named = "the ledger was written anew: line 6 is not the one whose hash was signed";
    assert!(ran.out.contains(named) && !ran.out.contains("its chain breaks"), "the chain alone is sound: {}", ran.out);

    // Whoever takes the signed head away as well meets the copy that was kept elsewhere.
    let database =
        tamper(&world, "UPDATE ledger_line SET amount = 1, unit_price = 1 WHERE seq = 3; DELETE FROM ledger_seal").await;
    chain_anew(&database).await;
    database.close().await;
    let ran = world.bad(&["verify", "--heads", "heads.jsonl", "--head-key", "head.pem"]);
    assert!(ran.out.contains(named), "{}", ran.out);

    // And whoever signs a head of their own is no holder of the key.
    let database = tamper(&world, "UPDATE ledger_line SET amount = 1, unit_price = 1 WHERE seq = 3").await;
    chain_anew(&database).await;
    let forged = "UPDATE ledger_seal SET hash = (SELECT hash FROM ledger_line WHERE ledger_line.seq = ledger_seal.seq)";
    sqlx::query(forged).execute(&database).await.unwrap();
    database.close().await;
    let ran = world.bad(&["verify"]);
    assert!(ran.out.contains("the signed head at line 6 is forged: our key did not sign it"), "{}", ran.out);
}
