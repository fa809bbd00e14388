//! Every page of the console where there is a great deal. `POSTERN_CONSOLE_DELIVERIES=1000000` makes it a million deliveries;
//! `scripts/load` does, with the program as it is shipped.

use std::time::{Duration, Instant};

use postern::domain::{
    delivery::Event,
    person::{Reach, Role},
};

use super::{
    pages::PAGES,
    world::{Browser, World},
};
use crate::store::world::World as Database;

/// What a page may take: the promise, and what a debug build with a debug build of SQLite in it may take beside other tests.
const PROMISE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_500 } else { 100 });
/// How often each is loaded after the first time.
const TIMES: usize = 7;

fn many() -> usize {
    std::env::var("POSTERN_CONSOLE_DELIVERIES").ok().and_then(|count| count.parse().ok()).unwrap_or(5_000)
}

shown! {
    async fn every_page_is_quick_with_many_deliveries(world: &World) {
        let count = many();
        let began = Instant::now();
        let org = world.organization("north").await;
        let first = world.database.queued(org, "A1").await;
        world.database.lead(org, first, &[Event::Claimed, Event::WireStarted, Event::Accepted]).await;
        fill(&world.database, count).await;
        println!("{count} deliveries on {}, made in {:?}", world.database.store.engine(), began.elapsed());

        let admin = world.person("root@lab.example", Role::Admin, Reach::Installation).await;
        let mut browser = world.signed_in(admin).await;
        let mut slow = Vec::new();
        println!("{:>9} {:>9} {:>9}  page", "first", "median", "worst");
        for path in paths(&mut browser, &first.to_string()).await {
            // A session of its own: one makes only so many requests at once.
            browser = world.signed_in(admin).await;
            let first = load(&mut browser, &path).await;
            let mut all = Vec::new();
            for _ in 0..TIMES {
                all.push(load(&mut browser, &path).await);
            }
            all.sort();
            let (median, worst) = (all[TIMES / 2], all[TIMES - 1]);
            let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1000.0);
            println!("{:>9} {:>9} {:>9}  {path}", millis(first), millis(median), millis(worst));
            if median > PROMISE {
                slow.push(format!("{path} takes {}", millis(median)));
            }
        }
        assert!(slow.is_empty(), "with {count} deliveries: {}", slow.join("; "));
    }
}

async fn load(browser: &mut Browser, path: &str) -> Duration {
    let began = Instant::now();
    let seen = browser.get(path).await;
    let took = began.elapsed();
    assert_eq!(seen.status, 200, "{path}: {}", seen.body);
    took
}

/// Every page: what names nothing, what is filtered, and one of each that names something.
async fn paths(browser: &mut Browser, delivery: &str) -> Vec<String> {
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    for filter in [
        "state=accepted",
        "state=held",
        "state=refused",
        "reason=no_cert",
        "disposition=expired",
        "address=a77@direct.example.org",
        "npi=1234567893",
        "site=NOWHERE",
        "organization=north",
        "organization=north&state=held",
    ] {
        paths.push(format!("/deliveries?{filter}"));
    }
    paths.extend(["/worklist?reason=no_target", "/worklist?organization=north", "/audit?action=signed_in"].map(str::to_owned));
    let one = browser.get(&format!("/deliveries/{delivery}")).await.body;
    let older = browser.get("/deliveries").await.body;
    let month = browser.get("/fees/north").await.body;
    paths.push(format!("/deliveries/{delivery}"));
    paths.push(link(&one, "/results/"));
    paths.push(link(&older, "/deliveries?"));
    paths.extend(["/organizations/north", "/fees/north"].map(str::to_owned));
    let month = link(&month, "/fees/north/");
    paths.extend(["/statement", "/lines", "/reconcile", "/close"].map(|more| format!("{month}{more}")));
    paths.push(month);
    paths
}

/// The first link on a page that begins so.
fn link(page: &str, start: &str) -> String {
    let at = page.split("href=\"").find(|part| part.starts_with(start)).unwrap_or_else(|| panic!("a link to {start}"));
    at.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&")
}

/// As many orders, each with a result, its route, a delivery with its history, and its charge: copies of the one there is, two
/// seconds apart. One result in a thousand waits for a person; of the deliveries one in ten thousand each is held or expired.
async fn fill(database: &Database, count: usize) {
    let id = database.either(
        "printf('01900000-%04x-7%03x-8000-%012x', n / 4096, n % 4096, n)",
        "'01900000-' || lpad(to_hex(n / 4096), 4, '0') || '-7' || lpad(to_hex(n % 4096), 3, '0') || '-8000-' || lpad(to_hex(n), 12, '0')",
    );
    let ago = |column: &str| format!("d.{column} - n * CAST(2000000 AS BIGINT)");
    let own = |column: &str| match column {
        "order_id" => "'L' || n".to_owned(),
        "address" | "address_key" => "'a' || n || '@direct.example.org'".to_owned(),
        "message_id" => "'<m' || n || '@example.org>'".to_owned(),
        "document_id" | "set_id" => "'d' || n".to_owned(),
        "created_at" | "updated_at" | "received_at" | "at" => ago(column),
        "id" | "order_key" | "result_id" | "delivery_id" => id.to_owned(),
        column => format!("d.{column}"),
    };
    for (table, other) in [
        ("order_", None),
        ("result", Some(("CASE n % 1000 WHEN 1 THEN 'held' ELSE 'routed' END", "CASE n % 1000 WHEN 1 THEN 'no_target' END"))),
        ("route_recipient", None),
        ("delivery", Some(("CASE n % 10000 WHEN 1 THEN 'held' ELSE 'accepted' END", "CASE n % 10000 WHEN 1 THEN 'no_cert' END"))),
        ("delivery_event", None),
        ("ledger_line", None),
    ] {
        let columns = database.texts(&database.either(
            "SELECT name FROM pragma_table_info('TABLE')",
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'TABLE' AND table_schema = current_schema()",
        ).replace("TABLE", table)).await;
        let value = |column: &str| match (table, column, other) {
            (_, "state", Some((state, _))) => state.to_owned(),
            (_, "reason", Some((_, reason))) => reason.to_owned(),
            ("delivery", "disposition", _) => {
                "CASE n % 10000 WHEN 1 THEN NULL WHEN 2 THEN 'expired' ELSE 'processed' END".to_owned()
            }
            // The chain's links are made up: no page looks at them.
            ("ledger_line", "seq", _) => "d.seq + n".to_owned(),
            ("order_", "patient" | "member", _) => "NULL".to_owned(),
            _ => own(column),
        };
        let values: Vec<String> = columns.iter().map(|column| value(column)).collect();
        let (columns, values) = (columns.join(", "), values.join(", "));
        // The one there was is of A1; what is copied has an id of its own.
        let only = if table == "ledger_line" || table == "delivery_event" { "" } else { " LIMIT 1" };
        let inserted = database
            .run(&format!(
                "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})
             INSERT INTO {table} ({columns}) SELECT {values} FROM c, (SELECT * FROM {table}{only}) AS d"
            ))
            .await;
        assert!(inserted >= count as u64, "{table}: {inserted}");
    }
    database.run(&format!("UPDATE ledger_head SET seq = {}", count + 1)).await;
    database.run("ANALYZE").await;
    database.store.add_up(1).await.unwrap();
}
