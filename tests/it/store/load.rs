//! A hundred thousand queued deliveries, and a thousand organizations: claiming looks at what it takes, not at all there is.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use postern::domain::{OrgId, OrgScope};

use super::{make, world::World};

const QUEUED: usize = 100_000;
const ORGANIZATIONS: usize = 1_000;

/// What a debug build (with a debug build of SQLite in it) may take; a release takes a tenth. On a busy machine it may take as
/// long as reading the queue once does in the same run, which otherwise is several times as much.
const PATIENCE: Duration = Duration::from_millis(100);

/// A large organization, and a thousand small ones with one result and one delivery each.
async fn fill(world: &World) -> OrgId {
    let large = world.organization("large").await;
    world.many(large, QUEUED).await;
    for number in 0..ORGANIZATIONS {
        world.organization(&format!("small{number}")).await;
    }
    for copy in [
        String::from("INSERT INTO order_ (org_id, id, order_id, site, state, priority, sealed, content, set_id, created_at, updated_at)
            SELECT s.id, r.id, r.order_id, r.site, r.state, r.priority, r.sealed, r.content, r.set_id, r.created_at, r.updated_at
            FROM order_ r, organization o, organization s WHERE o.slug = 'large' AND s.id <> o.id AND r.org_id = o.id"),
        String::from("INSERT INTO result (org_id, id, order_key, order_id, site, version, status, priority, state, sealed, content, pdf, pdf_sha256,
                pdf_bytes, received_at, next_attempt_at)
            SELECT s.id, r.id, r.order_key, r.order_id, r.site, r.version, r.status, r.priority, r.state, r.sealed, r.content, r.pdf,
                r.pdf_sha256, r.pdf_bytes, r.received_at, r.next_attempt_at FROM result r, organization o, organization s WHERE o.slug = 'large' AND s.id <> o.id AND r.org_id = o.id"),
        format!("INSERT INTO delivery (org_id, id, result_id, order_key, version, site, address, address_key, target, message_id, document_id,
                fee_code, test, priority, state, fee, unknown_attempts, stopped, billable, when_unknown, wants_dispatched, attempts,
                next_attempt_at, retry_until, rechecks, created_at, updated_at)
             SELECT s.id, d.id, d.result_id, d.order_key, d.version, d.site, d.address, d.address_key, d.target, '<' || s.slug || substr(d.message_id, 2),
                d.document_id, d.fee_code, d.test, d.priority, d.state, d.fee, d.unknown_attempts, d.stopped, d.billable, d.when_unknown,
                d.wants_dispatched, d.attempts, d.next_attempt_at, d.retry_until, d.rechecks, d.created_at, d.updated_at
             FROM delivery d, organization o, organization s WHERE o.slug = 'large' AND s.id <> o.id AND d.org_id = o.id AND d.address_key = '{}'", make::ADDRESS),
    ] {
        world.run(&copy).await;
    }
    world.run("ANALYZE").await;
    large
}

/// The median of several goes.
async fn median(mut go: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        go().await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[4]
}

on_both_engines! {
    async fn claiming_takes_as_long_as_what_it_claims_whatever_waits(world: &World) {
        let large = fill(world).await;
        let (lease, mut turn) = (make::lease(), 0);
        let mut served = BTreeSet::new();
        let store = &world.store;
        let claim = median(async || {
            let claimed = store.claim_deliveries(&lease, 32, turn).await.unwrap();
            assert_eq!(claimed.len(), 32);
            served.extend(claimed.into_iter().map(|claimed| claimed.org));
            turn += 32;
        }).await;
        assert_eq!(served.len(), 9 * 32, "every batch goes on where the one before ended");
        let id = world.texts(&format!("SELECT id FROM delivery WHERE org_id = '{large}' AND state = 'queued' LIMIT 1")).await[0].parse().unwrap();
        let result = world.texts(&format!("SELECT id FROM result WHERE org_id = '{large}'")).await[0].parse().unwrap();
        let address = make::ELSEWHERE.parse().unwrap();
        let (mut number, mut sent) = (0, Vec::new());
        let route = median(async || {
            let order_id = format!("A{number}");
            number += 1;
            world.result(large, &order_id).await;
            let routing = store.claim_results(&lease, 8, 0).await.unwrap().remove(0);
            let start = Instant::now();
            world.record(make::routing(large, routing.id, &lease, &[make::ADDRESS])).await.unwrap();
            sent.push(start.elapsed());
        }).await;
        assert!(route > Duration::ZERO);
        sent.sort_unstable();
        number = 0;
        let cancel = median(async || {
            let order = make::order(&format!("A{number}"));
            number += 1;
            store.take_order(large, &order, postern::domain::order::Action::Cancel).await.unwrap();
        }).await;
        let times = [
            ("claim", claim),
            ("route", sent[4]),
            ("cancel", cancel),
            ("next_due", median(async || assert!(store.next_due().await.unwrap().is_some())).await),
            ("renew", median(async || store.renew(&lease).await.unwrap()).await),
            ("abandoned", median(async || drop(store.abandoned_deliveries().await.unwrap())).await),
            ("unknown", median(async || drop(store.unknown_overdue().await.unwrap())).await),
            ("routing", median(async || drop(store.claim_results(&lease, 8, 0).await.unwrap())).await),
            ("work", median(async || drop(store.work(large, id).await.unwrap())).await),
            ("trace", median(async || drop(store.trace(large, result).await.unwrap())).await),
            ("delivery", median(async || drop(store.delivery_view(OrgScope::All, id).await.unwrap())).await),
            ("last_success", median(async || assert!(store.last_success(large, &address).await.unwrap().is_none())).await),
        ];
        let whole = median(async || drop(world.texts("SELECT target FROM delivery WHERE state = 'queued'").await)).await;
        println!("{}: the whole queue {whole:?}, {times:?}", store.engine());
        for (what, took) in times {
            assert!(took < PATIENCE.max(whole), "{what} took {took:?}, the whole queue {whole:?}");
        }
    }
}
