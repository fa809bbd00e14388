//! Scenarios with what people decided, what a roster says and what is known from before.

use super::scenarios::{Desk, OTHER, PCP, configured, entry, reasons, sent_to, to};
use super::*;
use crate::domain::{
    Timestamp,
    choice::{Corrections, Decided, Named, Pin, Suppressed},
    id::{RosterId, SnapshotId},
    order::Role,
    organization::{Conflict, When},
    roster::{Attribution, Says},
    route::{IntendedRecipient, Rule, Verdict},
};

fn npi(text: &str) -> Npi {
    text.parse().unwrap()
}

fn decided() -> Decided {
    Decided { by: "ana".into(), why: "called the practice".into(), at: Timestamp(1) }
}

fn pin(desk: &mut Desk, of: &str, address: &str) {
    let pin = Pin { npi: npi(of), address: address.parse().unwrap(), decided: decided() };
    desk.known.pins.insert(npi(of), pin);
}

fn name(desk: &mut Desk, origin: &str, address: Option<&str>) {
    let address = address.map(|address| address.parse().unwrap());
    desk.known.named.push(Named { origin: origin.into(), address, decided: decided() });
}

fn found(desk: &mut Desk, of: &str, entries: &[(&str, &str)]) {
    let entries = entries.iter().map(|(address, organization)| entry(&npi(of), address, organization)).collect();
    desk.answers.insert(npi(of), DirectoryAnswer::Found { entries, unavailable: vec![] });
}

fn roster(desk: &mut Desk, says: Says) -> RosterId {
    let roster = RosterId::new();
    desk.known.attribution = Some(Attribution { roster, day: "2026-11-01".parse().unwrap(), says });
    roster
}

fn target(address: &str, rule: Rule, of: Option<&str>) -> Target {
    let recipient = of.map(|of| IntendedRecipient { npi: Some(npi(of)), ..IntendedRecipient::default() });
    Target { address: address.parse().unwrap(), rule, recipient, own_site: false }
}

#[test]
fn tr09_a_pin_settles_a_tie_and_says_so_in_the_trace() {
    let mut desk = Desk::new(vec![to(None, Some(PCP))]);
    found(&mut desk, PCP, &[("p@a.example", "Alpha"), ("p@b.example", "Beta")]);
    assert_eq!(desk.route().decision, Decision::Held(Reason::Ambiguous));
    pin(&mut desk, PCP, "p@b.example");
    let route = desk.route();
    assert_eq!(sent_to(&route), ["p@b.example"]);
    let line = route.trace.iter().find(|line| line.verdict == Verdict::Taken).unwrap();
    assert!(line.note.contains("pinned") && line.score.as_ref().unwrap().pinned, "{line:?}");
}

#[test]
fn a_pin_needs_no_directory_but_never_beats_the_order_nor_a_deactivated_npi() {
    let snapshot = SnapshotId::new();
    for answer in [
        DirectoryAnswer::NotConfigured,
        DirectoryAnswer::NotFound(snapshot),
        DirectoryAnswer::NoAddress(snapshot),
        DirectoryAnswer::Unavailable { why: "it is down".into() },
    ] {
        let mut desk = Desk::new(vec![to(None, Some(PCP))]);
        desk.answers.insert(npi(PCP), answer);
        pin(&mut desk, PCP, "p@b.example");
        assert_eq!(sent_to(&desk.route()), ["p@b.example"]);
        desk.answers.insert(npi(PCP), DirectoryAnswer::Inactive(snapshot));
        assert_eq!(reasons(&desk.route()), [Reason::NpiInactive], "the clinician is gone");
    }
    let mut desk = Desk::new(vec![to(Some("a@d.example"), Some(PCP))]);
    found(&mut desk, PCP, &[]);
    pin(&mut desk, PCP, "p@b.example");
    let route = desk.route();
    assert_eq!(sent_to(&route), ["a@d.example"]);
    assert!(route.trace[1].note.contains("pinned"), "{:?}", route.trace[1]);
    desk.rules.conflict = Conflict::Union;
    assert_eq!(sent_to(&desk.route()), ["a@d.example", "p@b.example"]);
}

#[test]
fn what_is_suppressed_is_used_by_no_rule_and_the_next_one_applies() {
    for what in ["a@d.example", "d.example"] {
        let mut desk = Desk::new(vec![to(Some("a@d.example"), Some(PCP))]);
        found(&mut desk, PCP, &[("p@b.example", "Beta")]);
        desk.known.suppressed.push(what.parse().unwrap());
        let route = desk.route();
        assert_eq!((sent_to(&route), reasons(&route)), (vec!["p@b.example"], vec![Reason::Suppressed]), "{what}");
    }
    let mut desk = Desk::new(vec![to(None, Some(PCP))]);
    found(&mut desk, PCP, &[("p@b.example", "Beta")]);
    desk.choice.suppress = vec![Suppressed::Npi(npi(PCP))];
    desk.site = vec![configured("s@d.example", When::OnlyIfNone), configured("t@d.example", When::OnlyIfNone)];
    desk.known.suppressed.push("t@d.example".parse().unwrap());
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["s@d.example"], vec![Reason::Suppressed, Reason::Suppressed]));
    desk.site.clear();
    assert_eq!(desk.route().decision, Decision::Held(Reason::NoTarget), "nothing is dropped");
}

#[test]
fn nothing_goes_outside_the_domains_the_organization_allows() {
    let mut desk = Desk::new(vec![to(Some("a@direct.d.example"), None), to(Some("a@e.example"), None)]);
    desk.choice.allowed_domains = vec!["D.example".into()];
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["a@direct.d.example"], vec![Reason::DomainNotAllowed]));
    desk.order.deliver_to.remove(0);
    assert_eq!(desk.route().decision, Decision::Held(Reason::DomainNotAllowed));
}

#[test]
fn an_address_a_person_named_for_a_recipient_takes_the_place_of_every_other() {
    let mut desk = Desk::new(vec![to(None, Some(PCP)), to(Some("o@d.example"), None)]);
    found(&mut desk, PCP, &[("p@a.example", "Alpha"), ("p@b.example", "Beta")]);
    name(&mut desk, "deliver_to[0]", Some("p@c.example"));
    let route = desk.route();
    assert_eq!(sent_to(&route), ["p@c.example", "o@d.example"]);
    assert_eq!((route.targets[0].rule, route.trace.len()), (Rule::Person, 2));
    assert_eq!(route.targets[0].recipient.as_ref().unwrap().npi, Some(npi(PCP)));

    desk.known.named.clear();
    name(&mut desk, "deliver_to[0]", None);
    assert_eq!((sent_to(&desk.route()), reasons(&desk.route())), (vec!["o@d.example"], vec![Reason::Dismissed]));
    desk.order.deliver_to.clear();
    name(&mut desk, "", Some("any@d.example"));
    assert_eq!(sent_to(&desk.route()), ["any@d.example"]);
}

#[test]
fn a_result_that_is_routed_again_goes_to_no_second_address_of_an_npi_that_was_served() {
    let mut desk = Desk::new(vec![to(None, Some(PCP)), to(None, Some(OTHER))]);
    found(&mut desk, PCP, &[("new@a.example", "Alpha")]);
    found(&mut desk, OTHER, &[("o@b.example", "Beta")]);
    desk.known.served = vec![target("old@a.example", Rule::Directory, Some(PCP))];
    let route = desk.route();
    assert_eq!(sent_to(&route), ["old@a.example", "o@b.example"]);
    desk.known.served = vec![target("old@a.example", Rule::OrderAddress, Some(PCP))];
    assert_eq!(sent_to(&desk.route())[0], "new@a.example", "an order that names another address now is obeyed");
}

#[test]
fn the_primary_care_provider_of_the_roster_is_a_recipient_when_the_order_names_none() {
    let mut ordering = to(Some("o@d.example"), None);
    ordering.role = Role::Ordering;
    let mut desk = Desk::new(vec![ordering]);
    let version = roster(&mut desk, Says::Pcp(npi(PCP)));
    assert_eq!(npis(&desk.order, &desk.known), [npi(PCP)], "the directory is asked for it");
    found(&mut desk, PCP, &[("p@a.example", "Alpha")]);
    let route = desk.route();
    assert_eq!(sent_to(&route), ["o@d.example", "p@a.example"]);
    assert_eq!(route.targets[1].rule, Rule::Roster);
    let line = &route.trace[1];
    assert_eq!((line.roster, line.role, line.npi.as_deref()), (Some(version), Some(Role::Pcp), Some(PCP)));

    desk.rules.pcp_delivery = false;
    assert_eq!((sent_to(&desk.route()), reasons(&desk.route())), (vec!["o@d.example"], vec![Reason::PcpDeliveryOff]));
}

#[test]
fn an_order_that_names_its_primary_care_provider_goes_before_the_roster_unless_both_are_asked_for() {
    let mut desk = Desk::new(vec![to(Some("own@d.example"), None)]);
    roster(&mut desk, Says::Pcp(npi(PCP)));
    found(&mut desk, PCP, &[("p@a.example", "Alpha")]);
    let route = desk.route();
    assert_eq!(sent_to(&route), ["own@d.example"]);
    assert!(route.trace[1].note.contains("the roster is not used"), "{:?}", route.trace[1]);
    desk.roster.when = When::Always;
    assert_eq!(sent_to(&desk.route()), ["own@d.example", "p@a.example"]);
    desk.roster.when = When::OnlyIfNone;
    desk.order.deliver_to = vec![to(Some("no address"), Some("1234567890"))];
    assert_eq!(sent_to(&desk.route()), ["p@a.example"], "what cannot be read names nobody");
}

#[test]
fn tr22_overlapping_rows_of_a_roster_go_to_nobody_and_the_orders_recipients_are_unaffected() {
    let mut ordering = to(Some("o@d.example"), None);
    ordering.role = Role::Ordering;
    let mut desk = Desk::new(vec![ordering]);
    roster(&mut desk, Says::Overlap(vec![npi(PCP), npi(OTHER)]));
    found(&mut desk, PCP, &[("p@a.example", "Alpha")]);
    let route = desk.route();
    assert_eq!((sent_to(&route), route.decision), (vec!["o@d.example"], Decision::Routed));
    assert_eq!(reasons(&route), [Reason::PcpOverlap, Reason::PcpOverlap]);
    assert!(route.trace[1..].iter().all(|line| line.verdict == Verdict::Held && line.roster.is_some()));
    desk.order.deliver_to.clear();
    assert_eq!(desk.route().decision, Decision::Held(Reason::PcpOverlap));
    for (says, reason, decision) in [
        (Says::NoMember, Reason::NoPcp, Reason::NoTarget),
        (Says::Nobody, Reason::NoPcp, Reason::NoTarget),
        (Says::OtherPerson, Reason::RosterMismatch, Reason::RosterMismatch),
    ] {
        roster(&mut desk, says);
        let route = desk.route();
        assert_eq!((reasons(&route), route.decision), (vec![reason], Decision::Held(decision)));
    }
}

#[test]
fn tr12_with_both_configured_the_nearest_wins_product_md_has_no_copy_for_the_organization_beside_the_site() {
    // TR-12 knows `always_copy` on the organization beside the site's address; product.md 1 has the organization's only when
    // the site has none, and holds.
    let mut desk = Desk::new(vec![]);
    desk.site = vec![configured("s@d.example", When::OnlyIfNone)];
    desk.org = vec![configured("o@d.example", When::Always)];
    assert_eq!(sent_to(&desk.route()), ["s@d.example"]);
    desk.org = vec![configured("S@D.example", When::Always)];
    assert_eq!(sent_to(&desk.route()), ["s@d.example"], "the same address is one delivery");
}

#[test]
fn tr20_an_addendum_follows_the_roster_as_it_is_now_and_names_its_version() {
    let mut desk = Desk::new(vec![]);
    desk.report.status = ResultStatus::Addendum;
    desk.earlier = vec![target("then@a.example", Rule::Roster, Some(OTHER))];
    let version = roster(&mut desk, Says::Pcp(npi(PCP)));
    found(&mut desk, PCP, &[("now@a.example", "Alpha")]);
    let route = desk.route();
    assert_eq!((sent_to(&route), route.trace[0].roster), (vec!["now@a.example"], Some(version)));
}

#[test]
fn a_correction_may_be_held_for_who_is_no_longer_on_the_route() {
    let mut desk = Desk::new(vec![to(Some("new@d.example"), None)]);
    desk.report.status = ResultStatus::Corrected;
    desk.earlier = vec![target("old@d.example", Rule::OrderAddress, None), target("new@d.example", Rule::OrderAddress, None)];
    desk.choice.corrections = Corrections::Hold;
    let route = desk.route();
    assert_eq!((sent_to(&route), reasons(&route)), (vec!["new@d.example"], vec![Reason::FormerRecipient]));
    let origin = route.trace[1].origin.clone();
    name(&mut desk, &origin, None);
    assert_eq!(reasons(&desk.route()), [Reason::Dismissed]);
    desk.known.named.clear();
    name(&mut desk, &origin, Some("old@d.example"));
    assert_eq!(sent_to(&desk.route()), ["new@d.example", "old@d.example"]);
    desk.known.named.clear();
    desk.choice.corrections = Corrections::Everyone;
    desk.known.suppressed.push("old@d.example".parse().unwrap());
    let route = desk.route();
    assert_eq!(
        (sent_to(&route), route.trace[1].verdict),
        (vec!["new@d.example"], Verdict::Held),
        "nobody is left with a wrong report"
    );
}
