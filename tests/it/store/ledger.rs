//! The ledger is a chain: whoever changes it behind our back is found out.

use postern::domain::{OrgId, delivery::Event, order::Action};

use super::{make, world::World};

use Event as E;

const SENT: &[Event] = &[E::Claimed, E::WireStarted, E::Accepted];

/// An organization with so many charges.
async fn charged(world: &World, slug: &str, count: usize) -> OrgId {
    let org = world.organization(slug).await;
    for id in world.many(org, count).await {
        world.lead(org, id, SENT).await;
    }
    assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(i64::try_from(count).unwrap()));
    org
}

on_both_engines! {
    async fn an_empty_chain_and_each_organizations_own_verify(world: &World) {
        let empty = world.organization("empty").await;
        let (north, south) = (charged(world, "north", 3).await, charged(world, "south", 2).await);
        assert_eq!(world.store.verify_ledger(empty).await.unwrap(), Ok(0));
        assert_eq!(world.store.verify_ledger(north).await.unwrap(), Ok(3));
        assert_eq!(world.store.verify_ledger(south).await.unwrap(), Ok(2));
    }

    async fn a_changed_field_of_any_line_is_found(world: &World) {
        let (org, other) = (charged(world, "north", 3).await, world.organization("other").await);
        for (column, changed, back) in [
            ("amount", "1", "250000"),
            ("unit_price", "1", "250000"),
            ("quantity", "2", "1"),
            ("currency", "'EUR'", "'USD'"),
            ("site", "'HILLTOP02'", &format!("'{}'", make::SITE)),
            ("note", "'test'", "''"),
            ("fee_code", "'fax'", "'direct'"),
            ("entry_type", "'adjustment'", "'charge'"),
            ("occurred_at", "occurred_at + 1", "occurred_at - 1"),
            ("recorded_at", "recorded_at + 1", "recorded_at - 1"),
            ("price_id", "price_id || 'x'", "substr(price_id, 1, 36)"),
            ("bill_to_org", &format!("'{other}'"), "org_id"),
            ("period", "'2026-04'", "'2026-03'"),
            ("relates_to", "'2026-02'", "NULL"),
            ("reverses", "id", "NULL"),
            ("reason", "'as agreed'", "''"),
            ("entered_by", "'x'", "''"),
            ("payer", "'PLAN'", "''"),
            ("cost_center", "'4711'", "''"),
            ("hash", "previous", "hash"),
        ] {
            world.run(&format!("UPDATE ledger_line SET {column} = {changed} WHERE org_id = '{org}' AND seq = 2")).await;
            assert_eq!(world.store.verify_ledger(org).await.unwrap(), Err(2), "{column}");
            if column != "hash" {
                world.run(&format!("UPDATE ledger_line SET {column} = {back} WHERE org_id = '{org}' AND seq = 2")).await;
                assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(3), "{column} put back");
            }
        }
    }

    async fn a_removed_line_is_found_wherever_it_stood(world: &World) {
        for (slug, seq, found) in [("north", 1, 1), ("south", 2, 2), ("west", 3, 3)] {
            let org = charged(world, slug, 3).await;
            world.run(&format!("DELETE FROM ledger_line WHERE org_id = '{org}' AND seq = {seq}")).await;
            assert_eq!(world.store.verify_ledger(org).await.unwrap(), Err(found), "line {seq}");
        }
    }

    async fn an_inserted_line_is_found(world: &World) {
        let org = charged(world, "north", 3).await;
        world.run(&format!(
            "INSERT INTO ledger_line (org_id, seq, id, bill_to_org, cost_center, delivery_id, site, payer, channel, status, entry_type,
                fee_code, quantity, unit_price, amount, currency, price_id, note, period, reason, entered_by, occurred_at, recorded_at,
                previous, hash)
             SELECT org_id, seq + 1, 'x' || id, bill_to_org, cost_center, delivery_id, site, payer, channel, status, 'adjustment', fee_code,
                quantity, unit_price, amount, currency, price_id, note, period, reason, entered_by, occurred_at, recorded_at, hash, hash FROM ledger_line WHERE org_id = '{org}' AND seq = 3")).await;
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Err(4));
    }

    async fn two_lines_that_changed_places_are_found(world: &World) {
        let org = charged(world, "north", 3).await;
        for (from, to) in [(2, 9), (3, 2), (9, 3)] {
            world.run(&format!("UPDATE ledger_line SET seq = {to} WHERE org_id = '{org}' AND seq = {from}")).await;
        }
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Err(2));
    }

    async fn a_chain_whose_head_is_gone_does_not_verify(world: &World) {
        let org = charged(world, "north", 2).await;
        world.run(&format!("DELETE FROM ledger_head WHERE org_id = '{org}'")).await;
        assert!(world.store.verify_ledger(org).await.unwrap().is_err());
    }

    async fn a_charge_that_cannot_be_chained_undoes_the_acceptance_it_belongs_to(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &SENT[..2]).await;
        world.run(&format!("DELETE FROM ledger_head WHERE org_id = '{org}'")).await;
        assert!(world.happen(org, id, E::Accepted).await.is_err());
        assert_eq!(world.column(id, "state").await + &world.column(id, "fee").await, "on_wirenone", "both or neither");
    }

    async fn the_database_itself_refuses_a_second_charge(world: &World) {
        let org = charged(world, "north", 1).await;
        let forged = format!(
            "INSERT INTO ledger_line (org_id, seq, id, bill_to_org, cost_center, delivery_id, site, payer, channel, status, entry_type,
                fee_code, quantity, unit_price, amount, currency, note, period, reason, entered_by, occurred_at, recorded_at, previous, hash)
             SELECT org_id, 2, 'x', bill_to_org, '', delivery_id, site, '', 'direct', 'final', entry_type, fee_code, 1, 1, 1, currency, note,
                period, '', '', 1, 1, hash, hash
             FROM ledger_line WHERE org_id = '{org}' ON CONFLICT DO NOTHING");
        assert_eq!(world.run(&forged).await, 0);
    }

    async fn charges_of_one_organization_from_many_processes_keep_the_chain_whole(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let mut ids = Vec::new();
        for org in [north, south] {
            ids.extend(world.many(org, 40).await.into_iter().map(|id| (org, id)));
        }
        for (org, id) in &ids {
            world.run(&format!("UPDATE delivery SET state = 'on_wire' WHERE org_id = '{org}' AND id = '{id}'")).await;
        }
        let mut committers = Vec::new();
        for _ in 0..3 {
            let store = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
            committers.push(postern::store::Committer::start(store));
        }
        let accepting = ids.iter().enumerate().map(|(number, (org, id))| {
            // Each process meets the organizations in another order.
            let (committer, org, id) = (committers[number % 3].clone(), *org, *id);
            tokio::spawn(async move { committer.apply(postern::store::delivery::Move::new(org, id, E::Accepted)).await.unwrap() })
        });
        for accepted in accepting.collect::<Vec<_>>() {
            accepted.await.unwrap();
        }
        for org in [north, south] {
            assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(40));
        }
    }

    async fn a_chain_verifies_while_it_grows(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 60).await;
        world.run("UPDATE delivery SET state = 'on_wire'").await;
        let committer = world.committer.clone();
        let growing = tokio::spawn(async move {
            for id in ids {
                committer.apply(postern::store::delivery::Move::new(org, id, E::Accepted)).await.unwrap();
            }
        });
        while !growing.is_finished() {
            let verdict = world.store.verify_ledger(org).await.unwrap();
            assert!(verdict.is_ok(), "a false alarm: {verdict:?}");
        }
        growing.await.unwrap();
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(60));
    }

    async fn a_cancelled_order_gets_no_line_and_no_gap(world: &World) {
        let org = charged(world, "north", 1).await;
        world.queued(org, "A2").await;
        world.store.take_order(org, &make::order("A2"), Action::Cancel).await.unwrap();
        let id = world.queued(org, "A3").await;
        world.lead(org, id, SENT).await;
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(2));
    }
}
