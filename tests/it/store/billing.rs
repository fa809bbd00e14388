//! A month from open to closed: who pays, which price, which month, and what is never changed.

use postern::{
    bill::{
        Statement,
        statement::{html, pdf},
    },
    domain::{
        DeliveryId, Month, OrgId, OrgScope,
        delivery::{Event, NoticeKind},
        order::Role,
        organization::{OrganizationFile, PriceList},
        prices::Channel,
    },
    store::{
        StoreError,
        delivery::Move,
        ledger::{
            EntryType, LedgerLine,
            adjust::{AdjustError, Corrected, Correction},
            close::{Close, Closing, Refusal},
            read::LineQuery,
        },
        organization::Organization,
        result::Routing,
    },
};

use super::{make, world::World};

use Event as E;

const SENT: &[Event] = &[E::Claimed, E::WireStarted, E::Accepted];
const FAILED: &[Event] = &[E::Notice(NoticeKind::Failed), E::CreditDue];

/// An organization in New York with this price list.
pub(crate) fn priced(slug: &str, list: &str) -> OrganizationFile {
    let mut file = make::organization(slug);
    file.time_zone = "America/New_York".parse().unwrap();
    file.price = Some(toml_list(list));
    file
}

fn toml_list(list: &str) -> PriceList {
    serde_json::from_value(toml::from_str::<serde_json::Value>(list).unwrap()).unwrap()
}

pub(crate) const FLAT: &str = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25' }]";

pub(crate) async fn apply(world: &World, slug: &str, list: &str) -> OrgId {
    world.store.apply_organization(&priced(slug, list), &[]).await.unwrap()
}

pub(crate) async fn organization(world: &World, org: OrgId) -> Organization {
    world.store.organization(org).await.unwrap().unwrap()
}

/// A delivery made at `at` with a route of one's own.
async fn routed(world: &World, org: OrgId, order_id: &str, routing: impl FnOnce(&mut Routing)) -> Vec<DeliveryId> {
    let result = world.result(org, order_id).await;
    let lease = make::lease();
    world.store.claim_results(&lease, 10, 0).await.unwrap();
    let mut made = make::routing(org, result, &lease, &[make::ADDRESS, make::ELSEWHERE]);
    made.route.targets.truncate(1);
    routing(&mut made);
    world.record(made).await.unwrap().deliveries
}

/// The same, by the organization's own days.
pub(crate) async fn happen(world: &World, org: OrgId, id: DeliveryId, way: &[Event]) {
    for event in way {
        let change = Move { zone: "America/New_York".parse().unwrap(), ..Move::new(org, id, *event) };
        world.committer.apply(change).await.unwrap_or_else(|error| panic!("{event:?}: {error}"));
    }
}

async fn charged(world: &World, org: OrgId, order_id: &str, at: &str) -> DeliveryId {
    world.set_time(make::at(at)).await;
    let made = routed(world, org, order_id, |_| {}).await;
    happen(world, org, made[0], SENT).await;
    made[0]
}

pub(crate) async fn lines(world: &World, org: OrgId) -> Vec<LedgerLine> {
    world.store.ledger_page(OrgScope::All, &LineQuery::of(org), 0, 10_000).await.unwrap()
}

fn told(line: &LedgerLine) -> (String, String, String, String) {
    let relates = line.relates_to.map(|month| month.to_string()).unwrap_or_default();
    (line.entry_type.to_string(), line.amount.to_string(), line.period.to_string(), relates)
}

fn tell(entry_type: &str, amount: &str, period: &str, relates: &str) -> (String, String, String, String) {
    (entry_type.into(), amount.into(), period.into(), relates.into())
}

pub(crate) fn month(text: &str) -> Month {
    text.parse().unwrap()
}

pub(crate) async fn close(world: &World, org: OrgId, text: &str, force: bool) -> Result<Closing, Refusal> {
    let close = Close { dry_run: false, force, by: "the biller".into() };
    world.store.close_period(&organization(world, org).await, month(text), &close).await.unwrap()
}

async fn statement(world: &World, org: OrgId, text: &str, payer: OrgId) -> Statement {
    let (own, payer) = (organization(world, org).await, organization(world, payer).await);
    Statement::make(&world.store, &own, month(text), &payer).await.unwrap()
}

fn correction(of: Corrected, amount: &str) -> Correction {
    let (reason, by) = ("as agreed on the phone".to_owned(), "the biller".to_owned());
    Correction { of, amount: amount.parse().unwrap(), reason, by, paid_by: None, dry_run: false }
}

on_both_engines! {
    async fn bl_24_one_recipient_is_one_charge_that_names_its_price_and_its_delivery(world: &World) {
        let org = apply(world, "north", FLAT).await;
        // Two spellings of one address collapse to one target.
        let made = routed(world, org, "A1", |routing| {
            let mut again = routing.route.targets[0].clone();
            again.address = make::ADDRESS.to_uppercase().parse().unwrap();
            routing.route.targets.push(again);
            routing.terms.billed.payer = "PLAN-DEMO".into();
        }).await;
        assert_eq!(made.len(), 1);
        happen(world, org, made[0], SENT).await;
        let lines = lines(world, org).await;
        assert_eq!((lines.len(), lines[0].delivery, lines[0].amount.to_string().as_str()), (1, Some(made[0]), "0.25"));
        let prices = world.store.prices(org).await.unwrap();
        assert_eq!(lines[0].price.as_ref(), Some(&prices[0].id));
        assert_eq!((lines[0].payer.as_str(), lines[0].channel.as_str(), lines[0].status.as_str()), ("PLAN-DEMO", "direct", "final"));
        let said = format!("{lines:?}");
        for patient in [make::FAMILY, make::LOCAL_ID, make::MEMBER_ID, make::ADDRESS] {
            assert!(!said.contains(patient), "{said}");
        }
    }

    async fn bl_25_a_notice_that_comes_again_after_any_death_charges_once(world: &World) {
        let org = apply(world, "north", "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25', billable = 'processed' }]").await;
        let made = routed(world, org, "A1", |routing| routing.terms.billable = postern::domain::organization::Billable::Processed).await;
        happen(world, org, made[0], SENT).await;
        assert!(lines(world, org).await.is_empty());
        for _ in 0..3 {
            happen(world, org, made[0], &[E::Notice(NoticeKind::Processed), E::Notice(NoticeKind::Processed)]).await;
        }
        assert_eq!(lines(world, org).await.len(), 1);
        assert_eq!(world.store.counts(OrgScope::All).await.unwrap().untied, 0);
    }

    async fn bl_27_a_sponsor_pays_for_its_copy_and_each_sees_only_what_it_pays(world: &World) {
        let plan = world.organization("demo-plan").await;
        let list = format!("{FLAT}\nterms = [{{ from = '2026-01-01', sponsor = [{{ organization = 'demo-plan', role = 'pcp' }}], cost_center = {{ RIVERSIDE01 = '4711' }} }}]");
        let org = apply(world, "north", &list).await;
        let made = routed(world, org, "A1", |routing| {
            let targets = &mut routing.route.targets;
            targets.push(make::target(make::ELSEWHERE));
            for (target, role) in targets.iter_mut().zip([Role::Pcp, Role::Ordering]) {
                target.recipient.as_mut().unwrap().role = Some(role);
            }
        }).await;
        for id in &made {
            happen(world, org, *id, SENT).await;
        }
        let lines = lines(world, org).await;
        assert_eq!(lines.iter().map(|line| line.bill_to).collect::<Vec<_>>(), [plan, org]);
        assert!(lines.iter().all(|line| line.cost_center == "4711"));
        for (whose, delivery) in [(plan, made[0]), (org, made[1])] {
            let seen = world.store.ledger_page(OrgScope::One(whose), &LineQuery::of(org), 0, 10).await.unwrap();
            assert_eq!(seen.iter().map(|line| line.delivery).collect::<Vec<_>>(), [Some(delivery)]);
            assert_eq!(statement(world, org, "2026-03", whose).await.totals[0].charges, 1);
        }
        assert_eq!(world.store.sponsored_by(plan).await.unwrap(), [org]);
        assert_eq!(statement(world, org, "2026-03", plan).await.number, "north-2026-03-demo-plan");
    }

    async fn bl_28_what_comes_after_the_close_goes_to_the_open_month_and_names_its_own(world: &World) {
        let org = apply(world, "north", FLAT).await;
        let id = charged(world, org, "A1", "2026-10-20T15:00:00Z").await;
        let early = charged(world, org, "A2", "2026-10-21T15:00:00Z").await;
        world.set_time(make::at("2026-11-01T12:00:00Z")).await;
        // In its grace October still takes what belongs to it.
        happen(world, org, early, FAILED).await;
        let closing = close(world, org, "2026-10", true).await.unwrap();
        assert!(closing.closed && closing.refusals.iter().all(Refusal::gives_way) && closing.controls.tie(), "{closing:?}");
        let october = statement(world, org, "2026-10", org).await.json().unwrap();
        world.set_time(make::at("2026-11-02T15:00:00Z")).await;
        happen(world, org, id, FAILED).await;
        let lines = lines(world, org).await;
        let expected = [
            tell("charge", "0.25", "2026-10", ""),
            tell("charge", "0.25", "2026-10", ""),
            tell("credit", "-0.25", "2026-10", ""),
            tell("credit", "-0.25", "2026-11", "2026-10"),
        ];
        assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
        assert_eq!((lines[2].reverses, lines[3].reverses), (Some(lines[1].id), Some(lines[0].id)));
        assert_eq!(statement(world, org, "2026-10", org).await.json().unwrap(), october, "October is as it was");
        assert!(matches!(close(world, org, "2026-10", true).await, Err(Refusal::Closed(_))), "and stays closed");
        assert_eq!(world.store.counts(OrgScope::All).await.unwrap().untied, 0);
    }

    async fn bl_29_the_first_instant_of_a_month_has_its_price_and_its_statement_is_the_same_for_ever(world: &World) {
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25' }, { from = '2026-11-01', fee_code = 'direct', amount = '0.30' }]";
        let org = apply(world, "north", list).await;
        charged(world, org, "A1", "2026-11-01T03:59:59Z").await;
        charged(world, org, "A2", "2026-11-01T04:00:00Z").await;
        let told: Vec<_> = lines(world, org).await.iter().map(told).collect();
        assert_eq!(told, [tell("charge", "0.25", "2026-10", ""), tell("charge", "0.30", "2026-11", "")]);
        let periods = world.store.periods(OrgScope::One(org)).await.unwrap();
        let hours = |at: usize| periods[at].bounds.ends_at.since(periods[at].bounds.starts_at).as_secs() / 3600;
        assert_eq!((hours(0), hours(1)), (31 * 24, 30 * 24 + 1), "the day on which clocks are set back has 25 hours");
        world.set_time(make::at("2026-12-10T12:00:00Z")).await;
        for text in ["2026-10", "2026-11"] {
            assert!(close(world, org, text, false).await.unwrap().closed);
            let first = statement(world, org, text, org).await;
            world.store.keep_billing_statement(org, month(text), org, &first.json().unwrap()).await.unwrap();
            let kept = world.store.kept_billing_statement(OrgScope::One(org), org, month(text), org).await.unwrap().unwrap();
            world.run("DELETE FROM billing_statement").await;
            // Its name and its zone are another by now; what was closed does not care.
            let mut renamed = priced("north", list);
            renamed.name = "North by another name".into();
            renamed.time_zone = "Asia/Kathmandu".parse().unwrap();
            world.store.apply_organization(&renamed, &[]).await.unwrap();
            let again = statement(world, org, text, org).await;
            assert_eq!(again.json().unwrap(), kept);
            assert_eq!(html::write(&again).unwrap(), html::write(&first).unwrap());
            assert_eq!(pdf::write(&again).unwrap(), pdf::write(&first).unwrap());
        }
    }

    async fn bl_30_resends_test_traffic_and_another_channel_each_cost_what_they_should(world: &World) {
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25' },
            { from = '2026-01-01', fee_code = 'direct', channel = 'fax', amount = '0.40' },
            { from = '2026-01-01', fee_code = 'direct', status = 'corrected', amount = '0.05' },
            { from = '2026-01-01', fee_code = 'direct_resend', amount = '0' }]";
        let org = apply(world, "north", list).await;
        let failed = charged(world, org, "A1", "2026-03-03T15:00:00Z").await;
        happen(world, org, failed, FAILED).await;
        for (order_id, change) in [
            ("A2", (|routing: &mut Routing| routing.terms.billed.channel = Channel::Fax) as fn(&mut Routing)),
            ("A3", |routing| routing.terms.fee_code = "direct_resend".into()),
            ("A4", |routing| routing.terms.test = true),
            ("A5", |routing| routing.terms.billed.status = postern::domain::report::ResultStatus::Corrected),
        ] {
            let made = routed(world, org, order_id, change).await;
            happen(world, org, made[0], SENT).await;
        }
        let lines = lines(world, org).await;
        let told: Vec<_> = lines.iter().map(|line| (line.entry_type.as_str(), line.channel.as_str(), line.amount.to_string(), line.note.as_str())).collect();
        assert_eq!(told, [
            ("charge", "direct", "0.25".into(), ""),
            ("credit", "direct", "-0.25".into(), ""),
            ("charge", "fax", "0.40".into(), ""),
            ("charge", "direct", "0.00".into(), ""),
            ("charge", "direct", "0.00".into(), "test"),
            ("charge", "direct", "0.05".into(), ""),
        ]);
        let made = statement(world, org, "2026-03", org).await;
        assert_eq!(made.totals[0].total.to_string(), "0.45");
        let controls = made.controls.unwrap();
        assert!(controls.ties, "{controls:?}");
        assert_eq!((controls.counts.deliveries, controls.counts.test), (5, 1));
    }

    async fn closing_writes_what_tiers_and_the_minimum_add_and_says_what_stands_in_its_way(world: &World) {
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25', included = 1, tier = [{ above = 2, amount = '0.10' }] }]
            terms = [{ from = '2026-01-01', minimum = '5' }]";
        let org = apply(world, "north", list).await;
        for number in 0..4 {
            charged(world, org, &format!("A{number}"), "2026-03-03T15:00:00Z").await;
        }
        world.queued(org, "Q1").await;
        assert_eq!(close(world, org, "2026-03", true).await.unwrap().refusals.len(), 2, "it has not ended");
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let refused = close(world, org, "2026-03", false).await.unwrap();
        assert_eq!((refused.closed, &refused.refusals[..]), (false, &[Refusal::Unsettled(1)][..]));
        let early = close(world, org, "2026-04", true).await.unwrap();
        assert!(early.refusals.contains(&Refusal::EarlierOpen(month("2026-03"))) && !early.closed);
        assert!(matches!(close(world, org, "2025-01", true).await, Err(Refusal::NoPeriod(_))));
        assert_eq!(lines(world, org).await.len(), 4, "what is refused writes nothing");
        let dry = Close { dry_run: true, force: true, by: "x".into() };
        let dry = world.store.close_period(&organization(world, org).await, month("2026-03"), &dry).await.unwrap().unwrap();
        assert!(!dry.closed && dry.added.len() == 2);
        let closing = close(world, org, "2026-03", true).await.unwrap();
        assert!(closing.closed && closing.period.forced);
        let told: Vec<_> = lines(world, org).await[4..].iter().map(told).collect();
        // One is free, one costs 0.25, two 0.10: 0.45 instead of 1.00.
        assert_eq!(told, [tell("adjustment", "-0.55", "2026-03", ""), tell("minimum", "4.55", "2026-03", "")]);
        let made = statement(world, org, "2026-03", org).await;
        assert_eq!(made.totals[0].total.to_string(), "5.00");
        assert_eq!(made.controls.unwrap().counts.not_charged.get("not_sent_yet"), Some(&1));
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(6));
    }

    async fn what_ended_without_what_makes_it_billable_is_not_called_billable_one_day(world: &World) {
        let org = apply(world, "north", FLAT).await;
        charged(world, org, "C1", "2026-03-03T15:00:00Z").await;
        let ends: [(&str, &[Event]); 4] = [
            ("processed", &[E::Notice(NoticeKind::Failed)]),
            ("dispatched", &[E::DeadlinePassed]),
            ("dispatched", &[E::Notice(NoticeKind::Processed), E::DeadlinePassed]),
            ("processed", &[]),
        ];
        for (number, (billable, end)) in ends.into_iter().enumerate() {
            let id = world.queued(org, &format!("A{number}")).await;
            world.run(&format!("UPDATE delivery SET billable = '{billable}', wants_dispatched = TRUE WHERE id = '{id}'")).await;
            happen(world, org, id, SENT).await;
            if !end.is_empty() {
                world.pass(std::time::Duration::from_hours(1)).await;
                happen(world, org, id, end).await;
            }
        }
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let controls = close(world, org, "2026-03", false).await.unwrap().controls;
        let why: Vec<(&str, u64)> = controls.not_charged.iter().map(|(why, count)| (why.as_str(), *count)).collect();
        assert_eq!((why, controls.unsettled), (vec![("not_billable_yet", 1), ("not_confirmed", 1), ("not_delivered", 2)], 1));
    }

    async fn no_more_is_given_back_than_it_cost_when_its_month_was_closed(world: &World) {
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25', tiering = 'volume', tier = [{ above = 1, amount = '0.20' }] }]";
        let org = apply(world, "north", list).await;
        let id = charged(world, org, "A1", "2026-03-03T15:00:00Z").await;
        charged(world, org, "A2", "2026-03-03T15:00:00Z").await;
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        assert!(close(world, org, "2026-03", false).await.unwrap().closed);
        happen(world, org, id, FAILED).await;
        assert_eq!(told(lines(world, org).await.last().unwrap()), tell("credit", "-0.20", "2026-04", "2026-03"));
    }

    async fn no_more_is_given_back_by_hand_than_it_cost_when_its_month_was_closed(world: &World) {
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.30', included = 2, tier = [{ above = 3, amount = '0.20' }] }]";
        let (free, paid) = (apply(world, "north", list).await, apply(world, "south", list).await);
        let of = |id| Corrected::Delivery(id);
        let id = charged(world, free, "A1", "2026-03-03T15:00:00Z").await;
        let mut ids = Vec::new();
        for number in 0..4 {
            ids.push(charged(world, paid, &format!("B{number}"), "2026-03-03T15:00:00Z").await);
        }
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        for org in [free, paid] {
            assert!(close(world, org, "2026-03", false).await.unwrap().closed);
        }
        // What cost nothing gives nothing back, and is entered again at what it should have cost.
        let waived = world.store.adjust(OrgScope::All, &correction(of(id), "0")).await;
        assert!(matches!(waived, Err(AdjustError::Same)), "{waived:?}");
        let made = world.store.adjust(OrgScope::All, &correction(of(id), "0.10")).await.unwrap();
        let expected = [tell("adjustment", "0.00", "2026-04", "2026-03"), tell("adjustment", "0.10", "2026-04", "2026-03")];
        assert_eq!(made.iter().map(told).collect::<Vec<_>>(), expected);
        let made = world.store.adjust(OrgScope::All, &correction(of(ids[0]), "0")).await.unwrap();
        assert_eq!(made.iter().map(told).collect::<Vec<_>>(), [tell("adjustment", "-0.20", "2026-04", "2026-03")]);
        // The line of the tiers itself is taken back as it was written.
        let tier = lines(world, paid).await.into_iter().find(|line| line.note == "tier").unwrap();
        assert_eq!(tier.amount.to_string(), "-0.70");
        let made = world.store.adjust(OrgScope::All, &correction(Corrected::Line(tier.id), "0")).await.unwrap();
        assert_eq!(made.iter().map(told).collect::<Vec<_>>(), [tell("adjustment", "0.70", "2026-04", "2026-03")]);
        for org in [free, paid] {
            assert!(world.store.verify_ledger(org).await.unwrap().is_ok());
        }
    }

    async fn test_traffic_gives_nothing_back_after_its_month_was_closed(world: &World) {
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25', tier = [{ above = 9, amount = '0.20' }] }]";
        let org = apply(world, "north", list).await;
        charged(world, org, "A1", "2026-03-03T15:00:00Z").await;
        let made = routed(world, org, "A2", |routing| routing.terms.test = true).await;
        happen(world, org, made[0], SENT).await;
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        assert!(close(world, org, "2026-03", false).await.unwrap().closed);
        happen(world, org, made[0], FAILED).await;
        assert_eq!(told(lines(world, org).await.last().unwrap()), tell("credit", "0.00", "2026-04", "2026-03"));
    }

    async fn whoever_is_confined_corrects_what_it_pays_itself_and_nothing_else(world: &World) {
        let plan = world.organization("demo-plan").await;
        let list = format!("{FLAT}\nterms = [{{ from = '2026-01-01', sponsor = [{{ organization = 'demo-plan', payer = 'PLAN-DEMO' }}] }}]");
        let org = apply(world, "north", &list).await;
        let theirs = routed(world, org, "A1", |routing| routing.terms.billed.payer = "PLAN-DEMO".into()).await[0];
        happen(world, org, theirs, SENT).await;
        let own = charged(world, org, "A2", "2026-03-03T15:00:00Z").await;
        let line = lines(world, org).await[0].clone();
        assert_eq!((line.delivery, line.bill_to), (Some(theirs), plan));
        let confined = |of, paid_by| Correction { paid_by: Some(paid_by), ..correction(of, "900") };
        for of in [Corrected::Delivery(theirs), Corrected::Line(line.id)] {
            let refused = world.store.adjust(OrgScope::One(org), &confined(of, org)).await;
            assert!(matches!(refused, Err(AdjustError::PaidByAnother)), "{refused:?}");
        }
        assert_eq!(lines(world, org).await.len(), 2);
        assert_eq!(world.store.adjust(OrgScope::One(org), &confined(Corrected::Delivery(own), org)).await.unwrap().len(), 2);
        assert_eq!(world.store.adjust(OrgScope::One(org), &confined(Corrected::Delivery(theirs), plan)).await.unwrap().len(), 2);
    }

    async fn a_correction_takes_back_and_enters_again_once_and_says_who_and_why(world: &World) {
        let org = apply(world, "north", FLAT).await;
        let id = charged(world, org, "A1", "2026-03-03T15:00:00Z").await;
        let store = &world.store;
        let dry = Correction { dry_run: true, ..correction(Corrected::Delivery(id), "0.10") };
        assert_eq!(store.adjust(OrgScope::All, &dry).await.unwrap().len(), 2);
        assert_eq!(lines(world, org).await.len(), 1);
        let other = world.organization("other").await;
        let foreign = store.adjust(OrgScope::One(other), &correction(Corrected::Delivery(id), "0.10")).await;
        assert!(matches!(foreign, Err(AdjustError::NotFound(_))));
        let made = store.adjust(OrgScope::All, &correction(Corrected::Delivery(id), "0.10")).await.unwrap();
        assert_eq!(made.iter().map(told).collect::<Vec<_>>(), [tell("adjustment", "-0.25", "2026-03", ""), tell("adjustment", "0.10", "2026-03", "")]);
        assert!(made.iter().all(|line| line.reason == "as agreed on the phone" && line.entered_by == "the biller"));
        assert!(matches!(store.adjust(OrgScope::All, &correction(Corrected::Delivery(id), "0.10")).await, Err(AdjustError::Same)));
        let charge = lines(world, org).await[0].id;
        assert!(matches!(store.adjust(OrgScope::All, &correction(Corrected::Line(charge), "1")).await, Err(AdjustError::TakenBack)));
        let wordless = Correction { reason: " ".into(), ..correction(Corrected::Delivery(id), "0.20") };
        assert!(matches!(store.adjust(OrgScope::All, &wordless).await, Err(AdjustError::Words(_))));
        // A failure that is proven now gives back what stands, not what was charged first.
        happen(world, org, id, FAILED).await;
        assert_eq!(told(lines(world, org).await.last().unwrap()), tell("credit", "-0.10", "2026-03", ""));
        assert!(matches!(store.adjust(OrgScope::All, &correction(Corrected::Delivery(id), "0.20")).await, Err(AdjustError::TakenBack)));
        let sum: i64 = lines(world, org).await.iter().map(|line| line.amount.micros()).sum();
        assert_eq!((sum, store.verify_ledger(org).await.unwrap()), (0, Ok(4)));
        assert_eq!(store.counts(OrgScope::All).await.unwrap().untied, 0);
    }

    async fn what_was_waived_is_not_given_back_twice(world: &World) {
        let org = apply(world, "north", FLAT).await;
        let id = charged(world, org, "A1", "2026-03-03T15:00:00Z").await;
        world.store.adjust(OrgScope::All, &correction(Corrected::Delivery(id), "0")).await.unwrap();
        happen(world, org, id, FAILED).await;
        let lines = lines(world, org).await;
        assert_eq!(told(&lines[2]), tell("credit", "0.00", "2026-03", ""));
        assert_eq!(world.store.counts(OrgScope::All).await.unwrap().untied, 0);
        // Nor is it counted off twice: two of three are left, at 0.30 and 0.20.
        let list = "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.30', tier = [{ above = 1, amount = '0.20' }] }]";
        let org = apply(world, "tiered", list).await;
        let mut ids = Vec::new();
        for number in 0..3 {
            ids.push(charged(world, org, &format!("T{number}"), "2026-03-03T15:00:00Z").await);
        }
        world.store.adjust(OrgScope::All, &correction(Corrected::Delivery(ids[2]), "0")).await.unwrap();
        happen(world, org, ids[2], FAILED).await;
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let closing = close(world, org, "2026-03", false).await.unwrap();
        assert_eq!(closing.added.iter().map(|row| row.amount.to_string()).collect::<Vec<_>>(), ["-0.10"]);
        assert_eq!(statement(world, org, "2026-03", org).await.totals[0].total.to_string(), "0.50");
    }

    async fn sums_and_pages_tell_the_same_and_a_page_ends_where_it_was_told_to(world: &World) {
        let org = apply(world, "north", FLAT).await;
        for number in 0..5 {
            charged(world, org, &format!("A{number}"), "2026-03-03T15:00:00Z").await;
        }
        let query = LineQuery { period: Some(month("2026-03")), site: Some(make::SITE), channel: Some("direct"), status: Some("final"),
            payer: Some(""), entry_type: Some(EntryType::Charge), bill_to: Some(org), ..LineQuery::of(org) };
        let page = world.store.ledger_page(OrgScope::All, &query, 2, 2).await.unwrap();
        assert_eq!(page.iter().map(|line| line.seq).collect::<Vec<_>>(), [3, 4]);
        let sums = world.store.ledger_sums(OrgScope::One(org), &query).await.unwrap();
        assert_eq!((sums.len(), sums[0].row.lines, sums[0].row.amount.to_string().as_str()), (1, 5, "1.25"));
        let elsewhere = LineQuery { site: Some("HILLTOP02"), ..query };
        assert!(world.store.ledger_sums(OrgScope::All, &elsewhere).await.unwrap().is_empty());
    }

    async fn two_that_close_a_month_at_once_close_it_once_while_others_charge(world: &World) {
        let org = apply(world, "north", "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25' }]\nterms = [{ from = '2026-01-01', minimum = '9' }]").await;
        charged(world, org, "A1", "2026-03-03T15:00:00Z").await;
        world.set_time(make::at("2026-04-10T15:00:00Z")).await;
        let mut ids = Vec::new();
        for number in 0..6 {
            ids.extend(routed(world, org, &format!("B{number}"), |_| {}).await);
        }
        let neighbour = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        let own = organization(world, org).await;
        let how = Close { dry_run: false, force: false, by: "x".into() };
        let (one, other, ()) = tokio::join!(
            world.store.close_period(&own, month("2026-03"), &how),
            neighbour.close_period(&own, month("2026-03"), &how),
            async { for id in &ids { happen(world, org, *id, SENT).await; } }
        );
        let done: Vec<bool> = [one, other].into_iter().map(|closed: Result<_, StoreError>| closed.unwrap().is_ok_and(|closing| closing.closed)).collect();
        assert_eq!(done.iter().filter(|closed| **closed).count(), 1);
        assert_eq!(world.store.verify_ledger(org).await.unwrap(), Ok(8));
        assert_eq!(world.number("SELECT COUNT(*) FROM ledger_line WHERE entry_type = 'minimum'").await, 1);
    }
}
