//! A month of a million lines, of one organization among ten, closes in seconds and is added up in less than one.
//! `POSTERN_LEDGER_LINES=10000000` makes it ten million.

use std::time::{Duration, Instant};

use postern::{
    domain::{OrgId, OrgScope, delivery::Event as E},
    store::ledger::read::LineQuery,
};

use super::{
    billing::{apply, close, happen, lines, month},
    make,
    world::World,
};

/// What is promised of a million on two cores, for a program built to be shipped.
const CLOSED: Duration = Duration::from_secs(30);
const ADDED_UP: Duration = Duration::from_secs(1);
/// Lines of each of the nine other organizations.
const OTHERS: usize = 10_000;

fn many() -> usize {
    std::env::var("POSTERN_LEDGER_LINES").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000)
}

/// A promise, for as many lines as there are. A build for tests on a machine that runs others beside it is not what was promised
/// about: it may take four times as long.
fn patience(promise: Duration, lines: usize) -> Duration {
    let slack = if cfg!(debug_assertions) { 4 } else { 1 };
    promise * slack * u32::try_from(lines.div_ceil(1_000_000)).unwrap()
}

/// The columns of a table, with what stands for some of them instead of the value that is copied.
async fn columns(world: &World, table: &str, instead: &[(&str, String)]) -> (String, String) {
    let (sqlite, postgres) = (
        format!("SELECT name FROM pragma_table_info('{table}')"),
        format!("SELECT column_name::text FROM information_schema.columns WHERE table_name = '{table}'"),
    );
    let names = world.texts(world.either(&sqlite, &postgres)).await;
    let copied = |name: &String| match instead.iter().find(|(column, _)| column == name) {
        Some((_, expression)) => expression.clone(),
        None => format!("s.{name}"),
    };
    (names.join(", "), names.iter().map(copied).collect::<Vec<_>>().join(", "))
}

/// The indexes of both tables that belong to no constraint: their names, and what makes them.
async fn indexes(world: &World) -> (Vec<String>, Vec<String>) {
    let of = world.either(
        "FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('delivery', 'ledger_line') ORDER BY name",
        "FROM pg_indexes WHERE tablename IN ('delivery', 'ledger_line') AND schemaname = 'public'
            AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY indexname",
    );
    let (name, sql) = (world.either("name", "indexname::text"), world.either("sql", "indexdef"));
    (world.texts(&format!("SELECT {name} {of}")).await, world.texts(&format!("SELECT {sql} {of}")).await)
}

/// So many charged deliveries in March, copied from one that was charged by the program, and fewer of nine other organizations.
/// Their hashes are made up: closing does not look at them. Indexes are made once everything is there.
async fn charged(world: &World, count: usize) -> (OrgId, OrgId) {
    let list =
        "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25', tier = [{ above = 1000, amount = '0.20' }] }]
        terms = [{ from = '2026-01-01', minimum = '5', address_month = '1' }]";
    let org = apply(world, "north", list).await;
    let first = world.queued(org, "MANY").await;
    happen(world, org, first, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    assert_eq!(lines(world, org).await.len(), 1);
    world
        .run(&format!(
            "UPDATE delivery SET disposition = 'dispatched', notice_at = NULL, sent_from = 'lab@d.example' WHERE id = '{first}'"
        ))
        .await;
    let mut others = Vec::new();
    for n in 0..9 {
        others.push(world.organization(&format!("other-{n}")).await);
    }

    let hex = world.either("printf('%012x', n.i)", "lpad(to_hex(n.i), 12, '0')");
    let numbers = |from: usize, to: usize| match world.either("sqlite", "postgres") {
        "sqlite" => format!("WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {to})"),
        _ => format!("WITH n(i) AS (SELECT generate_series({from}, {to}))"),
    };
    let of = |column: &str| format!("substr(s.{column}, 1, 24) || {hex}");
    let address = format!("{hex} || '@d.example'");
    let (names, values) = columns(
        world,
        "delivery",
        &[
            ("id", of("id")),
            ("address", address.clone()),
            ("address_key", address),
            ("message_id", format!("'<' || {hex} || '@d.example>'")),
            ("target", "'{}'".into()),
        ],
    )
    .await;
    let (dropped, made) = indexes(world).await;
    let mut script: Vec<String> = dropped.iter().map(|name| format!("DROP INDEX {name}")).collect();
    script.push(format!(
        "INSERT INTO delivery ({names}) {} SELECT {values} FROM delivery s, n WHERE s.id = '{first}'",
        numbers(2, count)
    ));
    // A delivery has the number of its line, but for the first.
    let (names, values) =
        columns(world, "ledger_line", &[("seq", "n.i".into()), ("id", of("id")), ("delivery_id", of("delivery_id"))]).await;
    let first_line = format!("FROM ledger_line s, n WHERE s.org_id = '{org}' AND s.seq = 1");
    script.push(format!("INSERT INTO ledger_line ({names}) {} SELECT {values} {first_line}", numbers(2, count)));
    script.push(format!("UPDATE ledger_head SET seq = {count} WHERE org_id = '{org}'"));
    for (n, other) in others.iter().enumerate() {
        let own = format!("'{other}'");
        let (names, values) = columns(
            world,
            "ledger_line",
            &[
                ("org_id", own.clone()),
                ("bill_to_org", own),
                ("seq", "n.i".into()),
                ("id", format!("'x{n}' || substr(s.id, 3, 22) || {hex}")),
                ("delivery_id", "NULL".into()),
            ],
        )
        .await;
        script.push(format!("INSERT INTO ledger_line ({names}) {} SELECT {values} {first_line}", numbers(1, OTHERS)));
    }
    script.extend(made);
    let (begin, end) = world
        .either(
            "PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; PRAGMA temp_store = MEMORY; BEGIN;|; COMMIT",
            // No foreign key is looked up two million times.
            "SET LOCAL session_replication_role = replica; SET LOCAL maintenance_work_mem = '512MB';|",
        )
        .split_once('|')
        .unwrap();
    world.run(&format!("{begin} {}{end}", script.join("; "))).await;
    // As a server does by itself soon after so much was written.
    world.run(world.either("ANALYZE", "VACUUM ANALYZE")).await;
    (org, others[0])
}

on_both_engines! {
    async fn a_month_with_a_million_lines_closes_in_seconds_and_is_added_up_in_less_than_one(world: &World) {
        let count = many();
        let began = Instant::now();
        let (org, other) = charged(world, count).await;
        let made = began.elapsed();
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let began = Instant::now();
        world.store.add_up(1).await.unwrap();
        let kept = began.elapsed();
        let add_up = async |org| {
            let began = Instant::now();
            let query = LineQuery { period: Some(month("2026-03")), ..LineQuery::of(org) };
            let sums = world.store.ledger_sums(OrgScope::All, &query).await.unwrap();
            (sums.iter().map(|sum| sum.row.lines).sum::<i64>(), began.elapsed())
        };
        let (lines, added_up) = add_up(org).await;
        assert_eq!(lines, i64::try_from(count).unwrap());
        let (lines, of_one_among_ten) = add_up(other).await;
        assert_eq!(lines, i64::try_from(OTHERS).unwrap());
        let began = Instant::now();
        let closing = close(world, org, "2026-03", false).await.unwrap();
        let took = began.elapsed();
        assert!(closing.closed && closing.controls.tie(), "{:?}", closing.refusals);
        assert_eq!(closing.controls.charges, u64::try_from(count).unwrap());
        let saved = i64::try_from(count.saturating_sub(1000)).unwrap() * 50_000;
        let added: Vec<(&str, i64)> = closing.added.iter().map(|row| (row.group.fee_code.as_str(), row.amount.micros())).collect();
        assert_eq!(added, [("direct", -saved), ("address_month", 1_000_000)]);
        println!(
            "{count} lines on {} (made in {made:?}): added up for the first time in {kept:?}, then in {added_up:?}, those of an organization with {OTHERS} among ten in {of_one_among_ten:?}, closed in {took:?}",
            world.store.engine()
        );
        assert!(added_up < patience(ADDED_UP, count), "adding up took {added_up:?}");
        assert!(of_one_among_ten < patience(ADDED_UP, 1), "adding up one among ten took {of_one_among_ten:?}");
        assert!(took < patience(CLOSED, count), "closing took {took:?}");
    }
}
