//! Pins, suppressions, what people say on the worklist, rosters, and how deliveries went.

use std::time::Duration;

use postern::{
    domain::{
        DirectAddress, Npi, OrgId, OrgScope, Reason,
        choice::{Decides, Suppressed},
        delivery::{Event as E, NoticeKind},
        order::{Action, HealthPlan},
        roster::{RosterRow, Says},
        route::{IntendedRecipient, Rule, Target, Verdict},
    },
    store::{
        StoreError,
        decision::Whom,
        worklist::{Act, WorkFilter, WorkKind},
    },
};

use super::{make, world::World};

const WHOM: Whom<'static> = Whom { by: "ana", why: "called the practice" };

fn npi(text: &str) -> Npi {
    text.parse().unwrap()
}

fn address(text: &str) -> DirectAddress {
    text.parse().unwrap()
}

/// A result held because nobody knew which address of an NPI was meant.
async fn ambiguous(world: &World, org: OrgId, order_id: &str) -> postern::domain::ResultId {
    let result = world.result(org, order_id).await;
    let lease = make::lease();
    for work in world.store.claim_results(&lease, 100, 0).await.unwrap() {
        let mut routing = make::routing(work.org, work.id, &lease, &["p@a.example"]);
        routing.route.targets.clear();
        routing.route.decision = postern::domain::route::Decision::Held(Reason::Ambiguous);
        for line in &mut routing.route.trace {
            (line.verdict, line.reason, line.npi) = (Verdict::Held, Some(Reason::Ambiguous), Some("1234567893".into()));
        }
        world.record(routing).await.unwrap();
    }
    result
}

fn row(member: &str, npi: &str, from: &str, to: &str) -> RosterRow {
    let day = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    RosterRow { plan: None, member: member.into(), birth: None, npi: npi.parse().unwrap(), from: day(from), to: day(to) }
}

async fn load(world: &World, org: OrgId, rows: &[RosterRow]) -> postern::domain::id::RosterId {
    let roster = world.store.begin_roster(org, "roster.csv").await.unwrap();
    world.store.add_to_roster(org, roster, 0, rows).await.unwrap();
    let members = world.store.roster_members(org, roster).await.unwrap();
    world.store.activate_roster(org, roster, u64::try_from(rows.len()).unwrap(), members).await.unwrap();
    roster
}

async fn says(world: &World, org: OrgId, day: &str) -> Option<Says> {
    let said = world.store.attribution(org, &make::order("A1"), day.parse().unwrap()).await.unwrap();
    said.map(|attribution| attribution.says)
}

on_both_engines! {
    async fn a_pin_is_on_record_with_who_and_why_and_what_waited_for_it_is_routed_again(world: &World) {
        let (org, other) = (world.organization("north").await, world.organization("south").await);
        let (held, elsewhere) = (ambiguous(world, org, "A1").await, ambiguous(world, other, "A1").await);
        assert_eq!(world.store.undecided(org, &npi("1234567893")).await.unwrap(), [held]);
        let led = world.store.pin(org, &npi("1234567893"), &address("p@b.example"), WHOM).await.unwrap();
        assert_eq!((led.before, led.rerouted), (None, vec![held]));
        assert_eq!((world.result_state(held).await, world.result_state(elsewhere).await), ("received".into(), "held(ambiguous)".into()));
        let led = world.store.pin(org, &npi("1234567893"), &address("p@c.example"), WHOM).await.unwrap();
        assert_eq!(led.before.as_deref(), Some("p@b.example"));
        let pins = world.store.pins_of(org, &[npi("1234567893"), npi("2000000010")]).await.unwrap();
        assert_eq!((pins.len(), pins[&npi("1234567893")].address.as_str()), (1, "p@c.example"));
        assert!(world.store.pins(other, None).await.unwrap().is_empty());

        assert_eq!(world.store.unpin(org, &npi("1234567893"), WHOM).await.unwrap().as_deref(), Some("p@c.example"));
        assert_eq!(world.store.unpin(org, &npi("1234567893"), WHOM).await.unwrap(), None);
        let said: Vec<_> = world.store.decisions(org, None, 10).await.unwrap().into_iter().map(|d| (d.what, d.decided.by)).collect();
        assert_eq!(said, [(Decides::Unpin, "ana".into()), (Decides::Pin, "ana".into()), (Decides::Pin, "ana".into())]);
    }

    async fn a_suppression_ends_when_it_is_lifted_or_its_time_is_over(world: &World) {
        let org = world.organization("north").await;
        let what: Suppressed = "Webmail.example".parse().unwrap();
        let until = world.store.now().await.unwrap().plus(Duration::from_hours(24));
        assert!(world.store.suppress(org, &what, Some(until), WHOM).await.unwrap());
        assert!(!world.store.suppress(org, &what, Some(until), WHOM).await.unwrap(), "it was so before");
        assert_eq!(world.store.known(org, None, None).await.unwrap().suppressed, std::slice::from_ref(&what));
        world.pass(Duration::from_hours(24)).await;
        assert!(world.store.known(org, None, None).await.unwrap().suppressed.is_empty());
        assert!(world.store.suppress(org, &what, None, WHOM).await.unwrap());
        assert!(world.store.unsuppress(org, &what, WHOM).await.unwrap());
        assert!(!world.store.unsuppress(org, &what, WHOM).await.unwrap());
        assert!(world.store.suppressions(org).await.unwrap().is_empty());
    }

    async fn an_address_named_for_an_order_lasts_until_its_sender_changes_the_order(world: &World) {
        let org = world.organization("north").await;
        let held = ambiguous(world, org, "A1").await;
        let act = Act::Name("deliver_to[0]".into(), address("p@c.example"));
        assert_eq!(world.store.act(org, held, &act, WHOM).await.unwrap(), [held]);
        let (key, _) = world.store.find_order(org, "A1").await.unwrap().unwrap();
        let known = world.store.known(org, Some(key), Some(held)).await.unwrap();
        assert_eq!(known.named("deliver_to[0]").unwrap().address, Some(address("p@c.example")));
        let mut changed = make::order("A1");
        changed.encounter = Some("E2".into());
        world.store.take_order(org, &changed, Action::Change).await.unwrap();
        assert!(world.store.known(org, Some(key), Some(held)).await.unwrap().named.is_empty());
    }

    async fn a_dismissed_result_is_not_sent_and_can_be_taken_up_again(world: &World) {
        let org = world.organization("north").await;
        let held = ambiguous(world, org, "A1").await;
        assert!(world.store.act(org, held, &Act::Dismiss, WHOM).await.unwrap().is_empty());
        assert_eq!(world.result_state(held).await, "not_sent(dismissed)");
        assert!(world.store.worklist(OrgScope::One(org)).await.unwrap().is_empty());
        assert!(matches!(world.store.act(org, held, &Act::Dismiss, WHOM).await, Err(StoreError::Lost)));
        world.store.act(org, held, &Act::Reroute, WHOM).await.unwrap();
        assert_eq!(world.result_state(held).await, "received");
        let said = world.store.decisions(org, Some(held), 10).await.unwrap();
        assert_eq!(said.len(), 2, "what was refused is not on record: {said:?}");
    }

    async fn a_result_dismissed_before_its_order_came_stays_so_until_a_change_or_a_person_takes_it_up(world: &World) {
        let org = world.organization("north").await;
        let mut dismissed = Vec::new();
        for order_id in ["A1", "A2"] {
            let taken = world.take(org, order_id, postern::domain::report::ResultStatus::Final, 1).await;
            let postern::store::intake::ResultTaken::Waiting(id, _) = taken else { panic!("{taken:?}") };
            world.store.act(org, id, &Act::Dismiss, WHOM).await.unwrap();
            world.order(org, order_id).await;
            assert_eq!(world.result_state(id).await, "not_sent(dismissed)", "its order is no new word about it");
            dismissed.push(id);
        }
        assert!(world.route(&[make::ADDRESS]).await.is_empty());
        world.store.act(org, dismissed[0], &Act::Reroute, WHOM).await.unwrap();
        let mut changed = make::order("A2");
        changed.encounter = Some("E2".into());
        world.store.take_order(org, &changed, Action::Change).await.unwrap();
        assert_eq!(world.route(&[make::ADDRESS]).await.len(), 2);
    }

    async fn routing_again_sends_nothing_twice_and_nothing_that_a_person_called_off(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let made = world.route(&[make::ADDRESS, make::ELSEWHERE]).await;
        world.lead(org, made[0], &[E::Claimed, E::WireStarted, E::Accepted]).await;
        world.store.ask_delivery(OrgScope::One(org), made[1], E::Cancel, "an operator cancelled it").await.unwrap();
        world.store.act(org, result, &Act::Reroute, WHOM).await.unwrap();
        let again = world.route(&[make::ADDRESS, make::ELSEWHERE, "third@direct.example.org"]).await;
        assert_eq!(again.len(), 1, "only the new one");
        let known = world.store.known(org, None, Some(result)).await.unwrap();
        assert_eq!(known.served.len(), 1, "what is queued or cancelled has not arrived");
        // The sender's new word goes before the person's.
        let mut changed = make::order("A1");
        changed.encounter = Some("E2".into());
        world.pass(Duration::from_secs(1)).await;
        world.store.take_order(org, &changed, Action::Change).await.unwrap();
        assert_eq!(world.route(&[make::ADDRESS, make::ELSEWHERE]).await.len(), 1);
    }

    async fn what_took_the_place_of_a_failed_delivery_stays_when_the_result_is_routed_again(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let failed = world.route(&[make::ADDRESS]).await[0];
        world.lead(org, failed, &[E::Claimed, E::Refused(Reason::NoCert)]).await;
        world.run(&format!("UPDATE delivery SET fallback = 'made' WHERE id = '{failed}'")).await;
        world.store.act(org, result, &Act::Reroute, WHOM).await.unwrap();
        let stand_in = world.route(&[make::ADDRESS, make::ELSEWHERE]).await[0];
        world.run(&format!("UPDATE delivery SET fallback_of = '{failed}' WHERE id = '{stand_in}'")).await;
        world.store.act(org, result, &Act::Reroute, WHOM).await.unwrap();
        world.route(&[make::ADDRESS]).await;
        assert_eq!(world.column(stand_in, "state").await, "queued", "it stands for one that is still wanted");
        world.store.act(org, result, &Act::Reroute, WHOM).await.unwrap();
        world.route(&["new@direct.example.org"]).await;
        assert_eq!(world.column(stand_in, "state").await, "cancelled");
    }

    async fn only_the_latest_version_of_an_order_that_is_not_cancelled_is_routed_again(world: &World) {
        let org = world.organization("north").await;
        let first = ambiguous(world, org, "A1").await;
        world.report(org, "A1", postern::domain::report::ResultStatus::Corrected, 2).await;
        assert!(matches!(world.store.act(org, first, &Act::Reroute, WHOM).await, Err(StoreError::Lost)));
        let cancelled = ambiguous(world, org, "A2").await;
        world.store.take_cancellation(org, "A2").await.unwrap();
        assert!(matches!(world.store.act(org, cancelled, &Act::Reroute, WHOM).await, Err(StoreError::Lost)));
        let other = world.organization("south").await;
        assert!(matches!(world.store.act(other, first, &Act::Reroute, WHOM).await, Err(StoreError::Lost)), "another tenant's");
    }

    async fn the_worklist_is_read_in_parts_and_by_reason(world: &World) {
        let org = world.organization("north").await;
        let mut expected = Vec::new();
        for order_id in ["A1", "A2", "A3"] {
            expected.push(ambiguous(world, org, order_id).await.to_string());
        }
        let ask = async |filter: WorkFilter| world.store.work_items(OrgScope::One(org), &filter).await.unwrap();
        let first = ask(WorkFilter { limit: Some(2), ..WorkFilter::default() }).await;
        let after = first[1].cursor().to_string().parse().ok();
        let rest = ask(WorkFilter { limit: Some(2), after, ..WorkFilter::default() }).await;
        let ids: Vec<_> = first.iter().chain(&rest).map(|item| item.id.clone()).collect();
        assert_eq!(ids, expected);
        assert_eq!(ask(WorkFilter { reason: Some(Reason::Ambiguous), ..WorkFilter::default() }).await.len(), 3);
        assert!(ask(WorkFilter { reason: Some(Reason::NoCert), ..WorkFilter::default() }).await.is_empty());
        assert!(ask(WorkFilter { kind: Some(WorkKind::Delivery), ..WorkFilter::default() }).await.is_empty());
        // A result held as a whole is found by the reason of one of its recipients too.
        world.run("UPDATE result SET reason = 'no_target' WHERE order_id = 'A2'").await;
        assert_eq!(ask(WorkFilter { reason: Some(Reason::Ambiguous), ..WorkFilter::default() }).await.len(), 3);
        assert_eq!(ask(WorkFilter { reason: Some(Reason::NoTarget), ..WorkFilter::default() }).await.len(), 1);
    }

    async fn how_deliveries_went_is_told_since_the_last_that_arrived(world: &World) {
        let org = world.organization("north").await;
        let ask = async || {
            let address = address("PCP.demo@direct.example.org");
            world.store.experience(org, [&address]).await.unwrap()[&address.key()]
        };
        assert_eq!(ask().await, postern::domain::choice::Experience::default());
        let good = world.queued(org, "A1").await;
        world.lead(org, good, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        assert_eq!(ask().await.last_success, None, "handed over is not arrived");
        let at = world.store.now().await.unwrap();
        world.lead(org, good, &[E::Notice(NoticeKind::Processed)]).await;
        assert_eq!(ask().await.last_success, Some(at));
        for (order_id, way) in [
            ("A2", &[E::Claimed, E::WireStarted, E::Accepted, E::Notice(NoticeKind::Failed)][..]),
            ("A3", &[E::Claimed, E::Refused(Reason::NoCert)]),
            ("A4", &[E::Claimed, E::Refused(Reason::RetriesExhausted)]),
        ] {
            world.pass(Duration::from_secs(5)).await;
            let id = world.queued(org, order_id).await;
            world.lead(org, id, way).await;
        }
        let went = ask().await;
        assert_eq!((went.failures, went.unsealable.map(|(_, reason)| reason)), (2, Some(Reason::NoCert)));
        world.pass(Duration::from_secs(5)).await;
        let good = world.queued(org, "A5").await;
        world.lead(org, good, &[E::Claimed, E::WireStarted, E::Accepted, E::Notice(NoticeKind::Dispatched)]).await;
        let went = ask().await;
        assert_eq!((went.failures, went.unsealable), (0, None), "what arrives afterwards forgives");
    }

    async fn a_roster_says_who_the_provider_is_on_a_day_and_keeps_no_member_number(world: &World) {
        let org = world.organization("north").await;
        assert_eq!(says(world, org, "2026-06-01").await, None, "without a roster nobody is attributed");
        let first = load(world, org, &[
            row(make::MEMBER_ID, "1234567893", "2026-01-01", "2026-06-30"),
            row("mbr 000417", "2000000010", "2026-07-01", ""),
            row("MBR-2", "2000000044", "", ""),
        ]).await;
        assert_eq!(says(world, org, "2025-12-31").await, Some(Says::Nobody));
        assert_eq!(says(world, org, "2026-06-30").await, Some(Says::Pcp(npi("1234567893"))), "the last day counts");
        assert_eq!(says(world, org, "2026-07-01").await, Some(Says::Pcp(npi("2000000010"))));
        assert_eq!(world.store.rosters(org).await.unwrap()[0].members, 2, "one member, however it is written");
        assert_eq!(world.number("SELECT COUNT(*) FROM roster_line WHERE member LIKE '%000417%' OR member LIKE '%MBR%'").await, 0);
        let other = world.organization("south").await;
        assert_eq!(says(world, other, "2026-06-01").await, None, "a roster is its organization's alone");

        let half = world.store.begin_roster(org, "half.csv").await.unwrap();
        world.store.add_to_roster(org, half, 0, &[row(make::MEMBER_ID, "2000000044", "", "")]).await.unwrap();
        assert_eq!(says(world, org, "2026-07-01").await, Some(Says::Pcp(npi("2000000010"))), "half a load answers nothing");
        world.store.drop_roster(org, half).await.unwrap();
        let second = load(world, org, &[row("MBR-9", "2000000044", "", "")]).await;
        assert_eq!(says(world, org, "2026-07-01").await, Some(Says::NoMember));
        let versions: Vec<_> = world.store.rosters(org).await.unwrap().into_iter().map(|roster| (roster.id, roster.state)).collect();
        assert!(versions.contains(&(first, "retired".into())) && versions.contains(&(second, "active".into())), "{versions:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM roster_line").await, 4, "the version before is kept");
    }

    async fn tr22_overlapping_rows_are_an_exception_and_another_person_is_noticed(world: &World) {
        let org = world.organization("north").await;
        load(world, org, &[row(make::MEMBER_ID, "2000000010", "", ""), row(make::MEMBER_ID, "1234567893", "2026-06-01", "")]).await;
        assert_eq!(says(world, org, "2026-05-31").await, Some(Says::Pcp(npi("2000000010"))));
        assert_eq!(says(world, org, "2026-06-01").await, Some(Says::Overlap(vec![npi("1234567893"), npi("2000000010")])));
        load(world, org, &[row(make::MEMBER_ID, "2000000010", "", ""), row(make::MEMBER_ID, "2000000010", "", "")]).await;
        assert_eq!(says(world, org, "2026-06-01").await, Some(Says::Pcp(npi("2000000010"))), "the same provider twice is one");
        let born = |day: &str| RosterRow { birth: Some(day.parse().unwrap()), ..row(make::MEMBER_ID, "2000000010", "", "") };
        load(world, org, &[born("1964-02-17")]).await;
        assert_eq!(says(world, org, "2026-06-01").await, Some(Says::Pcp(npi("2000000010"))));
        load(world, org, &[born("1964-02-18")]).await;
        assert_eq!(says(world, org, "2026-06-01").await, Some(Says::OtherPerson));

        load(world, org, &[RosterRow { plan: Some("H1".into()), ..row(make::MEMBER_ID, "2000000010", "", "") }]).await;
        let mut order = make::order("A1");
        order.health_plan = Some(HealthPlan { id: Some("h2".into()), name: None, member_id: Some(make::MEMBER_ID.into()) });
        let day = "2026-06-01".parse().unwrap();
        assert_eq!(world.store.attribution(org, &order, day).await.unwrap().unwrap().says, Says::NoMember, "another plan's member");
    }

    async fn where_a_version_is_already_is_known_for_each_npi(world: &World) {
        let org = world.organization("north").await;
        let result = world.result(org, "A1").await;
        let lease = make::lease();
        let work = world.store.claim_results(&lease, 1, 0).await.unwrap().remove(0);
        let mut routing = make::routing(work.org, work.id, &lease, &["p@a.example"]);
        let recipient = Some(IntendedRecipient { npi: Some(npi("1234567893")), ..IntendedRecipient::default() });
        routing.route.targets = vec![Target { address: address("p@a.example"), rule: Rule::Directory, recipient, own_site: false }];
        let made = world.record(routing).await.unwrap().deliveries[0];
        drop(work);
        let served = async || {
            let known = world.store.known(org, None, Some(result)).await.unwrap();
            known.served_for(&npi("1234567893")).map(|target| target.address.to_string())
        };
        assert_eq!(served().await, None, "queued is not served");
        world.lead(org, made, &[E::Claimed, E::WireStarted]).await;
        assert_eq!(served().await.as_deref(), Some("p@a.example"), "it may be there");
        world.lead(org, made, &[E::Accepted, E::Notice(NoticeKind::Failed)]).await;
        assert_eq!(served().await, None, "it is proven not to be there");
    }
}
