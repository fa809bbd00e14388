//! What was done to a ledger is named: changed, removed, inserted, moved, cut off, or written anew.

use postern::{
    crypto::signing::SigningKey,
    domain::{OrgId, OrgScope},
    store::ledger::{
        audit::{Audit, ChainFault},
        seal::SignedHead,
    },
};

use super::{
    billing::{FLAT, apply, happen, lines},
    world::{START, World},
};

use postern::domain::delivery::Event as E;

/// An organization with five charges, its end signed.
async fn signed(world: &World) -> (OrgId, Vec<SignedHead>) {
    let org = apply(world, "north", FLAT).await;
    for id in world.many(org, 5).await {
        happen(world, org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    }
    let heads = world.store.sign_heads(OrgScope::One(org)).await.unwrap();
    assert_eq!(heads.iter().map(|head| head.line).collect::<Vec<_>>(), [5]);
    assert!(world.store.sign_heads(OrgScope::All).await.unwrap().is_empty(), "what has not moved is not signed again");
    let audit = audit(world, org).await;
    assert_eq!((audit.chain, audit.heads, audit.unsigned_since), (Ok(5), 1, None));
    assert!(audit.faults().is_empty());
    (org, heads)
}

async fn audit(world: &World, org: OrgId) -> Audit {
    world.store.audit_ledger(org, None, &[]).await.unwrap()
}

/// Cuts the ledger behind `seq`, and sets its end there, as somebody would who knows how it is made.
async fn cut(world: &World, org: OrgId, seq: i64) {
    world.run(&format!("DELETE FROM ledger_line WHERE org_id = '{org}' AND seq > {seq}")).await;
    world.run(&format!("UPDATE ledger_head SET seq = {seq}, hash = (SELECT hash FROM ledger_line WHERE org_id = '{org}' AND seq = {seq}) WHERE org_id = '{org}'")).await;
}

on_both_engines! {
    async fn a_changed_line_is_named(world: &World) {
        let (org, _) = signed(world).await;
        world.run("UPDATE ledger_line SET amount = 1 WHERE seq = 3").await;
        assert_eq!(audit(world, org).await.faults(), [ChainFault::Changed(3)]);
    }

    async fn a_removed_line_is_named_also_when_those_behind_it_moved_up(world: &World) {
        let (org, _) = signed(world).await;
        world.run("DELETE FROM ledger_line WHERE seq = 2").await;
        assert_eq!(audit(world, org).await.chain, Err(ChainFault::Removed(2)));
        for seq in 3..=5 {
            world.run(&format!("UPDATE ledger_line SET seq = {} WHERE seq = {seq}", seq - 1)).await;
        }
        assert_eq!(audit(world, org).await.chain, Err(ChainFault::Removed(2)));
    }

    async fn an_inserted_line_is_named_also_when_those_behind_it_made_room(world: &World) {
        let (org, _) = signed(world).await;
        for seq in [5, 4, 3] {
            world.run(&format!("UPDATE ledger_line SET seq = {} WHERE seq = {seq}", seq + 1)).await;
        }
        world.run("INSERT INTO ledger_line SELECT org_id, 3, 'x' || id, bill_to_org, cost_center, NULL, site, payer, channel, status,
            'adjustment', fee_code, quantity, unit_price, amount, currency, price_id, note, period, relates_to, NULL, reason, entered_by,
            occurred_at, recorded_at, hash, 'x' FROM ledger_line WHERE seq = 2").await;
        let found = audit(world, org).await.chain;
        assert!(matches!(found, Err(ChainFault::Changed(3) | ChainFault::Inserted(3))), "{found:?}");
    }

    async fn lines_that_changed_places_are_named(world: &World) {
        let (org, _) = signed(world).await;
        for (from, to) in [(2, 9), (3, 2), (9, 3)] {
            world.run(&format!("UPDATE ledger_line SET seq = {to} WHERE seq = {from}")).await;
        }
        let found = audit(world, org).await.chain;
        assert!(matches!(found, Err(fault) if fault.place() == 2), "{found:?}");
    }

    async fn a_tail_that_was_cut_off_is_named_however_well(world: &World) {
        let (org, heads) = signed(world).await;
        cut(world, org, 3).await;
        let found = audit(world, org).await;
        assert_eq!((found.chain, found.faults()), (Ok(3), vec![ChainFault::TailCut(4, 5)]));
        // Whoever removes the signed head as well does not reach the copy that is kept elsewhere.
        world.run("DELETE FROM ledger_seal").await;
        assert!(audit(world, org).await.faults().is_empty());
        let found = world.store.audit_ledger(org, None, &heads).await.unwrap();
        assert_eq!(found.faults(), [ChainFault::TailCut(4, 5)]);
    }

    async fn a_ledger_that_was_written_anew_is_named(world: &World) {
        let (org, heads) = signed(world).await;
        // As good as anybody could do it who has the program and the database: the same deliveries, charged again at another price.
        world.run("DELETE FROM ledger_line").await;
        world.run("UPDATE ledger_head SET seq = 0, hash = ''").await;
        world.run("UPDATE delivery SET state = 'on_wire', fee = 'none', disposition = NULL").await;
        apply(world, "north", "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '9' }]").await;
        for id in world.texts("SELECT id FROM delivery ORDER BY id").await {
            happen(world, org, id.parse().unwrap(), &[E::Accepted]).await;
        }
        assert_eq!(lines(world, org).await.len(), 5);
        let found = audit(world, org).await;
        assert_eq!((found.chain, found.faults()), (Ok(5), vec![ChainFault::Rewritten(5)]));
        // A head that says so, signed by a key of one's own, is none.
        let forger = SigningKey::generate().unwrap();
        let hash = world.texts("SELECT hash FROM ledger_line WHERE seq = 5").await.remove(0);
        let mut forged = SignedHead { hash, ..heads[0].clone() };
        forged.signature = postern::crypto::Hex(&forger.sign(forged.text().as_bytes()).unwrap()).to_string();
        let found = world.store.audit_ledger(org, None, &[forged.clone()]).await.unwrap();
        assert_eq!(found.faults(), [ChainFault::Rewritten(5), ChainFault::ForgedHead(5)]);
        assert!(forged.is_signed_by(&forger.public().unwrap()), "by that key it is, which is why an auditor keeps ours");
    }

    async fn a_key_put_into_the_database_signs_nothing(world: &World) {
        let (org, heads) = signed(world).await;
        let public = world.store.head_keys().await.unwrap().remove(0).1;
        world.run("UPDATE ledger_key SET sealed = public_key").await;
        assert!(world.store.head_keys().await.is_err());
        assert_eq!(audit(world, org).await.faults(), [ChainFault::ForgedHead(5)]);
        let by_the_auditors_copy = world.store.audit_ledger(org, Some(&public), &heads).await.unwrap();
        assert!(by_the_auditors_copy.faults().is_empty());
    }

    async fn lines_nobody_signed_are_told(world: &World) {
        let (org, _) = signed(world).await;
        let id = world.queued(org, "LATE").await;
        happen(world, org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        assert_eq!(audit(world, org).await.unsigned_since, Some(START));
    }
}
