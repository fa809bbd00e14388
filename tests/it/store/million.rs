//! A month with many lines closes in seconds and in bounded memory. `POSTERN_LEDGER_LINES=1000000` makes it a million.

use std::time::{Duration, Instant};

use postern::domain::{OrgId, OrgScope, delivery::Event as E};

use super::{
    billing::{apply, close, happen, lines, month},
    make,
    world::{START, World},
};

/// What a debug build (with a debug build of SQLite in it) may take for a million on a busy machine; the promise is 30 s.
const PATIENCE: Duration = Duration::from_mins(2);

fn many() -> usize {
    std::env::var("POSTERN_LEDGER_LINES").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// So many charged deliveries in March. Their hashes are made up: closing does not look at them.
async fn charged(world: &World, count: usize) -> OrgId {
    let list =
        "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25', tier = [{ above = 1000, amount = '0.20' }] }]
        terms = [{ from = '2026-01-01', minimum = '5', address_month = '1' }]";
    let org = apply(world, "north", list).await;
    let first = world.many(org, count).await[0];
    happen(world, org, first, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    assert_eq!(lines(world, org).await.len(), 1);
    world.run(&format!(
        "INSERT INTO ledger_line (org_id, seq, id, bill_to_org, cost_center, delivery_id, site, payer, channel, status, entry_type, fee_code,
            quantity, unit_price, amount, currency, price_id, note, period, relates_to, reverses, reason, entered_by, occurred_at,
            recorded_at, previous, hash)
         SELECT l.org_id, 1 + ROW_NUMBER() OVER (ORDER BY d.id), d.id, l.bill_to_org, l.cost_center, d.id, l.site, l.payer, l.channel, l.status,
            l.entry_type, l.fee_code, l.quantity, l.unit_price, l.amount, l.currency, l.price_id, l.note, l.period, l.relates_to, l.reverses,
            l.reason, l.entered_by, l.occurred_at, l.recorded_at, l.hash, l.hash
         FROM ledger_line l, delivery d WHERE d.id <> '{first}'")).await;
    world.run(&format!("UPDATE ledger_head SET seq = {count}")).await;
    world.run(&format!(
        "UPDATE delivery SET state = 'accepted', fee = 'charged', disposition = 'dispatched', sent_from = 'lab@d.example', accepted_at = {}",
        START.micros())).await;
    world.run("ANALYZE").await;
    org
}

on_both_engines! {
    async fn a_month_with_many_lines_closes_in_seconds(world: &World) {
        let count = many();
        let org = charged(world, count).await;
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let began = Instant::now();
        let closing = close(world, org, "2026-03", false).await.unwrap();
        let took = began.elapsed();
        assert!(closing.closed && closing.controls.tie(), "{:?}", closing.refusals);
        assert_eq!(closing.controls.charges, u64::try_from(count).unwrap());
        let saved = i64::try_from(count - 1000).unwrap() * 50_000;
        let added: Vec<(&str, i64)> = closing.added.iter().map(|row| (row.group.fee_code.as_str(), row.amount.micros())).collect();
        assert_eq!(added, [("direct", -saved), ("address_month", 1_000_000)]);
        let began = Instant::now();
        let query = postern::store::ledger::read::LineQuery { period: Some(month("2026-03")), ..postern::store::ledger::read::LineQuery::of(org) };
        world.store.ledger_sums(OrgScope::All, &query).await.unwrap();
        let added_up = began.elapsed();
        println!("{} lines on {}: closed in {took:?}, added up in {:?}", count, world.store.engine(), added_up);
        assert!(added_up < PATIENCE / 4, "adding up took {added_up:?}");
        assert!(took < PATIENCE, "closing took {took:?}");
    }
}
