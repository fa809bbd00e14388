//! Charges: exactly one for each delivery, in the transaction that makes it billable, at the price of the day.

use std::time::Duration;

use postern::{
    domain::{
        DeliveryId, Money, OrgId, OrgScope, Timestamp,
        delivery::{Event, NoticeKind, State},
        organization::{Billable, OrganizationFile},
        time::TimeZone,
    },
    store::{
        Committer,
        delivery::Move,
        ledger::{LedgerLine, LineFilter},
        result::Terms,
    },
};

use super::{
    make,
    world::{START, World},
};

use Event as E;

const SENT: &[Event] = &[E::Claimed, E::WireStarted, E::Accepted];

async fn lines(world: &World, org: OrgId) -> Vec<LedgerLine> {
    let all = LineFilter { org, site: None, from: Timestamp(0), to: Timestamp(i64::MAX) };
    world.store.ledger_lines(OrgScope::One(org), all).await.unwrap()
}

/// The only line's amount and note.
async fn line(world: &World, org: OrgId, delivery: DeliveryId) -> (String, String) {
    let lines: Vec<_> = lines(world, org).await.into_iter().filter(|line| line.delivery == Some(delivery)).collect();
    assert_eq!(lines.len(), 1);
    (lines[0].amount.to_string(), lines[0].note.clone())
}

fn priced(slug: &str, zone: &str, rates: &[(&str, &str)]) -> OrganizationFile {
    let mut file = make::organization(slug);
    file.time_zone = zone.parse().unwrap();
    let first = file.price.as_ref().unwrap().rates[0].clone();
    file.price.as_mut().unwrap().rates = rates
        .iter()
        .map(|(from, amount)| postern::domain::organization::Rate {
            from: from.parse().unwrap(),
            amount: amount.parse().unwrap(),
            ..first.clone()
        })
        .collect();
    file
}

/// A delivery with terms of its own.
async fn queued(world: &World, org: OrgId, order_id: &str, terms: impl FnOnce(&mut Terms)) -> DeliveryId {
    let result = world.result(org, order_id).await;
    let lease = make::lease();
    world.store.claim_results(&lease, 10, 0).await.unwrap();
    let mut routing = make::routing(org, result, &lease, &[make::ADDRESS]);
    terms(&mut routing.terms);
    world.record(routing).await.unwrap().deliveries[0]
}

on_both_engines! {
    async fn acceptance_writes_one_line_that_holds_nothing_about_the_patient(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, SENT).await;
        let lines = lines(world, org).await;
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert_eq!((line.seq, line.org, line.delivery, line.quantity), (1, org, Some(id), 1));
        assert_eq!((line.site.as_str(), line.fee_code.as_str(), line.entry_type.as_str()), (make::SITE, "direct", "charge"));
        assert_eq!((line.unit_price, line.amount), (Money::from_micros(250_000), Money::from_micros(250_000)));
        assert_eq!((line.currency.as_str(), line.note.as_str(), line.occurred_at), ("USD", "", START));
        assert!(!format!("{line:?}").contains(make::FAMILY));
    }

    async fn a_delivery_accepted_twice_is_charged_once(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, SENT).await;
        world.lead(org, id, &[E::Accepted, E::Notice(NoticeKind::Processed), E::Notice(NoticeKind::Dispatched)]).await;
        assert_eq!(lines(world, org).await.len(), 1);
    }

    async fn a_delivery_accepted_by_two_processes_at_once_is_charged_once(world: &World) {
        let org = world.organization("north").await;
        let ids = world.many(org, 20).await;
        for id in &ids {
            world.lead(org, *id, &[E::Claimed, E::WireStarted]).await;
        }
        let neighbour = Committer::start(world.neighbour(std::sync::Arc::clone(&world.clock)).await);
        let mut accepting = Vec::new();
        for id in &ids {
            for committer in [&world.committer, &neighbour] {
                let (committer, id) = (committer.clone(), *id);
                accepting.push(tokio::spawn(async move { committer.apply(Move::new(org, id, E::Accepted)).await.unwrap() }));
            }
        }
        for accepted in accepting {
            assert_eq!(accepted.await.unwrap().delivery.state, State::Accepted);
        }
        assert_eq!(lines(world, org).await.len(), 20);
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(20));
        assert_eq!(world.store.counts(OrgScope::All).await.unwrap().untied, 0);
    }

    async fn what_is_never_accepted_is_never_charged(world: &World) {
        let org = world.organization("north").await;
        for (order_id, way) in [
            ("A1", &[][..]),
            ("A2", &[E::Claimed, E::WireStarted, E::Lost]),
            ("A3", &[E::Claimed, E::WireStarted, E::Refused(postern::domain::Reason::Rejected5xx)]),
            ("A4", &[E::Cancel]),
        ] {
            let id = world.queued(org, order_id).await;
            world.lead(org, id, way).await;
        }
        assert!(lines(world, org).await.is_empty());
    }

    async fn the_moment_that_is_billable_is_the_one_that_was_agreed(world: &World) {
        let org = world.organization("north").await;
        for (moment, notice) in [(Billable::Processed, NoticeKind::Processed), (Billable::Dispatched, NoticeKind::Dispatched)] {
            let id = queued(world, org, moment.as_str(), |terms| terms.billable = moment).await;
            world.lead(org, id, SENT).await;
            assert!(lines(world, org).await.iter().all(|line| line.delivery != Some(id)), "{moment}: not at acceptance");
            world.lead(org, id, &[E::Notice(notice)]).await;
            assert_eq!(line(world, org, id).await.0, "0.25");
        }
        assert_eq!(world.store.counts(OrgScope::All).await.unwrap().untied, 0);
    }

    async fn test_traffic_stands_in_the_ledger_at_zero_and_says_so(world: &World) {
        let org = world.organization("north").await;
        let id = queued(world, org, "A1", |terms| terms.test = true).await;
        world.lead(org, id, SENT).await;
        assert_eq!(line(world, org, id).await, ("0.00".into(), "test".into()));
    }

    async fn without_a_price_in_force_the_line_says_so_and_the_delivery_goes_on(world: &World) {
        let org = world.store.apply_organization(&priced("north", "UTC", &[("2026-03-03", "0.30")]), &[]).await.unwrap();
        let (before, other) = (world.queued(org, "A1").await, queued(world, org, "A2", |terms| terms.fee_code = "fax".into()).await);
        for id in [before, other] {
            world.lead(org, id, SENT).await;
            assert_eq!(line(world, org, id).await, ("0.00".into(), "unpriced".into()));
        }
    }

    async fn the_price_is_that_of_the_day_where_the_organization_is(world: &World) {
        // New York put its clocks forward on 2026-03-08: midnight of the 8th is 05:00 UTC, of the 9th 04:00 UTC.
        let rates = [("2026-01-01", "0.25"), ("2026-03-08", "0.30"), ("2026-03-09", "0.35")];
        let org = world.store.apply_organization(&priced("north", "America/New_York", &rates), &[]).await.unwrap();
        let zone: TimeZone = "America/New_York".parse().unwrap();
        for (order_id, now, amount) in [
            ("A1", "2026-03-08T04:59:59.999999Z", "0.25"),
            ("A2", "2026-03-08T05:00:00Z", "0.30"),
            ("A3", "2026-03-09T03:59:59.999999Z", "0.30"),
            ("A4", "2026-03-09T04:00:00Z", "0.35"),
        ] {
            world.set_time(make::at(now)).await;
            let id = world.queued(org, order_id).await;
            world.lead(org, id, &SENT[..2]).await;
            let accepted = Move { zone: zone.clone(), ..Move::new(org, id, E::Accepted) };
            world.committer.apply(accepted).await.unwrap();
            assert_eq!(line(world, org, id).await.0, amount, "{now}");
        }
    }

    async fn a_price_applied_again_is_no_new_price_and_the_latest_word_on_a_day_counts(world: &World) {
        let apply = async |amount: &str| {
            world.pass(Duration::from_secs(1)).await;
            world.store.apply_organization(&priced("north", "UTC", &[("2026-01-01", amount)]), &[]).await.unwrap()
        };
        let org = apply("0.25").await;
        apply("0.25").await;
        assert_eq!(world.number("SELECT COUNT(*) FROM price").await, 1);
        for (order_id, amount) in [("A1", "0.40"), ("A2", "0.25")] {
            apply(amount).await;
            let id = world.queued(org, order_id).await;
            world.lead(org, id, SENT).await;
            assert_eq!(line(world, org, id).await.0, amount);
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM price").await, 3, "what was in force before stays on record");
    }

    async fn a_price_that_another_process_takes_counts_for_the_next_charge_here(world: &World) {
        let neighbour = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        for (order_id, amount) in [("A1", "0.25"), ("A2", "0.40"), ("A3", "0.10")] {
            world.pass(Duration::from_secs(1)).await;
            let org = neighbour.apply_organization(&priced("north", "UTC", &[("2026-01-01", amount)]), &[]).await.unwrap();
            // The second finds what the first has read, unless it is told.
            for number in [1, 2] {
                let id = world.queued(org, &format!("{order_id}{number}")).await;
                world.lead(org, id, SENT).await;
                assert_eq!(line(world, org, id).await.0, amount);
            }
        }
    }

    async fn a_line_belongs_to_the_half_open_period_it_occurred_in(world: &World) {
        let org = world.organization("north").await;
        let (from, to) = (make::at("2026-03-03T00:00:00Z"), make::at("2026-03-04T00:00:00Z"));
        for (order_id, at) in [("A1", Timestamp(from.0 - 1)), ("A2", from), ("A3", Timestamp(to.0 - 1)), ("A4", to)] {
            world.set_time(at).await;
            let id = world.queued(org, order_id).await;
            world.lead(org, id, SENT).await;
        }
        let inside = |site| LineFilter { org, site, from, to };
        let found = world.store.ledger_lines(OrgScope::All, inside(None)).await.unwrap();
        assert_eq!(found.iter().map(|line| line.seq).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(world.store.ledger_lines(OrgScope::All, inside(Some(make::SITE))).await.unwrap().len(), 2);
        assert!(world.store.ledger_lines(OrgScope::All, inside(Some("HILLTOP02"))).await.unwrap().is_empty());
    }
}
