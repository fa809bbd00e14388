//! A HISP's usage file against what was handed over: by ids, ours and theirs, then by day and recipient.

use postern::{
    bill::reconcile::{Bucket, Compared, Comparison, Difference, reconcile},
    domain::{DeliveryId, MessageId, Money, OrgId, OrgScope},
};

use super::{
    billing::{FLAT, apply, happen, month},
    make,
    world::World,
};
use postern::domain::delivery::Event as E;

/// Handed over to the usual recipient on 2 March: the delivery, and the id that we gave it.
async fn sent(world: &World, org: OrgId, order_id: &str, relay: &str) -> (DeliveryId, String) {
    let id = world.queued(org, order_id).await;
    happen(world, org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
    world.run(&format!("UPDATE delivery SET relay = '{relay}' WHERE id = '{id}'")).await;
    (id, world.column(id, "message_id").await)
}

/// What came of a file with these rows, and the differences in their order.
async fn compared(world: &World, org: OrgId, relay: Option<&str>, rows: &[String]) -> (Compared, Vec<Difference>) {
    let period = world.store.period(OrgScope::All, org, month("2026-03")).await.unwrap().unwrap();
    let comparison = Comparison {
        org,
        bounds: period.bounds,
        zone: &period.zone,
        mapping: &[],
        costs: None,
        tolerance: Money::ZERO,
        separator: None,
        relay,
    };
    let (file, mut told) = (format!("Message-ID,Date,To\r\n{}\r\n", rows.join("\r\n")), Vec::new());
    let tell = |difference| {
        told.push(difference);
        Ok(())
    };
    let compared = reconcile(&world.store, comparison, file.as_bytes(), tell).await.unwrap();
    (compared, told)
}

fn row(id: &str) -> String {
    format!("{id},2026-03-02,{}", make::ADDRESS)
}

on_both_engines! {
    async fn a_message_is_found_by_the_id_the_hisp_gave_it_and_by_nobody_elses(world: &World) {
        let (org, other) = (apply(world, "north", FLAT).await, apply(world, "south", FLAT).await);
        let (id, ours) = sent(world, org, "A1", "hisp-a").await;
        let (_, foreign) = sent(world, other, "B1", "hisp-a").await;
        let theirs: MessageId = "<rewritten-7@hisp.example>".parse().unwrap();
        world.store.learn_alias(org, id, &theirs).await.unwrap();
        for known in [theirs.as_str(), ours.as_str()] {
            let (all, told) = compared(world, org, None, &[format!("{known},,")]).await;
            assert_eq!((all.counts.matched, all.counts.differences()), (1, 0), "{told:?}");
        }
        // Both of its ids are one message; what another organization sent is not ours.
        let rows = [format!("{theirs},,"), format!("{ours},,"), format!("{foreign},,")];
        let (all, told) = compared(world, org, None, &rows).await;
        assert_eq!((all.counts.matched, all.counts.theirs_only, all.counts.ours_only), (1, 2, 0), "{told:?}");
        assert!(told[0].why.contains("counted this message before") && told[1].why.contains("no message of this"), "{told:?}");
        let (all, told) = compared(world, other, None, &[format!("{theirs},,")]).await;
        assert_eq!((all.counts.matched, all.counts.theirs_only, all.counts.ours_only), (0, 1, 1), "{told:?}");
    }

    async fn an_id_nobody_knows_falls_back_to_day_and_recipient_after_all_that_ids_name(world: &World) {
        let org = apply(world, "north", FLAT).await;
        let (first, id) = sent(world, org, "A1", "hisp-a").await;
        let (second, _) = sent(world, org, "A2", "hisp-a").await;
        // The strange row comes first: it must not take what the other one names.
        let (all, told) = compared(world, org, None, &[row("<strange@hisp.example>"), row(&id)]).await;
        assert_eq!((all.counts.matched, all.counts.differences()), (2, 0), "{told:?}");
        // A third is neither of them again.
        let rows = [row("<strange@hisp.example>"), row("<other@hisp.example>"), row(&id)];
        let (all, told) = compared(world, org, None, &rows).await;
        assert_eq!((all.counts.matched, all.counts.theirs_only), (2, 1), "{told:?}");
        assert!(told[0].why.contains("no message of this") && told[0].delivery.is_none() && told[0].row == Some(3), "{told:?}");
        // Without an id of its own it is one of them counted again.
        let (all, told) = compared(world, org, None, &[row(""), row(""), row("")]).await;
        assert_eq!((all.counts.matched, all.counts.theirs_only), (2, 1), "{told:?}");
        assert!(told[0].delivery.is_some_and(|known| [first, second].contains(&known)), "{told:?}");
        // Another day, another recipient.
        let rows = ["<x@y.example>,2026-03-03,pcp.demo@direct.example.org".to_owned(), "<x@y.example>,2026-03-02,nobody@d.example".into()];
        let (all, _) = compared(world, org, None, &rows).await;
        assert_eq!((all.counts.matched, all.counts.theirs_only, all.counts.ours_only), (0, 2, 2));
    }

    async fn day_and_recipient_name_no_message_that_another_relay_was_handed(world: &World) {
        let org = apply(world, "north", FLAT).await;
        let (elsewhere, _) = sent(world, org, "A1", "hisp-b").await;
        let (here, _) = sent(world, org, "A2", "hisp-a").await;
        for id in ["", "<strange@hisp.example>"] {
            let (all, told) = compared(world, org, Some("hisp-a"), &[row(id)]).await;
            assert_eq!((all.counts.messages, all.counts.matched, all.counts.differences()), (1, 1, 0), "{told:?}");
            let (all, told) = compared(world, org, Some("mx"), &[row(id)]).await;
            assert_eq!((all.counts.matched, told.len(), told[0].bucket, told[0].delivery), (0, 1, Bucket::TheirsOnly, None), "{told:?}");
        }
        let (_, told) = compared(world, org, None, &[row("")]).await;
        assert_eq!(told.iter().map(|one| one.delivery).collect::<Vec<_>>(), [Some(here)], "the older one was found: {elsewhere}");
    }
}
